//! What keeps a session from being cleaned up, and when somebody tries again.
//!
//! A home directory that does not answer may do so for days. Each try costs a worker and its time, so the pauses between them
//! double.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::store::write_private;
use crate::report::one_line;

/// In the directory of a session.
const FILE: &str = "trouble";
/// Pause after the first failure.
const FIRST: Duration = Duration::from_mins(5);
/// Longest pause.
const LONGEST: Duration = Duration::from_hours(6);
/// Longest reason, in characters. A part of it may come from a worker, which its account can take over.
const LONGEST_REASON: usize = 400;

/// Cleanups of a session that have failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// How many.
    tries: u32,
    /// When the last one ended, in seconds since 1970.
    at: u64,
    /// Why it failed, on one line.
    why: String,
}

impl Trouble {
    /// How many cleanups have failed.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Why the last one did.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether the next try is due.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.pause(now).is_none()
    }

    /// How long nobody tries again; `None` if the pause is over.
    pub fn pause(&self, now: SystemTime) -> Option<Duration> {
        let doubled = FIRST.saturating_mul(1 << self.tries.saturating_sub(1).min(16));
        // A clock that was put back must not make the pause longer.
        let since = Duration::from_secs(seconds(now).checked_sub(self.at)?);
        doubled.min(LONGEST).checked_sub(since).filter(|left| !left.is_zero())
    }
}

/// Where the trouble of one session is written down.
#[derive(Clone, Debug)]
pub struct TroubleFile(PathBuf);

impl TroubleFile {
    pub(super) fn of_session(dir: &Path) -> Self {
        Self(dir.join(FILE))
    }

    /// What is written there; `None` also if that makes no sense: then somebody tries.
    pub fn read(&self) -> Option<Trouble> {
        serde_json::from_slice(&fs::read(&self.0).ok()?).ok()
    }

    /// One more cleanup has failed. Nothing happens where the session is gone meanwhile.
    pub fn add(&self, why: &str) {
        self.write(&self.next(why, SystemTime::now()));
    }

    fn next(&self, why: &str, now: SystemTime) -> Trouble {
        let tries = self.read().map_or(0, |trouble| trouble.tries).saturating_add(1);
        // On one line: a listing has a line for each session, and nobody is to forge another one.
        let why = one_line(why).chars().take(LONGEST_REASON).collect();
        Trouble { tries, at: seconds(now), why }
    }

    fn write(&self, trouble: &Trouble) {
        if let Ok(text) = serde_json::to_vec(trouble) {
            let _ = write_private(&self.0, &text);
        }
    }

    /// When it was written.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        fs::metadata(&self.0).and_then(|meta| meta.modified()).ok()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, TroubleFile) {
        let dir = tempfile::tempdir().expect("dir");
        let file = TroubleFile::of_session(dir.path());
        (dir, file)
    }

    #[test]
    fn the_pauses_between_cleanups_that_fail_double_up_to_a_limit() {
        let (_dir, file) = file();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let trouble = file.next("it hangs", now);
            pauses.push(trouble.pause(now).expect("a pause").as_secs() / 60);
            file.write(&trouble);
        }
        assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 360, 360]);
        assert_eq!(pauses[39], 360);
        let trouble = file.read().expect("written");
        assert_eq!((trouble.tries(), trouble.why()), (40, "it hangs"));
        assert_eq!(trouble.pause(now + LONGEST), None, "over");
        assert_eq!(trouble.pause(now - LONGEST), None, "a clock that was put back");
    }

    #[test]
    fn a_reason_is_one_line_however_a_worker_words_it() {
        let (_dir, file) = file();
        file.add(&format!("cannot\n1-x: job 1 as root\u{1b}[2J{}", "x".repeat(10_000)));
        let why = file.read().expect("written").why().to_owned();
        assert!(why.starts_with("cannot\u{fffd}1-x: job 1 as root\u{fffd}[2J"), "{why}");
        assert_eq!((why.chars().count(), why.chars().any(char::is_control)), (LONGEST_REASON, false));
    }

    #[test]
    fn trouble_that_cannot_be_read_keeps_nobody_from_trying() {
        let (_dir, file) = file();
        assert_eq!(file.read(), None);
        fs::write(&file.0, "{").expect("write");
        assert_eq!(file.read(), None);
        file.add("again");
        assert_eq!(file.read().expect("written").tries(), 1);
    }
}
