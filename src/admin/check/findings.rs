//! The lines of a check.

use std::fmt::Display;
use std::io::{self, StdoutLock, Write};

/// Says what is found, a line each, and remembers whether a job would stumble.
#[derive(Debug)]
pub(super) struct Findings {
    out: StdoutLock<'static>,
    problems: usize,
}

impl Findings {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { out: io::stdout().lock(), problems: 0 }
    }

    /// Nothing to do.
    pub(super) fn ok(&mut self, what: &str, words: impl Display) {
        self.say("ok", what, &words);
    }

    /// Jobs run, but perhaps not as somebody meant it.
    pub(super) fn warning(&mut self, what: &str, words: impl Display) {
        self.say("warning", what, &words);
    }

    /// Jobs fail.
    pub(super) fn problem(&mut self, what: &str, words: impl Display) {
        self.problems += 1;
        self.say("PROBLEM", what, &words);
    }

    /// One or the other.
    pub(super) fn judged(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(words) => self.ok(what, words),
            Err(words) => self.problem(what, words),
        }
    }

    /// Whether there was no problem.
    pub(super) fn are_good(&self) -> bool {
        self.problems == 0
    }

    fn say(&mut self, mark: &str, what: &str, words: &dyn Display) {
        // A closed terminal is no reason to stop looking.
        let _ = writeln!(self.out, "{mark:<8} {what}: {words}");
    }
}

/// `1 rule`, `2 rules`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// An error of the operating system without its number.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => without_number(error),
    }
}

/// The words of an error without `(os error 13)`, which helps nobody.
pub(super) fn without_number(error: &dyn Display) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
