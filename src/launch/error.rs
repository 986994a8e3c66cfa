//! Why a run could not be done, whoever runs it.

use std::io;

use crate::order::frames::{Blame, WorkerFailure};
use crate::report::{FailureKind, Fault};
use crate::sys::spawn::SpawnError;

/// A run that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No worker.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A pipe, a thread, a process too many.
    #[error("cannot set up the run of a stage: {0}")]
    SetUp(#[from] io::Error),
    /// The worker could not do what it was asked.
    #[error(transparent)]
    Worker(#[from] WorkerFailure),
    /// The worker is gone without a word.
    #[error(
        "the process that supervises this job as its account was killed (signal 9, by the job itself, by somebody with the same account, or for lack of memory); how the script ended is not known"
    )]
    WorkerLost,
}

impl Fault for SpawnError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

impl Fault for LaunchError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Worker(WorkerFailure { blame: Blame::Account, .. }) => FailureKind::Build,
            _ => FailureKind::System,
        }
    }
}
