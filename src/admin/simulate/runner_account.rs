//! The account that the played runner runs as.

use std::io;

use motmot_emulator::RunnerAccount;
use nix::unistd::{Gid, Uid, User, getgid, getgroups, getuid, setegid, seteuid, setgroups};

use super::error::SimulateError;

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
    let acting = Acting { before: getgroups()? };
    setgroups(&[Gid::from_raw(gid)])?;
    setegid(Gid::from_raw(gid))?;
    seteuid(Uid::from_raw(uid))?;
    body();
    drop(acting);
    Ok(())
}

/// Ends the acting, whatever happens in it.
struct Acting {
    before: Vec<Gid>,
}

impl Drop for Acting {
    fn drop(&mut self) {
        let back = seteuid(getuid()).and_then(|()| setegid(getgid())).and_then(|()| setgroups(&self.before));
        if back.is_err() {
            // Nothing that follows would be what it seems.
            std::process::abort();
        }
    }
}
