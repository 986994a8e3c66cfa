//! The worker: runs as the job's account, with that account's rights and no others.
//!
//! Whatever it does, the account could have done itself. So nothing here is about permission; it is about keeping order:
//! directories that are safe, a script that starts in the right environment, and nothing that stays behind.

mod batch;
mod cleanup;
mod directories;
mod meeting;
mod mounts;
mod remove;
mod shell;
mod tail;
mod token_file;
mod walk;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use crate::order::frames::{Blame, Command, Report, WorkerFailure};
use crate::order::{Order, RunOrder};
use crate::report::{tell, unless_nobody_reads};
use crate::sys::process::{self, Ending};
use crate::sys::threads;
use directories::Held;
use shell::{Shell, Start, Terminating};
use token_file::TokenFile;

/// How long processes that a script has left behind may take to end by themselves.
const GRACE: Duration = Duration::from_secs(1);
/// How long the worker tries to end what does not die.
const LIMIT: Duration = Duration::from_secs(10);

/// The whole program. Its standard input is the stage binary.
pub fn main() -> ExitCode {
    // The stages give it no words.
    let asked = std::env::args_os().nth(1);
    let words = match asked.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("--help" | "-h") => Some(
            "motmot-worker is started by motmot's stage binaries, as the account of a job; there is no use in running it by hand",
        ),
        Some("--version" | "-V") => Some(concat!("motmot-worker ", env!("CARGO_PKG_VERSION"))),
        _ => None,
    };
    if let Some(words) = words {
        let written = std::io::Write::write_all(&mut std::io::stdout(), format!("{words}\n").as_bytes());
        return written.or_else(unless_nobody_reads).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    process::set_own_name(c"motmot-worker");
    // Tokens and the script pass through this memory; other processes of the account need not read them here.
    let _ = crate::sys::privilege::hide_this_process();
    let Ok(mut stage) = stage_socket() else {
        tell("motmot-worker is started by motmot's stage binaries; there is no use in running it by hand");
        return ExitCode::from(2);
    };
    let report = match Command::read_from(&mut stage) {
        Ok(Some(Command::Order(order))) => match *order {
            Order::Run(order) => run(order, &mut stage),
            Order::Batch(order) => batch::serve(&order, &mut stage).map(|()| Report::Done),
            Order::CleanUp(order) => {
                end_with(&stage);
                cleanup::clean_up(&order).map(|()| Report::Done)
            }
        },
        other => Err(site(format!("the stage binary sent no order: {other:?}"))),
    };
    let report = report.unwrap_or_else(Report::Failed);
    // A stage binary that is gone reads no report.
    let _ = report.write_to(&mut stage);
    ExitCode::SUCCESS
}

/// From now on this process ends when the stage binary says a word or is gone: it waits no longer, whatever hangs here.
fn end_with(stage: &UnixStream) {
    let Ok(mut stage) = stage.try_clone() else { return };
    let _ = threads::spawn("stage", move || {
        let _ = Command::read_from(&mut stage);
        std::process::exit(0);
    });
}

/// Takes the socket from standard input, so that nothing started here inherits it by number.
fn stage_socket() -> std::io::Result<UnixStream> {
    let socket: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::SockType)?;
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

fn site(words: String) -> WorkerFailure {
    WorkerFailure { blame: Blame::Site, words }
}

