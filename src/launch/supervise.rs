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
use crate::sys::privilege::Become;
use crate::sys::process::{self, Ending};
use crate::sys::signals::Termination;
use crate::sys::spawn::{SpawnError, WorkerProgram};

/// After SIGKILL to everything: how long a worker may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How long the end of the output may take after the last process has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(30);

/// A worker has little to say. It runs as the job's account, so nobody promises that it does not talk without end.
const MOST_REPORTS: usize = 16;

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The script came to its end.
    Ended(Ending),
    /// An order without a script is done.
    Done,
    /// Somebody asked the stage to end: a cancelled job, a time-out, a runner that stops.
    Terminated,
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
}

impl<'a> Run<'a> {
    /// A run without script and token.
    pub fn new(program: &'a WorkerProgram, target: Become, order: Order, kill_timeout: Duration) -> Self {
        let secrets = Secrets::default();
        Self { program, target, order, script: None, token: None, feed: None, secrets, kill_timeout }
    }
}

#[derive(Clone)]
enum Event {
    Report(std::sync::Arc<io::Result<Option<Report>>>),
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
    let worker = run.program.start(&run.target, OwnedFd::from(theirs), out_end, err_end)?;
    let (events, inbox) = channel();
    termination.subscribe(events.clone(), Event::Terminate);
    read_reports(ours.try_clone()?, events)?;
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
    let mut supervisor = Supervisor {
        worker,
        inbox,
        commands,
        feed: run.feed,
        refresh,
        kill_timeout: run.kill_timeout,
        stage: Stage::Running,
    };
    let outcome = supervisor.supervise();
    drop(supervisor);
    // Only processes that a killed worker left to us are still here.
    if process::end_children(Duration::ZERO, LAST_WORDS).some_left {
        tell("some processes of this stage could not be ended; they may hang in a file system that does not answer");
    }
    let deadline = Instant::now() + LAST_OUTPUT;
    out.finish(deadline);
    err.finish(deadline);
    outcome
}

/// The reports of the worker, as events. Reading blocks, and a worker that is stopped says nothing for long: hence a thread.
fn read_reports(mut from: UnixStream, events: Sender<Event>) -> io::Result<()> {
    thread("reports", move || {
        for _ in 0..MOST_REPORTS {
            let report = Report::read_from(&mut from);
            let last = !matches!(report, Ok(Some(_)));
            if events.send(Event::Report(std::sync::Arc::new(report))).is_err() || last {
                return;
            }
        }
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
    Running,
    /// SIGTERM is out; SIGKILL follows at this time.
    Asked(Instant),
    /// SIGKILL is out; the worker itself follows at this time.
    Killed(Instant),
}

struct Supervisor<'a> {
    worker: Child,
    inbox: Receiver<Event>,
    commands: Sender<Command>,
    feed: Option<&'a mut dyn TokenFeed>,
    refresh: Option<Instant>,
    kill_timeout: Duration,
    stage: Stage,
}

impl Supervisor<'_> {
    fn supervise(&mut self) -> Result<Outcome, LaunchError> {
        loop {
            let event = match self.next_deadline() {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(Event::Terminate) => self.terminate(),
                Ok(Event::Report(report)) => match report.as_ref() {
                    Ok(Some(Report::Ended { ending, token_trouble })) => {
                        if let Some(why) = token_trouble {
                            tell(format_args!("warning: the token file could not be renewed: {why}"));
                        }
                        return Ok(if self.terminating() { Outcome::Terminated } else { Outcome::Ended(*ending) });
                    }
                    Ok(Some(Report::Done)) => return Ok(Outcome::Done),
                    Ok(Some(Report::Failed(_)) | None) if self.terminating() => return Ok(Outcome::Terminated),
                    Ok(Some(Report::Failed(failure))) => {
                        return Err(WorkerFailure { blame: failure.blame, words: failure.words.clone() }.into());
                    }
                    Ok(None) => return Err(LaunchError::WorkerLost),
                    Err(error) => {
                        return Err(LaunchError::SetUp(io::Error::new(
                            error.kind(),
                            format!("the worker's report: {error}"),
                        )));
                    }
                },
                Err(RecvTimeoutError::Disconnected) => return Err(LaunchError::WorkerLost),
                Err(RecvTimeoutError::Timeout) => self.deadline_passed(),
            }
        }
    }

    fn terminating(&self) -> bool {
        !matches!(self.stage, Stage::Running)
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Running => self.refresh,
            Stage::Asked(at) | Stage::Killed(at) => Some(self.refresh.map_or(at, |refresh| refresh.min(at))),
        }
    }

    /// Once; a runner may ask several times.
    fn terminate(&mut self) {
        if matches!(self.stage, Stage::Running) {
            let _ = self.commands.send(Command::Terminate);
            self.stage = Stage::Asked(Instant::now() + self.kill_timeout);
        }
    }

    fn deadline_passed(&mut self) {
        let now = Instant::now();
        if self.refresh.is_some_and(|at| at <= now) {
            self.refresh_token(now);
        }
        match self.stage {
            Stage::Asked(at) if at <= now => {
                let _ = self.commands.send(Command::Kill);
                self.stage = Stage::Killed(now + LAST_WORDS);
            }
            Stage::Killed(at) if at <= now => {
                // It may be stopped, by somebody with its account. Its end ends the socket, and with it this run.
                self.kill_worker();
                self.stage = Stage::Killed(now + LAST_WORDS);
            }
            _ => {}
        }
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
}

impl Drop for Supervisor<'_> {
    /// The worker has said its last word and exits, or it is in our way.
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_WORDS;
        while let Ok(None) = self.worker.try_wait() {
            if Instant::now() >= deadline {
                self.kill_worker();
                let _ = self.worker.wait();
                return;
            }
            std::thread::sleep(Duration::from_micros(300)); // it is about to exit; the end of its socket came first
        }
    }
}
