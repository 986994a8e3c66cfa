//! The account that the played runner runs as.

use std::io;

use motmot_emulator::RunnerAccount;
use nix::unistd::{Gid, Uid, User};

use super::error::SimulateError;
use crate::sys::acting::{self, Credentials};

/// Looks it up.
pub(super) fn named(name: &str) -> Result<RunnerAccount, SimulateError> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(RunnerAccount { uid: user.uid.as_raw(), gid: user.gid.as_raw(), act_as }),
        Ok(None) => Err(SimulateError::Usage(format!("there is no account {name:?} on this machine"))),
        Err(error) => Err(SimulateError::system(format!("look up the account {name:?}"))(error.into())),
    }
}

/// Does something with files as another account, and comes back.
fn act_as(uid: u32, gid: u32, body: &mut dyn FnMut()) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    Ok(acting::act_as(&Credentials { uid: Uid::from_raw(uid), gid, groups: vec![gid] }, body)?)
}
