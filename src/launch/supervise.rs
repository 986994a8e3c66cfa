//! The stage binary's side of a run: starts the worker, feeds it, and stays until everything has ended.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::aftermath;
use super::error::LaunchError;
use super::masking::Secrets;
use super::workplace::{LAST_REPORT, LAST_WORDS, Opened, Roster, Start, Worker, Workplace, write_commands};
use crate::order::Order;
use crate::order::frames::{Command, Report, WorkerFailure};
use crate::report::tell;
use crate::scheduler::Placement;
use crate::sys::cgroup::JobGroup;
use crate::sys::process::Ending;
use crate::sys::signals::Termination;
use crate::sys::spawn::WorkerProgram;
use crate::sys::threads;

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The script came to its end.
    Ended(Ending),
    /// An order without a script is done.
    Done,
    /// Somebody asked the stage to end: a cancelled job, a time-out, a runner that stops.
    Terminated,
    /// The run took longer than its own limit.
    TookTooLong,
}

/// Tokens of a run, from whoever can mint them.
pub trait TokenFeed {
    /// From now on tokens say that the job is there: the scheduler has said so.
    fn place(&mut self, placement: Placement);

    /// The token for now, and when to ask again.
    fn next(&mut self) -> Fresh;

    /// No new token: whether the one before still holds, and when to ask again.
    fn hold(&self) -> Fresh;
}

/// What a [`TokenFeed`] has to say.
pub enum Fresh {
    /// A new token; ask again after this time.
    Token(Zeroizing<Vec<u8>>, Duration),
    /// None this time, but the one before still holds; ask again after this time.
    Later(Duration),
    /// None, and the one before has expired; ask again after this time.
    Expired(Duration),
}

impl Fresh {
    /// What the worker is told, and when to ask again.
    pub fn into_command(self) -> (Option<Command>, Duration) {
        match self {
            Self::Token(token, delay) => (Some(Command::Token(token)), delay),
            Self::Later(delay) => (None, delay),
            // An expired token left in place makes services answer in puzzling ways.
            Self::Expired(delay) => (Some(Command::NoToken), delay),
        }
    }
}

/// A worker to be, and what surrounds it.
pub struct Launch<'a> {
    /// The worker's program.
    pub program: &'a WorkerProgram,
    /// How it starts, and as whom.
    pub start: Start,
    /// What is masked in the output.
    pub secrets: Secrets,
    /// The control group that its processes are put in.
    pub group: Option<JobGroup>,
    /// Where its worker is written down.
    pub roster: Option<&'a dyn Roster>,
}

impl<'a> Launch<'a> {
    /// A worker in no group, that nobody writes down.
    pub fn new(program: &'a WorkerProgram, start: Start) -> Self {
        Self { program, start, secrets: Secrets::default(), group: None, roster: None }
    }

    /// Starts it. It does nothing until it has [an order](Started::run).
    pub fn begin(self) -> Result<Started, LaunchError> {
        Ok(Started(Some(Workplace::open(self.program, &self.start, self.secrets, self.group, self.roster)?)))
    }

    /// Starts it, and gives it its order.
    pub fn run(self, run: Run<'_>, termination: &Termination) -> Result<Outcome, LaunchError> {
        self.begin()?.run(run, termination)
    }
}

/// A worker that has no order yet. If it gets none, nothing of it is left.
#[must_use]
pub struct Started(Option<Opened>);

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(opened) = self.0.take() {
            opened.abandon();
        }
    }
}

/// What a worker is to do.
pub struct Run<'a> {
    /// What it is asked.
    pub order: Order,
    /// The script, if the order runs one.
    pub script: Option<Zeroizing<Vec<u8>>>,
    /// The first token, and the time until the next.
    pub token: Option<(Zeroizing<Vec<u8>>, Duration)>,
    /// Where later ones come from.
    pub feed: Option<&'a mut dyn TokenFeed>,
    /// Between SIGTERM and SIGKILL.
    pub kill_timeout: Duration,
    /// Longest time for it. Scripts have none of ours: the runner knows the job's.
    pub limit: Option<Duration>,
}

impl Run<'_> {
    /// A run without script and token.
    pub fn new(order: Order, kill_timeout: Duration) -> Self {
        Self { order, script: None, token: None, feed: None, kill_timeout, limit: None }
    }
}

enum RunEvent {
    Report(io::Result<Option<Report>>),
    WorkerEnded,
    Terminate,
}

