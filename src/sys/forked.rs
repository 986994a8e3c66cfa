//! A child process that may begin in a control group, and whose start does not take for ever.
//!
//! What the standard library does for [`std::process::Command`], but for three things: the child can be born in a group
//! (clone3(2)), one that is stopped on its way to exec is ended by this very thread when its time is over, and then it has
//! failed rather than started.
#![allow(unsafe_code)] // clone3, and what comes between it and exec

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::pidfd;
use super::readiness::is_readable_before;

/// How long a child may take to end that has been killed.
const DEATH: Duration = Duration::from_secs(1);

/// A child.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has collected it: its number is its own.
    Uncollected,
    /// Ended, by this signal if it was one.
    Ended(Option<Signal>),
}

impl Forked {
    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it has ended; collects it then. Also where it was collected with others.
    pub fn has_ended(&mut self) -> bool {
        if self.state == State::Uncollected {
            self.state = match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Signaled(_, signal, _)) => State::Ended(Some(signal)),
                Ok(WaitStatus::Exited(..)) | Err(Errno::ECHILD) => State::Ended(None),
                _ => State::Uncollected,
            };
        }
        self.state != State::Uncollected
    }

    /// The signal that has ended it, as far as that is known.
    pub fn ended_by(&self) -> Option<Signal> {
        match self.state {
            State::Ended(signal) => signal,
            State::Uncollected => None,
        }
    }

    /// SIGKILL, unless it is collected.
    pub fn kill(&self) {
        if self.state == State::Uncollected {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

/// Makes a child that does nothing but `begin`, which ends in exec or returns why it could not. Returns when the child has
/// executed its program.
///
/// # Errors
/// What the kernel, or `begin`, says, or that `limit` has passed. Then the child is gone.
///
/// # Safety
/// `begin` runs in a copy of a process that may have other threads: it allocates nothing, takes no lock, does not panic, and
/// calls only what is a plain system call. It leaves the descriptors from 3 on open until exec.
pub(super) unsafe fn fork(
    birthplace: Option<BorrowedFd<'_>>,
    limit: Duration,
    begin: impl FnOnce() -> io::Error,
) -> io::Result<Forked> {
    let (told, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: the child does what the caller promises, and the two calls below.
    let pid = unsafe { clone_into(birthplace) }?;
    if pid == 0 {
        let number = begin().raw_os_error().unwrap_or(libc::EIO).to_ne_bytes();
        // SAFETY: a descriptor and a buffer of this very function.
        unsafe {
            libc::write(tell.as_raw_fd(), number.as_ptr().cast(), number.len());
            libc::_exit(127);
        }
    }
    drop(tell);
    let mut child = Forked { pid: Pid::from_raw(pid), state: State::Uncollected };
    if !is_readable_before(told.as_fd(), Instant::now() + limit) {
        child.kill(); // a stopped process, too
        // What hangs in the kernel does not end: it is left, and collected with whatever this process has left at its end.
        pidfd::ends_before(child.pid, Instant::now() + DEATH, || child.has_ended());
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it was stopped before it had begun"));
    }
    let mut number = [0; size_of::<libc::c_int>()];
    // Exec closes the other end, and so does the end of the child.
    if File::from(told).read_exact(&mut number).is_err() {
        return Ok(child);
    }
    // It has said so in its last instruction but one.
    let _ = waitpid(child.pid, None);
    Err(io::Error::from_raw_os_error(libc::c_int::from_ne_bytes(number)))
}

/// `struct clone_args` of clone3(2), as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Like fork(2); in that group, unless the kernel or a sandbox cannot do that, or a limit of the group does not let it.
///
/// # Safety
/// As for fork(2) in a process with threads.
unsafe fn clone_into(birthplace: Option<BorrowedFd<'_>>) -> io::Result<libc::pid_t> {
    if let Some(dir) = birthplace {
        let args = CloneArgs {
            flags: CLONE_INTO_CGROUP,
            exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
            cgroup: u64::from(dir.as_raw_fd().cast_unsigned()),
            ..CloneArgs::default()
        };
        // SAFETY: a valid structure of this size, without a stack or flags that share memory: the child has a copy of all.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
        if let Ok(pid) = libc::pid_t::try_from(pid)
            && pid >= 0
        {
            return Ok(pid);
        }
    }
    // SAFETY: as the caller promises.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::sys::cgroup::{JobGroup, Limits};

    const LONG: Duration = Duration::from_mins(1);

    /// Executes a program, or says why not.
    fn execute(path: &CStr, argument: &CStr) -> io::Error {
        let args = [path.as_ptr(), argument.as_ptr(), std::ptr::null()];
        // SAFETY: C strings and a null pointer at the end.
        unsafe { libc::execv(path.as_ptr(), args.as_ptr()) };
        io::Error::last_os_error()
    }

    #[test]
    fn a_child_that_cannot_begin_says_why_and_is_gone() {
        // SAFETY: one system call.
        let failed = unsafe { fork(None, LONG, || execute(c"/nonexistent", c"")) };
        assert_eq!(failed.expect_err("no such program").raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_child_that_is_stopped_before_it_begins_has_failed_when_its_time_is_over() {
        let stop = || {
            // SAFETY: plain integers.
            unsafe { libc::syscall(libc::SYS_kill, libc::syscall(libc::SYS_getpid), libc::SIGSTOP) };
            execute(c"/bin/true", c"")
        };
        // SAFETY: system calls only.
        let failed = unsafe { fork(None, Duration::from_millis(50), stop) };
        assert_eq!(failed.expect_err("it is stopped").kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn how_a_child_has_ended_is_known_afterwards() {
        // SAFETY: one system call.
        let mut child = unsafe { fork(None, LONG, || execute(c"/bin/sleep", c"1000")) }.expect("a child");
        assert!(!child.has_ended());
        child.kill();
        while !child.has_ended() {
            std::thread::yield_now();
        }
        assert_eq!(child.ended_by(), Some(Signal::SIGKILL));
    }

    #[test]
    fn a_child_is_in_its_groups_before_it_executes_anything() {
        let name = format!("motmot-test-{}", std::process::id());
        let place = JobGroup::place(&name);
        let limits = Limits::from([(crate::sys::cgroup::Resource::Pids, 50)]);
        // Only root, and not everywhere.
        let Some(group) = JobGroup::make(place.as_ref(), &limits).group else { return };
        let entrance = group.entrance();
        let begin = || {
            entrance.enter();
            execute(c"/bin/sleep", c"1000")
        };
        // SAFETY: system calls only.
        let mut child = unsafe { fork(entrance.birthplace(), LONG, begin) }.expect("a child");
        assert!(group.holds(child.pid()));
        assert!(!child.has_ended());
        assert!(group.end(LONG), "it is ended with its group");
        while !child.has_ended() {
            std::thread::yield_now();
        }
        group.remove();
    }
}
