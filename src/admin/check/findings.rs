//! The lines of a check.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, ErrorKind, StdoutLock, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::admin::terminal::{Colours, complain};
use crate::report::{counted, indented, printable};

/// So many lines of one kind are shown: behind a mistake of a generator there may be one for each of 20,000 rules.
const SHOWN: usize = 20;

/// For whom a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A person: each line at once.
    Lines(Colours),
    /// A program: one JSON document at the end.
    Json,
}

/// What exit code 0 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// No problem.
    Problems,
    /// No warning, either.
    Warnings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Skipped,
    Warning,
    Problem,
}

#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    what: String,
    words: String,
}

/// Says what is found, a line each, and remembers whether a job would stumble.
#[derive(Debug)]
pub(super) struct Findings {
    out: StdoutLock<'static>,
    form: Form,
    /// For the document.
    listed: Vec<Finding>,
    count: [usize; 4],
    /// How many of each kind there were: the subject, without the numbers in it.
    kinds: BTreeMap<(Level, String), usize>,
    /// Why they cannot be written.
    broken: Option<io::Error>,
}

impl Findings {
    /// None yet.
    pub(super) fn new(form: Form) -> Self {
        let out = io::stdout().lock();
        Self { out, form, listed: Vec::new(), count: [0; 4], kinds: BTreeMap::new(), broken: None }
    }

    /// Nothing to do.
    pub(super) fn ok(&mut self, what: &str, words: impl Display) {
        self.say(Level::Ok, what, &words);
    }

    /// Not looked at, since whoever checks has said so: neither good nor bad.
    pub(super) fn skipped(&mut self, what: &str, words: impl Display) {
        self.say(Level::Skipped, what, &words);
    }

    /// Jobs run, but perhaps not as somebody meant it.
    pub(super) fn warning(&mut self, what: &str, words: impl Display) {
        self.say(Level::Warning, what, &words);
    }

    /// Jobs fail.
    pub(super) fn problem(&mut self, what: &str, words: impl Display) {
        self.say(Level::Problem, what, &words);
    }

    /// One or the other.
    pub(super) fn judged(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(words) => self.ok(what, words),
            Err(words) => self.problem(what, words),
        }
    }

    /// The last words, and the exit code.
    pub(super) fn finish(mut self, strictness: Strictness) -> ExitCode {
        let [_, skipped, warnings, problems] = self.count;
        let good = problems == 0 && (warnings == 0 || strictness == Strictness::Problems);
        match self.form {
            Form::Lines(_) => self.close(strictness),
            Form::Json => {
                let document = serde_json::json!({
                    "good": good, "problems": problems, "warnings": warnings, "skipped": skipped, "findings": self.listed
                });
                self.write(&format!("{document:#}\n"));
            }
        }
        let flushed = self.out.flush();
        self.remember(flushed);
        match &self.broken {
            // Half of it looks like all of it to whoever reads it.
            Some(error) => complain(error, ExitCode::FAILURE),
            None if good => ExitCode::SUCCESS,
            None => ExitCode::FAILURE,
        }
    }

    fn close(&mut self, strictness: Strictness) {
        let more: Vec<_> = self
            .kinds
            .iter()
            .filter(|(_, count)| **count > SHOWN)
            .map(|((level, kind), count)| (*level, kind.trim_end_matches([' ', ':']).to_owned(), count - SHOWN))
            .collect();
        for (level, kind, count) in more {
            self.line(level, &kind, &format!("{count} more lines like these; --json has them all"));
        }
        let [fine, skipped, warnings, problems] = self.count;
        let none_or = |count, one: &str| if count == 0 { format!("no {one}") } else { counted(count, one) };
        let counts = format!("{}, {}, {fine} ok", none_or(problems, "problem"), none_or(warnings, "warning"));
        let strict = warnings > 0 && problems == 0 && strictness == Strictness::Warnings;
        let strict = if strict { "; with --strict that is not good" } else { "" };
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        self.write(&format!("{counts}{skipped}{strict}\n"));
    }

    fn say(&mut self, level: Level, what: &str, words: &dyn Display) {
        self.count[level as usize] += 1;
        // What others have written is among the words: schedulers, servers. Their escape sequences end here.
        let words = printable(&words.to_string());
        if self.form == Form::Json {
            self.listed.push(Finding { level, what: what.to_owned(), words });
            return;
        }
        let kind = what.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let seen = self.kinds.entry((level, kind)).or_default();
        *seen += 1;
        if *seen <= SHOWN {
            self.line(level, what, &words);
        }
    }

    fn line(&mut self, level: Level, what: &str, words: &str) {
        let (mark, colour) = match level {
            Level::Ok => ("ok", "\x1b[32m"),
            Level::Skipped => ("skipped", "\x1b[36m"),
            Level::Warning => ("warning", "\x1b[33m"),
            Level::Problem => ("PROBLEM", "\x1b[1;31m"),
        };
        let (on, off) = match self.form {
            Form::Lines(Colours::Some) => (colour, "\x1b[0m"),
            Form::Lines(Colours::None) | Form::Json => ("", ""),
        };
        // Nor do their line breaks begin a finding.
        self.write(&format!("{on}{mark:<8}{off} {what}: {}\n", indented(words)));
    }

    fn write(&mut self, text: &str) {
        let written = self.out.write_all(text.as_bytes());
        self.remember(written);
    }

    /// A reader that has seen enough (`| head`) is no reason to stop looking; a disk that is full is told at the end.
    fn remember(&mut self, result: io::Result<()>) {
        if let Err(error) = result
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.broken.get_or_insert(error);
        }
    }
}

/// An error of the operating system without its number.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => without_number(error),
    }
}

/// The words of an error without `(os error 13)`, which helps nobody.
pub(super) fn without_number(error: &dyn Display) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
