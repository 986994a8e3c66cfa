//! What is known before anything happens. Nothing in it changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::launch::batch::result::AskedBy;
use crate::scheduler::{Expected, JobId, Requeue, Scheduler, Submission};

/// The job to follow.
#[derive(Clone, Debug)]
pub enum Job {
    /// One that has to be submitted first.
    New(Submission),
    /// One that waits or runs already, for scripts of several stages.
    Existing(JobId),
    /// One that an earlier stage has left, if there is one.
    Left(Option<JobId>),
    /// One whose script has ended, so that it ends by itself.
    Ended(JobId),
}

/// How far to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it has a number.
    Submitted,
    /// Until the script has ended.
    ScriptEnd,
    /// Until there is no such job any more: it is cancelled.
    Gone,
}

/// A time in the queue that has an end: GitLab's runner ends the CI job soon after, and calls that an end like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartBy {
    /// The end.
    pub at: Instant,
    /// How long the whole CI job may take.
    pub timeout: Duration,
}

/// What becomes of a job that waits for something which the end of no other job brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hopeless {
    /// It is cancelled, and has failed.
    Cancel,
    /// It waits: somebody may change what it waits for.
    Wait,
}

/// What is to be done, and how long it may take.
pub struct Plan {
    /// Who runs the job. Only asked for words and meanings.
    pub scheduler: Arc<dyn Scheduler>,
    /// The job.
    pub job: Job,
    /// Whose doing its resources are.
    pub asked_by: AskedBy,
    /// What it must be to be ours.
    pub expected: Expected,
    /// The name of its owner.
    pub owner: String,
    /// How far.
    pub until: Until,
    /// Whether the scheduler may start it twice.
    pub requeue: Requeue,
    /// Between SIGTERM and SIGKILL to a script that is to end.
    pub kill_timeout: Duration,
    /// Behind that: how long a scheduler is asked to end a job that does not answer.
    pub patience: Duration,
    /// How long the scheduler may say nothing of use.
    pub unknown_timeout: Duration,
    /// Until when the job has to have begun, if there is such a time.
    pub start_by: Option<StartBy>,
    /// What becomes of it if it can never start.
    pub hopeless: Hopeless,
}
