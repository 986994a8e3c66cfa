//! Why a job could not be played, and what to do about it.

use std::io;
use std::path::PathBuf;

use motmot_emulator::EmulatorError;

/// Why a job could not be played. A job that fails is no error but a result.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A stage binary is there, but not for us.
    #[error("{0}. Run this as root (with --runner-account if the runner is not root), or as the runner's account")]
    Forbidden(EmulatorError),
    /// A stage binary is not there.
    #[error("{0}. Build or install motmot, or say where its binaries are with --bin-dir")]
    NotExecutable(EmulatorError),
    /// Anything else that the emulator cannot work with.
    #[error(transparent)]
    Emulator(EmulatorError),
    /// The driver's configuration cannot be read.
    #[error("cannot read the configuration {}: {problem}. Name another file with --config", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A value on the command line.
    #[error("{0}")]
    Usage(String),
    /// The system refused something that this needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl From<EmulatorError> for SimulateError {
    fn from(error: EmulatorError) -> Self {
        match error {
            EmulatorError::Forbidden(_) => Self::Forbidden(error),
            EmulatorError::NotExecutable(_) => Self::NotExecutable(error),
            _ => Self::Emulator(error),
        }
    }
}

impl SimulateError {
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
