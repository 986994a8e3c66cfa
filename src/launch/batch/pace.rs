//! How often the scheduler is asked, by all stages of this machine together.
//!
//! The controller is one for thousands of people. A stage that wants to ask takes the next free moment from a file that
//! all stages share, and waits for it. There are two lanes: what somebody waits for (a script on its node for its token, a
//! job log for the end) does not stand behind two hundred submissions.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::time::{ClockId, clock_gettime};

/// Between two calls of one lane, in the long run: 8 of them in a second, and 16 in both.
const INTERVAL: Duration = Duration::from_millis(125);
/// How many may be made at once in a lane that has been quiet.
const BURST: u32 = 2;
/// No moment is further away than this: a file that says so is wrong.
const FURTHEST: Duration = Duration::from_mins(2);

/// Who waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody: it takes the better of both lanes.
    High,
    /// Nobody in particular.
    Low,
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

    /// Waits for the next free moment. Without the file (a full disk) there is no waiting: order is not worth a job.
    pub fn wait(&self, urgency: Urgency) {
        if let Some(pause) = self.take(urgency, now()) {
            std::thread::sleep(pause);
        }
    }

    /// Takes the next free moment: how far from `now` it is.
    fn take(&self, urgency: Urgency, now: Duration) -> Option<Duration> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.0).ok()?;
        let mut file = Flock::lock(file, FlockArg::LockExclusive).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let mut recorded = text.split_ascii_whitespace().map(|word| word.parse().map(Duration::from_nanos));
        let mut lane = || slot(recorded.next().and_then(Result::ok).unwrap_or_default(), now);
        let (common, own) = (lane(), lane());
        let (pause, [common, own]) = match urgency {
            Urgency::High if own.pause <= common.pause => (own.pause, [common.before, own.after]),
            _ => (common.pause, [common.after, own.before]),
        };
        file.rewind().ok()?;
        file.write_all(format!("{:020} {:020}\n", common.as_nanos(), own.as_nanos()).as_bytes()).ok()?;
        Some(pause)
    }
}

/// The next moment of a lane.
struct Slot {
    /// How far it is.
    pause: Duration,
    /// What the next one finds if it is not taken: the moment at which all credit would be there again.
    before: Duration,
    /// And if it is.
    after: Duration,
}

fn slot(recorded: Duration, now: Duration) -> Slot {
    let before = if recorded > now + FURTHEST { now } else { recorded.max(now) };
    let after = before + INTERVAL;
    Slot { pause: after.saturating_sub(now + INTERVAL * BURST), before, after }
}

/// Since boot: the same for all processes, and set by nobody.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_let_through_at_once_and_the_rest_at_a_steady_pace() {
        let dir = tempfile::tempdir().expect("dir");
        let pace = Pace::in_directory(dir.path());
        let start = Duration::from_secs(1000);
        let pauses: Vec<Duration> = (0..20).map(|_| pace.take(Urgency::Low, start).expect("taken")).collect();
        assert!(pauses[..2].iter().all(Duration::is_zero), "{pauses:?}");
        assert_eq!(pauses[19], INTERVAL * 18);
        let later = start + Duration::from_mins(1);
        assert_eq!(pace.take(Urgency::Low, later), Some(Duration::ZERO), "credit comes back");
    }

    #[test]
    fn what_somebody_waits_for_does_not_stand_behind_submissions_and_may_use_their_lane_when_it_is_free() {
        let dir = tempfile::tempdir().expect("dir");
        let pace = Pace::in_directory(dir.path());
        let start = Duration::from_secs(1000);
        let take = |urgency| pace.take(urgency, start).expect("taken");
        for _ in 0..200 {
            take(Urgency::Low);
        }
        assert_eq!(take(Urgency::High), Duration::ZERO);
        let dir = tempfile::tempdir().expect("dir");
        let pace = Pace::in_directory(dir.path());
        let pauses: Vec<Duration> = (0..20).map(|_| pace.take(Urgency::High, start).expect("taken")).collect();
        assert_eq!(pauses[19], INTERVAL * 8, "both lanes: {pauses:?}");
    }

    #[test]
    fn a_file_of_nonsense_or_of_another_boot_delays_nobody() {
        let dir = tempfile::tempdir().expect("dir");
        let pace = Pace::in_directory(dir.path());
        for text in ["", "x", "99999999999999999999999", "18446744073709551615 x", "\u{e9} 18446744073709551615"] {
            std::fs::write(&pace.0, text).expect("write");
            assert_eq!(pace.take(Urgency::High, Duration::from_secs(5)), Some(Duration::ZERO), "{text:?}");
        }
    }
}
