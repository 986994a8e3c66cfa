//! What is known of a job.

use super::placement::Placement;

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
    /// All its nodes, for people: in the scheduler's notation, and cut where there are very many.
    pub nodes: Option<String>,
}

/// Whether the end of other jobs can start a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// For all that is known.
    Open,
    /// The scheduler says beyond doubt that it asks for more than any job may have.
    Never,
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
        /// Whether the end of other jobs can start it.
        prospect: Prospect,
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

/// Who cancelled a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelledBy {
    /// This user number.
    User(u32),
    /// Whoever keeps that has not heard of the end yet.
    NotYet,
    /// Nobody keeps it, or nobody will say.
    NotKept,
}
