//! The threads around a [`Course`]: they ask, call and listen, and one loop does what the course says.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::Ledger;
use super::course::{Action, BatchEvent, Calling, Course, Job, Plan, Question, Tokens};
use super::pace::{Pace, Recall, Turn, Urgency, Wish};
use super::result::BatchOutcome;
use crate::launch::error::LaunchError;
use crate::launch::masking::Secrets;
use crate::launch::supervise::{Fresh, TokenFeed};
use crate::launch::workplace::{Opened, Roster, Start, Workplace, write_commands};
use crate::order::frames::{Command, Report};
use crate::order::{BatchOrder, Order};
use crate::report::tell;
use crate::scheduler::{CancelledBy, JobId, Scheduler};
use crate::sys::call::{Answer, Call};
use crate::sys::cgroup::JobGroup;
use crate::sys::signals::Termination;
use crate::sys::spawn::WorkerProgram;
use crate::sys::threads;

/// How many events wait for their turn. Who sends more waits: a worker that was taken over must not fill our memory.
const MOST_EVENTS: usize = 32;
/// How long the scheduler may take to answer a question.
const QUESTION: Duration = Duration::from_secs(20);
/// How long its accounting may take to say who cancelled a job: it hears of the end later than we do.
const CANCELLER: Duration = Duration::from_secs(5);
/// Before it is asked again. Twice as long each time.
const CANCELLER_PAUSE: Duration = Duration::from_millis(150);

/// Everything that following a job needs.
pub struct Follow<'a> {
    /// What is to be done.
    pub plan: Plan,
    /// The worker's program.
    pub program: WorkerProgram,
    /// How it starts, and as whom.
    pub start: Start,
    /// What it prepares.
    pub order: BatchOrder,
    /// The script, for a run.
    pub script: Option<Zeroizing<Vec<u8>>>,
    /// Where tokens come from.
    pub feed: Option<&'a mut (dyn TokenFeed + 'a)>,
    /// What is masked in the output.
    pub secrets: Secrets,
    /// Where the job is remembered.
    pub ledger: &'a dyn Ledger,
    /// When to ask.
    pub pace: Pace,
    /// The control group of the worker.
    pub group: Option<JobGroup>,
    /// Where the worker is written down.
    pub roster: Option<&'a dyn Roster>,
}

/// Follows a job to its end.
pub fn follow(follow: Follow<'_>, termination: &Termination) -> Result<BatchOutcome, LaunchError> {
    // The variables of a login session on this machine mean nothing on a node.
    let Opened { workplace, mut worker, socket, environment: _ } =
        Workplace::open(&follow.program, &follow.start, follow.secrets.clone(), follow.group, follow.roster)?;
    let (events, inbox) = sync_channel(MOST_EVENTS);
    let (on_terminate, on_end) = (events.clone(), events.clone());
    termination.subscribe(move || drop(on_terminate.send(BatchEvent::Terminate)));
    worker.when_ended(move || drop(on_end.send(BatchEvent::WorkerEnded)))?;
    let mut reports = socket.try_clone()?;
    let on_report = events.clone();
    threads::spawn("reports", move || {
        loop {
            let (event, last) = match Report::read_from(&mut reports) {
                Ok(Some(report)) => (BatchEvent::Report(report), false),
                Ok(None) => (BatchEvent::NoMoreReports, true),
                Err(error) => (BatchEvent::NoReport(error), true),
            };
            if on_report.send(event).is_err() || last {
                return;
            }
        }
    })?;
    let commands = write_commands(socket)?;
    let _ = commands.send(Command::Order(Box::new(Order::Batch(follow.order))));
    if let Some(script) = follow.script {
        let _ = commands.send(Command::Script(script));
    }
    let plan = Arc::new(follow.plan);
    let tokens = if follow.feed.is_some() { Tokens::WhileRunning } else { Tokens::Never };
    let mut drive = Drive {
        course: Course::new(Arc::clone(&plan), tokens, Instant::now()),
        plan,
        events,
        inbox,
        commands,
        feed: follow.feed,
        secrets: follow.secrets,
        ledger: follow.ledger,
        pace: follow.pace,
        recall: Recall::default(),
    };
    let outcome = drive.run();
    let _ = drive.commands.send(Command::Finish);
    drop(drive);
    drop(worker);
    workplace.close();
    outcome
}