impl Started {
    /// Runs it, and returns when nothing of it is left: the worker, what it started, and its output.
    pub fn run(mut self, mut run: Run<'_>, termination: &Termination) -> Result<Outcome, LaunchError> {
        let expected = if run.script.is_some() { ExpectedReport::Ending } else { ExpectedReport::Done };
        let (events, inbox) = channel();
        let (on_terminate, on_end) = (events.clone(), events.clone());
        termination.subscribe(move || drop(on_terminate.send(RunEvent::Terminate)));
        // What fails here leaves nothing either.
        let opened = self.0.as_mut().ok_or(LaunchError::WorkerLost)?;
        opened.worker.when_ended(move || drop(on_end.send(RunEvent::WorkerEnded)))?;
        read_report(opened.socket.try_clone()?, events)?;
        let commands = write_commands(opened.socket.try_clone()?)?;
        let Opened { workplace, worker, socket, environment } = self.0.take().ok_or(LaunchError::WorkerLost)?;
        drop(socket);
        if let Order::Run(order) = &mut run.order {
            // The site's word in jobs.environment counts more.
            for (name, value) in environment {
                order.environment.entry(name).or_insert(value);
            }
        }
        // The writer thread ends with the worker; there is nobody to tell if that is now.
        let _ = commands.send(Command::Order(Box::new(run.order)));
        let refresh = run.token.map(|(token, delay)| {
            let _ = commands.send(Command::Token(token));
            Instant::now() + delay
        });
        if let Some(script) = run.script {
            let _ = commands.send(Command::Script(script));
        }
        let stage = RunStage::Running { until: run.limit.map(|limit| Instant::now() + limit) };
        let kill_timeout = run.kill_timeout;
        let mut supervisor =
            Supervisor { worker, inbox, commands, feed: run.feed, refresh, kill_timeout, stage, expected };
        let outcome = supervisor.supervise();
        let end = supervisor.worker.end();
        drop(supervisor);
        let memory = workplace.close();
        outcome.map_err(|error| aftermath::blame(error, end, memory))
    }
}

/// The report of the worker, as an event. A worker has one thing to say. Reading blocks, and one that is stopped says
/// nothing for long: hence a thread.
fn read_report(mut from: UnixStream, events: Sender<RunEvent>) -> io::Result<()> {
    threads::spawn("report", move || {
        let _ = events.send(RunEvent::Report(Report::read_from(&mut from)));
    })
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum RunStage {
    /// It has not begun. At this time, if there is one, it will.
    Running { until: Option<Instant> },
    /// SIGTERM is out; SIGKILL follows at this time.
    Asked(Instant),
    /// SIGKILL is out; the worker itself follows at this time.
    Killed(Instant, EndedBy),
    /// The worker has been killed; at this time it is given up.
    WorkerKilled(Instant, EndedBy),
    /// The worker has ended; a report that it has sent is here until this time.
    WorkerEnded(Instant, Option<EndedBy>),
}

/// Why a run is ended from outside.
#[derive(Clone, Copy)]
enum EndedBy {
    Request,
    Limit,
}

impl EndedBy {
    fn outcome(self) -> Outcome {
        match self {
            Self::Request => Outcome::Terminated,
            Self::Limit => Outcome::TookTooLong,
        }
    }
}

/// Which report ends this run. Another one is a worker that somebody has taken over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExpectedReport {
    Ending,
    Done,
}

struct Supervisor<'a> {
    worker: Worker,
    inbox: Receiver<RunEvent>,
    commands: Sender<Command>,
    feed: Option<&'a mut dyn TokenFeed>,
    refresh: Option<Instant>,
    kill_timeout: Duration,
    stage: RunStage,
    expected: ExpectedReport,
}

