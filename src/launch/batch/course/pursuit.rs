//! Ending a job before its time: because the stage was asked to end, or because the job must not go on.

use std::time::{Duration, Instant};

use super::ending::{AGAIN, EndOrder, EndingCause, JobEnding, Sent, Way, last_output};
use super::submission::SubmissionStage;
use super::{Action, BatchOutcome, Calling, Course, Job, Until, Verdict};
use crate::scheduler::Phase;
use crate::sys::call::Answer;

/// While the answer to a submission is awaited.
const ANSWER_FIRST: Duration = Duration::from_millis(500);
/// The first look after the scheduler has taken an order to cancel; later ones come after longer pauses.
const LOOK: Duration = Duration::from_millis(150);
/// A job whose script has ended: how long until it is cancelled all the same.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(10);

impl Course {
    /// Somebody asks the stage to end. Once; a runner may ask several times.
    pub(super) fn begin_ending(&mut self, now: Instant) {
        if let Some(ending) = &mut self.ending {
            ending.why = EndingCause::Asked;
            return;
        }
        // A job that serves several stages is given back by cleanup. But one that waits has no script to be told, and would
        // begin with this one when its time comes.
        let own = matches!(self.plan.job, Job::New(_));
        let way = if own || self.seen.waits() { Way::Job } else { Way::Script(Sent::Nothing) };
        self.ending = Some(JobEnding::new(now, way, EndingCause::Asked));
        if self.calling == Some(Calling::Submit) {
            self.act(Action::TakeBack);
        }
    }

    /// The job was left by an earlier stage. First it is looked at: as a rule it has ended by itself.
    pub(super) fn end_left(&mut self, now: Instant) {
        let mut ending = JobEnding::new(now, Way::Job, EndingCause::Asked);
        // Not before somebody has looked; there is no later moment than this.
        ending.next = now + self.plan.patience;
        self.ending = Some(ending);
        self.asking.at(now);
    }

    /// The job must not go on.
    pub(super) fn end_because(&mut self, verdict: Verdict, now: Instant) {
        self.ending = Some(JobEnding::new(now, Way::Job, EndingCause::MustNotGoOn(verdict)));
    }

    /// Does what is due, until nothing of the job is left, or there is no more time for it.
    pub(super) fn pursue_ending(&mut self, now: Instant) {
        let Some(ending) = &mut self.ending else { return };
        if ending.deadline(&self.plan) <= now {
            return self.finish_unconfirmed();
        }
        match self.submitting.stage() {
            SubmissionStage::Preparing => return self.finish_ended(),
            // The answer, or the search by name, comes first.
            SubmissionStage::Remembering | SubmissionStage::Calling | SubmissionStage::Unsure { .. } => {
                ending.next = now + ANSWER_FIRST;
                return;
            }
            SubmissionStage::Done(_) => {}
        }
        let script_ended = matches!(ending.way, Way::Script(_)) && self.script.completed.is_some();
        if ending.order == EndOrder::Gone || self.seen.ended.is_some() || script_ended {
            let bound = *ending.over.get_or_insert(now) + last_output(&self.plan);
            ending.next = bound;
            // What a script has written until it ended is shown. That nobody has seen it begin says nothing: its mark may
            // hang in a file system.
            let nothing_to_show = self.plan.until != Until::ScriptEnd || Self::never_ran(&self.seen, &self.script);
            if nothing_to_show || self.script.has_drained().is_some() || bound <= now {
                self.finish_ended();
            } else {
                self.look_for_the_last_time();
            }
            return;
        }
        // What looked like the end of the script was that of an earlier start.
        ending.over = None;
        if self.calling.is_none() && ending.next <= now {
            self.next_step(now);
        }
    }

