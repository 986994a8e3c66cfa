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
pub(super) fn never_starts(reason: &str) -> Option<&'static str> {
    (reason == "PartitionTimeLimit" || reason.contains(OF_ONE_JOB))
        .then_some("it asks for more than one job may have here")
}

pub(super) fn look_up(id: &JobId) -> String {
    format!("scontrol show job {id}, or later sacct -j {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_job_that_asks_for_more_than_any_may_have_never_starts() {
        for reason in
            ["PartitionTimeLimit", "AssocMaxNodePerJobLimit", "QOSMaxWallDurationPerJobLimit", "AssocMaxGRESPerJob"]
        {
            assert!(never_starts(reason).is_some(), "{reason}");
        }
        for reason in ["", "Priority", "Resources", "JobHeldUser", "PartitionDown", "PartitionNodeLimit"] {
            assert_eq!(never_starts(reason), None, "{reason}");
        }
        for reason in ["AssocMaxJobsLimit", "QOSMaxJobsPerUserLimit", "QOSMaxCpuPerUserLimit", "AssocGrpNodeLimit"] {
            assert_eq!(never_starts(reason), None, "{reason}");
        }
    }
}
