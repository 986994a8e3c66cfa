//! What the control group says when a run is over: whether memory was the cause, and whose failure that is.

use super::error::LaunchError;
use crate::config::values::shown_bytes;
use crate::sys::cgroup::{Exhausted, OutOfMemory};

/// How the worker's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// By SIGKILL, and not by ours.
    Killed,
    /// In any other way.
    Other,
}

/// A line for the author of the job, if the kernel has ended processes of it for lack of memory.
pub fn words(memory: Option<OutOfMemory>) -> Option<String> {
    let OutOfMemory { kills, exhausted } = memory.filter(|memory| memory.kills > 0)?;
    let what = if kills == 1 { "a process".to_owned() } else { format!("{kills} processes") };
    let why = match exhausted {
        Exhausted::Limit(most) => format!(
            "together they may have {} on this machine (jobs.limits.memory), files in /dev/shm included; use less at a time (fewer tasks of make -j, smaller data), or run this where there is more, in a batch job for example",
            shown_bytes(most)
        ),
        Exhausted::Machine => "not this job's own limit was reached, but that of the machine or of all jobs of its runner; try again later, and tell the administrators of this site if it happens again".to_owned(),
    };
    Some(format!("out of memory: the kernel has ended {what} of this job: {why}"))
}

/// Whose failure it is that the worker is gone without a word. Only where the group has counted that can be told: a site
/// without memory ends any process, and the job's author is not to blame for that.
pub fn blame(error: LaunchError, worker: WorkerEnd, memory: Option<OutOfMemory>) -> LaunchError {
    match (error, worker, memory) {
        (LaunchError::WorkerLost, WorkerEnd::Killed, Some(OutOfMemory { kills: 0, .. })) => LaunchError::WorkerKilled,
        (LaunchError::WorkerLost, WorkerEnd::Killed, Some(OutOfMemory { exhausted: Exhausted::Limit(_), .. })) => {
            LaunchError::OutOfMemory
        }
        (error, ..) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{FailureKind, Fault};

    const LIMIT: OutOfMemory = OutOfMemory { kills: 2, exhausted: Exhausted::Limit(1 << 30) };
    const MACHINE: OutOfMemory = OutOfMemory { kills: 1, exhausted: Exhausted::Machine };
    const NONE: OutOfMemory = OutOfMemory { kills: 0, exhausted: Exhausted::Machine };

    #[test]
    fn a_lost_worker_is_the_jobs_failure_only_where_the_group_says_so() {
        let kind = |worker, memory| blame(LaunchError::WorkerLost, worker, memory).kind();
        for (worker, memory, expected) in [
            (WorkerEnd::Killed, Some(NONE), FailureKind::Build),
            (WorkerEnd::Killed, Some(LIMIT), FailureKind::Build),
            (WorkerEnd::Killed, Some(MACHINE), FailureKind::System),
            (WorkerEnd::Killed, None, FailureKind::System),
            // A crash of ours.
            (WorkerEnd::Other, Some(NONE), FailureKind::System),
        ] {
            assert_eq!(kind(worker, memory), expected, "{worker:?} {memory:?}");
        }
        let other = blame(LaunchError::SetUp(std::io::Error::other("x")), WorkerEnd::Killed, Some(NONE));
        assert!(matches!(other, LaunchError::SetUp(_)));
    }

    #[test]
    fn the_author_is_told_which_memory_it_was() {
        assert_eq!(words(None), None);
        assert_eq!(words(Some(NONE)), None);
        let limit = words(Some(LIMIT)).expect("told");
        assert!(limit.contains("ended 2 processes of this job") && limit.contains("may have 1G"), "{limit}");
        let machine = words(Some(MACHINE)).expect("told");
        assert!(machine.contains("ended a process of this job") && !machine.contains("jobs.limits"), "{machine}");
    }
}