impl Supervisor<'_> {
    fn supervise(&mut self) -> Result<Outcome, LaunchError> {
        loop {
            // At every turn, not only when nothing has happened: a worker that never stops talking must not stop time.
            if let Some(outcome) = self.act_on_time(Instant::now()) {
                return outcome;
            }
            let event = match self.next_deadline() {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(RunEvent::Terminate) => self.terminate(),
                // The socket says so, too, unless somebody has taken hold of its other end.
                Ok(RunEvent::WorkerEnded) => {
                    self.stage = RunStage::WorkerEnded(Instant::now() + LAST_REPORT, self.why());
                }
                Ok(RunEvent::Report(report)) => return self.judge(&report),
                Err(RecvTimeoutError::Disconnected) => return self.lost(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// What the worker's report, or the end of its socket, means for the run.
    fn judge(&self, report: &io::Result<Option<Report>>) -> Result<Outcome, LaunchError> {
        match report {
            Ok(Some(Report::Ended { ending, token_trouble })) if self.expected == ExpectedReport::Ending => {
                if let Some(why) = token_trouble {
                    tell(format_args!("warning: the token file could not be renewed: {why}"));
                }
                Ok(self.why().map_or(Outcome::Ended(*ending), EndedBy::outcome))
            }
            Ok(Some(Report::Done)) if self.expected == ExpectedReport::Done => Ok(Outcome::Done),
            Ok(Some(Report::Failed(failure))) => match self.why() {
                Some(why) => Ok(why.outcome()),
                None => Err(WorkerFailure { blame: failure.blame, words: failure.words.clone() }.into()),
            },
            Ok(Some(_) | None) => self.lost(),
            Err(error) => {
                let words = format!("the worker's report: {error}");
                Err(LaunchError::SetUp(io::Error::new(error.kind(), words)))
            }
        }
    }

    /// No report will come.
    fn lost(&self) -> Result<Outcome, LaunchError> {
        self.why().map_or(Err(LaunchError::WorkerLost), |why| Ok(why.outcome()))
    }

    /// Why it ends, if somebody wants it to.
    fn why(&self) -> Option<EndedBy> {
        match self.stage {
            RunStage::Running { .. } => None,
            RunStage::Asked(_) => Some(EndedBy::Request),
            RunStage::Killed(_, why) | RunStage::WorkerKilled(_, why) => Some(why),
            RunStage::WorkerEnded(_, why) => why,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            RunStage::Running { until } => until,
            RunStage::Asked(at)
            | RunStage::Killed(at, _)
            | RunStage::WorkerKilled(at, _)
            | RunStage::WorkerEnded(at, _) => Some(at),
        };
        [stage, self.refresh].into_iter().flatten().min()
    }

    /// Once; a runner may ask several times.
    fn terminate(&mut self) {
        if let RunStage::Running { .. } = self.stage {
            let _ = self.commands.send(Command::Terminate);
            self.stage = RunStage::Asked(Instant::now() + self.kill_timeout);
        }
    }

    /// Does what is due. `Some` when there is nothing left to wait for.
    fn act_on_time(&mut self, now: Instant) -> Option<Result<Outcome, LaunchError>> {
        if self.refresh.is_some_and(|at| at <= now) {
            self.refresh_token(now);
        }
        match self.stage {
            RunStage::Running { until: Some(at) } if at <= now => self.kill(now, EndedBy::Limit),
            RunStage::Asked(at) if at <= now => self.kill(now, EndedBy::Request),
            RunStage::Killed(at, why) if at <= now => {
                // It may be stopped, by somebody with its account.
                self.worker.kill();
                self.stage = RunStage::WorkerKilled(now + LAST_WORDS, why);
            }
            // Not even SIGKILL ends it: it hangs in the kernel, on a file system that does not answer.
            RunStage::WorkerKilled(at, _) | RunStage::WorkerEnded(at, _) if at <= now => return Some(self.lost()),
            _ => {}
        }
        None
    }

    fn kill(&mut self, now: Instant, why: EndedBy) {
        let _ = self.commands.send(Command::Kill);
        self.stage = RunStage::Killed(now + LAST_WORDS, why);
    }

    fn refresh_token(&mut self, now: Instant) {
        let Some(feed) = self.feed.as_deref_mut() else {
            self.refresh = None;
            return;
        };
        let (command, delay) = feed.next().into_command();
        if let Some(command) = command {
            let _ = self.commands.send(command);
        }
        self.refresh = Some(now + delay);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nix::sys::signal::{Signal, kill};

    use super::*;
    use crate::order::CleanUpOrder;
    use crate::policy::Account;
    use crate::sys::alone::alone;
    use crate::sys::installed::Prize;
    use crate::sys::process;

    #[test]
    fn a_worker_that_neither_listens_nor_speaks_is_ended_when_its_time_is_over() {
        let name = "a_worker_that_neither_listens_nor_speaks_is_ended_when_its_time_is_over";
        // The end of a run ends every child of the process.
        alone(module_path!(), name, || {
            // tail(1) takes in what it is told and says nothing until its input ends.
            let program = WorkerProgram::open(Path::new("/usr/bin/tail"), Prize::of_this_process()).expect("tail");
            let order = Order::CleanUp(CleanUpOrder {
                session: "0-0".into(),
                data: "/nonexistent".into(),
                group_writable: Vec::new(),
                remove: Vec::new(),
            });
            let termination = Termination::watch(2).expect("watched");
            let limit = Some(Duration::from_millis(100));
            let as_itself = Start::Directly(Account::for_test("ada").to_become());
            let start = Instant::now();
            let run = Run { limit, ..Run::new(order, Duration::from_secs(1)) };
            let outcome = Launch::new(&program, as_itself).run(run, &termination);
            assert!(matches!(outcome, Ok(Outcome::TookTooLong)), "{outcome:?}");
            assert!(start.elapsed() < LAST_WORDS * 2 + LAST_REPORT * 2, "{:?}", start.elapsed());
        });
    }

    #[test]
    fn a_worker_that_gets_no_order_is_gone_before_anybody_goes_on() {
        alone(module_path!(), "a_worker_that_gets_no_order_is_gone_before_anybody_goes_on", || {
            let program = WorkerProgram::open(Path::new("/usr/bin/tail"), Prize::of_this_process()).expect("tail");
            let worker = || Launch::new(&program, Start::Directly(Account::for_test("ada").to_become())).begin();
            let started = worker().expect("started");
            assert_eq!(process::children().len(), 1);
            drop(started);
            assert!(process::children().is_empty(), "it ends by itself");
            let started = worker().expect("started");
            for worker in process::children() {
                kill(worker, Signal::SIGSTOP).expect("stopped");
            }
            drop(started);
            assert!(process::children().is_empty(), "or is ended");
        });
    }
}
