//! Why a run could not be done, whoever runs it.

use std::io;

use crate::order::frames::{Blame, WorkerFailure};
use crate::report::{FailureKind, Fault, with_causes};
use crate::sys::keeper::KeeperError;
use crate::sys::spawn::SpawnError;

/// A run that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No worker.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// No login session, or none with a worker in it.
    #[error(transparent)]
    Login(#[from] KeeperError),
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
    /// The worker was killed, and not for lack of memory.
    #[error(
        "the process that supervises this job as its account was killed (signal 9), and not for lack of memory: a command of this job ended every process of the account (`kill -9 -1`, `pkill -9 -u $USER`), or somebody else with the account did; how the script ended is not known. Let a script end only what it has started: kill %1, kill $pid"
    )]
    WorkerKilled,
    /// The worker went with the processes of its job that needed more memory than there is for them.
    #[error(
        "the process that supervises this job as its account was ended for lack of memory, together with the script; how that ended is not known"
    )]
    OutOfMemory,
}

impl Fault for SpawnError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

impl Fault for LaunchError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Worker(WorkerFailure { blame: Blame::Account, .. }) | Self::WorkerKilled | Self::OutOfMemory => {
                FailureKind::Build
            }
            // A session that is refused as well: the account was admitted when its job began, and what says no now (too many
            // logins, a mount that fails) may be gone at the next attempt.
            _ => FailureKind::System,
        }
    }

    /// What modules of PAM say may be about others and about the site, and is written for those who run it.
    fn for_author(&self) -> String {
        match self {
            Self::Login(KeeperError::NoSession(_) | KeeperError::TookTooLong(_)) => {
                "no login session could be opened on this machine for the account of this job; that is no fault of the job: its administrators find the reason in their audit log, and a new attempt may succeed".to_owned()
            }
            _ => with_causes(self),
        }
    }
}