struct Drive<'a> {
    course: Course,
    plan: Arc<Plan>,
    events: SyncSender<BatchEvent>,
    inbox: Receiver<BatchEvent>,
    commands: Sender<Command>,
    feed: Option<&'a mut (dyn TokenFeed + 'a)>,
    secrets: Secrets,
    ledger: &'a dyn Ledger,
    pace: Pace,
    /// Of a submission that waits for its turn.
    recall: Recall,
}

/// What an action brings at once.
enum Done {
    Nothing,
    Event(BatchEvent),
    Over(Result<BatchOutcome, LaunchError>),
}

impl Drive<'_> {
    fn run(&mut self) -> Result<BatchOutcome, LaunchError> {
        loop {
            let event = match self.course.next_deadline() {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let event = match event {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => BatchEvent::Time,
                Err(RecvTimeoutError::Disconnected) => return Err(LaunchError::WorkerLost),
            };
            if let Some(outcome) = self.tell_course(event) {
                return outcome;
            }
        }
    }

    /// What the course makes of an event, and what follows from that. The end, if it has come.
    fn tell_course(&mut self, event: BatchEvent) -> Option<Result<BatchOutcome, LaunchError>> {
        for action in self.course.handle(event, Instant::now()) {
            match self.act(action) {
                Done::Nothing => {}
                Done::Event(event) => {
                    if let Some(outcome) = self.tell_course(event) {
                        return Some(outcome);
                    }
                }
                Done::Over(outcome) => return Some(outcome),
            }
        }
        None
    }

    fn act(&mut self, action: Action) -> Done {
        let name = &self.plan.expected.name;
        match action {
            Action::RememberName => return Done::Event(BatchEvent::Remembered(self.ledger.submitting(name))),
            Action::RememberNumber(id) => {
                if let Err(why) = self.ledger.submitted(name, &id) {
                    return Done::Event(BatchEvent::NumberLost(why));
                }
            }
            Action::Forget => self.ledger.not_submitted(name),
            Action::Call(what) => return self.call(&what),
            Action::TakeBack => self.recall.take_back(),
            Action::Ask(question) => return self.ask(question),
            Action::LastLook => self.command(Command::LastLook),
            Action::MintToken(placement) => {
                return self.token(|feed| {
                    feed.place(placement);
                    feed.next()
                });
            }
            Action::RenewToken => return self.token(|feed| feed.next()),
            Action::HoldToken => return self.token(|feed| feed.hold()),
            Action::WithdrawToken => self.command(Command::NoToken),
            Action::Tell(words) => tell(words),
            Action::Say(words) => tell(self.secrets.masked(&words)),
            Action::Finish(Ok(BatchOutcome::Judged(id, verdict))) => {
                let verdict = verdict.masked(|words| self.secrets.masked(words));
                return Done::Over(Ok(BatchOutcome::Judged(id, verdict)));
            }
            Action::Finish(outcome) => return Done::Over(outcome),
        }
        Done::Nothing
    }

    /// A worker that is gone hears nothing; that it is gone is an event of its own.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    fn token(&mut self, fresh: impl FnOnce(&mut dyn TokenFeed) -> Fresh) -> Done {
        let now = Instant::now();
        let Some(feed) = self.feed.as_deref_mut() else { return Done::Nothing };
        let (command, delay) = fresh(feed).into_command();
        if let Some(command) = command {
            self.command(command);
        }
        Done::Event(BatchEvent::Token(now + delay))
    }

    /// Has the worker call a program, when the pace allows it.
    fn call(&self, what: &Calling) -> Done {
        let Some(call) = self.command_line(what) else { return Done::Nothing };
        let submits = *what == Calling::Submit;
        let (pace, recall) = (self.pace.clone(), self.recall.clone());
        let (commands, events) = (self.commands.clone(), self.events.clone());
        let command = Command::Call(Box::new(call));
        let called = threads::spawn("call", move || {
            if submits {
                let its_turn = pace.wait_unless(Wish::Submission, &recall) == Turn::Taken;
                if !its_turn || !recall.do_unless_taken_back(|| drop(commands.send(command))) {
                    let _ = events.send(BatchEvent::NotCalled);
                }
            } else {
                // What is to be cancelled is something that somebody waits for.
                pace.wait(Urgency::High);
                let _ = commands.send(command);
            }
        });
        match called {
            Ok(()) => Done::Nothing,
            Err(error) => Done::Event(BatchEvent::Report(Report::Answered(Answer::NotStarted(error.to_string())))),
        }
    }

    fn command_line(&self, what: &Calling) -> Option<Call> {
        let (plan, scheduler) = (&self.plan, &self.plan.scheduler);
        Some(match (what, &plan.job) {
            (Calling::Submit, Job::New(submission)) => scheduler.submit(submission),
            // Nothing but a new job is ever submitted.
            (Calling::Submit, _) => return None,
            (Calling::Cancel(id), _) => scheduler.cancel(id),
            (Calling::CancelByName, _) => scheduler.cancel_by_name(&plan.expected.name, &plan.owner),
            (Calling::Signal(id, signal), _) => scheduler.interrupt(id, *signal),
        })
    }

    /// Asks on a thread of its own: the scheduler may take its time.
    fn ask(&self, question: Question) -> Done {
        let (plan, pace, events) = (Arc::clone(&self.plan), self.pace.clone(), self.events.clone());
        let not_asked = match &question {
            Question::State(..) | Question::Find(_) => BatchEvent::NotAsked,
            Question::Canceller(_) => BatchEvent::Canceller(None),
        };
        match threads::spawn("question", move || drop(events.send(answer(&question, &plan, &pace)))) {
            Ok(()) => Done::Nothing,
            Err(_) => Done::Event(not_asked),
        }
    }
}

