//! From submission to the verdict: the stage's side of a batch job.
//!
//! One loop, fed with events: what the worker reports, what the scheduler answers, time, and SIGTERM. The rules:
//!
//! * Only positive evidence ends a job: the completion record, and an answer of the scheduler that was asked for after it;
//!   or an answer that says how the job ended, and then a last look for the record. Everything else is unknown, and unknown
//!   is asked again, with growing pauses, until [`Follow::unknown_timeout`] has passed.
//! * The wrapper's files say when it is worth asking. So a job costs the scheduler a handful of questions, however long it
//!   runs, and its end is noticed at once.
//! * A token exists while the scheduler says that this job runs, and at no other time.

mod asking;
mod ending;
mod submission;
mod token;
mod words;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::Ledger;
use super::pace::Pace;
use super::verdict::{Case, Said, Verdict, judge};
use crate::launch::masking::Secrets;
use crate::launch::supervise::{LaunchError, TokenFeed};
use crate::launch::workplace::{LAST_REPORT, Workplace, thread, write_commands};
use crate::order::completion::Record;
use crate::order::frames::{Command, Drained, Report, WorkerFailure};
use crate::order::{BatchOrder, Order};
use crate::scheduler::Requeue;
use crate::scheduler::{Alive, End, EndReason, Expected, JobId, Phase, Scheduler, State, Submission};
use crate::sys::cgroup::JobGroup;
use crate::sys::privilege::Become;
use crate::sys::signals::Termination;
use crate::sys::spawn::WorkerProgram;
use asking::Asking;
use ending::Ending;

/// How many words of the worker reach the job log.
const MOST_NOTICES: u32 = 50;
/// How many events wait for their turn. Who sends more waits: a worker that was taken over must not fill our memory.
const MOST_EVENTS: usize = 32;

/// A job whose script has ended: how long until it is cancelled all the same.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(10);

/// Whose doing the resources are that the scheduler refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// The author of the pipeline has set these of them.
    Job(Vec<String>),
    /// All of them are the site's.
    Site,
}

/// The job to follow.
pub enum Job {
    /// One that has to be submitted first.
    New(Submission, AskedBy),
    /// One that waits or runs already, for scripts of several stages.
    Existing(JobId),
    /// One that an earlier stage has left, if there is one.
    Left(Option<JobId>),
    /// One whose script has ended, so that it ends by itself.
    Ended(JobId),
}

/// How far to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it has a number.
    Submitted,
    /// Until the script has ended.
    ScriptEnd,
    /// Until there is no such job any more: it is cancelled.
    Gone,
}

/// Everything that following a job needs.
pub struct Follow<'a> {
    /// Who runs it.
    pub scheduler: Arc<dyn Scheduler>,
    /// The worker's program.
    pub program: WorkerProgram,
    /// Whom it becomes.
    pub target: Become,
    /// What it prepares.
    pub order: BatchOrder,
    /// The script, for a run.
    pub script: Option<Zeroizing<Vec<u8>>>,
    /// The job.
    pub job: Job,
    /// What it must be to be ours.
    pub expected: Expected,
    /// The name of its owner.
    pub owner: String,
    /// How far.
    pub until: Until,
    /// Where tokens come from.
    pub feed: Option<&'a mut (dyn TokenFeed + 'a)>,
    /// What is masked in the output.
    pub secrets: Secrets,
    /// Where the job is remembered.
    pub ledger: &'a dyn Ledger,
    /// When to ask.
    pub pace: Pace,
    /// Whether the scheduler may start it twice.
    pub requeue: Requeue,
    /// Between the first and the last word to a script that is to end.
    pub kill_timeout: Duration,
    /// Behind that: how long a scheduler is asked to end a job that does not answer.
    pub patience: Duration,
    /// How long the scheduler may say nothing of use.
    pub unknown_timeout: Duration,
    /// The control group of the worker.
    pub group: Option<JobGroup>,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was submitted, and nothing more was wanted.
    Submitted(JobId),
    /// The script has ended, or never will begin.
    Judged(Option<JobId>, Verdict),
    /// Somebody asked the stage to end.
    Terminated(Option<JobId>),
    /// There is no such job any more.
    Gone,
    /// Whether there is one is not known, and there is no more time to ask.
    NotGone(String),
}

