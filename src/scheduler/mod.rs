//! What a batch scheduler is asked, and what its answers mean: command lines as data, and pure functions.
//!
//! The vocabulary stands here, in one file for each concern, and [`Scheduler`], in which everybody above speaks. Each scheduler
//! has a folder of its own with all that is its own, settings, limits and words of advice included; [`slurm`] is one. Another one
//! is another such folder, and a line in [`known`].

pub mod batch;
mod cluster;
mod job;
mod kind;
pub mod known;
mod placement;
pub mod rule_limits;
pub mod rule_options;
pub mod settings;
pub mod slurm;
mod state;
mod submission;
mod trial;

pub use cluster::Cluster;
pub use job::{Expected, JobId, JobName};
pub use kind::{SchedulerKind, Setting};
pub use placement::{BatchPlacement, Placement};
pub use state::{Alive, CancelledBy, End, EndReason, Phase, Prospect, State, Unknown};
pub use submission::{Requeue, Submission, SubmitAnswer};
pub use trial::Trial;

use crate::sys::call::{Answer, Call};

/// What a script that is to end is sent, through its wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What an author is advised about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The job's time was over.
    MoreTime,
    /// The job's memory was used up.
    MoreMemory,
    /// The job asks for more than any may have.
    TooMuch,
}

/// A batch scheduler: what it is asked, and what its answers mean. Nothing here does anything.
pub trait Scheduler: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> SchedulerKind;

    /// Its name, for people.
    fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The key of a setting, for people.
    fn key(&self, setting: Setting) -> String {
        self.kind().key(setting)
    }

    /// The file in the directory of a job that the scheduler itself writes to.
    fn own_output(&self) -> &'static str;

    /// Submits a job, as its owner: with its `environment`, its output appended to [`Scheduler::own_output`] in its `dir`, and
    /// started again only as its `requeue` says.
    fn submit(&self, submission: &Submission) -> Call;

    /// What the answer to [`Scheduler::submit`] means.
    fn submitted(&self, answer: &Answer) -> SubmitAnswer;

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

    /// Has the wrapper end the script that runs, and go on: by SIGURG ([`Signal::Terminate`]) or SIGTTIN ([`Signal::Kill`])
    /// to the batch script alone, which passes on SIGTERM or SIGKILL.
    fn interrupt(&self, id: &JobId, signal: Signal) -> Call;

    /// Whether a call to cancel or to interrupt has reached the scheduler; otherwise its words.
    fn done(&self, answer: &Answer) -> Result<(), String>;

    /// Who cancelled a job, if the scheduler keeps that.
    fn ask_who_cancelled(&self, id: &JobId) -> Call;

    /// What the answer to [`Scheduler::ask_who_cancelled`] means.
    fn who_cancelled(&self, answer: &Answer) -> CancelledBy;

    /// What an author can do about it.
    fn advice(&self, topic: Advice) -> &'static str;

    /// How a person looks a job up.
    fn look_up(&self, id: &JobId) -> String;
}