    /// Nothing of the job is left.
    pub(super) fn finish_ended(&mut self) {
        if self.plan.until == Until::Gone {
            return self.finish(BatchOutcome::Gone);
        }
        match self.ending.take().map(|ending| ending.why) {
            Some(EndingCause::MustNotGoOn(verdict)) => self.judged(verdict),
            Some(EndingCause::Asked) | None => self.finish(BatchOutcome::Terminated(self.id().cloned())),
        }
    }

    /// Something may be left, and there is no more time.
    fn finish_unconfirmed(&mut self) {
        if self.plan.until == Until::Gone {
            return self.finish_not_gone();
        }
        let words = format!("warning: {}; the cleanup stage goes on with that", self.not_gone_words());
        self.act(Action::Tell(words));
        self.finish_ended();
    }

    fn not_gone_words(&self) -> String {
        format!("{} has not confirmed that job {} is gone", self.plan.scheduler.name(), self.plan.expected.name)
    }

    pub(super) fn finish_not_gone(&mut self) {
        self.finish(BatchOutcome::NotGone(self.not_gone_words()));
    }

    fn next_step(&mut self, now: Instant) {
        let Some(id) = self.id().cloned() else { return };
        let Some(ending) = &mut self.ending else { return };
        match ending.next_step(&self.plan, now) {
            Some(signal) => self.call(Calling::Signal(id, signal)),
            None => self.call(Calling::Cancel(id)),
        }
    }

    /// Whether the scheduler has taken the order to cancel the job.
    pub(super) fn is_cancelled(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.order != EndOrder::NotTaken)
    }

    /// The scheduler knows no such job, after it has taken the order to cancel it.
    pub(super) fn is_gone(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.order = EndOrder::Gone;
        }
    }

    /// Somebody has made our job look like another one: its owner, as a rule, by a new name. He may cancel both.
    pub(super) fn cancel_what_is_not_ours(&mut self, now: Instant) {
        let Some(id) = self.id().cloned() else { return };
        if self.calling.is_none() {
            self.call(Calling::Cancel(id));
            self.submitting.becomes_unsure(now);
        } else {
            self.asking.at(now + AGAIN);
        }
    }

    /// At once, should nothing be on its way.
    pub(super) fn cancel_now(&mut self, now: Instant) {
        if let Some(ending) = &mut self.ending
            && self.calling.is_none()
        {
            ending.next = now;
        }
    }

    /// A job whose number nobody knows.
    pub(super) fn cancel_by_name(&mut self) {
        if self.calling.is_none() {
            self.call(Calling::CancelByName);
        }
    }

    pub(super) fn on_cancel_answer(&mut self, what: &Calling, answer: &Answer, now: Instant) {
        let done = self.plan.scheduler.done(answer);
        let Some(ending) = &mut self.ending else { return };
        match done {
            Ok(()) => {
                ending.failures = 0;
                if !matches!(what, Calling::Signal(..)) {
                    ending.order = EndOrder::Taken;
                    ending.next = now + AGAIN;
                    self.asking.anew();
                    self.asking.at(now + LOOK);
                }
            }
            Err(words) => {
                if ending.has_failed(now) == 1 {
                    let name = self.plan.scheduler.name();
                    self.act(Action::Say(format!("{name} cannot cancel the job now, trying again: {words}")));
                }
                if self.id().is_none()
                    && let Some(ending) = &self.ending
                {
                    self.asking.at(ending.next);
                }
            }
        }
    }

    /// The job lives. While its end is awaited it is asked for more often.
    pub(super) fn ask_about_ending(&mut self, phase: &Phase, now: Instant) {
        let Some(ending) = &self.ending else { return };
        let cancelled = self.is_cancelled();
        let own_end = match self.plan.job {
            Job::Ended(_) if now < ending.since + ENDS_BY_ITSELF => true,
            _ => *phase == Phase::Completing,
        };
        let until_gone = self.plan.until == Until::Gone;
        if until_gone && !cancelled && !own_end {
            self.cancel_now(now);
        }
        if until_gone || cancelled {
            self.asking.doubling(LOOK, 4, now);
        }
    }
}
