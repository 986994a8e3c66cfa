//! Passes a job's output on to the runner, through the driver's own pipes.
//!
//! The runner waits for end-of-file on the pipes that it gave us, from everybody who has them. So no process of the job
//! gets them: it writes into a pipe of ours, and a thread here carries the bytes over.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::masking::{Masker, Secrets};
use crate::sys::privilege::Pipe;
use crate::sys::threads;

/// Bytes carried in one go.
const PIECE: usize = 256 << 10;

/// One stream on its way.
pub struct Pump {
    /// Disconnected when the thread has ended.
    done: Receiver<()>,
    /// Closing it tells the thread to take what is there and stop.
    stop: Option<OwnedFd>,
}

impl Pump {
    /// Starts a thread that carries what comes out of a pipe to `to`. Returns the pipe's writing end, which is for the job.
    pub fn start(name: &str, pipe: Pipe, to: File, secrets: Secrets) -> std::io::Result<(Self, OwnedFd)> {
        let Pipe { reading: from, writing: job_end } = pipe;
        // The job can open its pipe for reading, too, and so take away what poll(2) has seen here.
        nix::fcntl::fcntl(&from, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        // A larger pipe means fewer switches between job and driver; without it (a limit of the system) all works too.
        let _ =
            nix::fcntl::fcntl(&from, nix::fcntl::FcntlArg::F_SETPIPE_SZ(libc::c_int::try_from(PIECE).unwrap_or(65536)));
        let (stopped, stop) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let (alive, done) = channel();
        threads::spawn(name, move || {
            let _alive = alive;
            carry(from, &stopped, to, Masker::new(secrets));
        })?;
        Ok((Self { done, stop: Some(stop) }, job_end))
    }

    /// Takes what is in the pipe now, and ends, whether or not somebody still holds the other end. Waits for that at most
    /// until `deadline`: a runner that does not read must not keep a stage from ending.
    pub fn finish(mut self, deadline: Instant) {
        self.stop = None;
        let _ = self.done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// How much is taken when the job is over: what its pipe can hold (an account may make it as large as this). Somebody with the
/// job's account who opened the pipe by its name, and writes without a pause, shall not hold the stage.
const LAST: usize = 1 << 20;

fn carry(from: OwnedFd, stopped: &OwnedFd, mut to: File, mut masker: Masker) {
    let mut from = File::from(from);
    let mut piece = vec![0; PIECE];
    // A runner that is gone reads no more. The job goes on: it is the runner's (and then our) business to end it, and a
    // job that waits for a full pipe would hang.
    let mut broken = false;
    let mut write = |bytes: &[u8]| {
        broken = broken || write_whole(&mut to, bytes).is_err();
        Ok::<(), std::convert::Infallible>(())
    };
    let mut left = LAST;
    loop {
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break,
        }
        let readable = fds[0].revents().is_some_and(|events| !events.is_empty());
        let stopping = fds[1].revents().is_some_and(|events| !events.is_empty());
        if readable {
            match from.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    let Ok(()) = masker.feed(&piece[..length], &mut write);
                    if stopping {
                        left = left.saturating_sub(length);
                    }
                    if left == 0 {
                        break;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !stopping => {}
                Err(_) => break,
            }
        } else if stopping {
            break;
        }
    }
    let Ok(()) = masker.finish(&mut write);
}

/// Writes all of it, also into a pipe that somebody has made non-blocking: it may be shared with a program that did.
fn write_whole(to: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                poll(&mut fds, PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::privilege::Become;

    #[expect(clippy::disallowed_methods, reason = "nothing becomes this")]
    fn pipe() -> Pipe {
        Become::same().pipe().expect("a pipe")
    }

    #[test]
    fn a_pipe_that_does_not_block_loses_nothing() {
        let (from, to) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).expect("a pipe");
        nix::fcntl::fcntl(&from, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).expect("fcntl");
        let (pump, job_end) = Pump::start("test", pipe(), File::from(to), Secrets::default()).expect("a pump");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            File::from(from).read_to_end(&mut all).map(|_| all.len())
        });
        let mut job_end = File::from(job_end);
        job_end.write_all(&vec![b'x'; 1 << 20]).expect("written");
        drop(job_end);
        pump.finish(Instant::now() + std::time::Duration::from_mins(1));
        assert_eq!(reader.join().expect("joined").expect("read"), 1 << 20);
    }

    #[test]
    fn a_pump_ends_although_somebody_still_holds_the_other_end() {
        let (from, to) = nix::unistd::pipe().expect("a pipe");
        let (pump, job_end) = Pump::start("test", pipe(), File::from(to), Secrets::default()).expect("a pump");
        let mut held = File::from(job_end);
        held.write_all(b"last words").expect("written");
        pump.finish(Instant::now() + std::time::Duration::from_mins(1));
        let mut words = String::new();
        File::from(from).read_to_string(&mut words).expect("read");
        assert_eq!(words, "last words");
        drop(held);
    }

    #[test]
    fn a_job_that_reads_its_own_output_back_does_not_hold_the_pump() {
        use std::os::fd::AsRawFd;
        let (_from, to) = nix::unistd::pipe().expect("a pipe");
        let (pump, job_end) = Pump::start("test", pipe(), File::from(to), Secrets::default()).expect("a pump");
        let mut thief = File::open(format!("/proc/self/fd/{}", job_end.as_raw_fd())).expect("the job's own");
        let mut held = File::from(job_end);
        let reader = std::thread::spawn(move || thief.read(&mut vec![0; 1 << 20]).expect("read"));
        // Whoever of the two is quicker: now and then it is the thief, behind the other's back.
        for _ in 0..1000 {
            held.write_all(b"word\n").expect("written");
        }
        let start = Instant::now();
        pump.finish(start + std::time::Duration::from_mins(1));
        assert!(start.elapsed() < std::time::Duration::from_secs(30), "the pump has ended by itself");
        drop(held);
        reader.join().expect("joined");
    }
}
