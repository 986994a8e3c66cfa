//! Slurm's own words: what it is called, what an author can ask for, and how a job is looked up.

use crate::scheduler::{Advice, JobId, SchedulerKind};

/// Slurm.
pub const KIND: SchedulerKind = SchedulerKind::new("slurm", "Slurm");

pub(super) fn advice(topic: Advice) -> &'static str {
    match topic {
        Advice::MoreTime => "ask for more with --time",
        Advice::MoreMemory => "ask for more with --mem",
    }
}

pub(super) fn look_up(id: &JobId) -> String {
    format!("scontrol show job {id}, or later sacct -j {id}")
}
