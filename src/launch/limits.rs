//! `[jobs.limits]`: what the processes of one job may use together, and what follows where that cannot be held.
//!
//! A limit that the site has written down is one that it relies on: without it the job does not run. The one that is there by
//! itself is told to the admin where it does not hold, and stops nobody: not every runner of a site has control groups.

use std::collections::BTreeSet;
use std::io;

use crate::config::{Placed, Section, values};
use crate::report::{FailureKind, Fault};
use crate::sys::cgroup::{Groups, JobGroup, Limits, Made, Obstacle, Resource};

/// Processes and threads of a job, unless the site says otherwise: a build with all cores of a large node stays below it, and
/// what forks for ever stops at it.
const DEFAULT_PIDS: u64 = 4096;
/// A worker, a shell, and a command or two.
const LEAST_PIDS: u64 = 16;
/// The same in bytes.
const LEAST_MEMORY: u64 = 32 << 20;

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

/// Whose processes jobs are, seen from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobsOf {
    /// Those of other accounts, which its limits hold.
    Others,
    /// Its own: they could lift any limit.
    Itself,
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

/// Reads the section.
pub fn read_limits(mut section: Section<'_>, jobs_of: JobsOf) -> JobLimits {
    let given = [
        (Resource::Pids, LEAST_PIDS, section.number("pids")),
        (Resource::Memory, LEAST_MEMORY, section.parsed_placed("memory", values::bytes)),
        (Resource::Swap, 0, section.parsed_placed("swap", values::bytes)),
        (Resource::Cpu, 1, section.number("cpu")),
    ];
    let mut limits = Limits::new();
    let mut written = BTreeSet::new();
    for (resource, least, placed) in given {
        let Some(Placed { value, place }) = placed else { continue };
        if value < least {
            let (key, least) = (key(resource), shown(resource, least));
            section.problem(&place, format!("`{key}` must be {least} or more: no job could begin"));
        }
        if resource == Resource::Swap && !section.has("memory") {
            let help = "for example: memory = \"8G\"";
            section.problem_with_help(
                &place,
                "`jobs.limits.swap` is on top of `jobs.limits.memory`, which is missing",
                help,
            );
        }
        limits.insert(resource, value);
        written.insert(resource);
    }
    match jobs_of {
        JobsOf::Others => {
            limits.entry(Resource::Pids).or_insert(DEFAULT_PIDS);
            // What may not have more memory would have the swap of everybody.
            if limits.contains_key(&Resource::Memory) {
                limits.entry(Resource::Swap).or_insert(0);
            }
        }
        JobsOf::Itself if section.says_something() => section.problem(
            &section.place(),
            "`jobs.limits` needs jobs.downscope = \"setuid\": one user's own jobs have the rights of their driver, and could lift every limit; set limits in the unit of that runner (TasksMax=, MemoryMax=)",
        ),
        JobsOf::Itself => {}
    }
    section.finish();
    JobLimits { limits, written }
}

/// A limit that does not hold since modules of the login session have put the worker elsewhere.
pub fn lost_in_login_session(resource: Resource) -> io::Error {
    let key = key(resource);
    io::Error::other(format!(
        "the login session has put the worker in a control group of its own (pam_systemd), where {key} cannot hold"
    ))
}

/// The key of the configuration.
fn key(resource: Resource) -> &'static str {
    match resource {
        Resource::Pids => "jobs.limits.pids",
        Resource::Memory => "jobs.limits.memory",
        Resource::Swap => "jobs.limits.swap",
        Resource::Cpu => "jobs.limits.cpu",
    }
}

/// A value as one writes it.
fn shown(resource: Resource, most: u64) -> String {
    match resource {
        Resource::Pids | Resource::Cpu => most.to_string(),
        Resource::Memory | Resource::Swap => values::shown_bytes(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};

    fn limits(text: &str, jobs_of: JobsOf) -> Result<JobLimits, String> {
        let source = Source::new("c.toml", text);
        config::read(&source, |mut root| Some(read_limits(root.section("limits"), jobs_of)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_job_has_a_limit_of_processes_unless_it_is_its_drivers_own() {
        let all = |limits: JobLimits| limits.all().map(|(_, key, shown)| format!("{key}={shown}")).collect::<Vec<_>>();
        let read = limits("", JobsOf::Others).expect("read");
        assert!(!read.insists_on(Resource::Pids));
        assert_eq!(all(read), ["jobs.limits.pids=4096"]);
        assert_eq!(limits("", JobsOf::Itself).map(all), Ok(Vec::new()));
        let text = "[limits]\npids = 100\nmemory = \"8G\"\nswap = \"0\"\ncpu = 4\n";
        let read = limits(text, JobsOf::Others).expect("read");
        assert!(read.insists_on(Resource::Pids) && read.insists_on(Resource::Swap));
        let expected = ["jobs.limits.pids=100", "jobs.limits.memory=8G", "jobs.limits.swap=0", "jobs.limits.cpu=4"];
        assert_eq!(all(read), expected);
    }

    #[test]
    fn a_limit_that_means_nothing_is_refused() {
        for (text, words) in [
            ("pids = 3", "must be 16 or more"),
            ("memory = \"1M\"", "must be 32M or more"),
            ("memory = \"8\"", "has no unit"),
            ("memory = \"8GB\"", "is no amount"),
            ("swap = \"1G\"", "which is missing"),
            ("cpu = 0", "must be 1 or more"),
            ("disk = 1", "disk"),
        ] {
            let error = limits(&format!("[limits]\n{text}\n"), JobsOf::Others).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = limits("[limits]\npids = 100\n", JobsOf::Itself).expect_err("no limits for oneself");
        assert!(error.contains("could lift every limit"), "{error}");
    }

    #[test]
    fn a_limit_that_is_written_down_refuses_the_job_where_it_cannot_hold_and_the_default_does_not() {
        let by_default = limits("", JobsOf::Others).expect("read").confine(None, Unlimited::Refused).expect("runs");
        assert!(by_default.group.is_none() && by_default.unmet.len() == 1, "{by_default:?}");
        assert!(by_default.unmet[0].starts_with("no limit jobs.limits.pids holds for this job: "));
        let written = limits("[limits]\nmemory = \"1G\"\n", JobsOf::Others).expect("read");
        let error = written.confine(None, Unlimited::Refused).expect_err("refused");
        assert_eq!(error.kind(), FailureKind::System);
        assert!(error.for_admin().contains("jobs.limits.memory cannot be set"), "{}", error.for_admin());
        assert!(!error.for_author().contains("/sys/"), "{}", error.for_author());
        // With the swap and the processes that are bounded by default.
        assert_eq!(written.confine(None, Unlimited::Told).expect("played").unmet.len(), 3);
    }
}