enum Event {
    Report(io::Result<Option<Report>>),
    WorkerEnded,
    Terminate,
    /// The state of the job, asked for at this time.
    State(Instant, State),
    Found(Result<Vec<JobId>, String>),
    Canceller(Option<u32>),
}

/// What the worker was asked to call last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calling {
    Submit,
    Cancel,
    Interrupt,
}

/// How far the submission is.
#[derive(Debug)]
enum Submitting {
    /// The files are not there yet.
    Preparing,
    /// The worker's program runs.
    Calling,
    /// It ended at this time without an answer that says whether there is a job.
    Unsure { since: Instant, not_found: u32 },
    /// There is a job.
    Done(JobId),
}

/// Follows a job to its end.
pub fn follow(follow: Follow<'_>, termination: &Termination) -> Result<Outcome, LaunchError> {
    let (workplace, worker, socket) =
        Workplace::open(&follow.program, &follow.target, follow.secrets.clone(), follow.group)?;
    let (events, inbox) = sync_channel(MOST_EVENTS);
    let (on_terminate, on_end) = (events.clone(), events.clone());
    termination.subscribe(move || drop(on_terminate.send(Event::Terminate)));
    worker.when_ended(move || drop(on_end.send(Event::WorkerEnded)))?;
    let mut reports = socket.try_clone()?;
    let on_report = events.clone();
    thread("reports", move || {
        loop {
            let report = Report::read_from(&mut reports);
            let last = !matches!(report, Ok(Some(_)));
            if on_report.send(Event::Report(report)).is_err() || last {
                return;
            }
        }
    })?;
    let commands = write_commands(socket)?;
    let _ = commands.send(Command::Order(Box::new(Order::Batch(follow.order))));
    if let Some(script) = follow.script {
        let _ = commands.send(Command::Script(script));
    }
    let patience_with_job = if matches!(follow.job, Job::Ended(_)) { ENDS_BY_ITSELF } else { Duration::ZERO };
    let (submission, asked_by, submitting) = match follow.job {
        Job::New(submission, asked_by) => (Some(submission), asked_by, Submitting::Preparing),
        Job::Existing(id) | Job::Left(Some(id)) | Job::Ended(id) => (None, AskedBy::Site, Submitting::Done(id)),
        Job::Left(None) => (None, AskedBy::Site, Submitting::Unsure { since: Instant::now(), not_found: 0 }),
    };
    let now = Instant::now();
    let mut follower = Follower {
        // Nothing that the account does to its worker makes a cleanup longer.
        hard_deadline: (follow.until == Until::Gone).then(|| now + follow.patience),
        secrets: follow.secrets,
        ready: false,
        notices: 0,
        submissions: 0,
        confirmed: now,
        scheduler: follow.scheduler,
        worker_ended: None,
        commands,
        inbox,
        events,
        feed: follow.feed,
        ledger: follow.ledger,
        pace: follow.pace,
        expected: follow.expected,
        owner: follow.owner,
        until: follow.until,
        requeue: follow.requeue,
        kill_timeout: follow.kill_timeout,
        patience: follow.patience,
        patience_with_job,
        unknown_timeout: follow.unknown_timeout,
        submission,
        asked_by,
        submitting,
        calling: None,
        asking: Asking::new(),
        unknown: None,
        alive: None,
        started: None,
        token: TokenState::None,
        record: None,
        checked: None,
        drained: None,
        canceller: Canceller::NotAsked,
        ended: None,
        ending: None,
        told_pending: None,
    };
    let outcome = follower.run();
    let _ = follower.commands.send(Command::Finish);
    drop(follower);
    drop(worker);
    workplace.close();
    outcome
}

/// Since when nothing is known.
struct Silence {
    since: Instant,
    failures: u32,
}

