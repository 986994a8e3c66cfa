//! Words for the person, or the script, at the other end of standard output and standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

/// Whether words for a person have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// On a terminal.
    Some,
    /// In a file, a pipe, or where somebody does not want them.
    None,
}

impl Colours {
    /// For standard output of this process.
    pub(super) fn of_output() -> Self {
        Self::wanted(io::stdout().is_terminal(), |name| std::env::var(name).ok())
    }

    /// <https://no-color.org>, <https://bixense.com/clicolors>: both can only take them away here.
    fn wanted(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name, value: &str| variable(name).is_some_and(|found| found == value);
        let unwanted =
            variable("NO_COLOR").is_some_and(|found| !found.is_empty()) || is("CLICOLOR", "0") || is("TERM", "dumb");
        if terminal && !unwanted { Self::Some } else { Self::None }
    }
}

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

/// Standard output for somebody who may have seen enough: what a closed pipe does not take is forgotten, all other errors are told.
pub(super) struct Patient<W>(pub W);

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Writes a problem to standard error, with all its causes, and gives back the exit code. If not even that can be written,
/// the exit code must say it all.
pub(super) fn complain(problem: &dyn Display, code: ExitCode) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "motmot: {problem:#}");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_for_those_who_want_them() {
        let with = |terminal, name: &'static str, value: &'static str| {
            Colours::wanted(terminal, move |asked| (asked == name).then(|| value.to_owned()))
        };
        for (name, value) in [("TERM", "xterm"), ("NO_COLOR", ""), ("CLICOLOR", "1")] {
            assert_eq!(with(true, name, value), Colours::Some, "{name}={value}");
            assert_eq!(with(false, name, value), Colours::None, "{name}={value}");
        }
        for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1"), ("CLICOLOR", "0")] {
            assert_eq!(with(true, name, value), Colours::None, "{name}={value}");
        }
    }
}
