//! `[jobs.limits]`, as it is written.

use std::collections::BTreeSet;

use crate::config::{Placed, Section, values};
use crate::launch::limits::{JobLimits, key, shown};
use crate::sys::cgroup::{Limits, Resource};

/// Processes and threads of a job, unless the site says otherwise: a build with all cores of a large node stays below it, and
/// what forks for ever stops at it.
const DEFAULT_PIDS: u64 = 4096;
/// A worker, a shell, and a command or two.
const LEAST_PIDS: u64 = 16;
/// The same in bytes.
const LEAST_MEMORY: u64 = 32 << 20;

/// Whose processes jobs are, seen from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobsOf {
    /// Those of other accounts, which its limits hold.
    Others,
    /// Its own: they could lift any limit.
    Itself,
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
            "`jobs.limits` needs jobs.downscope = \"setuid\": one user's own jobs have the rights of their driver, \
                and could lift every limit; set limits in the unit of that runner (TasksMax=, MemoryMax=)",
        ),
        JobsOf::Itself => {}
    }
    section.finish();
    JobLimits::new(limits, written)
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
}
