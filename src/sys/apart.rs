//! This program once more, or one beside it, as a process of its own that has a limit: whatever hangs in there, its caller
//! goes on.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{call, process, threads};

/// How long after the limit the process may take to end by itself.
const SLACK: Duration = Duration::from_secs(1);
/// Exit status of one whose time was over.
const OVER: u8 = 4;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// It ended with this status.
    Exited(u8),
    /// Its time was over.
    Over,
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program<'a> {
    /// This one.
    This,
    /// The one of this name in the directory of this one: whoever can write there has written this one.
    Beside(&'a str),
}

/// Starts a program with these arguments, and waits, at most as long as `limit`. Without variables whose names `drop` is
/// true for. Its standard error is ours.
///
/// Its first act must be [`end_after`]: it can end what it has started, and who waits for it cannot.
pub fn run(
    program: Program<'_>,
    args: &[OsString],
    drop: impl Fn(&OsStr) -> bool,
    limit: Duration,
) -> std::io::Result<Apart> {
    let deadline = Instant::now() + limit + SLACK;
    let own = std::env::current_exe()?;
    let mut command = Command::new(match program {
        Program::This => own,
        Program::Beside(name) => own.with_file_name(name),
    });
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| drop(name)) {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    let Some(status) = call::wait(&mut child, deadline) else {
        let _ = child.kill();
        let _ = call::wait(&mut child, Instant::now() + SLACK);
        return Ok(Apart::Over);
    };
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(OVER) | None => Ok(Apart::Over),
        Some(code) => Ok(Apart::Exited(code)),
    }
}

/// The other side: from now on this process has so much time. Then it ends with its children, whatever it waits for. A
/// child that not even SIGKILL ends is left to the kernel.
pub fn end_after(limit: Duration) -> std::io::Result<()> {
    threads::spawn("limit", move || {
        std::thread::sleep(limit);
        process::kill_children();
        std::process::exit(i32::from(OVER));
    })
}
