//! Descriptors of processes: a number can be another's tomorrow, a descriptor never is (pidfd_open(2)).
#![allow(unsafe_code)] // nix does not wrap them

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::readiness::is_readable_before;

/// Of a process that is there.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Kernels before 5.3 answer `ENOSYS`.
    pub fn open(pid: Pid) -> Result<Self, Errno> {
        // SAFETY: plain integers; the result is checked and owned at once.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let raw = libc::c_int::try_from(raw).map_err(|_| Errno::EBADF)?;
        if raw < 0 {
            return Err(Errno::last());
        }
        // SAFETY: pidfd_open has just made this descriptor.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// SIGKILL.
    pub fn kill(&self) {
        // SAFETY: plain integers and a null siginfo, which the call allows.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
    }
}

/// Waits until a process has ended, a zombie that nobody has collected included, but not beyond `deadline`.
///
/// # Errors
/// Of [`PidFd::open`]: then this has not waited.
pub fn await_end_before(pid: Pid, deadline: Instant) -> Result<(), Errno> {
    is_readable_before(PidFd::open(pid)?.0.as_fd(), deadline);
    Ok(())
}

/// Whether a child is found to have ended before `deadline`: it is looked at when the kernel tells that there is something to
/// see.
pub fn ends_before(pid: Pid, deadline: Instant, mut has_ended: impl FnMut() -> bool) -> bool {
    while !has_ended() {
        if Instant::now() >= deadline {
            return false;
        }
        // An old kernel; or somebody traces it, who is told of its end first.
        if await_end_before(pid, deadline).is_err() || !has_ended() {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    true
}

/// Waits until one of these processes has ended.
pub fn await_any(processes: &[PidFd]) {
    loop {
        let mut fds: Vec<_> = processes.iter().map(|pidfd| PollFd::new(pidfd.0.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut fds, PollTimeout::NONE) != Err(Errno::EINTR) {
            return;
        }
    }
}
