//! What the course is told.

use std::io;
use std::time::Instant;

use crate::order::frames::Report;
use crate::scheduler::{JobId, State};

/// Something that has happened.
#[derive(Debug)]
pub enum BatchEvent {
    /// The worker says something. It runs as the job's account, so that nothing it says is evidence of anything but its own
    /// job's script.
    Report(Report),
    /// It says something that is no report.
    NoReport(io::Error),
    /// Its socket has ended: no report follows.
    NoMoreReports,
    /// Its process has ended; a report may still be on the way.
    WorkerEnded,
    /// Somebody asks the stage to end (SIGTERM).
    Terminate,
    /// The state of the job.
    State {
        /// When the scheduler was asked: what has happened since is not in its answer.
        asked: Instant,
        /// What it says.
        state: State,
    },
    /// Which jobs have the name; or the words of a scheduler that does not answer.
    Found(Result<Vec<JobId>, String>),
    /// Who cancelled the job, if the scheduler keeps that.
    Canceller(Option<u32>),
    /// A question on state or name could not be asked.
    NotAsked,
    /// The submission was taken back before it was made.
    NotCalled,
    /// Whether the job's name is on disk; otherwise why not.
    Remembered(Result<(), String>),
    /// The job's number could not be remembered, and why.
    NumberLost(String),
    /// What became of a token: the next one is due then.
    Token(Instant),
    /// Nothing but that time has passed.
    Time,
}
