//! A queue that is longer than GitLab's patience, or that nobody ever leaves.

use std::time::Instant;

use super::{Course, Hopeless, StartBy, Until, Verdict};
use crate::report::time_in_words;
use crate::scheduler::{Advice, Alive, Phase};

/// So often in succession it is seen that a job never starts, before it is believed: what is refused by mistake is worse than what
/// waits.
const LOOKS: u32 = 2;

impl Course {
    /// Until when the job has to begin, while it waits.
    pub(super) fn has_to_start_by(&self) -> Option<StartBy> {
        self.plan.start_by.filter(|_| self.waits_for_its_start())
    }

    /// A job of which nothing is known may run: it is not ended for that.
    fn waits_for_its_start(&self) -> bool {
        let waits = self.seen.waits() && self.seen.ended.is_none() && !self.script.has_begun();
        waits && self.ending.is_none() && self.plan.until == Until::ScriptEnd
    }

    /// The scheduler says of it that no end of other jobs starts it. It would hold a slot of the runner, and at its end the author
    /// would hear of a time-out.
    pub(super) fn end_what_never_starts(&mut self, now: Instant) {
        if self.plan.hopeless == Hopeless::Wait || !self.waits_for_its_start() {
            return;
        }
        let Some(Alive { phase: Phase::Pending { reason, .. }, .. }) = &self.seen.alive else { return };
        if self.seen.hopeless_looks >= LOOKS {
            let why = self.plan.scheduler.advice(Advice::TooMuch);
            let words = format!("{reason}: {why}");
            let verdict = Verdict::never_starts(&self.plan.asked_by, &words, &self.look_up_words());
            self.end_because(verdict, now);
        }
    }

    /// While the runner still listens: what it ends itself is a time-out to GitLab, whatever a stage says afterwards.
    pub(super) fn end_what_never_started(&mut self, now: Instant) {
        if let Some(StartBy { timeout, .. }) = self.has_to_start_by().filter(|start_by| start_by.at <= now) {
            self.end_because(Verdict::never_started(&time_in_words(timeout), &self.look_up_words()), now);
        }
    }
}
