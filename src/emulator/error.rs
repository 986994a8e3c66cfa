//! Why a simulation could not be run.

use std::io;
use std::path::PathBuf;

/// Why a simulation could not be run. A job that fails is not an error but a [`JobResult`](crate::JobResult).
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// A driver binary is there, but not for us.
    #[error("{} may not be executed by this account", .0.display())]
    Forbidden(PathBuf),
    /// A driver binary is not there.
    #[error("{} is not an executable file", .0.display())]
    NotExecutable(PathBuf),
    /// A payload is not what a runner would accept.
    #[error("{origin} is not a job payload: {problem}")]
    Payload {
        /// Where it came from.
        origin: String,
        /// What is wrong with it, with line and column.
        problem: String,
    },
    /// The job API shall answer with something that is none.
    #[error("{0} is not an HTTP status")]
    HttpStatus(u16),
    /// The system refused something the emulator itself needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl EmulatorError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
