//! The stage binary's side of a run: starts the worker, feeds it, and stays until everything has ended.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::masking::Secrets;
use super::plan::Order;
use super::pump::Pump;
use super::wire::{Blame, Command, Report, WorkerFailure};
use crate::report::{FailureKind, Fault, tell};
use crate::sys::cgroup::JobGroup;
use crate::sys::privilege::Become;
use crate::sys::process::{self, Ending};
use crate::sys::signals::Termination;
use crate::sys::spawn::{SpawnError, WorkerProgram};

/// After SIGKILL to everything: how long a worker may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How long the end of the output may take after the last process has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(30);

/// How long the start of a worker may take.
const START: Duration = Duration::from_secs(20);
/// How long after its end a report of the worker may still be on the way, and how long after its report its end.
const LAST_REPORT: Duration = Duration::from_secs(2);
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

/// A run that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No worker.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A pipe, a thread, a process too many.
    #[error("cannot set up the run of a stage: {0}")]
    SetUp(#[from] io::Error),
    /// The worker could not do what it was asked.
    #[error(transparent)]
    Worker(#[from] WorkerFailure),
    /// The worker is gone without a word.
    #[error(
        "the process that supervises this job as its account was killed (signal 9, by the job itself, by somebody with the same account, or for lack of memory); how the script ended is not known"
    )]
    WorkerLost,
}

impl Fault for SpawnError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

impl Fault for LaunchError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Worker(WorkerFailure { blame: Blame::Account, .. }) => FailureKind::Build,
            _ => FailureKind::System,
        }
    }
}

/// Tokens of a run, from whoever can mint them.
pub trait TokenFeed {
    /// The token for now, and when to ask again.
    fn next(&mut self) -> Fresh;
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

/// Everything that a run needs.
pub struct Run<'a> {
    /// The worker's program.
    pub program: &'a WorkerProgram,
    /// Whom it becomes.
    pub target: Become,
    /// What it is asked.
    pub order: Order,
    /// The script, if the order runs one.
    pub script: Option<Zeroizing<Vec<u8>>>,
    /// The first token, and the time until the next.
    pub token: Option<(Zeroizing<Vec<u8>>, Duration)>,
    /// Where later ones come from.
    pub feed: Option<&'a mut dyn TokenFeed>,
    /// What is masked in the output.
    pub secrets: Secrets,
    /// Between SIGTERM and SIGKILL.
    pub kill_timeout: Duration,
    /// Longest time for it. Scripts have none of ours: the runner knows the job's.
    pub limit: Option<Duration>,
    /// The control group that its processes are put in.
    pub group: Option<JobGroup>,
}

impl<'a> Run<'a> {
    /// A run without script and token.
    pub fn new(program: &'a WorkerProgram, target: Become, order: Order, kill_timeout: Duration) -> Self {
        let secrets = Secrets::default();
        Self {
            program,
            target,
            order,
            script: None,
            token: None,
            feed: None,
            secrets,
            kill_timeout,
            limit: None,
            group: None,
        }
    }
}

#[derive(Clone)]
enum Event {
    Report(std::sync::Arc<io::Result<Option<Report>>>),
    WorkerEnded,
    Terminate,
}

/// Runs it, and returns when nothing of it is left: the worker, what it started, and its output.
pub fn run(run: Run<'_>, termination: &Termination) -> Result<Outcome, LaunchError> {
    // Should the worker be killed, what it started becomes ours.
    process::adopt_orphans()?;
    let (out, out_end) =
        Pump::start("stdout", File::from(io::stdout().as_fd().try_clone_to_owned()?), run.secrets.clone())?;
    let (err, err_end) = Pump::start("stderr", File::from(io::stderr().as_fd().try_clone_to_owned()?), run.secrets)?;
    let (ours, theirs) = UnixStream::pair()?;
    let worker = start_worker(run.program, &run.target, OwnedFd::from(theirs), out_end, err_end)?;
    // Before it has an order, so before it has started anything. Where that fails the other ways to end it remain.
    let group = run.group.filter(|group| {
        let joined = group.add(worker.id()).is_ok();
        if !joined {
            group.remove();
        }
        joined
    });
    let expected = if run.script.is_some() { Expected::Ending } else { Expected::Done };
    let (events, inbox) = channel();
    termination.subscribe(events.clone(), Event::Terminate);
    let pid = worker.id();
    let ended = events.clone();
    thread("worker", move || {
        process::await_end(pid);
        let _ = ended.send(Event::WorkerEnded);
    })?;
    read_report(ours.try_clone()?, events)?;
    let commands = write_commands(ours)?;
    // The writer thread ends with the worker; there is nobody to tell if that is now.
    let _ = commands.send(Command::Order(Box::new(run.order)));
    let refresh = run.token.map(|(token, delay)| {
        let _ = commands.send(Command::Token(token));
        Instant::now() + delay
    });
    if let Some(script) = run.script {
        let _ = commands.send(Command::Script(script));
    }
    let stage = Stage::Running { until: run.limit.map(|limit| Instant::now() + limit) };
    let kill_timeout = run.kill_timeout;
    let mut supervisor = Supervisor { worker, inbox, commands, feed: run.feed, refresh, kill_timeout, stage, expected };
    let outcome = supervisor.supervise();
    drop(supervisor);
    // The worker has ended everything below it. What a killed worker has left is ours now; and whatever got away from
    // both is still in the group.
    let mut all_ended = !process::end_children(Duration::ZERO, LAST_WORDS).some_left;
    if let Some(group) = &group {
        all_ended = group.end(LAST_WORDS);
        group.remove();
    }
    if !all_ended {
        tell("some processes of this stage could not be ended; they may hang in a file system that does not answer");
    }
    let deadline = Instant::now() + LAST_OUTPUT;
    out.finish(deadline);
    err.finish(deadline);
    outcome
}

