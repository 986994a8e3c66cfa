//! The stage's side of a keeper.
#![allow(unsafe_code)] // the code between fork and exec

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{CLOSING, CONTROL, Message, OPENING};
use crate::sys::process::{self, Ending};
use crate::sys::spawn::{close_on_exec_from, default_signals};
use crate::sys::threads;

/// What the stage waits longer than the keeper does: for the start of a worker, which has its own limit.
const SLACK: Duration = Duration::from_secs(25);
/// How long an end may take that has been asked for.
const END: Duration = Duration::from_secs(2);
/// Longest line of a keeper.
const LINE: u64 = 256 << 10;

/// `PATH` of what modules start.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is no worker in a login session.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// No process.
    #[error("cannot start the process that keeps a login session: {0}")]
    Start(#[from] io::Error),
    /// A module says no, or cannot be asked.
    #[error("no login session can be opened (accounts.pam_session): {0}")]
    NoSession(String),
    /// The modules do not come to an end.
    #[error(
        "no login session can be opened (accounts.pam_session): the modules of PAM's session phase have not come to an end within {} s; the system's log of authentication may say which of them waits, and for what",
        .0.as_secs()
    )]
    TookTooLong(Duration),
    /// A session, but no worker in it. An account that has as many processes as its limits allow cannot have one more.
    #[error("{0}; in this login session the account's own limits hold (limits.conf(5))")]
    NoWorker(String),
    /// It is gone without a word.
    #[error("the process that keeps the login session is gone ({0})")]
    Gone(String),
}

/// A keeper whose session is open.
pub struct Keeper {
    child: Child,
    control: UnixStream,
    closed: Receiver<Result<(), String>>,
}

/// The worker in it.
pub struct KeptWorker {
    pid: Pid,
    listen: Option<Listen>,
    ended: Receiver<Ending>,
}

/// Everything that a keeper will say.
struct Listen {
    from: BufReader<UnixStream>,
    ended: Sender<Ending>,
    closed: Sender<Result<(), String>>,
}

impl Keeper {
    /// Starts this program once more, with these arguments, as the keeper of a session; what it starts in there has these
    /// descriptors. And the variables of the session.
    ///
    /// # Errors
    /// Then nothing of it is left but what its modules may have started.
    pub fn start(
        args: &[OsString],
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Result<(Self, KeptWorker, BTreeMap<String, String>), KeeperError> {
        let (control, theirs) = UnixStream::pair()?;
        let mut child = spawn(args, OwnedFd::from(theirs), [stdin, stdout, stderr])?;
        // It closes its session when this process ends, and has to live that long.
        process::spare(Some(Pid::from_raw(child.id().cast_signed())));
        let answer = first_word(&control);
        let (error, from) = match answer {
            Ok((Message::Started { worker, environment }, from)) => {
                let ((tell_closed, closed), (tell_ended, ended)) = (channel(), channel());
                let listen = Some(Listen { from, ended: tell_ended, closed: tell_closed });
                let worker = KeptWorker { pid: Pid::from_raw(worker), listen, ended };
                return Ok((Self { child, control, closed }, worker, environment));
            }
            Ok((Message::NoSession(words), _)) => (KeeperError::NoSession(words), None),
            Ok((Message::NoWorker(words), from)) => (KeeperError::NoWorker(words), Some(from)),
            Ok((message, _)) => (KeeperError::Gone(format!("it said {message:?}")), None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                (KeeperError::TookTooLong(OPENING + SLACK), None)
            }
            Err(error) => (KeeperError::Gone(error.to_string()), None),
        };
        // There is nobody in the session, so it is being closed.
        let _ = control.shutdown(Shutdown::Write);
        if let Some(mut from) = from {
            let _ = from.get_ref().set_read_timeout(Some(CLOSING));
            let _ = read(&mut from);
        }
        let status = end(&mut child);
        Err(match (error, status) {
            // Its own clock.
            (KeeperError::Gone(_), Some(status)) if status.signal() == Some(libc::SIGALRM) => {
                KeeperError::TookTooLong(OPENING)
            }
            (KeeperError::Gone(_), Some(status)) => KeeperError::Gone(status.to_string()),
            (error, _) => error,
        })
    }

    /// Has the session closed, and waits for that.
    ///
    /// # Errors
    /// Why it may be open still.
    pub fn close(mut self) -> Result<(), String> {
        let _ = self.control.shutdown(Shutdown::Write);
        let closed = self.closed.recv_timeout(CLOSING + END);
        end(&mut self.child);
        match closed {
            Ok(closed) => closed,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(format!("the modules have not come to an end within {} s, or were killed", CLOSING.as_secs()))
            }
        }
    }
}

