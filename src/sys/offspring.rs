//! What descends from a job, whatever it did since: a mark that every process inherits and none can take off.
//!
//! A daemon leaves its session, its parents and its environment, and where the driver can make no control group (its
//! runner is an ordinary account whose service is not delegated to it; a container) nothing would tell it from a login of its account. The mark is the hard limit
//! for file locks (setrlimit(2), `RLIMIT_LOCKS`): the kernel has not looked at it since Linux 2.4, so it is in nobody's way;
//! fork and exec pass it on, and only `CAP_SYS_RESOURCE` of the machine itself raises it, which nobody gets in a user
//! namespace. 0 says: below a job. 1 says: a worker, which its session knows by number. What a worker runs for itself (`sbatch`,
//! `fusermount`, `rm`) has that of a job: it is the account's, which may trace it, and could make a daemon of it that nobody
//! would know.
//!
//! The mark does not say of which job. But what belongs to a job that goes on has a stage of it above itself, since stage
//! and worker adopt orphans; what has none is an orphan of a job that is over.
#![allow(unsafe_code)] // getrlimit and setrlimit between fork and exec

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, getppid};

use super::process::{is_stopped, name_of, parent_and_start, real_uid};

/// The hard limit of a worker.
const WORKER: u64 = 1;
/// That of whatever a job has started.
const JOB: u64 = 0;
/// With this the names of all programs begin that have jobs below them. (They must: they find each other by them.)
pub const STAGE: &str = "motmot-";
/// Longest way up. Ways change while they are walked.
const MOST_STEPS: usize = 100_000;

/// To be called between fork and exec of a worker: plain system calls only.
pub(super) fn mark_worker() -> io::Result<()> {
    lower_to(WORKER)
}

/// The same for whatever a worker starts, for a job or for itself.
pub(super) fn mark_job() -> io::Result<()> {
    lower_to(JOB)
}

/// Has this command be marked so when it starts.
pub(super) fn marked(command: &mut Command) -> &mut Command {
    // SAFETY: plain system calls only.
    unsafe { command.pre_exec(mark_job) }
}

fn lower_to(most: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid pointer to a structure of ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_LOCKS, &raw mut limit) } != 0 {
        return Err(Errno::last().into());
    }
    // In a job of motmot's that tries motmot it is lower already.
    if limit.rlim_max <= most {
        return Ok(());
    }
    limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_LOCKS, &raw const limit) } != 0 {
        return Err(Errno::last().into());
    }
    Ok(())
}

/// The hard limit of a process. Everybody may read it, unless /proc hides other accounts (`hidepid`).
fn limit_of(pid: i32) -> Option<u64> {
    limit_in(&std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

fn limit_in(limits: &str) -> Option<u64> {
    let fields = limits.lines().find_map(|line| line.strip_prefix("Max file locks "))?;
    match fields.split_ascii_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Whoever looks for orphans: below it, or it itself, is a stage, which tells what a stage looks like.
#[derive(Clone, Copy, Debug)]
pub struct Seeker {
    /// What no stage has less than. A job can call its programs as it likes, but cannot give them this.
    limit_of_stage: u64,
}

impl Seeker {
    /// A worker.
    pub fn in_worker() -> Self {
        Self { limit_of_stage: limit_of(getppid().as_raw()).unwrap_or(u64::MAX) }
    }

    /// A stage.
    pub fn in_stage() -> Self {
        Self { limit_of_stage: limit_of(nix::unistd::getpid().as_raw()).unwrap_or(u64::MAX) }
    }

    /// Whether a process was started by a job that is over, and this process may end it: it is of the same account, or in a
    /// user namespace of its.
    pub fn is_orphan(self, pid: Pid) -> bool {
        let is_marked = || match limit_of(pid.as_raw()) {
            Some(JOB) => true,
            // A worker without a stage ends its job, and then itself. One that was stopped, perhaps before it had become one
            // and could be written down, never would.
            Some(WORKER) => is_stopped(pid),
            _ => false,
        };
        kill(pid, None).is_ok() && is_marked() && self.is_without_stage(pid)
    }

    /// The same for whoever may end anybody's.
    pub fn is_orphan_of(self, uid: Uid, pid: Pid) -> bool {
        real_uid(pid) == Some(uid) && self.is_orphan(pid)
    }

    /// Whether it certainly has no stage above it.
    fn is_without_stage(self, pid: Pid) -> bool {
        let mut at = pid.as_raw();
        for _ in 0..MOST_STEPS {
            let Some((parent, _)) = parent_and_start(at) else { return false };
            // That of the machine, of a container, or outside of it.
            if parent <= 1 {
                return true;
            }
            if parent_and_start(parent).is_none() {
                match parent_and_start(at) {
                    // It has ended just now, and has left its children to another.
                    Some((now, _)) if now != parent => continue,
                    // It is hidden from us, as stages are from a worker.
                    _ => return false,
                }
            }
            // Another runner's stage may have a smaller limit than this one's; what is below a job never has more than a worker.
            let least = self.limit_of_stage.min(WORKER + 1);
            let may_be = || limit_of(parent).is_none_or(|limit| limit >= least);
            if name_of(Pid::from_raw(parent)).starts_with(STAGE) && may_be() {
                return false;
            }
            at = parent;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_found_among_others() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max address space         unlimited            unlimited            bytes     \n\
                      Max file locks            0                    1                    locks     \n";
        assert_eq!(limit_in(limits), Some(1));
        assert_eq!(limit_in(&limits.replace("0                    1 ", "unlimited unlimited ")), Some(u64::MAX));
        assert_eq!(limit_in("Max file size 1 2 bytes\n"), None);
    }

    #[test]
    fn a_login_of_the_same_account_is_no_orphan_of_a_job() {
        let mut login = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = Pid::from_raw(login.id().cast_signed());
        assert_eq!(limit_of(pid.as_raw()), limit_of(nix::unistd::getpid().as_raw()));
        assert!(!Seeker::in_stage().is_orphan(pid));
        login.kill().expect("killed");
        login.wait().expect("ended");
    }
}