/// Starts the worker, but does not wait for ever: between the drop and exec the child is the account's already, and
/// somebody with that account can stop it there.
fn start_worker(
    program: &WorkerProgram,
    target: &Become,
    socket: OwnedFd,
    out: OwnedFd,
    err: OwnedFd,
) -> Result<Child, LaunchError> {
    let (done, started) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || done.send(program.start(target, socket, out, err)));
        loop {
            match started.recv_timeout(START) {
                Ok(result) => return Ok(result?),
                // It is the only child. SIGKILL ends a stopped process, too; then the start fails.
                Err(RecvTimeoutError::Timeout) => process::kill_children(),
                Err(RecvTimeoutError::Disconnected) => return Err(LaunchError::WorkerLost),
            }
        }
    })
}

/// The report of the worker, as an event. A worker has one thing to say. Reading blocks, and one that is stopped says
/// nothing for long: hence a thread.
fn read_report(mut from: UnixStream, events: Sender<Event>) -> io::Result<()> {
    thread("report", move || {
        let _ = events.send(Event::Report(std::sync::Arc::new(Report::read_from(&mut from))));
    })
}

/// Commands to the worker, written by a thread for the same reason.
fn write_commands(mut to: UnixStream) -> io::Result<Sender<Command>> {
    let (commands, outbox) = channel::<Command>();
    thread("commands", move || {
        for command in outbox {
            if command.write_to(&mut to).is_err() {
                return;
            }
        }
    })?;
    Ok(commands)
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).stack_size(128 << 10).spawn(body).map(drop)
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum Stage {
    /// It has not begun. At this time, if there is one, it will.
    Running { until: Option<Instant> },
    /// SIGTERM is out; SIGKILL follows at this time.
    Asked(Instant),
    /// SIGKILL is out; the worker itself follows at this time.
    Killed(Instant, Why),
    /// The worker has been killed; at this time it is given up.
    WorkerKilled(Instant, Why),
    /// The worker has ended; a report that it has sent is here until this time.
    WorkerEnded(Instant, Option<Why>),
}

/// Why a run is ended from outside.
#[derive(Clone, Copy)]
enum Why {
    Request,
    Limit,
}

impl Why {
    fn outcome(self) -> Outcome {
        match self {
            Self::Request => Outcome::Terminated,
            Self::Limit => Outcome::TookTooLong,
        }
    }
}

/// Which report ends this run. Another one is a worker that somebody has taken over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Ending,
    Done,
}

