//! Another account, for as long as a body runs: to see files as that account sees them, or to write in its directories
//! without being led to another place by a link.
//!
//! The effective ids and the groups change; the real and the saved ids stay root's, so that there is a way back. For the
//! same reason the account cannot signal or trace this process meanwhile (kill(2) and ptrace(2) look at those). But it is
//! no fence: a program that is started meanwhile inherits root's real id and could climb back. Whatever runs code of an
//! account is a worker ([`super::spawn`]), which has given everything up.
//!
//! For the kernel each thread has credentials of its own. The C library, whose functions these are, gives those of one
//! thread to all (nptl(7)): during the body the whole process acts, a runtime's helpers too, and none is left behind as
//! root. So only one body at a time, and none within another; a process with threads that have business of their own as
//! root does not act at all. Signal handlers would run as the account; motmot has none, it waits for signals in a thread.
//! The umask is no credential and stays: who makes files says their mode.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setegid, seteuid, setgroups};

/// Whether a body runs.
static ACTING: AtomicBool = AtomicBool::new(false);

/// By what the kernel judges whether a file may be opened.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The effective user.
    pub uid: Uid,
    /// The effective group.
    pub gid: Gid,
    /// The supplementary groups.
    pub groups: Vec<Gid>,
}

impl Credentials {
    fn of_this_process() -> nix::Result<Self> {
        Ok(Self { uid: geteuid(), gid: getegid(), groups: getgroups()? })
    }

    /// Whether the process has exactly these. The kernel keeps groups in an order of its own.
    fn hold(&self) -> bool {
        let sorted = |groups: &[Gid]| {
            let mut groups: Vec<_> = groups.iter().map(|gid| gid.as_raw()).collect();
            groups.sort_unstable();
            groups.dedup();
            groups
        };
        Self::of_this_process()
            .is_ok_and(|now| (now.uid, now.gid) == (self.uid, self.gid) && sorted(&now.groups) == sorted(&self.groups))
    }
}

/// Runs `body` as the account, and is back when it returns or panics. If there were no way back the process ends at once
/// (abort(3)): all that follows would be another account's.
///
/// # Errors
/// `EBUSY` within another body; `EPERM` for everybody but root; whatever the kernel refuses. The body has not run then.
pub fn act_as<T>(account: &Credentials, body: impl FnOnce() -> T) -> nix::Result<T> {
    if ACTING.swap(true, Ordering::AcqRel) {
        return Err(Errno::EBUSY);
    }
    let before = Credentials::of_this_process().inspect_err(|_| ACTING.store(false, Ordering::Release))?;
    // From here on: also when a step fails half-way.
    let _way_back = WayBack { before };
    // The user last: without root's the others could not be changed any more.
    setgroups(&account.groups)?;
    setegid(account.gid)?;
    seteuid(account.uid)?;
    if !account.hold() {
        return Err(Errno::EPERM);
    }
    Ok(body())
}

struct WayBack {
    before: Credentials,
}

impl Drop for WayBack {
    fn drop(&mut self) {
        let Credentials { uid, gid, groups } = &self.before;
        // Who may not change groups (EPERM at the first step) has not changed any.
        let changed = !self.before.hold();
        if changed {
            let back = seteuid(*uid).and_then(|()| setegid(*gid)).and_then(|()| setgroups(groups));
            if back.is_err() || !self.before.hold() {
                std::process::abort();
            }
        }
        ACTING.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::sys::alone::alone;

    fn nobody() -> Credentials {
        let gid = Gid::from_raw(65_534);
        Credentials { uid: Uid::from_raw(65_534), gid, groups: vec![gid] }
    }

    #[test]
    fn all_threads_act_and_all_are_back_whatever_the_body_does() {
        if !geteuid().is_root() {
            return; // only root can
        }
        alone(module_path!(), "all_threads_act_and_all_are_back_whatever_the_body_does", || {
            let before = Credentials::of_this_process().expect("credentials");
            let dir = tempfile::tempdir().expect("a directory");
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("open to all");
            let owner = |name: &str| {
                let path = dir.path().join(name);
                std::fs::write(&path, "").expect("a file");
                let meta = std::fs::metadata(path).expect("metadata");
                (meta.uid(), meta.gid())
            };
            let (ask, asked) = std::sync::mpsc::channel::<&'static str>();
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                // There before the change, and not the one that asks for it.
                scope.spawn(|| asked.into_iter().for_each(|name| tell.send(owner(name)).expect("told")));
                let inside = act_as(&nobody(), || {
                    ask.send("elsewhere").expect("asked");
                    assert_eq!(act_as(&nobody(), || ()), Err(Errno::EBUSY), "not within another");
                    (owner("here"), told.recv().expect("an owner"), std::fs::read("/etc/shadow").is_err())
                });
                assert_eq!(inside, Ok(((65_534, 65_534), (65_534, 65_534), true)));
                assert!(before.hold());
                ask.send("afterwards").expect("asked");
                assert_eq!(told.recv().expect("an owner").0, 0);
                drop(ask);
            });
            let panicked = catch_unwind(AssertUnwindSafe(|| act_as(&nobody(), || panic!("in the body"))));
            assert!(panicked.is_err() && before.hold());
            assert_eq!(act_as(&nobody(), geteuid), Ok(Uid::from_raw(65_534)), "and again");
            assert!(before.hold());
        });
    }

    #[test]
    fn an_ordinary_account_cannot_act_and_stays_what_it_is() {
        alone(module_path!(), "an_ordinary_account_cannot_act_and_stays_what_it_is", || {
            if geteuid().is_root() {
                let Credentials { uid, gid, groups } = nobody();
                setgroups(&groups).and_then(|()| setegid(gid)).expect("groups");
                nix::unistd::setuid(uid).expect("an ordinary account");
            }
            let before = Credentials::of_this_process().expect("credentials");
            let other = Credentials { uid: Uid::from_raw(1), ..nobody() };
            assert_eq!(act_as(&other, || ()), Err(Errno::EPERM));
            assert!(before.hold());
            assert_eq!(act_as(&other, || ()), Err(Errno::EPERM), "and not EBUSY");
        });
    }
}
