//! A job's two names: the one that the scheduler gives it, and ours.

use std::fmt;
use std::path::{Path, PathBuf};

/// Longest that a [`JobId`] may be. PBS has the longest that are known: a number with the full name of its server.
const LONGEST: usize = 128;

/// A scheduler's own name for a job: `17`, `123.server`, `f2xYZ`, `12.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobId(String);

impl JobId {
    /// A scheduler tells it, and it becomes part of command lines, of a session's file, of lines in logs and of claims. So it
    /// is one plain word that means nothing to any of them: it begins with a letter or a digit, never with the dash of an
    /// option; and nothing in it is a blank, a quote, a wildcard, a separator of lists or of paths, or beyond ASCII.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() <= LONGEST
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte));
        good.then(|| Self(text.to_owned()))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that a job is submitted under: no other job ever has it, so that it finds the job when its number is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobName(String);

impl JobName {
    /// The name of a session's job number `number`.
    pub fn new(session: &str, number: u32) -> Self {
        Self(format!("motmot-{session}-{number}"))
    }

    /// A recorded name; `None` if it is none that [`JobName::new`] makes.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.starts_with("motmot-")
            && text.len() <= 100
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        good.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where wrapper and worker meet, below a CI job's own directory.
    pub fn meeting_place(&self, job_dir: &Path) -> PathBuf {
        job_dir.join("batch").join(&self.0)
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who and what a job must be to be ours. A job with another owner or name is not, whatever its number.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its name.
    pub name: JobName,
    /// Its owner.
    pub uid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_all_schedulers_are_words() {
        let longest = "9".repeat(LONGEST);
        for id in ["17", "123.srv", "123.pbs-1.site.example.org", "f2xYZ", "12.0", "1234_5", "17+1", longest.as_str()] {
            assert_eq!(JobId::parse(id).as_ref().map(JobId::as_str), Some(id), "{id}");
        }
    }

    #[test]
    fn an_id_is_no_option_no_path_no_second_word_and_nothing_that_a_shell_or_a_terminal_obeys() {
        for id in [
            "",
            "-1",
            "--all",
            "-",
            "+1",
            ".",
            "..",
            ".17",
            "_17",
            "../17",
            "17/..",
            "/etc/passwd",
            "~root",
            "17\\n",
            " 17",
            "17 ",
            "17 18",
            "17\t18",
            "17\n",
            "17\nend",
            "17\r",
            "17\0",
            "17,18",
            "17;id",
            "17&id",
            "17|id",
            "$(id)",
            "`id`",
            "$HOME",
            "17$",
            "17*",
            "17?",
            "17[0]",
            "17{1,2}",
            "17!",
            "17#x",
            "17%j",
            "17=x",
            "17:x",
            "17@host",
            "17'",
            "17\"",
            "17<x",
            "17>x",
            "(17)",
            "17^",
            "17\u{7f}",
            "17\u{1b}[2J",
            "ƒ2xYZ",
            "١٧",
            "17\u{202e}",
            "17\u{a0}18",
        ] {
            assert_eq!(JobId::parse(id), None, "{id:?}");
        }
        assert_eq!(JobId::parse(&"9".repeat(LONGEST + 1)), None, "without end");
    }
}
