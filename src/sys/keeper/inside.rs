//! The keeper itself.
#![allow(unsafe_code)] // taking a descriptor that was left for it

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, getppid};

use super::{CLOSING, CONTROL, Message, OPENING, environment};
use crate::sys::cgroup::{Entrance, JobGroup, is_elsewhere};
use crate::sys::forked::Forked;
use crate::sys::pam::LoginSession;
use crate::sys::privilege::Become;
use crate::sys::process;
use crate::sys::spawn::WorkerProgram;

/// How long a worker may take to end whose stage is gone. It ends its job first.
const WORKER_END: Duration = Duration::from_secs(30);

/// What a stage has left for its keeper.
pub struct Post {
    control: UnixStream,
    /// Standard input, output and error of the worker.
    worker: [OwnedFd; 3],
}

impl Post {
    /// Takes it. To be called first, before there is another thread.
    ///
    /// # Errors
    /// Nobody has left anything: this was not started by a stage.
    pub fn take() -> io::Result<Self> {
        process::set_own_name(c"motmot-login");
        // They are for the stage, which ends this process in its own time.
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        signals.thread_block()?;
        // SAFETY: asked whether it is one before it is owned, and nobody else in this process has it.
        let control = unsafe {
            fcntl(std::os::fd::BorrowedFd::borrow_raw(CONTROL), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
            OwnedFd::from_raw_fd(CONTROL)
        };
        nix::sys::socket::getsockopt(&control, nix::sys::socket::sockopt::SockType)?;
        let worker = [
            io::stdin().as_fd().try_clone_to_owned()?,
            io::stdout().as_fd().try_clone_to_owned()?,
            io::stderr().as_fd().try_clone_to_owned()?,
        ];
        // Modules and what they start may write to these. The job's log is for the job, and its socket for the worker.
        let nowhere = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&nowhere)?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(&nowhere)?;
        Ok(Self { control: UnixStream::from(control), worker })
    }

    /// There will be no session, for this reason.
    pub fn give_up(mut self, words: String) {
        tell(&mut self.control, &Message::NoSession(words));
    }

    /// Opens the session, starts the worker in it as `target`, and closes it when the stage says so or is gone.
    pub fn keep(self, service: &str, name: &str, target: &Become, program: &WorkerProgram, group: Option<&JobGroup>) {
        let Self { mut control, worker } = self;
        let session = match within(OPENING, || LoginSession::open(service, name)) {
            Ok(session) => session,
            Err(words) => return tell(&mut control, &Message::NoSession(words)),
        };
        let environment = environment::passed_on(session.environment());
        // It may have been asked to end meanwhile.
        if !has_ended(&control) {
            match work(&mut control, worker, target, program, &entrance(group), environment) {
                Ok(()) => {}
                Err(words) => tell(&mut control, &Message::NoWorker(words)),
            }
        }
        let closed = within(CLOSING, || session.close());
        tell(&mut control, &Message::Closed(closed));
    }
}

/// The way into the job's control group. Modules may have put this process into a group of the account's own, whose limits are
/// what they are for (pam_systemd(8)): then the worker stays in that.
fn entrance(group: Option<&JobGroup>) -> Entrance {
    let entrance = group.map(JobGroup::entrance).unwrap_or_default();
    if is_elsewhere(getppid()) { entrance.without_version_two() } else { entrance }
}

/// The worker's life, and the stage's.
fn work(
    control: &mut UnixStream,
    streams: [OwnedFd; 3],
    target: &Become,
    program: &WorkerProgram,
    entrance: &Entrance,
    environment: std::collections::BTreeMap<String, String>,
) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let signals: SigSet = [Signal::SIGCHLD].into_iter().collect();
    signals.thread_block().map_err(|error| words(&error))?;
    let ended = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|error| words(&error))?;
    let mut worker = program.start(target, entrance, streams).map_err(|error| words(&error))?;
    let pid = worker.pid();
    tell(control, &Message::Started { worker: pid.as_raw(), environment });
    let (mut told, mut deadline) = (false, None);
    loop {
        // Its status is not collected yet: until then its number is its own, and the stage may signal it.
        if !told && process::has_ended(pid) {
            told = true;
            tell(control, &Message::WorkerEnded(process::ending_of_child(pid)));
        }
        if deadline.is_none() && has_ended(control) {
            deadline = Some(Instant::now() + WORKER_END);
        }
        match deadline {
            Some(_) if told => break,
            Some(at) if Instant::now() >= at => {
                worker.kill();
                break;
            }
            _ => {}
        }
        let mut fds = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        // Its end stays readable: looked at once.
        if deadline.is_none() {
            fds.push(PollFd::new(control.as_fd(), PollFlags::POLLIN));
        }
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let _ = poll(&mut fds, timeout);
        while let Ok(Some(_)) = ended.read_signal() {}
    }
    collect(&mut worker);
    let _ = signals.thread_unblock();
    Ok(())
}

/// Collects the status of a worker that has ended, or has been killed; one that hangs in the kernel is left to it.
fn collect(worker: &mut Forked) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !worker.has_ended() {
        if Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(1)); // SIGKILL is on its way
    }
}

/// Whether the stage has let go, or is gone. It says nothing else.
fn has_ended(control: &UnixStream) -> bool {
    let mut fds = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// The stage may be gone; then there is nobody to tell.
fn tell(control: &mut UnixStream, message: &Message) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let _ = control.write_all(&line);
    }
}

/// The kernel ends this process, if that takes longer (alarm(2)): nobody else may be there to do it.
fn within<T>(limit: Duration, modules: impl FnOnce() -> T) -> T {
    nix::unistd::alarm::set(u32::try_from(limit.as_secs()).unwrap_or(u32::MAX));
    let result = modules();
    nix::unistd::alarm::cancel();
    result
}