impl KeptWorker {
    /// Its process number: its own until the keeper is told to close the session, however it has ended.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How it has ended: what its keeper says of it until `deadline`. Once; and nothing where nobody listens to the keeper.
    pub fn ending(&self, deadline: Instant) -> Option<Ending> {
        if self.listen.is_some() {
            return None;
        }
        self.ended.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Calls this when it has ended, or when its keeper is gone.
    pub fn when_ended(&mut self, tell: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Some(Listen { mut from, ended, closed }) = self.listen.take() else { return Ok(()) };
        threads::spawn("worker", move || {
            let (mut tell, mut ended) = (Some(tell), Some(ended));
            loop {
                match read(&mut from) {
                    Ok(Message::Closed(result)) => return drop(closed.send(result)),
                    Ok(Message::WorkerEnded(how)) => {
                        // Whoever asks for it a second time does not wait for it.
                        if let (Some(ended), Some(how)) = (ended.take(), how) {
                            let _ = ended.send(how);
                        }
                        tell.take().into_iter().for_each(|tell| tell());
                    }
                    Ok(_) => {}
                    Err(_) => return tell.take().into_iter().for_each(|tell| tell()),
                }
            }
        })
    }
}

fn spawn(args: &[OsString], control: OwnedFd, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Child> {
    // Not by its path, where another program may be by now.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("motmot-login").args(args).current_dir("/");
    // The runner's environment has the pipeline's variables in it, and modules start programs.
    command.env_clear().env("PATH", PATH);
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    let control_number = control.as_raw_fd();
    // SAFETY: the closure runs in the forked child. It allocates nothing, takes no lock, and calls only functions that are
    // plain system calls.
    unsafe {
        command.pre_exec(move || {
            // Out of reach of what a runner sends to the group of its stage.
            libc::setsid();
            libc::umask(0o022);
            default_signals();
            close_on_exec_from(3)?;
            // The copy stays open across exec, unlike the original; should they be the same, its mark is taken away.
            if control_number == CONTROL {
                libc::fcntl(CONTROL, libc::F_SETFD, 0);
            } else if libc::dup2(control_number, CONTROL) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let child = command.spawn();
    drop(control);
    child
}

/// What comes of the start.
fn first_word(control: &UnixStream) -> io::Result<(Message, BufReader<UnixStream>)> {
    let mut from = BufReader::new(control.try_clone()?);
    control.set_read_timeout(Some(OPENING + SLACK))?;
    let message = read(&mut from)?;
    control.set_read_timeout(None)?;
    Ok((message, from))
}

fn read(from: &mut BufReader<UnixStream>) -> io::Result<Message> {
    let mut line = Vec::new();
    io::Read::take(&mut *from, LINE).read_until(b'\n', &mut line)?;
    serde_json::from_slice(&line).map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "it has said nothing"))
}

/// Waits for a keeper that is about to exit, or ends it. `None` if not even that helps.
fn end(child: &mut Child) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + END;
    let mut killed = false;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            // Collected with others.
            Err(_) => break None,
            Ok(None) if Instant::now() < deadline => {}
            Ok(None) if killed => break None,
            Ok(None) => {
                killed = true;
                let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
                std::thread::sleep(Duration::from_millis(20)); // it is not there any more when that has passed, or never
            }
        }
        std::thread::sleep(Duration::from_micros(300)); // it has said its last word
    };
    process::spare(None);
    status
}
