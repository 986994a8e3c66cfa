//! A queue that is longer than GitLab's patience.

use std::time::Instant;

use super::{Course, StartBy, Until, Verdict};
use crate::report::time_in_words;

impl Course {
    /// Until when the job has to begin, while it waits. A job of which nothing is known may run: it is not ended for that.
    pub(super) fn has_to_start_by(&self) -> Option<StartBy> {
        let waits = self.seen.waits() && self.seen.ended.is_none() && !self.script.has_begun();
        self.plan.start_by.filter(|_| waits && self.ending.is_none() && self.plan.until == Until::ScriptEnd)
    }

    /// While the runner still listens: what it ends itself is a time-out to GitLab, whatever a stage says afterwards.
    pub(super) fn end_what_never_started(&mut self, now: Instant) {
        if let Some(StartBy { timeout, .. }) = self.has_to_start_by().filter(|start_by| start_by.at <= now) {
            self.end_because(Verdict::never_started(&time_in_words(timeout), &self.look_up_words()), now);
        }
    }
}
