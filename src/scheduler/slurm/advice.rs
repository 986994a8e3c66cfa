//! Slurm's own words: what it is called, what an author can ask for, and how a job is looked up.

use crate::scheduler::{Advice, JobId, SchedulerKind};

/// Slurm.
pub const KIND: SchedulerKind = SchedulerKind::new("slurm", "Slurm");

/// In every reason that is a limit of one job (`QOSMaxNodePerJobLimit`, `AssocMaxGRESPerJob`), and in no other.
pub(super) const OF_ONE_JOB: &str = "PerJob";

pub(super) fn advice(topic: Advice) -> &'static str {
    match topic {
        Advice::MoreTime => "ask for more with --time",
        Advice::MoreMemory => "ask for more with --mem",
    }
}

/// The job itself is what keeps it: it asks for more than any one may have. Not of limits that jobs share, nor of what an
/// administrator has stopped and lets go again.
pub(super) fn on_waiting(reason: &str) -> Option<&'static str> {
    (reason == "PartitionTimeLimit" || reason.contains(OF_ONE_JOB)).then_some(
        "waiting does not start it: it asks for more than one job may have here; cancel it, and ask for less",
    )
}

pub(super) fn look_up(id: &JobId) -> String {
    format!("scontrol show job {id}, or later sacct -j {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_a_job_that_asks_for_too_much_its_author_is_told_that_waiting_does_not_help() {
        for reason in
            ["PartitionTimeLimit", "AssocMaxNodePerJobLimit", "QOSMaxWallDurationPerJobLimit", "AssocMaxGRESPerJob"]
        {
            assert!(on_waiting(reason).is_some(), "{reason}");
        }
        for reason in ["", "Priority", "Resources", "JobHeldUser", "PartitionDown", "PartitionNodeLimit"] {
            assert_eq!(on_waiting(reason), None, "{reason}");
        }
        for reason in ["AssocMaxJobsLimit", "QOSMaxJobsPerUserLimit", "QOSMaxCpuPerUserLimit", "AssocGrpNodeLimit"] {
            assert_eq!(on_waiting(reason), None, "{reason}");
        }
    }
}
