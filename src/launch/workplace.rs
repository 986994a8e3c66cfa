//! A worker and what surrounds it: the pumps that carry its output, the control group that holds what it starts, and the
//! certainty that nothing of it is left when the stage ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::aftermath::{self, WorkerEnd};
use super::error::LaunchError;
use super::masking::Secrets;
use super::pump::Pump;
use crate::order::frames::Command;
use crate::report::tell;
use crate::sys::cgroup::{JobGroup, OutOfMemory};
use crate::sys::privilege::Become;
use crate::sys::process;
use crate::sys::spawn::WorkerProgram;
use crate::sys::threads;

/// After SIGKILL to everything: how long a worker may take to say so.
pub const LAST_WORDS: Duration = Duration::from_secs(15);
/// How long the end of the output may take after the last process has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(30);
/// How long the start of a worker may take.
const START: Duration = Duration::from_secs(20);
/// How long after its end a report of the worker may still be on the way, and how long after its report its end.
pub const LAST_REPORT: Duration = Duration::from_secs(2);

/// What surrounds a worker.
pub struct Workplace {
    out: Pump,
    err: Pump,
    group: Option<JobGroup>,
}

impl Workplace {
    /// Starts a worker. What it says comes through the socket.
    pub fn open(
        program: &WorkerProgram,
        target: &Become,
        secrets: Secrets,
        group: Option<JobGroup>,
    ) -> Result<(Self, Worker, UnixStream), LaunchError> {
        // Should the worker be killed, what it started becomes ours.
        process::adopt_orphans()?;
        let (out, out_end) =
            Pump::start("stdout", File::from(io::stdout().as_fd().try_clone_to_owned()?), secrets.clone())?;
        let (err, err_end) = Pump::start("stderr", File::from(io::stderr().as_fd().try_clone_to_owned()?), secrets)?;
        let (ours, theirs) = UnixStream::pair()?;
        let worker = Worker(start_worker(program, target, OwnedFd::from(theirs), out_end, err_end)?);
        // Before it has an order, so before it has started anything. Where that fails the other ways to end it remain; but
        // nothing else holds a limit.
        let group = match group.map(|group| (group.add(worker.0.id()), group)) {
            Some((Err(error), group)) => {
                group.remove();
                if group.is_limited() {
                    let words = format!("the worker cannot be put in its control group: {error}");
                    return Err(LaunchError::SetUp(io::Error::new(error.kind(), words)));
                }
                None
            }
            joined => joined.map(|(_, group)| group),
        };
        Ok((Self { out, err, group }, worker, ours))
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
pub struct Worker(Child);

impl Worker {
    /// Calls this when it has ended.
    pub fn when_ended(&self, tell: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let pid = self.0.id();
        threads::spawn("worker", move || {
            process::await_end(pid);
            tell();
        })
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            // Not waited for yet, so the number is still its own.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Sees the worker end: it has said its last word and exits, or it is in our way. One that cannot even be killed is left
    /// behind.
    pub fn end(&mut self) -> WorkerEnd {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + LAST_REPORT;
        if self.ends_before(deadline) {
            let status = self.0.try_wait().ok().flatten();
            return match status.and_then(|status| status.signal()) {
                Some(libc::SIGKILL) => WorkerEnd::Killed,
                _ => WorkerEnd::Other,
            };
        }
        self.kill();
        let _ = self.ends_before(Instant::now() + LAST_WORDS);
        WorkerEnd::Other
    }

    /// Whether the worker is gone before `deadline`.
    fn ends_before(&mut self, deadline: Instant) -> bool {
        while let Ok(None) = self.0.try_wait() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(300)); // it is about to exit; the end of its socket came first
        }
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
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
