//! A worker and what surrounds it: the pumps that carry its output, the control group that holds what it starts, and the
//! certainty that nothing of it is left when the stage ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::aftermath::{self, WorkerEnd};
use super::error::LaunchError;
use super::limits;
use super::masking::Secrets;
use super::pump::Pump;
use crate::order::frames::Command;
use crate::report::tell;
use crate::sys::cgroup::{JobGroup, OutOfMemory};
use crate::sys::forked::Forked;
use crate::sys::keeper::{Keeper, KeptWorker};
use crate::sys::pidfd;
use crate::sys::privilege::Become;
use crate::sys::process::{self, Ending, ProcessMark};
use crate::sys::spawn::WorkerProgram;
use crate::sys::threads;

/// After SIGKILL to everything: how long a worker may take to say so.
pub const LAST_WORDS: Duration = Duration::from_secs(15);
/// How long the end of the output may take after the last process has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(30);
/// How long after its end a report of the worker may still be on the way, and how long after its report its end.
pub const LAST_REPORT: Duration = Duration::from_secs(2);

/// How a worker starts.
#[derive(Debug)]
pub enum Start {
    /// From here, as this account.
    Directly(Become),
    /// In a login session of PAM's. This program, started with these arguments, keeps the session; it has the account admitted
    /// itself, and so needs nothing from here that says whom to become.
    InLoginSession {
        /// What the keeper is started with.
        args: Vec<OsString>,
        /// Whose the pipes of the output are.
        pipes_of: Become,
    },
}

/// Where workers are written down, so that others can end them.
pub trait Roster {
    /// This one is there, and has no order yet. Without a note of it, it gets none.
    fn started(&self, worker: &ProcessMark) -> io::Result<()>;
}

/// What surrounds a worker.
pub struct Workplace {
    out: Pump,
    err: Pump,
    group: Option<JobGroup>,
    keeper: Option<Keeper>,
}

/// What a worker has been started with.
pub struct Opened {
    /// What surrounds it.
    pub workplace: Workplace,
    /// The worker.
    pub worker: Worker,
    /// What it says comes through here.
    pub socket: UnixStream,
    /// Variables of the login session that it is in.
    pub environment: BTreeMap<String, String>,
}

impl Opened {
    /// Writes the worker down, and makes sure of its group.
    fn settle(&mut self, group: Option<JobGroup>, roster: Option<&dyn Roster>) -> Result<(), LaunchError> {
        let (workplace, worker) = (&mut self.workplace, self.worker.id());
        workplace.group = group;
        // One that cannot be seen (`hidepid`) cannot be written down either.
        if let (Some(roster), Some(mark)) = (roster, ProcessMark::of(worker.as_raw().cast_unsigned())) {
            roster.started(&mark)?;
        }
        // Modules may have put it into a group of the account's own, whose limits are what they are for (pam_systemd(8)).
        if workplace.keeper.is_some()
            && let Some(group) = workplace.group.take_if(|group| group.is_elsewhere(worker))
        {
            workplace.group = group.without_version_two().map_err(limits::lost_in_login_session)?;
        }
        // Before it has an order, so before it has started anything. Where that fails the other ways to end it remain; but
        // nothing else holds a limit.
        if let Some(group) = &workplace.group
            && let Err(error) = group.add(worker)
        {
            group.remove();
            if group.is_limited() {
                let words = format!("the worker cannot be put in its control group: {error}");
                return Err(LaunchError::SetUp(io::Error::new(error.kind(), words)));
            }
            workplace.group = None;
        }
        Ok(())
    }

    /// Ends a worker that gets no order, and all that is around it.
    pub fn abandon(self) {
        let Self { workplace, mut worker, socket, .. } = self;
        // Then it ends.
        drop(socket);
        worker.end();
        drop(worker);
        workplace.close();
    }
}

