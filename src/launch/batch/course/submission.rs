//! Submitting the job: once, whatever becomes of the answer.

use std::time::{Duration, Instant};

use super::{Action, BatchOutcome, Calling, Course, Job, Until, Verdict};
use crate::scheduler::{JobId, SubmitAnswer};
use crate::sys::call::Answer;

/// After a submission without an answer: how long until a job that it made can be found for sure.
const SETTLED: Duration = Duration::from_secs(5);
/// How often a job is submitted that is not found afterwards.
const MOST_SUBMISSIONS: u32 = 3;

/// How far the submission is.
#[derive(Debug)]
pub(super) struct Submitting {
    stage: SubmissionStage,
    submissions: u32,
}

/// Where it stands.
#[derive(Debug)]
pub(super) enum SubmissionStage {
    /// The files are not there yet.
    Preparing,
    /// The name goes to disk. Before there is a job: whatever happens from here on, cleanup knows its name.
    Remembering,
    /// The worker's program runs.
    Calling,
    /// It ended at this time without an answer that says whether there is a job.
    Unsure { since: Instant, not_found: u32 },
    /// There is a job.
    Done(JobId),
}

impl Submitting {
    pub(super) fn new(job: &Job, now: Instant) -> Self {
        let stage = match job {
            Job::New(..) => SubmissionStage::Preparing,
            Job::Existing(id) | Job::Left(Some(id)) | Job::Ended(id) => SubmissionStage::Done(id.clone()),
            Job::Left(None) => SubmissionStage::Unsure { since: now, not_found: 0 },
        };
        Self { stage, submissions: 0 }
    }

    pub(super) fn stage(&self) -> &SubmissionStage {
        &self.stage
    }

    pub(super) fn id(&self) -> Option<&JobId> {
        match &self.stage {
            SubmissionStage::Done(id) => Some(id),
            _ => None,
        }
    }

    pub(super) fn becomes_unsure(&mut self, since: Instant) {
        self.stage = SubmissionStage::Unsure { since, not_found: 0 };
    }

    fn calls(&mut self) {
        self.stage = SubmissionStage::Calling;
        self.submissions += 1;
    }
}

impl Course {
    pub(super) fn on_ready(&mut self, now: Instant) {
        match self.submitting.stage() {
            SubmissionStage::Preparing => self.submit(),
            _ if self.plan.until == Until::Gone => self.end_left(now),
            _ => self.asking.soon(now),
        }
    }

    fn submit(&mut self) {
        self.submitting.stage = SubmissionStage::Remembering;
        self.act(Action::RememberName);
    }

    pub(super) fn on_remembered(&mut self, remembered: Result<(), String>) {
        if !matches!(self.submitting.stage(), SubmissionStage::Remembering) {
            return;
        }
        match remembered {
            Ok(()) => {
                self.submitting.calls();
                self.call(Calling::Submit);
            }
            Err(why) => self.judged(Verdict::not_submitted(&why)),
        }
    }

    pub(super) fn call(&mut self, what: Calling) {
        self.calling = Some(what.clone());
        self.act(Action::Call(what));
    }

    pub(super) fn on_answer(&mut self, answer: &Answer, now: Instant) {
        match self.calling.take() {
            Some(Calling::Submit) => match self.plan.scheduler.submitted(answer) {
                SubmitAnswer::Id(id) => self.on_number(id, now),
                SubmitAnswer::Refused(words) => {
                    self.forget_submission();
                    self.judged(Verdict::refused(self.plan.scheduler.name(), &self.plan.asked_by, &words));
                }
                SubmitAnswer::NotAsked(words) => {
                    self.forget_submission();
                    self.judged(Verdict::not_submitted(&words));
                }
                SubmitAnswer::Unknown(words) => {
                    self.submitting.becomes_unsure(now);
                    self.note_silence(&words, now);
                }
            },
            Some(what) => self.on_cancel_answer(&what, answer, now),
            None => {}
        }
    }

    /// It had not had its turn when the stage was asked to end.
    pub(super) fn on_not_called(&mut self) {
        if self.calling.take_if(|calling| *calling == Calling::Submit).is_some() {
            self.forget_submission();
        }
    }

    /// There is no job, of this submission. One before it, whose answer nobody knows, may still have made one, whatever the
    /// queue looks like: then cleanup has to look for it.
    fn forget_submission(&mut self) {
        self.submitting.stage = SubmissionStage::Preparing;
        if self.submitting.submissions == 1 {
            self.act(Action::Forget);
        }
    }

    fn on_number(&mut self, id: JobId, now: Instant) {
        self.act(Action::RememberNumber(id.clone()));
        if self.plan.until != Until::Gone {
            self.act(Action::Tell(self.submitted_words(&id)));
        }
        self.note_known(now);
        self.submitting.stage = SubmissionStage::Done(id.clone());
        self.asking.soon(now);
        if self.plan.until == Until::Gone {
            self.asking.now(now);
        } else if self.script.mark.is_some() {
            self.asking.begun(now);
        }
        if self.plan.until == Until::Submitted && self.ending.is_none() {
            self.finish(BatchOutcome::Submitted(id));
        }
    }

    pub(super) fn on_number_lost(&mut self, why: &str) {
        self.act(Action::Tell(format!("warning: the number of the job cannot be remembered, its name is: {why}")));
    }

    pub(super) fn on_found(&mut self, found: Result<Vec<JobId>, String>, now: Instant) {
        self.asking.answered();
        let SubmissionStage::Unsure { since, not_found } = &mut self.submitting.stage else { return };
        let settled = *since + SETTLED;
        match found.map(|ids| ids.into_iter().next()) {
            Err(words) => {
                *not_found = 0;
                self.note_silence(&words, now);
            }
            Ok(Some(id)) => self.on_number(id, now),
            // Whatever is said of the queue: something has run.
            Ok(None) if self.script.has_begun() => self.note_silence("it does not find a job that has begun", now),
            // A submission may still be on its way in the controller. So: none, asked for a while after, twice.
            Ok(None) if *not_found < 1 || now < settled => {
                *not_found = not_found.saturating_add(1);
                self.asking.at(settled.max(now + Duration::from_secs(1)));
            }
            Ok(None) => self.on_not_found(),
        }
    }

    /// There is no job of that name, for sure.
    fn on_not_found(&mut self) {
        let name = self.plan.scheduler.name();
        if self.is_cancelled() {
            self.finish_ended();
        } else if self.ending.is_some() {
            // Perhaps it only does not show it to us: its owner says so, too.
            self.cancel_by_name();
        } else if self.submitting.submissions >= MOST_SUBMISSIONS {
            self.judged(Verdict::never_confirmed(name, MOST_SUBMISSIONS));
        } else {
            self.act(Action::Tell(format!("{name} knows of no such job; submitting it once more")));
            self.submit();
        }
    }
}
