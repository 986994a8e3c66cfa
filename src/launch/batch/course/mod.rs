//! The course of a batch job, from submission to the verdict: what to do next. Pure.
//!
//! Events and the time go in, actions come out; [`drive`](super::drive) has the threads and does what is said here. The rules:
//!
//! * Only positive evidence ends a job: the completion record, and an answer of the scheduler that was asked for after it;
//!   or an answer that says how the job ended, and then a last look for the record. Everything else is unknown, and unknown
//!   is asked again, with growing pauses, until [`Plan::unknown_timeout`] has passed.
//! * The wrapper's files say when it is worth asking. So a job costs the scheduler a handful of questions, however long it
//!   runs, and its end is noticed at once.
//! * A token exists while the scheduler says that this job runs, and at no other time.
//! * Nobody waits for ever: there is always a next deadline, or an answer that is on its way. (The end of the
//!   output is the worker's to tell; an account that stops its worker keeps its own stage until SIGTERM.)
//!
//! Each concern has a file with its state: the [submission], the questions ([`asking`]) and the [answers] to them,
//! [silence], the [queue] that is too long or that has no end, the [script] as the worker sees it, its [token], the [ending] that somebody asks for and its [pursuit], and the
//! [conclusion].

mod action;
mod answers;
mod asking;
mod conclusion;
mod ending;
mod event;
mod job;
mod plan;
mod pursuit;
mod queue;
mod script;
mod silence;
mod submission;
mod token;
mod words;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use super::result::{BatchOutcome, Verdict};
use crate::launch::error::LaunchError;
use crate::scheduler::JobId;

pub use action::{Action, Calling, Question};
pub use event::BatchEvent;
pub use plan::{Hopeless, Job, Plan, StartBy, Until};
pub use token::Tokens;

use asking::Asking;
use ending::JobEnding;
use job::SeenJob;
use script::ScriptWatch;
use silence::Silence;
use submission::Submitting;
use token::HeldToken;
use words::Told;
use worker::WorkerSeen;

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    GoesOn,
    Over,
}

/// How far a job is, and what to do next.
pub struct Course {
    plan: Arc<Plan>,
    progress: Progress,
    /// At this time it is over, whatever has or has not happened.
    hard_deadline: Option<Instant>,
    worker: WorkerSeen,
    submitting: Submitting,
    /// What the worker was asked to call last, until it answers.
    calling: Option<Calling>,
    asking: Asking,
    silence: Silence,
    seen: SeenJob,
    script: ScriptWatch,
    token: HeldToken,
    ending: Option<JobEnding>,
    told: Told,
    actions: Vec<Action>,
}

impl Course {
    /// Before anything has happened.
    pub fn new(plan: Arc<Plan>, tokens: Tokens, now: Instant) -> Self {
        Self {
            progress: Progress::GoesOn,
            // Nothing that the account does to its worker makes a cleanup longer.
            hard_deadline: (plan.until == Until::Gone).then(|| now + plan.patience),
            worker: WorkerSeen::default(),
            submitting: Submitting::new(&plan.job, now),
            calling: None,
            asking: Asking::default(),
            silence: Silence::Heard,
            seen: SeenJob::default(),
            script: ScriptWatch::default(),
            token: HeldToken::new(tokens, now),
            ending: None,
            told: Told::default(),
            actions: Vec::new(),
            plan,
        }
    }

    /// Takes in what has happened, and says what to do.
    #[must_use]
    pub fn handle(&mut self, event: BatchEvent, now: Instant) -> Vec<Action> {
        self.take_in(event, now);
        self.act_on_time(now);
        std::mem::take(&mut self.actions)
    }

    /// When to be told of the time, should nothing happen before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let end = match &self.ending {
            None => self.silence.until(self.plan.unknown_timeout),
            Some(ending) => ending.next_deadline(&self.plan, self.calling.as_ref()),
        };
        let start_by = self.has_to_start_by().map(|start_by| start_by.at);
        [self.token.due(), self.asking.next_deadline(), end, self.worker.given_up_at(), self.hard_deadline, start_by]
            .into_iter()
            .flatten()
            .min()
    }

    fn take_in(&mut self, event: BatchEvent, now: Instant) {
        match event {
            _ if self.progress == Progress::Over => {}
            BatchEvent::Report(report) => self.on_report(report, now),
            BatchEvent::NoReport(error) => self.on_no_report(&error),
            BatchEvent::NoMoreReports => self.fail(LaunchError::WorkerLost),
            BatchEvent::WorkerEnded => self.worker.ended(now),
            BatchEvent::Terminate if self.plan.until == Until::Gone => self.finish(BatchOutcome::Terminated(None)),
            BatchEvent::Terminate => self.begin_ending(now),
            BatchEvent::State { asked, state } => self.on_state(asked, state, now),
            BatchEvent::Found(found) => self.on_found(found, now),
            BatchEvent::Canceller(uid) => self.seen.canceller.answered(uid),
            BatchEvent::NotAsked => self.asking.not_asked(now),
            BatchEvent::NotCalled => self.on_not_called(),
            BatchEvent::Remembered(remembered) => self.on_remembered(remembered),
            BatchEvent::NumberLost(why) => self.on_number_lost(&why),
            BatchEvent::Token(next) => self.token.came(next),
            BatchEvent::Time => {}
        }
    }

    /// What is due, and what follows from all that is known. After every event, not only when nothing has happened: a
    /// worker that never stops talking must not stop time.
    fn act_on_time(&mut self, now: Instant) {
        if self.worker.given_up_at().is_some_and(|at| at <= now) {
            self.fail(LaunchError::WorkerLost);
        }
        if self.hard_deadline.is_some_and(|at| at <= now) {
            self.finish_not_gone();
        }
        self.keep_token_fresh(now);
        self.conclude();
        self.end_what_never_starts(now);
        self.end_what_never_started(now);
        if self.ending.is_some() {
            self.pursue_ending(now);
        } else if self.silence.until(self.plan.unknown_timeout).is_some_and(|at| at <= now) {
            self.judged(self.verdict_of_silence());
        }
        if self.asking.is_due(now) {
            self.ask(now);
        }
    }

    fn id(&self) -> Option<&JobId> {
        self.submitting.id()
    }

    /// Nothing is done any more when it is over.
    fn act(&mut self, action: Action) {
        if self.progress == Progress::GoesOn {
            self.actions.push(action);
        }
    }

    fn finish(&mut self, outcome: BatchOutcome) {
        self.act(Action::Finish(Ok(outcome)));
        self.progress = Progress::Over;
    }

    fn fail(&mut self, error: LaunchError) {
        self.act(Action::Finish(Err(error)));
        self.progress = Progress::Over;
    }

    fn judged(&mut self, verdict: Verdict) {
        self.finish(BatchOutcome::Judged(self.id().cloned(), verdict));
    }
}

#[cfg(test)]
mod tests;