impl Workplace {
    /// Starts a worker.
    pub fn open(
        program: &WorkerProgram,
        start: &Start,
        secrets: Secrets,
        group: Option<JobGroup>,
        roster: Option<&dyn Roster>,
    ) -> Result<Opened, LaunchError> {
        // Should the worker be killed, what it started becomes ours.
        process::adopt_orphans()?;
        let (Start::Directly(target) | Start::InLoginSession { pipes_of: target, .. }) = start;
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
        let (out, out_end) = Pump::start("stdout", target.pipe()?, own(io::stdout().as_fd())?, secrets.clone())?;
        let (err, err_end) = Pump::start("stderr", target.pipe()?, own(io::stderr().as_fd())?, secrets)?;
        let (ours, theirs) = UnixStream::pair()?;
        let (worker, keeper, environment) = match start {
            Start::Directly(target) => {
                let entrance = group.as_ref().map(JobGroup::entrance).unwrap_or_default();
                let child = program.start(target, &entrance, [OwnedFd::from(theirs), out_end, err_end])?;
                (Worker(Process::Child(child)), None, BTreeMap::new())
            }
            Start::InLoginSession { args, .. } => {
                let started = Keeper::start(args, OwnedFd::from(theirs), out_end, err_end);
                let (keeper, worker, environment) = started.inspect_err(|_| {
                    // What modules have started, and a worker that somebody with its account has stopped on its way.
                    process::end_children(Duration::ZERO, LAST_WORDS);
                })?;
                (Worker(Process::Kept(worker)), Some(keeper), environment)
            }
        };
        let workplace = Self { out, err, group: None, keeper };
        let mut opened = Opened { workplace, worker, socket: ours, environment };
        match opened.settle(group, roster) {
            Ok(()) => Ok(opened),
            Err(error) => {
                opened.abandon();
                Err(error)
            }
        }
    }

    /// Sees to it that nothing is left, when the worker has ended. Tells what went for lack of memory, and returns it.
    pub fn close(self) -> Option<OutOfMemory> {
        // The worker has ended everything below it. What a killed worker has left is ours now; and whatever got away from
        // both is still in the group.
        let mut all_ended = !process::end_children(Duration::ZERO, LAST_WORDS).some_left;
        let mut memory = None;
        if let Some(group) = &self.group {
            all_ended = group.end(LAST_WORDS);
            memory = group.out_of_memory();
            group.remove();
        }
        if !all_ended {
            tell(
                "some processes of this stage could not be ended; they may hang in a file system that does not answer",
            );
        }
        // When nobody is in it any more.
        if let Some(keeper) = self.keeper
            && let Err(why) = keeper.close()
        {
            tell(format_args!("warning: the login session of this stage could not be closed: {why}"));
        }
        let deadline = Instant::now() + LAST_OUTPUT;
        self.out.finish(deadline);
        self.err.finish(deadline);
        if let Some(words) = aftermath::words(memory) {
            tell(words);
        }
        memory
    }
}

/// The worker's process.
pub struct Worker(Process);

/// Whose child it is.
enum Process {
    Child(Forked),
    Kept(KeptWorker),
}

impl Worker {
    /// Calls this when it has ended.
    pub fn when_ended(&mut self, tell: impl FnOnce() + Send + 'static) -> io::Result<()> {
        match &mut self.0 {
            Process::Kept(worker) => worker.when_ended(tell),
            Process::Child(child) => {
                let pid = child.pid().as_raw().cast_unsigned();
                threads::spawn("worker", move || {
                    process::await_end(pid);
                    tell();
                })
            }
        }
    }

    fn id(&self) -> Pid {
        match &self.0 {
            Process::Child(child) => child.pid(),
            Process::Kept(worker) => worker.pid(),
        }
    }

    /// SIGKILL.
    pub fn kill(&self) {
        // Not waited for yet, so the number is still its own.
        let _ = kill(self.id(), Signal::SIGKILL);
    }

    fn has_ended(&mut self) -> bool {
        match &mut self.0 {
            Process::Child(child) => child.has_ended(),
            Process::Kept(worker) => process::has_ended(worker.pid()),
        }
    }

    /// Sees the worker end: it has said its last word and exits, or it is in our way. One that cannot even be killed is left
    /// behind.
    pub fn end(&mut self) -> WorkerEnd {
        let deadline = Instant::now() + LAST_REPORT;
        if self.ends_before(deadline) {
            let signal = match &mut self.0 {
                Process::Child(child) => child.ended_by(),
                Process::Kept(worker) => match worker.ending(deadline) {
                    Some(Ending::Signaled(signal)) => Signal::try_from(signal).ok(),
                    Some(Ending::Exited(_)) | None => None,
                },
            };
            return if signal == Some(Signal::SIGKILL) { WorkerEnd::Killed } else { WorkerEnd::Other };
        }
        self.kill();
        let _ = self.ends_before(Instant::now() + LAST_WORDS);
        WorkerEnd::Other
    }

    /// Whether the worker is gone before `deadline`.
    fn ends_before(&mut self, deadline: Instant) -> bool {
        pidfd::ends_before(self.id(), deadline, || self.has_ended())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Commands to the worker, written by a thread: one that is stopped reads nothing for long.
pub fn write_commands(mut to: UnixStream) -> io::Result<Sender<Command>> {
    let (commands, outbox) = channel::<Command>();
    threads::spawn("commands", move || {
        for command in outbox {
            if command.write_to(&mut to).is_err() {
                return;
            }
        }
    })?;
    Ok(commands)
}
