//! Submitting a job.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::job::{JobId, JobName};
use crate::sys::spawn::NewPrivileges;

/// A job to submit.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its name.
    pub name: JobName,
    /// For whoever looks at the queue: the address of the CI job.
    pub comment: String,
    /// The script for the scheduler. Before it the scheduler puts the line of its interpreter and assignments of `motmot_dir` (quoted),
    /// `motmot_job`, `motmot_restarts` and `motmot_node`; see `executor-scripts/batch.bash`. It is spooled, so there is
    /// nothing secret in it.
    pub wrapper: &'static str,
    /// Where wrapper and worker meet.
    pub dir: PathBuf,
    /// The caller's environment, and so the job's.
    pub environment: BTreeMap<String, String>,
    /// The resources, as words that the scheduler understands; judged already.
    pub options: Vec<String>,
    /// Whether the scheduler may start it once more after a failure of a node.
    pub requeue: Requeue,
    /// Whether programs with the set-user-id bit keep their effect in it. For the line of the interpreter, so that it holds from
    /// the first instruction on: the account can change all that the wrapper reads later.
    pub new_privileges: NewPrivileges,
}

#[cfg(test)]
impl Submission {
    /// With these options.
    pub fn for_test(options: &[&str]) -> Self {
        Self {
            name: JobName::new("1-a", 1),
            comment: String::new(),
            wrapper: "",
            dir: "/d".into(),
            environment: BTreeMap::new(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            requeue: Requeue::Never,
            new_privileges: NewPrivileges::Allowed,
        }
    }
}

/// Whether the scheduler may run a stage a second time, after a failure of its node or when a better job comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// No: scripts are seldom written to begin twice.
    Never,
    /// Yes.
    Allowed,
}

/// What the scheduler has made of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// A job of this name.
    Id(JobId),
    /// The scheduler does not want it. These are its words.
    Refused(String),
    /// The scheduler was not even asked.
    NotAsked(String),
    /// Nobody knows whether there is a job now.
    Unknown(String),
}
