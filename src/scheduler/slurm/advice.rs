//! Slurm's own words: what it is called, what an author can ask for, and how a job is looked up.

use crate::scheduler::{Advice, JobId, Prospect, SchedulerKind};

/// Slurm.
pub const KIND: SchedulerKind = SchedulerKind::new("slurm", "Slurm");

/// In every reason that is a limit of one job (`QOSMaxNodePerJobLimit`, `AssocMaxGRESPerJob`), and in no other.
pub(super) const OF_ONE_JOB: &str = "PerJob";

pub(super) fn advice(topic: Advice) -> &'static str {
    match topic {
        Advice::MoreTime => "ask for more with --time",
        Advice::MoreMemory => "ask for more with --mem",
        Advice::TooMuch => "it asks for more than one job may have here",
    }
}

/// What Slurm shows of a job that waits.
pub(super) struct Waiting<'a> {
    pub(super) reason: &'a str,
    /// Of several partitions the reason is that of the one that was looked at last, and another may start it.
    pub(super) partition: Option<&'a str>,
    /// `--time-min`: Slurm makes the job as short as it has to be, but not before it starts it.
    pub(super) time_min: Option<&'a str>,
    /// A job that has one will start.
    pub(super) start: Option<&'a str>,
}

/// The job itself is what keeps it: it asks for more than any one may have. Not of limits that jobs share, nor of what an
/// administrator has stopped and lets go again.
pub(super) fn prospect(job: &Waiting<'_>) -> Prospect {
    let asks_for_too_much = job.reason == "PartitionTimeLimit" || job.reason.contains(OF_ONE_JOB);
    let one_partition = job.partition.is_some_and(|names| !names.contains(','));
    let certain = one_partition && job.time_min.is_none() && job.start.is_none();
    if asks_for_too_much && certain { Prospect::Never } else { Prospect::Open }
}

pub(super) fn look_up(id: &JobId) -> String {
    format!("scontrol show job {id}, or later sacct -j {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never(reason: &str) -> bool {
        prospect(&Waiting { reason, partition: Some("batch"), time_min: None, start: None }) == Prospect::Never
    }

    #[test]
    fn only_a_job_that_asks_for_more_than_any_may_have_never_starts() {
        for reason in
            ["PartitionTimeLimit", "AssocMaxNodePerJobLimit", "QOSMaxWallDurationPerJobLimit", "AssocMaxGRESPerJob"]
        {
            assert!(never(reason), "{reason}");
        }
        for reason in ["", "Priority", "Resources", "JobHeldUser", "PartitionDown", "PartitionNodeLimit"] {
            assert!(!never(reason), "{reason}");
        }
        for reason in ["AssocMaxJobsLimit", "QOSMaxJobsPerUserLimit", "QOSMaxCpuPerUserLimit", "AssocGrpNodeLimit"] {
            assert!(!never(reason), "{reason}");
        }
    }

    #[test]
    fn nothing_is_certain_of_several_partitions_of_a_flexible_time_and_of_a_job_that_has_a_start() {
        let certain =
            || Waiting { reason: "PartitionTimeLimit", partition: Some("short"), time_min: None, start: None };
        assert_eq!(prospect(&certain()), Prospect::Never);
        for doubtful in [
            Waiting { partition: Some("long,short"), ..certain() },
            Waiting { partition: None, ..certain() },
            Waiting { time_min: Some("00:01:00"), ..certain() },
            Waiting { start: Some("2026-01-01T00:00:00"), ..certain() },
        ] {
            assert_eq!(prospect(&doubtful), Prospect::Open);
        }
    }
}