fn run(order: RunOrder, stage: &mut UnixStream) -> Result<Report, WorkerFailure> {
    let unable = |what: &str, error: &dyn std::fmt::Display| site(format!("{what}: {error}"));
    process::adopt_orphans().map_err(|error| unable("cannot become the parent of the job's orphans", &error))?;
    let signals: SigSet = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().map_err(|error| unable("cannot block signals", &error))?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|error| unable("cannot watch signals", &error))?;

    let mut token = {
        let held = Held::make_and_judge(&order.directories, &order.group_writable, &order.site_dir)?;
        order.token.as_ref().map(|place| TokenFile::new(place, &held)).transpose()?
    };
    let script = receive_script(stage, token.as_mut())?;
    let mut shell = Shell::start(order, &script)?;
    drop(script);

    let mut ending = None;
    let mut terminating = Terminating::No;
    while ending.is_none() {
        let mut fds = [PollFd::new(stage.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Err(error) = poll(&mut fds, PollTimeout::NONE)
            && error != nix::errno::Errno::EINTR
        {
            return Err(unable("cannot wait for the job", &error));
        }
        let [from_stage, from_signals] = fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if from_signals {
            while let Ok(Some(info)) = signals.read_signal() {
                if info.ssi_signo != Signal::SIGCHLD as u32 {
                    terminate(&shell, &mut terminating);
                }
            }
            ending = shell_ending(&mut shell, terminating, process::reap_ended())?;
        }
        if from_stage && ending.is_none() {
            match Command::read_from(stage) {
                Ok(Some(Command::Token(bytes))) => token.iter_mut().for_each(|file| file.replace(&bytes)),
                Ok(Some(Command::NoToken)) => token.iter_mut().for_each(TokenFile::remove),
                Ok(Some(Command::Terminate)) => terminate(&shell, &mut terminating),
                Ok(Some(Command::Kill)) => {
                    let ended = process::end_children(Duration::ZERO, LIMIT);
                    terminating = Terminating::Yes;
                    ending =
                        shell_ending(&mut shell, terminating, ended.endings)?.or(Some(Ending::Signaled(libc::SIGKILL)));
                }
                // The stage binary is gone, by SIGKILL or a crash: nobody waits for this job any more.
                Ok(Some(_) | None) | Err(_) => {
                    process::end_children(Duration::ZERO, LIMIT);
                    token.iter_mut().for_each(TokenFile::remove);
                    return Err(site("the stage binary is gone".into()));
                }
            }
        }
    }
    let grace = if terminating == Terminating::Yes { Duration::ZERO } else { GRACE };
    let left = process::end_children(grace, LIMIT);
    if left.count > 0 && terminating == Terminating::No {
        let (what, names) = (if left.count == 1 { "process" } else { "processes" }, left.names.join(", "));
        tell(format_args!("ended {} {what} that this stage left in the background: {names}", left.count));
    }
    if left.some_left {
        tell("some processes of this stage could not be ended; they may hang in a file system that does not answer");
    }
    let token_trouble = token.and_then(TokenFile::finish);
    Ok(Report::Ended { ending: ending.unwrap_or(Ending::Signaled(libc::SIGKILL)), token_trouble })
}

/// Everything before the script: tokens, of which the last counts.
fn receive_script(
    stage: &mut UnixStream,
    mut token: Option<&mut TokenFile>,
) -> Result<Zeroizing<Vec<u8>>, WorkerFailure> {
    loop {
        match Command::read_from(stage) {
            Ok(Some(Command::Script(script))) => return Ok(script),
            Ok(Some(Command::Token(bytes))) => {
                if let Some(file) = token.as_deref_mut() {
                    file.replace(&bytes);
                    if let Some(why) = file.trouble() {
                        // A job never runs without the token that its site asks for.
                        return Err(site(format!("cannot write the token file: {why}")));
                    }
                }
            }
            Ok(Some(_) | None) => return Err(site("ended before the script came".into())),
            Err(error) => return Err(site(format!("the script did not come: {error}"))),
        }
    }
}

fn terminate(shell: &Shell, terminating: &mut Terminating) {
    *terminating = Terminating::Yes;
    // The whole group: a shell runs its trap only when the command that it waits for has ended.
    let _ = killpg(shell.pid(), Signal::SIGTERM);
    let _ = killpg(shell.pid(), Signal::SIGCONT);
}

/// Looks for the shell among the children that have ended. A profile that ended it before the script began does not
/// decide over the job: the script then starts without it, unless it is to end anyway.
fn shell_ending(
    shell: &mut Shell,
    terminating: Terminating,
    ended: Vec<(Pid, Ending)>,
) -> Result<Option<Ending>, WorkerFailure> {
    let Some((_, ending)) = ended.into_iter().find(|(pid, _)| *pid == shell.pid()) else { return Ok(None) };
    match shell.ended(terminating)? {
        Start::Script => Ok(Some(ending)),
        Start::Requeue => Ok(None),
    }
}
