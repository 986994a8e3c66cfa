//! Times in which nothing is known of the job.

use std::time::{Duration, Instant};

use super::{Action, Course};
use crate::token::back_off;

/// Whether the scheduler says anything of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Heard,
    Silent { since: Instant, failures: u32 },
}

impl Silence {
    /// When there has been enough of it.
    pub(super) fn until(self, unknown_timeout: Duration) -> Option<Instant> {
        match self {
            Self::Heard => None,
            Self::Silent { since, .. } => Some(since + unknown_timeout),
        }
    }

    /// One more answer that says nothing: how many there were.
    fn lasts(&mut self, now: Instant) -> u32 {
        match self {
            Self::Heard => {
                *self = Self::Silent { since: now, failures: 1 };
                1
            }
            Self::Silent { failures, .. } => {
                *failures = failures.saturating_add(1);
                *failures
            }
        }
    }
}

impl Course {
    /// Nothing is known. Told once; asked again, later and later.
    pub(super) fn note_silence(&mut self, words: &str, now: Instant) {
        let failures = self.silence.lasts(now);
        self.asking.at(now + back_off(failures).min(self.plan.unknown_timeout));
        if failures == 1 {
            self.act(Action::Say(self.silence_begins_words(words)));
        }
    }

    pub(super) fn note_known(&mut self, now: Instant) {
        if let Silence::Silent { since, .. } = std::mem::replace(&mut self.silence, Silence::Heard) {
            let lasted = now.saturating_duration_since(since).as_secs();
            let name = self.plan.scheduler.name();
            self.act(Action::Tell(format!("{name} answers again, after {lasted} s")));
        }
    }
}
