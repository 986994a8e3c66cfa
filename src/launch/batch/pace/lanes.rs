//! The lanes as numbers. Pure.

use std::time::Duration;

/// How fast the calls of a lane may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    /// Between two of them, in the long run.
    pub(super) interval: Duration,
    /// How many may be made at once when the lane has been quiet.
    pub(super) burst: u32,
}

/// 8 in a second, and 16 in both lanes.
pub(super) const QUESTIONS: Speed = Speed { interval: Duration::from_millis(125), burst: 2 };
/// 100 in a second: more than a person's loop makes.
pub(super) const JOBS: Speed = Speed { interval: Duration::from_millis(10), burst: 20 };
/// For how long a question waits that nobody waits for. While it waits, its stage could not ask anything else.
pub(super) const LOW_WAITS: Duration = Duration::from_millis(250);
/// No turn is given that is further away. So a file in which one is comes from another boot, or is nonsense.
pub(super) const FURTHEST: Duration = Duration::from_secs(10);

/// How much a question matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nobody in particular waits for the answer.
    Low,
    /// Somebody does: it takes the better of both lanes for questions.
    High,
    /// A script on its node does, for its token. Once for each start of a job: what its account says is not worth more.
    Start,
}

/// What wants a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A job that is to be submitted, or judged as if it were.
    Submission,
    /// Anything else, cancelling included.
    Question(Urgency),
}

/// There is no turn within the time that it would wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded;

/// When the next turn of each lane is.
#[derive(Debug)]
pub(super) struct Lanes {
    now: Duration,
    lanes: [Lane; 4],
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    speed: Speed,
    /// The moment, since boot, at which all credit would be there again.
    full: Duration,
}

impl Lanes {
    /// From the text of the file, whatever is in it.
    pub(super) fn recorded(text: &[u8], now: Duration) -> Self {
        let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut nanoseconds = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
        let lanes = [QUESTIONS, QUESTIONS, JOBS, JOBS].map(|speed| {
            let full = Duration::from_nanos(nanoseconds().unwrap_or_default());
            let furthest = now + FURTHEST + speed.interval * speed.burst;
            Lane { speed, full: if full > furthest { now } else { full.max(now) } }
        });
        Self { now, lanes }
    }

    /// Takes the next turn: how far it is.
    pub(super) fn take(&mut self, wish: Wish) -> Result<Duration, Crowded> {
        let now = self.now;
        let [common, own, submissions, starts] = &mut self.lanes;
        let (lane, waits) = match wish {
            Wish::Submission => (submissions, FURTHEST),
            Wish::Question(Urgency::Start) => (starts, FURTHEST),
            Wish::Question(Urgency::High) if own.pause(now) <= common.pause(now) => (own, FURTHEST),
            Wish::Question(Urgency::High) => (common, FURTHEST),
            Wish::Question(Urgency::Low) => (common, LOW_WAITS),
        };
        let pause = lane.pause(now);
        if pause > waits {
            return Err(Crowded);
        }
        lane.full += lane.speed.interval;
        Ok(pause)
    }

    /// For the file; always of the same length.
    pub(super) fn text(&self) -> String {
        self.lanes.map(|lane| format!("{:020}", lane.full.as_nanos())).join(" ") + "\n"
    }
}

impl Lane {
    fn pause(&self, now: Duration) -> Duration {
        (self.full + self.speed.interval).saturating_sub(now + self.speed.interval * self.speed.burst)
    }
}
