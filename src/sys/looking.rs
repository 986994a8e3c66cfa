//! A look at files as another account sees them, with a limit: behind a home directory may be a server that does not answer.
//!
//! For the kernel each thread has credentials of its own. [`super::acting`] has the C library change those of all threads, which
//! waits for each of them, and so for one that hangs in the kernel. Here one thread alone becomes the account, by the system
//! calls themselves; it has no way back and needs none, since it ends with its look. It is for looking only: the real id stays
//! root's, and what is started or shared from there is no fence. What hangs is left to the end of the process; so nobody acts
//! after a look that took too long.
#![allow(unsafe_code)] // system calls for one thread

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use nix::errno::Errno;

use super::acting::Credentials;

/// Why nothing was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSeen {
    /// It has not come back in time.
    #[error("no answer")]
    TookTooLong,
    /// The account could not be become; nothing was looked at.
    #[error("{}", .0.desc())]
    Refused(Errno),
}

/// What `body` sees as this account.
///
/// # Errors
/// [`NotSeen`]; `EPERM` for everybody but root.
pub fn look_as<T: Send + 'static>(
    account: &Credentials,
    limit: Duration,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotSeen> {
    let (account, (sender, receiver)) = (account.clone(), channel());
    let look = move || {
        let _ = sender.send(become_in_this_thread(&account).map(|()| body()));
    };
    std::thread::Builder::new().spawn(look).map_err(|_| NotSeen::Refused(Errno::EAGAIN))?;
    match receiver.recv_timeout(limit) {
        Ok(seen) => seen.map_err(NotSeen::Refused),
        Err(RecvTimeoutError::Timeout) => Err(NotSeen::TookTooLong),
        // A panic in there has been told.
        Err(RecvTimeoutError::Disconnected) => Err(NotSeen::Refused(Errno::EIO)),
    }
}

/// Groups first, the user last: without root's id the others could not be changed any more.
fn become_in_this_thread(account: &Credentials) -> nix::Result<()> {
    const SAME: libc::uid_t = libc::uid_t::MAX;
    let groups: Vec<libc::gid_t> = account.groups.iter().map(|gid| gid.as_raw()).collect();
    // SAFETY: setgroups(2) reads as many numbers as it is told, and the list has them.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    // SAFETY: numbers only. Real and saved ids stay: the account can neither signal nor trace this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, SAME, account.gid.as_raw(), SAME) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, SAME, account.uid.as_raw(), SAME) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use nix::unistd::{Gid, Uid, geteuid};

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    fn nobody() -> Credentials {
        let gid = Gid::from_raw(65_534);
        Credentials { uid: Uid::from_raw(65_534), gid, groups: vec![gid] }
    }

    #[test]
    fn one_thread_looks_as_the_account_and_the_process_stays_who_it_is() {
        if !geteuid().is_root() {
            assert_eq!(look_as(&nobody(), LIMIT, || ()), Err(NotSeen::Refused(Errno::EPERM)));
            return;
        }
        let dir = tempfile::tempdir().expect("dir");
        let closed = dir.path().join("closed");
        std::fs::create_dir(&closed).expect("made");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("chmod");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        let (file, inside) = (dir.path().join("file"), closed.clone());
        let seen = look_as(&nobody(), LIMIT, move || {
            std::fs::write(&file, "").expect("a file");
            let meta = std::fs::metadata(&file).expect("metadata");
            ((meta.uid(), meta.gid()), std::fs::read_dir(inside).map(drop).map_err(|error| error.kind()))
        });
        assert_eq!(seen, Ok(((65_534, 65_534), Err(std::io::ErrorKind::PermissionDenied))));
        assert!(geteuid().is_root() && std::fs::read_dir(closed).is_ok());
    }

    #[test]
    fn a_look_that_does_not_come_back_is_left_alone() {
        if !geteuid().is_root() {
            return; // only root can
        }
        let (_hold, never) = channel::<()>();
        let seen = look_as(&nobody(), Duration::from_millis(20), move || never.recv().is_ok());
        assert_eq!(seen, Err(NotSeen::TookTooLong));
    }
}
