//! The verdict, once everything is known that it needs.

use super::job::Canceller;
use super::script::{Completed, ScriptWatch};
use super::{Course, SeenJob};
use crate::launch::batch::result::{Case, Said, judge};
use crate::scheduler::{End, EndReason};

impl Course {
    pub(super) fn conclude(&mut self) {
        let Some(id) = self.id() else { return };
        if self.ending.is_some() {
            return;
        }
        let said = match (&self.script.completed, &self.seen.ended) {
            (Some(Completed { said: Some(said), .. }), _) => said.clone(),
            (None, Some(end)) => Said::Ended(end.clone()),
            _ => return,
        };
        if self.script.has_drained().is_none() && !Self::never_ran(&self.seen, &self.script) {
            return;
        }
        let cancelled = matches!(&said, Said::Ended(End { reason: EndReason::Cancelled, .. }));
        let cancelled_by = match self.seen.canceller {
            Canceller::NotAsked | Canceller::Asked if cancelled => return,
            Canceller::NotAsked | Canceller::Asked | Canceller::Unknown => None,
            Canceller::Is(uid) => Some(uid),
        };
        let case = Case {
            id,
            record: self.script.completed.as_ref().map(|completed| &completed.completion),
            said: &said,
            uid: self.plan.expected.uid,
            cancelled_by,
        };
        if let Some(verdict) = judge(&case, self.plan.scheduler.as_ref()) {
            self.tell_last_words(&verdict);
            self.judged(verdict);
        }
    }

    /// Whether the scheduler has said that the job ended without a node, and nothing speaks against that.
    pub(super) fn never_ran(seen: &SeenJob, script: &ScriptWatch) -> bool {
        matches!(&seen.ended, Some(End { node: None, .. })) && !script.has_begun()
    }
}
