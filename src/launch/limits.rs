//! `[jobs.limits]`: what the processes of one job may use together, and what follows where that cannot be held.
//!
//! A limit that the site has written down is one that it relies on: without it the job does not run. The one that is there by
//! itself is told to the admin where it does not hold, and stops nobody: not every runner of a site has control groups.

use std::collections::BTreeSet;
use std::io;

use crate::config::values;
use crate::report::{FailureKind, Fault};
use crate::sys::cgroup::{Groups, JobGroup, Limits, Made, Obstacle, Resource};

/// `[jobs.limits]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobLimits {
    limits: Limits,
    /// Those that the site has written down.
    written: BTreeSet<Resource>,
}

/// A limit that the site relies on does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be set, and without it no job runs: {obstacle}", key(*resource))]
pub struct LimitError {
    resource: Resource,
    obstacle: Obstacle,
}

impl Fault for LimitError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn for_author(&self) -> String {
        format!(
            "this site limits its jobs, and the limit {} cannot be set now; its administrators find the reason in the audit log",
            key(self.resource)
        )
    }
}

/// What the processes of a job are put in.
#[derive(Debug, Default)]
pub struct Confined {
    /// Their group.
    pub group: Option<JobGroup>,
    /// A line for each limit that is not there.
    pub unmet: Vec<String>,
}

/// What becomes of a job without a limit that the site has written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlimited {
    /// It does not run.
    Refused,
    /// It is played, by an admin who is told: his shell is not in the group of the runner's service.
    Told,
}

impl JobLimits {
    /// With those that the site has written down.
    pub(super) fn new(limits: Limits, written: BTreeSet<Resource>) -> Self {
        Self { limits, written }
    }

    /// Every limit there is, with its key and its value as a site writes it.
    pub fn all(&self) -> impl Iterator<Item = (Resource, &'static str, String)> {
        self.limits.iter().map(|(resource, most)| (*resource, key(*resource), shown(*resource, *most)))
    }

    /// Whether jobs are refused without it.
    pub fn insists_on(&self, resource: Resource) -> bool {
        self.written.contains(&resource)
    }

    /// Makes the group of a job, with its limits.
    pub fn confine(&self, place: Option<&Groups>, unlimited: Unlimited) -> Result<Confined, LimitError> {
        let Made { group, unmet } = JobGroup::make(place, &self.limits);
        let refused = |resource| unlimited == Unlimited::Refused && self.insists_on(resource);
        if let Some((resource, obstacle)) = unmet.iter().find(|(resource, _)| refused(*resource)) {
            group.iter().for_each(JobGroup::remove);
            return Err(LimitError { resource: *resource, obstacle: obstacle.clone() });
        }
        let line = |(resource, obstacle): &(Resource, Obstacle)| {
            format!("no limit {} holds for this job: {obstacle}", key(*resource))
        };
        Ok(Confined { group, unmet: unmet.iter().map(line).collect() })
    }
}

/// A limit that does not hold since modules of the login session have put the worker elsewhere.
pub fn lost_in_login_session(resource: Resource) -> io::Error {
    let key = key(resource);
    io::Error::other(format!(
        "the login session has put the worker in a control group of its own (pam_systemd), where {key} cannot hold"
    ))
}

/// The key of the configuration.
pub(super) fn key(resource: Resource) -> &'static str {
    match resource {
        Resource::Pids => "jobs.limits.pids",
        Resource::Memory => "jobs.limits.memory",
        Resource::Swap => "jobs.limits.swap",
        Resource::Cpu => "jobs.limits.cpu",
    }
}

/// A value as one writes it.
pub(super) fn shown(resource: Resource, most: u64) -> String {
    match resource {
        Resource::Pids | Resource::Cpu => most.to_string(),
        Resource::Memory | Resource::Swap => values::shown_bytes(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_written_down_refuses_the_job_where_it_cannot_hold_and_the_default_does_not() {
        let limits = Limits::from([(Resource::Pids, 4096)]);
        let by_default = JobLimits::new(limits, BTreeSet::new()).confine(None, Unlimited::Refused).expect("runs");
        assert!(by_default.group.is_none() && by_default.unmet.len() == 1, "{by_default:?}");
        assert!(by_default.unmet[0].starts_with("no limit jobs.limits.pids holds for this job: "));
        let limits = Limits::from([(Resource::Pids, 4096), (Resource::Memory, 1 << 30), (Resource::Swap, 0)]);
        let written = JobLimits::new(limits, BTreeSet::from([Resource::Memory]));
        let error = written.confine(None, Unlimited::Refused).expect_err("refused");
        assert_eq!(error.kind(), FailureKind::System);
        assert!(error.for_admin().contains("jobs.limits.memory cannot be set"), "{}", error.for_admin());
        assert!(!error.for_author().contains("/sys/"), "{}", error.for_author());
        // With the swap and the processes that are bounded by default.
        assert_eq!(written.confine(None, Unlimited::Told).expect("played").unmet.len(), 3);
    }
}