/// Who cancelled the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Canceller {
    NotAsked,
    Unknown,
    Is(u32),
}

/// What became of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenState {
    /// The job does not run, as far as we know.
    None,
    /// The job has one, for its n-th start; the next one is due then.
    Given { restarts: u32, next: Instant },
}

struct Follower<'a> {
    /// At this time it is over, whatever has or has not happened.
    hard_deadline: Option<Instant>,
    secrets: Secrets,
    /// Whether the worker has laid out its files. It says so once.
    ready: bool,
    notices: u32,
    submissions: u32,
    /// When the scheduler said last that the job runs.
    confirmed: Instant,
    scheduler: Arc<dyn Scheduler>,
    /// A worker that has ended may have said why; until then that may be on its way.
    worker_ended: Option<Instant>,
    commands: Sender<Command>,
    inbox: Receiver<Event>,
    events: SyncSender<Event>,
    feed: Option<&'a mut (dyn TokenFeed + 'a)>,
    ledger: &'a dyn Ledger,
    pace: Pace,
    expected: Expected,
    owner: String,
    until: Until,
    requeue: Requeue,
    kill_timeout: Duration,
    patience: Duration,
    /// How long a job that is left may take to end by itself.
    patience_with_job: Duration,
    unknown_timeout: Duration,
    submission: Option<Submission>,
    asked_by: AskedBy,
    submitting: Submitting,
    calling: Option<Calling>,
    asking: Asking,
    unknown: Option<Silence>,
    alive: Option<Alive>,
    /// How often the job was started before, when its wrapper began.
    started: Option<u32>,
    token: TokenState,
    /// With the time at which it came.
    record: Option<(Record, Instant)>,
    /// What the scheduler said when it was asked after the record had come.
    checked: Option<Said>,
    drained: Option<Drained>,
    canceller: Canceller,
    ended: Option<End>,
    ending: Option<Ending>,
    told_pending: Option<(String, Option<String>)>,
}

/// The end, if it has come.
type Step = Result<Option<Outcome>, LaunchError>;