struct Supervisor<'a> {
    worker: Child,
    inbox: Receiver<Event>,
    commands: Sender<Command>,
    feed: Option<&'a mut dyn TokenFeed>,
    refresh: Option<Instant>,
    kill_timeout: Duration,
    stage: Stage,
    expected: Expected,
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
                Ok(Event::Terminate) => self.terminate(),
                // The socket says so, too, unless somebody has taken hold of its other end.
                Ok(Event::WorkerEnded) => {
                    self.stage = Stage::WorkerEnded(Instant::now() + LAST_REPORT, self.why());
                }
                Ok(Event::Report(report)) => return self.judge(report.as_ref()),
                Err(RecvTimeoutError::Disconnected) => return self.lost(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// What the worker's report, or the end of its socket, means for the run.
    fn judge(&self, report: &io::Result<Option<Report>>) -> Result<Outcome, LaunchError> {
        match report {
            Ok(Some(Report::Ended { ending, token_trouble })) if self.expected == Expected::Ending => {
                if let Some(why) = token_trouble {
                    tell(format_args!("warning: the token file could not be renewed: {why}"));
                }
                Ok(self.why().map_or(Outcome::Ended(*ending), Why::outcome))
            }
            Ok(Some(Report::Done)) if self.expected == Expected::Done => Ok(Outcome::Done),
            Ok(Some(Report::Failed(failure))) => match self.why() {
                Some(why) => Ok(why.outcome()),
                None => Err(WorkerFailure { blame: failure.blame, words: failure.words.clone() }.into()),
            },
            Ok(Some(Report::Ended { .. } | Report::Done) | None) => self.lost(),
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
    fn why(&self) -> Option<Why> {
        match self.stage {
            Stage::Running { .. } => None,
            Stage::Asked(_) => Some(Why::Request),
            Stage::Killed(_, why) | Stage::WorkerKilled(_, why) => Some(why),
            Stage::WorkerEnded(_, why) => why,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Running { until } => until,
            Stage::Asked(at) | Stage::Killed(at, _) | Stage::WorkerKilled(at, _) | Stage::WorkerEnded(at, _) => {
                Some(at)
            }
        };
        [stage, self.refresh].into_iter().flatten().min()
    }

    /// Once; a runner may ask several times.
    fn terminate(&mut self) {
        if let Stage::Running { .. } = self.stage {
            let _ = self.commands.send(Command::Terminate);
            self.stage = Stage::Asked(Instant::now() + self.kill_timeout);
        }
    }

    /// Does what is due. `Some` when there is nothing left to wait for.
    fn act_on_time(&mut self, now: Instant) -> Option<Result<Outcome, LaunchError>> {
        if self.refresh.is_some_and(|at| at <= now) {
            self.refresh_token(now);
        }
        match self.stage {
            Stage::Running { until: Some(at) } if at <= now => self.kill(now, Why::Limit),
            Stage::Asked(at) if at <= now => self.kill(now, Why::Request),
            Stage::Killed(at, why) if at <= now => {
                // It may be stopped, by somebody with its account.
                self.kill_worker();
                self.stage = Stage::WorkerKilled(now + LAST_WORDS, why);
            }
            // Not even SIGKILL ends it: it hangs in the kernel, on a file system that does not answer.
            Stage::WorkerKilled(at, _) | Stage::WorkerEnded(at, _) if at <= now => return Some(self.lost()),
            _ => {}
        }
        None
    }

    fn kill(&mut self, now: Instant, why: Why) {
        let _ = self.commands.send(Command::Kill);
        self.stage = Stage::Killed(now + LAST_WORDS, why);
    }

    fn refresh_token(&mut self, now: Instant) {
        let Some(feed) = self.feed.as_deref_mut() else {
            self.refresh = None;
            return;
        };
        let delay = match feed.next() {
            Fresh::Token(token, delay) => {
                let _ = self.commands.send(Command::Token(token));
                delay
            }
            Fresh::Later(delay) => delay,
            Fresh::Expired(delay) => {
                // An expired token left in place makes services answer in puzzling ways.
                let _ = self.commands.send(Command::NoToken);
                delay
            }
        };
        self.refresh = Some(now + delay);
    }

    fn kill_worker(&self) {
        if let Ok(pid) = i32::try_from(self.worker.id()) {
            // Not waited for yet, so the number is still its own.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Whether the worker is gone before `deadline`.
    fn ends_before(&mut self, deadline: Instant) -> bool {
        while let Ok(None) = self.worker.try_wait() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(300)); // it is about to exit; the end of its socket came first
        }
        true
    }
}

impl Drop for Supervisor<'_> {
    /// The worker has said its last word and exits, or it is in our way. One that cannot even be killed is left behind.
    fn drop(&mut self) {
        if !self.ends_before(Instant::now() + LAST_REPORT) {
            self.kill_worker();
            let _ = self.ends_before(Instant::now() + LAST_WORDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::launch::plan::CleanUpOrder;

    #[test]
    fn a_worker_that_neither_listens_nor_speaks_is_ended_when_its_time_is_over() {
        // tail(1) takes in what it is told and says nothing until its input ends.
        let program = WorkerProgram::open(Path::new("/usr/bin/tail")).expect("tail");
        let order = Order::CleanUp(CleanUpOrder { session: "0-0".into(), remove: Vec::new() });
        let termination = Termination::watch(2).expect("watched");
        let limit = Some(Duration::from_millis(100));
        let start = Instant::now();
        let outcome =
            run(Run { limit, ..Run::new(&program, Become::Same, order, Duration::from_secs(1)) }, &termination);
        assert!(matches!(outcome, Ok(Outcome::TookTooLong)), "{outcome:?}");
        assert!(start.elapsed() < LAST_WORDS * 2 + LAST_REPORT * 2, "{:?}", start.elapsed());
    }
}