fn answer(question: &Question, plan: &Plan, pace: &Pace) -> BatchEvent {
    let scheduler = &plan.scheduler;
    match question {
        Question::State(id, urgency) => {
            if pace.wait(*urgency) == Turn::Crowded {
                return BatchEvent::NotAsked;
            }
            let asked = Instant::now();
            BatchEvent::State { asked, state: scheduler.state(id, &plan.expected, &scheduler.ask(id).run(QUESTION)) }
        }
        Question::Find(urgency) => {
            if pace.wait(*urgency) == Turn::Crowded {
                return BatchEvent::NotAsked;
            }
            let answer = scheduler.find(&plan.expected.name).run(QUESTION);
            BatchEvent::Found(scheduler.found(&plan.expected, &answer))
        }
        Question::Canceller(id) => BatchEvent::Canceller(who_cancelled(scheduler.as_ref(), id)),
    }
}

/// Asks until the accounting has heard of the end. Where there is none, or it is gone, once.
fn who_cancelled(scheduler: &dyn Scheduler, id: &JobId) -> Option<u32> {
    let deadline = Instant::now() + CANCELLER;
    let mut pause = CANCELLER_PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match scheduler.who_cancelled(&scheduler.ask_who_cancelled(id).run(left)) {
            CancelledBy::User(uid) => return Some(uid),
            CancelledBy::NotYet if Instant::now() + pause < deadline => std::thread::sleep(pause),
            CancelledBy::NotYet | CancelledBy::NotKept => return None,
        }
        pause *= 2;
    }
}

#[cfg(test)]
mod tests;
