//! A course in a world that is not kind to it, and what must hold after every step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Action, BatchEvent, Calling, Course, Plan, Question, Tokens, Until};
use super::bench::{For, TOKEN, plan, tokens};
use crate::launch::batch::result::{AskedBy, BatchOutcome, Judgement};
use crate::launch::error::LaunchError;
use crate::order::completion::ScriptEnd;
use crate::order::frames::Report;
use crate::scheduler::{Phase, Prospect, Requeue, State, SubmitAnswer, Unknown};
use crate::sys::call::Answer;

/// Between two questions, whatever anybody says.
const BETWEEN: Duration = Duration::from_millis(150);
/// For how long a word of the scheduler is proof that the job runs.
const PROOF: Duration = Duration::from_mins(15);
/// After a submission without an answer: how long until a job that it made can be found for sure.
const SETTLED: Duration = Duration::from_secs(5);
/// How often a job may be submitted.
const MOST_SUBMISSIONS: u32 = 3;

/// A course, what is on its way to it, and what has been seen.
#[expect(clippy::struct_excessive_bools, reason = "each says that something was seen, and goes with any of the others")]
pub struct Model {
    course: Course,
    pub plan: Arc<Plan>,
    tokens: Tokens,
    start: Instant,
    pub now: Instant,
    pub question: Option<(Question, Instant)>,
    pub canceller: Option<Question>,
    pub call: Option<Calling>,
    /// The submission is not to be made any more, if it has not been made.
    pub taken_back: bool,
    pub ready: bool,
    /// The worker owes the word that the output has come to its end.
    pub drain_awaited: bool,
    pub disk: Result<(), String>,
    pub outcome: Option<Result<BatchOutcome, LaunchError>>,
    last_question: Option<Instant>,
    questions: u32,
    submissions: u32,
    remembered: bool,
    /// So many submissions have not been refused: each may be a job.
    possible: u32,
    refused: bool,
    /// It was seen waiting for something that will not come.
    hopeless: bool,
    number: bool,
    /// So often in a row nothing was found since then.
    unsure: Option<(Instant, u32)>,
    /// The scheduler said first that the job has ended, on a node.
    ended_on_node: Option<Instant>,
    drained: bool,
    terminated: Option<Instant>,
    worker_failed: bool,
    token: bool,
    /// How often the job had been started before, when its token was minted, and now.
    token_of: u32,
    running: Option<Instant>,
    script_ended: Option<Instant>,
    exited_with_zero: bool,
    said_after: bool,
    ended: bool,
    restarted: bool,
    silent_since: Option<Instant>,
    cancelled: bool,
    gone: bool,
    warned: bool,
}

/// What is wrong; the walk that led to it is told by who walks.
type Check = Result<(), String>;

