//! How often the scheduler is asked, by all stages of this machine together.
//!
//! The controller is one for thousands of people. A stage that wants to ask takes the next free moment from a file that
//! all stages share, and waits for it. Questions have two lanes: what somebody waits for (a job log for the end) does not
//! stand behind what nobody waits for.
//!
//! Not questions: a submission, which people make as fast as they can, and the one answer that says that a job runs, without
//! which its script does not begin. There is one of each for a job, so each has a lane of its own, which only keeps a burst
//! from being a flood. (A job that is only judged as if it were submitted, once for each CI job, goes with the submissions.)

mod lanes;
mod recall;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::locked;
use lanes::{Crowded, Lanes};

pub use lanes::{Urgency, Wish};
pub use recall::Recall;

/// How long another stage may hold the file: it reads and writes a line.
const HELD: Duration = Duration::from_secs(2);
/// More than a line; what is behind that was not written by us.
const MOST: usize = 256;
/// Before a turn is asked for once more that would have been too far away.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether it may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Taken,
    /// There are too many questions that nobody waits for; later.
    Crowded,
    /// It was taken back.
    TakenBack,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Pace(PathBuf);

impl Pace {
    /// Its name in there.
    pub const FILE: &str = "pace";

    /// In a directory that only the driver can write to.
    pub fn in_directory(dir: &Path) -> Self {
        Self(dir.join(Self::FILE))
    }

    /// Waits until this may be asked; a question that nobody waits for not for long.
    pub fn wait(&self, urgency: Urgency) -> Turn {
        self.wait_unless(Wish::Question(urgency), &Recall::default())
    }

    /// The same for anything, unless it is taken back.
    pub fn wait_unless(&self, wish: Wish, recall: &Recall) -> Turn {
        loop {
            let (pause, turn) = match self.take(wish, now()) {
                Some(Err(Crowded)) if wish == Wish::Question(Urgency::Low) => return Turn::Crowded,
                Some(Err(Crowded)) => (AGAIN, None),
                Some(Ok(pause)) => (pause, Some(Turn::Taken)),
                // Without the file (a full disk) there is no waiting: order is not worth a job.
                None => (Duration::ZERO, Some(Turn::Taken)),
            };
            if !recall.wait(pause) {
                return Turn::TakenBack;
            }
            if let Some(turn) = turn {
                return turn;
            }
        }
    }

    /// Takes the next turn: how far from `now` it is.
    fn take(&self, wish: Wish, now: Duration) -> Option<Result<Duration, Crowded>> {
        let file = locked::hold(&self.0, HELD)?;
        let mut text = [0; MOST];
        let length = file.read_at(&mut text, 0).ok()?;
        let mut lanes = Lanes::recorded(&text[..length], now);
        let turn = lanes.take(wish);
        if turn.is_ok() {
            // In place, so that a full disk takes it, too.
            file.write_all_at(lanes.text().as_bytes(), 0).ok()?;
        }
        Some(turn)
    }
}

/// Since boot: the same for all processes, and set by nobody.
pub(super) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests;
