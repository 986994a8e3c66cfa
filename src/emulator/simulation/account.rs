//! The account that a runner runs as, where that is not the one that plays it.

use std::io;

/// Does something with files as another account of this machine, given its uid and primary gid, and comes back. An error
/// means that nothing was done.
pub type ActAs = fn(uid: u32, gid: u32, body: &mut dyn FnMut()) -> io::Result<()>;

/// An account of this machine that a runner runs as.
#[derive(Debug, Clone, Copy)]
pub struct RunnerAccount {
    /// Its number.
    pub uid: u32,
    /// Number of its primary group.
    pub gid: u32,
    /// How to become it for a while, which only whoever plays the runner can know.
    pub act_as: ActAs,
}

/// Does something with files as the runner's account, or as we are if there is none. In directories that it owns root must
/// not do it: by name it could be led to any other place, with a link put there in the right moment.
pub(crate) fn as_account<T>(account: Option<RunnerAccount>, body: impl FnOnce() -> T) -> io::Result<T> {
    let Some(RunnerAccount { uid, gid, act_as }) = account else {
        return Ok(body());
    };
    let (mut body, mut result) = (Some(body), None);
    act_as(uid, gid, &mut || result = body.take().map(|body| body()))?;
    result.ok_or_else(|| io::Error::other("nothing was done"))
}