fn must(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

impl Model {
    pub fn new(what: For) -> Self {
        let now = Instant::now();
        let plan = Arc::new(plan(what));
        Self {
            course: Course::new(Arc::clone(&plan), tokens(what), now),
            tokens: tokens(what),
            start: now,
            now,
            question: None,
            canceller: None,
            call: None,
            taken_back: false,
            ready: false,
            drain_awaited: false,
            disk: Ok(()),
            outcome: None,
            last_question: None,
            questions: 0,
            submissions: 0,
            // What is there already was remembered by who left it.
            remembered: !matches!(plan.job, super::super::Job::New(_)),
            possible: u32::from(!matches!(plan.job, super::super::Job::New(_))),
            refused: false,
            hopeless: false,
            number: false,
            unsure: None,
            ended_on_node: None,
            drained: false,
            terminated: None,
            worker_failed: false,
            token: false,
            token_of: 0,
            running: None,
            script_ended: None,
            exited_with_zero: false,
            said_after: false,
            ended: false,
            restarted: false,
            silent_since: None,
            cancelled: false,
            gone: false,
            warned: false,
            plan,
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.course.next_deadline()
    }

    /// Something happens.
    pub fn tell(&mut self, event: BatchEvent) -> Check {
        if self.outcome.is_some() {
            return Ok(());
        }
        let time = matches!(event, BatchEvent::Time);
        let may_mint =
            matches!(&event, BatchEvent::State { state: State::Alive(alive), .. } if alive.phase == Phase::Running);
        let state = match &event {
            BatchEvent::State { state, .. } => Some(state.clone()),
            _ => None,
        };
        let record = matches!(&event, BatchEvent::Report(Report::Recorded(_)));
        self.see(&event);
        self.pass_on(event, may_mint)?;
        if self.outcome.is_none() {
            self.check_token(state.as_ref(), record)?;
            self.check_time(time)?;
        }
        Ok(())
    }

    /// What an event proves.
    fn see(&mut self, event: &BatchEvent) {
        match event {
            BatchEvent::Report(Report::Ready) => self.ready = true,
            BatchEvent::Report(Report::Recorded(completion)) => {
                self.script_ended.get_or_insert(self.now);
                self.exited_with_zero |= completion.end == ScriptEnd::Exited(0);
                self.drain_awaited = true;
            }
            BatchEvent::Report(Report::Drained(_)) => (self.drain_awaited, self.drained) = (false, true),
            BatchEvent::Report(Report::Failed(_)) => self.worker_failed = true,
            BatchEvent::Report(Report::Answered(answer)) => self.see_answer(answer),
            BatchEvent::Terminate => {
                self.terminated.get_or_insert(self.now);
            }
            BatchEvent::State { asked, state } => {
                self.question = None;
                let after = self.script_ended.is_some_and(|ended| *asked >= ended);
                self.said_after |=
                    after && !matches!(state, State::Unknown(Unknown::NoAnswer(_) | Unknown::NotOurs(_)));
                match state {
                    State::Alive(alive) => {
                        self.silent_since = None;
                        self.restarted |= alive.restarts > 0;
                        if alive.phase == Phase::Running {
                            self.running = Some(self.now);
                        }
                        self.hopeless |= matches!(&alive.phase, Phase::Pending { prospect: Prospect::Never, .. });
                    }
                    State::Ended(end) => {
                        self.silent_since = None;
                        self.ended = true;
                        if end.node.is_some() {
                            self.ended_on_node.get_or_insert(self.now);
                        }
                    }
                    State::Unknown(unknown) => {
                        self.silent_since.get_or_insert(self.now);
                        self.gone |= self.cancelled && !matches!(unknown, Unknown::NoAnswer(_));
                    }
                }
            }
            BatchEvent::Found(found) => {
                self.question = None;
                match found {
                    Ok(ids) if ids.is_empty() => {
                        self.unsure = self.unsure.map(|(since, count)| (since, count + 1));
                        self.silent_since.get_or_insert(self.now);
                        self.gone |= self.cancelled;
                    }
                    Ok(_) => (self.number, self.silent_since) = (true, None),
                    Err(_) => {
                        self.unsure = self.unsure.map(|(since, _)| (since, 0));
                        self.silent_since.get_or_insert(self.now);
                    }
                }
            }
            BatchEvent::Canceller(_) => self.canceller = None,
            BatchEvent::NotAsked => self.question = None,
            BatchEvent::NotCalled => {
                self.call = None;
                self.possible -= 1;
            }
            _ => {}
        }
    }

    fn see_answer(&mut self, answer: &Answer) {
        match self.call.take() {
            Some(Calling::Submit) => match self.plan.scheduler.submitted(answer) {
                SubmitAnswer::Id(_) => self.number = true,
                SubmitAnswer::Refused(_) | SubmitAnswer::NotAsked(_) => {
                    self.possible -= 1;
                    self.refused = true;
                }
                SubmitAnswer::Unknown(_) => {
                    self.unsure = Some((self.now, 0));
                    self.silent_since.get_or_insert(self.now);
                }
            },
            Some(Calling::Cancel(_) | Calling::CancelByName) => {
                self.cancelled |= self.plan.scheduler.done(answer).is_ok();
            }
            Some(Calling::Signal(..)) | None => {}
        }
    }

    /// Tells the course, and does what it says, as the drive does.
    fn pass_on(&mut self, event: BatchEvent, may_mint: bool) -> Check {
        for action in self.course.handle(event, self.now) {
            must(self.outcome.is_none(), "nothing follows the end")?;
            let brings = self.act(action, may_mint)?;
            if let Some(event) = brings {
                self.pass_on(event, may_mint)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action, may_mint: bool) -> Result<Option<BatchEvent>, String> {
        match action {
            Action::RememberName => {
                self.remembered |= self.disk.is_ok();
                return Ok(Some(BatchEvent::Remembered(self.disk.clone())));
            }
            Action::RememberNumber(_) => {
                must(self.remembered, "a number belongs to a name")?;
                return Ok(self.disk.clone().err().map(BatchEvent::NumberLost));
            }
            Action::Forget => {
                must(self.possible == 0, "what may exist is not forgotten")?;
                self.remembered = false;
            }
            Action::Call(call) => {
                must(self.call.is_none(), "one call at a time")?;
                if call == Calling::Submit {
                    self.submissions += 1;
                    self.possible += 1;
                    must(self.remembered && self.disk.is_ok(), "a job is remembered before it is submitted")?;
                    must(self.submissions <= MOST_SUBMISSIONS, "a job is submitted three times at most")?;
                    must(!self.number, "a job that has a number is not submitted again")?;
                    must(
                        self.unsure.is_none_or(|(since, count)| count >= 2 && self.now >= since + SETTLED),
                        "a job is submitted again when it was not found twice, and a while after",
                    )?;
                    must(
                        self.submissions == 1 || self.script_ended.is_none(),
                        "a job whose script has ended is not submitted again",
                    )?;
                    must(self.terminated.is_none(), "nothing is submitted for a stage that is to end")?;
                }
                self.call = Some(call);
            }
            Action::TakeBack => {
                let waits = matches!(self.call, Some(Calling::Submit));
                must(waits && self.terminated.is_some(), "a submission is taken back for a stage that is to end")?;
                self.taken_back = true;
            }
            Action::Ask(question @ Question::Canceller(_)) => {
                must(
                    self.canceller.is_none() && self.ended,
                    "who cancelled it is asked once, of a job that has ended",
                )?;
                self.canceller = Some(question);
            }
            Action::Ask(question) => {
                must(self.question.is_none(), "one question at a time")?;
                must(
                    self.last_question.is_none_or(|last| self.now >= last + BETWEEN),
                    "between two questions there is a pause",
                )?;
                must(!matches!(self.call, Some(Calling::Submit)), "the answer to a submission comes first")?;
                self.last_question = Some(self.now);
                self.questions += 1;
                self.question = Some((question, self.now));
            }
            Action::LastLook => self.drain_awaited = true,
            Action::MintToken(_) => {
                must(self.tokens == Tokens::WhileRunning, "a stage without tokens gets none")?;
                must(may_mint, "a token is minted when the scheduler says that the job runs, and not before")?;
                self.token = true;
                return Ok(Some(BatchEvent::Token(self.now + TOKEN)));
            }
            Action::RenewToken => {
                must(self.token, "what is renewed is there")?;
                must(self.running.is_some_and(|at| self.now < at + PROOF), "a token is renewed on a fresh word only")?;
                return Ok(Some(BatchEvent::Token(self.now + TOKEN)));
            }
            Action::HoldToken => return Ok(Some(BatchEvent::Token(self.now + TOKEN))),
            Action::WithdrawToken => self.token = false,
            Action::Tell(words) => self.warned |= words.contains("the cleanup stage goes on with that"),
            Action::Say(_) => {}
            Action::Finish(outcome) => {
                self.check_outcome(&outcome)?;
                self.outcome = Some(outcome);
            }
        }
        Ok(None)
    }

    /// No token outside "running".
    fn check_token(&mut self, state: Option<&State>, record: bool) -> Check {
        match state {
            Some(State::Alive(alive)) => {
                if alive.phase == Phase::Running && self.token {
                    self.token_of = self.token_of.max(alive.restarts);
                }
                must(!self.token || !matches!(alive.phase, Phase::Pending { .. }), "a job that waits has no token")?;
                must(!self.token || self.token_of >= alive.restarts, "a new start has no token of the one before")
            }
            Some(State::Ended(_)) => must(!self.token, "a job that has ended has no token"),
            Some(State::Unknown(_)) | None => must(!self.token || !record, "a script that has ended has no token"),
        }
    }

    /// No state without a way out.
    fn check_time(&self, time: bool) -> Check {
        let deadline = self.course.next_deadline();
        let on_its_way = self.question.is_some()
            || self.canceller.is_some()
            || self.call.is_some()
            || !self.ready
            || self.drain_awaited;
        must(deadline.is_some() || on_its_way, "there is a next deadline, or an answer is on its way")?;
        must(!time || deadline.is_none_or(|at| at > self.now), "what is due is done")?;
        let bound = match (self.plan.until, self.terminated) {
            (Until::Gone, _) => Some(self.start + self.plan.patience),
            (_, Some(at)) => Some(at + self.plan.kill_timeout + self.plan.patience),
            (_, None) => None,
        };
        must(bound.is_none_or(|at| self.now < at), "a stage that is to end ends in its time")
    }

    fn check_outcome(&self, outcome: &Result<BatchOutcome, LaunchError>) -> Check {
        must(self.possible == 0 || self.remembered, "a job that may exist is remembered")?;
        match outcome {
            Ok(BatchOutcome::Submitted(_)) => must(self.number, "what was submitted has a number"),
            Ok(BatchOutcome::Judged(_, verdict)) => self.check_verdict(verdict.judgement()),
            Ok(BatchOutcome::Terminated(_)) => {
                must(self.terminated.is_some(), "nobody is told that he asked for the end")?;
                must(
                    self.plan.until != Until::ScriptEnd
                        || self.drained
                        || self.warned
                        || self.worker_failed
                        || self.ended_on_node.is_none_or(|at| {
                            self.now >= self.script_ended.unwrap_or(at).min(at) + self.plan.kill_timeout
                        }),
                    "what a script has written until it ended is waited for",
                )?;
                must(
                    self.plan.until == Until::Gone
                        || self.possible == 0
                        || self.ended
                        || self.gone
                        || self.script_ended.is_some()
                        || self.warned
                        || self.worker_failed,
                    "a stage ends with its job, or says that it does not",
                )
            }
            Ok(BatchOutcome::Gone) => must(self.ended || self.gone, "a job is gone when somebody has said so"),
            Ok(BatchOutcome::NotGone(_)) => must(self.plan.until == Until::Gone, "only cleanup says so"),
            Err(_) => Ok(()),
        }
    }

    fn check_verdict(&self, judgement: Judgement) -> Check {
        match judgement {
            Judgement::Success => must(
                self.exited_with_zero && self.said_after,
                "success needs a record of it, and a word of the scheduler that was asked for after it",
            ),
            Judgement::Job(_) => must(
                (self.script_ended.is_some() && self.said_after)
                    || self.ended
                    || ((self.refused || self.hopeless) && self.plan.asked_by != AskedBy::Site),
                "a failure of the job needs evidence",
            ),
            Judgement::NeverStarted => must(
                self.plan.start_by.is_some_and(|start_by| self.now >= start_by.at) && !self.exited_with_zero,
                "a job is given up when its time is over, and not before",
            ),
            Judgement::Site => must(
                self.disk.is_err()
                    || self.refused
                    || self.hopeless
                    || self.submissions == MOST_SUBMISSIONS
                    || (self.script_ended.is_some() && self.said_after)
                    || self.ended
                    || (self.restarted && self.plan.requeue == Requeue::Never)
                    || self.silent_since.is_some_and(|since| self.now >= since + self.plan.unknown_timeout),
                "a failure of the site needs evidence, or a long silence",
            ),
        }
    }
}
