//! Answers of the scheduler that are the same for all jobs, such as which partitions there are: asked once for all stages of
//! this machine that want to know at a time. Only what the driver itself was told: an answer that comes by way of an account
//! is good for that account's job alone.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::locked;
use super::pace::{Pace, Urgency, now};
use crate::sys::call::{Answer, Call};
use crate::sys::process::boot_id;

/// How old an answer may be.
const FRESH: Duration = Duration::from_mins(1);
/// A failure is remembered, too, so that two hundred stages do not wait for it one after the other; but not for long.
const FRESH_FAILURE: Duration = Duration::from_secs(5);
/// How long the scheduler may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long somebody else may be asking: for a turn, and then for an answer. Then everybody asks.
const HELD: Duration = Duration::from_secs(22);
/// More than there is in an answer.
const MOST: u64 = 2 << 20;

/// The file.
#[derive(Clone, Debug)]
pub struct Remembered {
    file: PathBuf,
    pace: Pace,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    /// Which boot. The file may outlive one.
    boot: String,
    /// Since then.
    asked: Duration,
    question: Call,
    answer: Answer,
}

impl Remembered {
    /// What it is called there.
    pub const FILE: &str = "remembered";

    /// In a directory that only the driver can write to.
    pub fn in_directory(dir: &Path) -> Self {
        Self { file: dir.join(Self::FILE), pace: Pace::in_directory(dir) }
    }

    /// What the scheduler says, or said not long ago.
    pub fn ask(&self, question: &Call) -> Answer {
        self.ask_at(question, now, |question| {
            self.pace.wait(Urgency::High);
            question.run(LIMIT)
        })
    }

    /// Whoever comes while somebody asks waits for that answer. Without the file everybody asks.
    fn ask_at(&self, question: &Call, now: impl Fn() -> Duration, ask: impl FnOnce(&Call) -> Answer) -> Answer {
        let Some(mut file) = locked::hold(&self.file, HELD) else { return ask(question) };
        if let Some(entry) = read(&mut file)
            && entry.question == *question
            && entry.is_fresh(now())
        {
            return entry.answer;
        }
        let answer = ask(question);
        let entry = Entry { boot: boot_id(), asked: now(), question: question.clone(), answer };
        // Half of it is no entry.
        if let Ok(text) = serde_json::to_vec(&entry) {
            let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(&text));
        }
        entry.answer
    }
}

impl Entry {
    fn is_fresh(&self, now: Duration) -> bool {
        let fresh = if matches!(self.answer, Answer::Exited { status: 0, .. }) { FRESH } else { FRESH_FAILURE };
        self.boot == boot_id() && now.checked_sub(self.asked).is_some_and(|age| age < fresh)
    }
}

fn read(file: &mut File) -> Option<Entry> {
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;

    fn question(word: &str) -> Call {
        Call { program: "/x".into(), args: vec![word.into()], environment: BTreeMap::new(), input: String::new() }
    }

    struct Asker {
        remembered: Remembered,
        asked: Cell<u32>,
        status: Cell<u8>,
        _dir: tempfile::TempDir,
    }

    impl Asker {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("dir");
            let remembered = Remembered::in_directory(dir.path());
            Self { remembered, asked: Cell::new(0), status: Cell::new(0), _dir: dir }
        }

        /// The words of the answer, and which question they come from.
        fn ask(&self, word: &str, at: u64) -> String {
            let answer = self.remembered.ask_at(
                &question(word),
                || Duration::from_secs(at),
                |_| {
                    self.asked.set(self.asked.get() + 1);
                    let out = format!("{word} {}", self.asked.get());
                    Answer::Exited { status: self.status.get(), out, err: String::new() }
                },
            );
            answer.words()
        }
    }

    #[test]
    fn many_that_ask_the_same_at_a_time_cost_one_question() {
        let asker = Asker::new();
        for at in 1000..1060 {
            assert_eq!(asker.ask("a", at), "a 1");
        }
        assert_eq!(asker.ask("a", 1060), "a 2", "an answer gets old");
        assert_eq!(asker.ask("b", 1060), "b 3", "another question");
        assert_eq!(asker.ask("b", 5), "b 4", "the machine was booted");
        assert_eq!(asker.ask("b", 6), "b 4");
    }

    #[test]
    fn a_failure_is_remembered_only_for_those_who_ask_with_it() {
        let asker = Asker::new();
        asker.status.set(1);
        assert_eq!(asker.ask("a", 1000), "a 1");
        asker.status.set(0);
        assert_eq!(asker.ask("a", 1004), "a 1");
        assert_eq!(asker.ask("a", 1005), "a 2");
    }

    #[test]
    fn a_file_of_nonsense_is_no_answer() {
        let asker = Asker::new();
        let nonsense = ["", "x", "{\"asked\":", "{}", "[]", "\u{0}", &"[".repeat(1 << 20)];
        for nonsense in nonsense.map(str::as_bytes).into_iter().chain([&b"\xff\xfe"[..]]) {
            std::fs::write(&asker.remembered.file, nonsense).expect("write");
            let before = asker.asked.get();
            asker.ask("a", 1000);
            asker.ask("a", 1001);
            assert_eq!(asker.asked.get(), before + 1, "{:?}", &nonsense[..nonsense.len().min(20)]);
        }
    }
}