impl Follower<'_> {
    fn run(&mut self) -> Result<Outcome, LaunchError> {
        loop {
            if self.worker_ended.is_some_and(|at| at <= Instant::now()) {
                return Err(LaunchError::WorkerLost);
            }
            if let Some(outcome) = self.act(Instant::now()) {
                return Ok(outcome);
            }
            let event = match self.next_deadline() {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let outcome = match event {
                Ok(event) => self.on_event(event)?,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err(LaunchError::WorkerLost),
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    fn id(&self) -> Option<&JobId> {
        match &self.submitting {
            Submitting::Done(id) => Some(id),
            _ => None,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let token = match self.token {
            TokenState::Given { next, .. } => Some(next),
            TokenState::None => None,
        };
        let asking = if self.asking.in_flight { None } else { self.asking.due };
        let ending = self.ending.as_ref().and_then(|ending| ending.next_deadline(self.calling));
        let silence = match &self.ending {
            None => self.unknown.as_ref().map(|silence| silence.since + self.unknown_timeout),
            Some(_) => self.ending_deadline(),
        };
        [token, asking, ending, silence, self.worker_ended, self.hard_deadline].into_iter().flatten().min()
    }

    /// What is due, and what follows from all that is known.
    fn act(&mut self, now: Instant) -> Option<Outcome> {
        if self.hard_deadline.is_some_and(|at| at <= now) {
            return Some(self.not_gone());
        }
        if let TokenState::Given { restarts, next } = self.token
            && next <= now
        {
            self.renew_token(restarts, now);
        }
        if let Some(outcome) = self.conclude() {
            return Some(outcome);
        }
        if self.ending.is_some() {
            if let Some(outcome) = self.pursue_ending(now) {
                return Some(outcome);
            }
        } else if let Some(silence) = &self.unknown
            && now >= silence.since + self.unknown_timeout
        {
            return Some(self.judged(Verdict::Site { words: self.silence_words() }));
        }
        if self.asking.due.is_some_and(|due| due <= now) && !self.asking.in_flight {
            self.ask(now);
        }
        None
    }

    fn on_event(&mut self, event: Event) -> Step {
        match event {
            Event::Report(Ok(Some(report))) => return self.on_report(report),
            Event::Report(Ok(None)) => return Err(LaunchError::WorkerLost),
            Event::WorkerEnded => self.worker_ended = Some(Instant::now() + LAST_REPORT),
            Event::Report(Err(error)) => {
                let words = format!("the worker's report: {error}");
                return Err(LaunchError::SetUp(io::Error::new(error.kind(), words)));
            }
            Event::Terminate if self.until == Until::Gone => return Ok(Some(Outcome::Terminated(None))),
            Event::Terminate => self.begin_ending(),
            Event::State(asked, state) => {
                self.asking.in_flight = false;
                self.on_state(asked, state);
            }
            Event::Found(found) => {
                self.asking.in_flight = false;
                return Ok(self.on_found(found));
            }
            Event::Canceller(uid) => self.canceller = uid.map_or(Canceller::Unknown, Canceller::Is),
        }
        Ok(None)
    }

    fn on_report(&mut self, report: Report) -> Step {
        let now = Instant::now();
        match report {
            // Again and again it would put off every question.
            Report::Ready if self.ready => return Err(LaunchError::WorkerLost),
            Report::Ready => {
                self.ready = true;
                return Ok(self.on_ready(now));
            }
            Report::Answered(answer) => return Ok(self.on_answer(&answer, now)),
            Report::Started(started) => self.on_mark(started.restarts, now),
            // One script, one record; others would be somebody's who likes to have the scheduler asked.
            Report::Recorded(_) if self.record.is_some() => {}
            Report::Recorded(record) => {
                self.record = Some((record, now));
                self.take_token();
                self.checked = None;
                self.asking.count = 0;
                self.ask_now(now);
            }
            Report::Drained(drained) => self.drained = Some(drained),
            Report::Notice(words) => {
                self.notices += 1;
                if self.notices <= MOST_NOTICES {
                    self.say(&words);
                }
            }
            Report::Failed(WorkerFailure { blame, words }) => {
                return match &self.ending {
                    Some(_) if self.until != Until::Gone => Ok(Some(Outcome::Terminated(self.id().cloned()))),
                    _ => Err(WorkerFailure { blame, words }.into()),
                };
            }
            // A worker that somebody has taken over.
            Report::Ended { .. } | Report::Done => return Err(LaunchError::WorkerLost),
        }
        Ok(None)
    }

    /// The verdict, once everything is known that it needs.
    fn conclude(&mut self) -> Option<Outcome> {
        let id = self.id()?.clone();
        if self.ending.is_some() {
            return None;
        }
        let said = match (&self.record, &self.checked, &self.ended) {
            (Some(_), Some(said), _) => said.clone(),
            (None, _, Some(end)) => Said::Ended(end.clone()),
            _ => return None,
        };
        let never_ran = matches!(&said, Said::Ended(End { node: None, .. })) && self.started.is_none();
        if self.drained.is_none() && !never_ran {
            return None;
        }
        if matches!(&said, Said::Ended(End { reason: EndReason::Cancelled, .. }))
            && self.canceller == Canceller::NotAsked
        {
            return None;
        }
        let case = Case {
            id: &id,
            record: self.record.as_ref().map(|(record, _)| record),
            said: &said,
            uid: self.expected.uid,
            cancelled_by: match self.canceller {
                Canceller::Is(uid) => Some(uid),
                Canceller::NotAsked | Canceller::Unknown => None,
            },
        };
        let verdict = judge(&case, self.scheduler.as_ref())?;
        self.tell_last_words(&verdict);
        Some(self.judged(verdict))
    }

    fn judged(&self, verdict: Verdict) -> Outcome {
        Outcome::Judged(self.id().cloned(), verdict)
    }
}

#[cfg(test)]
mod tests;
