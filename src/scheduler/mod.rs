//! What a batch scheduler is asked, and what its answers mean: command lines as data, and pure functions. [`slurm`] is one; another
//! scheduler is another such folder.

pub mod slurm;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::call::{Answer, Call};

/// A scheduler's number for a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobId(String);

impl JobId {
    /// Digits only: it becomes part of command lines, paths and claims.
    pub fn parse(text: &str) -> Option<Self> {
        let good = !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| Self(text.to_owned()))
    }

    /// The number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that a job is submitted under: no other job ever has it, so that it finds the job when its number is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobName(String);

impl JobName {
    /// The name of a session's job number `number`.
    pub fn new(session: &str, number: u32) -> Self {
        Self(format!("motmot-{session}-{number}"))
    }

    /// A recorded name; `None` if it is none that [`JobName::new`] makes.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.starts_with("motmot-")
            && text.len() <= 100
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        good.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where wrapper and worker meet, below a CI job's own directory.
    pub fn meeting_place(&self, job_dir: &Path) -> PathBuf {
        job_dir.join("batch").join(&self.0)
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who and what a job must be to be ours. A job with another owner or name is not, whatever its number.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its name.
    pub name: JobName,
    /// Its owner.
    pub uid: u32,
}

/// A job to submit.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its name.
    pub name: JobName,
    /// For whoever looks at the queue: the address of the CI job.
    pub comment: String,
    /// The script for the scheduler, without its header. It is spooled, so there is nothing secret in it.
    pub wrapper: &'static str,
    /// Where wrapper and worker meet.
    pub dir: PathBuf,
    /// The caller's environment, and so the job's.
    pub environment: BTreeMap<String, String>,
    /// The resources, as words that the scheduler understands; judged already.
    pub options: Vec<String>,
    /// Whether the scheduler may start it once more after a failure of a node.
    pub requeue: Requeue,
}

/// What is said to a script that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// SIGTERM.
    First,
    /// SIGKILL.
    Last,
}

/// What came of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// This number.
    Id(JobId),
    /// The scheduler does not want it. These are its words.
    Refused(String),
    /// The scheduler was not even asked.
    NotAsked(String),
    /// Nobody knows whether there is a job now.
    Unknown(String),
}

/// What is known of a job: one of three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits or runs.
    Alive(Alive),
    /// It has ended. The scheduler has said so about this very job.
    Ended(End),
    /// Neither is known. That is not an end.
    Unknown(Unknown),
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The scheduler did not answer, or not in a way that can be understood.
    NoAnswer(String),
    /// It answers that it knows no such job: it has forgotten it, or it never knew it.
    NoSuchJob,
    /// The job with that number is not the one that was submitted, or somebody has made it look so. These are the words.
    NotOurs(String),
}

/// A job that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// How far it is.
    pub phase: Phase,
    /// How often it was started before.
    pub restarts: u32,
    /// What a token says about it.
    pub placement: Placement,
    /// The node of its script, once it runs.
    pub node: Option<String>,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits.
    Pending {
        /// The scheduler's reason.
        reason: String,
        /// When it is expected to start, in the scheduler's words.
        start: Option<String>,
    },
    /// Its resources are its own.
    Running,
    /// It was stopped for a while.
    Suspended,
    /// It has been ended, and its processes are going.
    Completing,
}

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// Exit status of its script.
    pub status: u8,
    /// The signal that ended it.
    pub signal: u8,
    /// How often it was started before.
    pub restarts: u32,
    /// The node of its script; none if it never ran.
    pub node: Option<String>,
    /// The scheduler's own word for it, and more of its words.
    pub words: String,
}

/// Why a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its script exited with 0.
    Completed,
    /// Its script did not.
    Failed,
    /// Its time was over. What was allowed, in the scheduler's words.
    TimeLimit(String),
    /// It used more memory than it had asked for.
    OutOfMemory,
    /// Somebody cancelled it.
    Cancelled,
    /// A more important job took its place.
    Preempted,
    /// A node was lost.
    NodeFailed,
    /// A node did not boot.
    BootFailed,
    /// It could not have ended before its deadline.
    Deadline,
    /// The node could not start it.
    NotLaunched,
    /// A state that we don't know.
    Other,
}

/// A batch scheduler: what it is asked, and what its answers mean. Nothing here does anything.
pub trait Scheduler: Send + Sync {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// The file in the directory of a job that the scheduler itself writes to.
    fn own_output(&self) -> &'static str;

    /// Submits a job, as its owner.
    fn submit(&self, submission: &Submission) -> Call;

    /// What the answer to [`Scheduler::submit`] means.
    fn submitted(&self, answer: &Answer) -> Submitted;

    /// Asks for the state of a job.
    fn ask(&self, id: &JobId) -> Call;

    /// What the answer to [`Scheduler::ask`] means.
    fn state(&self, id: &JobId, expected: &Expected, answer: &Answer) -> State;

    /// Asks which jobs have a name, ended ones included as long as they are known.
    fn find(&self, name: &JobName) -> Call;

    /// What the answer to [`Scheduler::find`] means; the words of a scheduler that does not answer.
    fn found(&self, expected: &Expected, answer: &Answer) -> Result<Vec<JobId>, String>;

    /// Cancels a job, as its owner.
    fn cancel(&self, id: &JobId) -> Call;

    /// Cancels every job of a name, as their owner.
    fn cancel_by_name(&self, name: &JobName, owner: &str) -> Call;

    /// Has the wrapper end the script that runs, and go on.
    fn interrupt(&self, id: &JobId, word: Word) -> Call;

    /// Whether a call to cancel or to interrupt has reached the scheduler; otherwise its words.
    fn done(&self, answer: &Answer) -> Result<(), String>;

    /// Who cancelled a job, if the scheduler keeps that.
    fn ask_who_cancelled(&self, id: &JobId) -> Call;

    /// What the answer to [`Scheduler::ask_who_cancelled`] means: a user number.
    fn who_cancelled(&self, answer: &Answer) -> Option<u32>;

    /// How a person looks a job up.
    fn look_up(&self, id: &JobId) -> String;
}

/// Where the job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A shell on the node of the runner.
    Shell,
    /// A Slurm job. Account, partition, QOS and number as the scheduler reports them, so unknown before submission.
    Slurm {
        /// The account charged.
        account: Option<String>,
        /// The partition.
        partition: Option<String>,
        /// The quality of service.
        qos: Option<String>,
        /// The scheduler's number of the job; array and heterogeneous jobs have `_` and `+` in it.
        job_id: Option<String>,
    },
}

/// How many Slurm jobs a CI job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allocation {
    /// One for every stage that runs in Slurm.
    Stage,
    /// One for all of them.
    Job,
}

/// Whether Slurm may run a stage a second time, after a failure of its node or when a better job comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requeue {
    /// No: scripts are seldom written to begin twice.
    Never,
    /// Yes.
    Allowed,
}
