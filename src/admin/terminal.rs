//! Words for the person, or the script, at the other end of standard output and standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes to standard output; the command has then done what `done` says.
///
/// A reader that has seen enough (`| head`) closes the pipe: that changes nothing about the result. A disk that is full
/// does, as half of a document looks like a whole one to the next program.
pub(super) fn answer(text: &str, done: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => complain(&error, ExitCode::FAILURE),
        _ => done,
    }
}

/// Writes a problem to standard error, with all its causes, and gives back the exit code. If not even that can be written,
/// the exit code must say it all.
pub(super) fn complain(problem: &dyn Display, code: ExitCode) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "motmot: {problem:#}");
    code
}
