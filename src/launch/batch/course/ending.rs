//! The end of a job before its time: how far it has come, and when the next step is due.

use std::time::{Duration, Instant};

use super::{Calling, Plan, Verdict};
use crate::scheduler::Signal;
use crate::token::back_off;

/// After SIGKILL to a script in a job that goes on: how long until the whole job is cancelled.
const LAST_RESORT: Duration = Duration::from_secs(15);
/// How long the output of a script that has ended is awaited, at least; a site that gives scripts more time to end gives it
/// this, too.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
/// A job that was cancelled, and is not: how long until that is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(15);

/// An end that has begun.
#[derive(Debug)]
pub(super) struct JobEnding {
    pub(super) since: Instant,
    pub(super) why: EndingCause,
    pub(super) way: Way,
    pub(super) order: EndOrder,
    /// When the next call is due.
    pub(super) next: Instant,
    pub(super) failures: u32,
    /// When we learned that what had to end has ended.
    pub(super) over: Option<Instant>,
}

/// What the stage says in the end.
#[derive(Debug)]
pub(super) enum EndingCause {
    /// That somebody asked.
    Asked,
    /// This.
    MustNotGoOn(Verdict),
}

/// How it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Only the script: the job goes on for other stages.
    Script(Sent),
    /// The whole job.
    Job,
}

/// What was sent to the script so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Terminate,
    Kill,
}

/// An order to cancel the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndOrder {
    NotTaken,
    /// The scheduler has taken it.
    Taken,
    /// And now knows no such job.
    Gone,
}

impl JobEnding {
    pub(super) fn new(now: Instant, way: Way, why: EndingCause) -> Self {
        Self { since: now, why, way, order: EndOrder::NotTaken, next: now, failures: 0, over: None }
    }

    /// At this time it is over, whatever is known.
    pub(super) fn deadline(&self, plan: &Plan) -> Instant {
        self.since + plan.kill_timeout + plan.patience
    }

    pub(super) fn next_deadline(&self, plan: &Plan, calling: Option<&Calling>) -> Option<Instant> {
        let last_output = self.over.map(|over| over + last_output(plan));
        // While a call is on its way no other one is made.
        let next = calling.is_none().then_some(self.next);
        [last_output, next, Some(self.deadline(plan))].into_iter().flatten().min()
    }

    /// SIGTERM to the script, once more.
    pub(super) fn signal_anew(&mut self, now: Instant) {
        if let Way::Script(sent) = &mut self.way {
            (*sent, self.next) = (Sent::Nothing, now);
        }
    }

    /// What is due now.
    pub(super) fn next_step(&mut self, plan: &Plan, now: Instant) -> Option<Signal> {
        let (way, signal, pause) = match self.way {
            Way::Script(Sent::Nothing) => (Way::Script(Sent::Terminate), Some(Signal::Terminate), plan.kill_timeout),
            Way::Script(Sent::Terminate) => (Way::Script(Sent::Kill), Some(Signal::Kill), LAST_RESORT),
            Way::Script(Sent::Kill) | Way::Job => (Way::Job, None, AGAIN),
        };
        (self.way, self.next) = (way, now + pause);
        if way == Way::Job {
            // Should it not have come to anything: once more, later.
            self.order = EndOrder::NotTaken;
        }
        signal
    }

    /// A call has not reached the scheduler: how often in a row.
    pub(super) fn has_failed(&mut self, now: Instant) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.way = match self.way {
            // Nothing, if the script has begun meanwhile: then it is to be sent anew in any case.
            Way::Script(Sent::Nothing | Sent::Terminate) => Way::Script(Sent::Nothing),
            Way::Script(Sent::Kill) => Way::Script(Sent::Terminate),
            Way::Job => Way::Job,
        };
        self.next = now + back_off(self.failures);
        self.failures
    }
}

/// How long the output of a script that has ended is awaited.
pub(super) fn last_output(plan: &Plan) -> Duration {
    LAST_OUTPUT.max(plan.kill_timeout)
}
