//! Who is told what when something ends: the job's author (job log), the admin, the audit log; and as which failure it
//! counts for the runner.
//!
//! Each module has typed errors of its own that implement [`Fault`]. They meet here, become a [`Failure`], and only the
//! edge of a stage turns that into words and an exit code.

pub mod audit;
pub mod events;
pub mod settings;
mod times;
mod words;

use std::fmt::Display;
use std::io::{self, Write};

pub use times::{about_in_words, time_in_words};
pub use words::{counted, indented, one_line, printable};

/// How a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The script failed, or policy refused the job. Final: the runner does not try again.
    Build,
    /// The site failed: something that the job's author can't change, and that may be gone at the next attempt.
    System,
}

impl FailureKind {
    /// In the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::System => "system",
        }
    }
}

/// Who reads a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The author of a pipeline on a machine that many share.
    Public,
    /// The owner of the machine's account: one user's own runner.
    Owner,
}

/// An error that knows how it counts and who may read what of it.
pub trait Fault: std::error::Error {
    /// Whose failure it is.
    fn kind(&self) -> FailureKind;

    /// What the job's author reads. The default is the whole error; a refusal tells less, so that nobody can map out the
    /// site's accounts and rules by trying.
    fn for_author(&self) -> String {
        with_causes(self)
    }

    /// What the admin reads, in the audit log.
    fn for_admin(&self) -> String {
        with_causes(self)
    }
}

/// An error with those behind it.
pub fn with_causes<E: std::error::Error + ?Sized>(error: &E) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words.push_str(": ");
            words.push_str(&inner_words);
        }
        cause = inner.source();
    }
    words
}

/// The end of a stage that did not go well, ready to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    author: String,
    admin: String,
    exit_code: Option<u8>,
    noted: Noted,
}

/// Whether the audit log still has to be told of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    NotYet,
    Already,
}

impl Failure {
    /// The one constructor: of no script, and not noted yet.
    fn new(kind: FailureKind, author: String, admin: String) -> Self {
        Self { kind, author, admin, exit_code: None, noted: Noted::NotYet }
    }

    /// A failing script, with the exit code that GitLab shall see (1 to 255). That is an end like others, and logged as one.
    pub fn script(words: String, exit_code: u8) -> Self {
        let failure = Self::new(FailureKind::Build, words.clone(), words);
        Self { exit_code: Some(exit_code), noted: Noted::Already, ..failure }
    }

    /// A failure of the site that has no error type of its own.
    pub fn site(words: impl Into<String>) -> Self {
        let words = words.into();
        Self::new(FailureKind::System, words.clone(), words)
    }

    /// The same for what the audit log knows by another event, or need not know.
    pub fn noted(words: impl Into<String>) -> Self {
        Self { noted: Noted::Already, ..Self::site(words) }
    }

    /// Whether an event of its own tells the audit log of it.
    pub fn is_to_be_noted(&self) -> bool {
        self.noted == Noted::NotYet
    }

    /// How it counts.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The script's own exit code, if a script failed.
    pub fn exit_code(&self) -> Option<u8> {
        self.exit_code
    }

    /// What the job's author reads.
    pub fn for_author(&self) -> &str {
        &self.author
    }

    /// What the audit log gets.
    pub fn for_admin(&self) -> &str {
        &self.admin
    }
}

impl<E: Fault> From<E> for Failure {
    fn from(fault: E) -> Self {
        Self::new(fault.kind(), fault.for_author(), fault.for_admin())
    }
}

/// A line of ours in the job log, on the stream that is not protocol in any stage: standard error. Each line carries our
/// name, so that nobody takes it for output of the script, and those after the first are indented: a line break in a name that
/// somebody else has chosen begins no message of ours.
pub fn tell(words: impl Display) {
    // The runner may be gone; then nobody reads it, and there is nothing to do about that.
    let _ = io::stderr().lock().write_all(told(&words.to_string()).as_bytes());
}

fn told(words: &str) -> String {
    indented(words).lines().flat_map(|line| ["motmot: ", line, "\n"]).collect()
}

/// A reader that has gone has seen enough.
///
/// # Errors
/// Whatever else has kept a text from being written.
pub fn unless_nobody_reads(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the account is closed")]
    struct Closed;
    impl Fault for Closed {
        fn kind(&self) -> FailureKind {
            FailureKind::Build
        }
        fn for_author(&self) -> String {
            "refused".into()
        }
    }

    #[test]
    fn a_refusal_tells_its_author_less_than_the_admin() {
        let failure = Failure::from(Closed);
        assert_eq!(failure.for_author(), "refused");
        assert_eq!(failure.for_admin(), "the account is closed");
        assert_eq!(failure.exit_code(), None);
    }

    #[test]
    fn a_name_with_a_line_break_tells_no_message_of_ours() {
        let told = told("the job of ford\nmotmot: job 7 has succeeded\n is refused\n");
        assert_eq!(told, "motmot: the job of ford\nmotmot:   motmot: job 7 has succeeded\nmotmot:    is refused\n");
    }
}
