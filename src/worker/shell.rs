//! The shell that runs the script.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::unistd::Pid;

use super::{WorkerFailure, site};
use crate::order::RunOrder;
use crate::order::ShellKind;
use crate::report::tell;
use crate::sys::spawn::{ProfileOutput, ShellProgram, memory_file, start_shell};

/// What the shell does before the script, and around it; see there for why.
const LAUNCHER: &str = include_str!("../../executor-scripts/launcher.bash");
/// What the shell is told to run. The launcher comes in a variable: a command line is what everybody sees of a process.
const COMMAND: &str = r#"\eval "$MOTMOT_LAUNCHER"; \eval "$motmot_rest""#;

/// The running shell.
pub struct Shell {
    order: RunOrder,
    kind: ShellKind,
    script: OwnedFd,
    /// The launcher writes here when the login profile is over and the script is about to start.
    arrived: File,
    pid: Pid,
}

/// Whether the run has been asked to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Terminating {
    /// It has.
    Yes,
    /// It has not.
    No,
}

/// What the end of the shell means.
pub enum Start {
    /// The script ran, or is not to begin any more: the end is the script's.
    Script,
    /// A login profile ended the shell before the script; it has been started again without profile.
    Requeue,
}

impl Shell {
    /// Starts the script.
    pub fn start(order: RunOrder, script: &[u8]) -> Result<Self, WorkerFailure> {
        // In memory, and seekable: bash reads a pipe byte by byte, and a path would have to be on a disk.
        let script = memory_file(c"script", script)
            .map_err(|error| site(format!("cannot keep the script in memory: {error}")))?;
        let kind = order.shell;
        let (arrived, pid) = launch(&order, kind, &script)?;
        Ok(Self { order, kind, script, arrived, pid })
    }

    /// Its process number, which is also that of its group and session.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// To be called when the shell has ended.
    pub fn ended(&mut self, terminating: Terminating) -> Result<Start, WorkerFailure> {
        let mut mark = [0];
        let started = self.arrived.read(&mut mark).is_ok_and(|length| length > 0);
        if started || terminating == Terminating::Yes {
            return Ok(Start::Script);
        }
        if self.kind == ShellKind::Plain {
            return Err(site(format!("{} ended before it came to the script", self.order.shell_path.display())));
        }
        if self.order.profile_output == ProfileOutput::Show {
            tell(
                "warning: the login profile of this account ends the shell, so this job runs without it (no `module`, for example); look for `exit`, `exec`, `set -e` or `readonly` in it",
            );
        }
        self.kind = ShellKind::Plain;
        (self.arrived, self.pid) = launch(&self.order, self.kind, &self.script)?;
        Ok(Start::Requeue)
    }
}

fn launch(order: &RunOrder, kind: ShellKind, script: &OwnedFd) -> Result<(File, Pid), WorkerFailure> {
    let unable = |error: &dyn std::fmt::Display| site(format!("cannot start {}: {error}", order.shell_path.display()));
    let text = |text: &str| CString::new(text).map_err(|error| unable(&error));
    let path = order.shell_path.to_string_lossy();
    let mut args = match kind {
        ShellKind::Login => vec![text("-l")?],
        ShellKind::Plain => vec![text("--noprofile")?, text("--norc")?],
    };
    args.extend([text("-c")?, text(COMMAND)?, text(&path)?]);
    let mut env = Vec::new();
    for (key, value) in &order.environment {
        env.push((text(key)?, text(value)?));
    }
    env.push((text("MOTMOT_LAUNCHER")?, text(LAUNCHER)?));
    env.push((text("MOTMOT_TMPDIR")?, text(order.environment.get("TMPDIR").map_or("", String::as_str))?));
    if let Some(token) = &order.token {
        env.push((text("MOTMOT_TOKEN_VARIABLE")?, text(&token.variable)?));
        env.push((text("MOTMOT_TOKEN_FILE")?, text(&token.file.to_string_lossy())?));
    }
    let dir = if enterable(&order.start_dir) { order.start_dir.clone() } else { "/".into() };
    let program = ShellProgram {
        path: order.shell_path.clone(),
        args,
        env,
        dir,
        profile_output: order.profile_output,
        new_privileges: order.new_privileges,
    };
    let (arrived, arriving) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)
        .map_err(|error| unable(&error))?;
    let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map_err(|error| unable(&error));
    let (out, err) = (own(std::io::stdout().as_fd())?, own(std::io::stderr().as_fd())?);
    rewind(script).map_err(|error| unable(&error))?;
    let child = start_shell(&program, &[script, &arriving, &out, &err]).map_err(|error| unable(&error))?;
    let pid = i32::try_from(child.id()).map_err(|error| unable(&error))?;
    Ok((File::from(arrived), Pid::from_raw(pid)))
}

fn rewind(script: &OwnedFd) -> nix::Result<()> {
    nix::unistd::lseek(script, 0, nix::unistd::Whence::SeekSet).map(drop)
}

fn enterable(dir: &Path) -> bool {
    nix::unistd::access(dir, nix::unistd::AccessFlags::X_OK).is_ok() && dir.is_dir()
}
