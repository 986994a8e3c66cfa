//! One call of a driver binary: started, listened to, ended and killed the way the runner does it.

mod pump;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::context::Context;
use crate::contract::result::{DriverCall, Exit};
use crate::log::Logs;
use crate::simulation::account::RunnerAccount;
use pump::pump;

pub(crate) use pump::Sink;

/// What to start.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// `KEY=VALUE`, in order; of several with the same key the last wins.
    pub(crate) env: Vec<OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) account: Option<RunnerAccount>,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
}

/// How patient the runner is with a driver that shall end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) graceful: Duration,
    pub(crate) force: Duration,
}

/// How a call ended.
pub(crate) enum CallEnd {
    /// It exited and both pipes were closed.
    Exited(ExitStatus, Vec<u8>),
    /// It could not be started.
    NotStarted(String),
    /// It survived SIGKILL, or something still holds its pipes.
    Dormant(u32),
}

/// All calls of a job, in the order in which they were started.
pub(crate) type Calls = Arc<Mutex<Vec<DriverCall>>>;

/// Runs one call to its end, or to the end of `context` plus the runner's patience.
///
/// `call` describes it in the list of calls, and `started` runs as soon as the process exists.
pub(crate) async fn run(
    launch: Launch,
    mut call: DriverCall,
    calls: &Calls,
    context: &Context,
    patience: Patience,
    logs: &Logs,
    started: impl FnOnce(),
) -> CallEnd {
    let mut command = Command::new(&launch.program);
    command.args(&launch.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.env_clear().envs(last_wins(&launch.env));
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    if let Some(account) = launch.account {
        // Clears supplementary groups, too.
        command.uid(account.uid).gid(account.gid);
    }
    let begin = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let problem = start_problem(&launch, &error);
            call.exit = Exit::NotStarted(problem.clone());
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            return CallEnd::NotStarted(problem);
        }
    };
    let index = {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        calls.len() - 1
    };
    let pid = child.id().unwrap_or_default();
    started();
    let stdout = child.stdout.take().map(|pipe| tokio::spawn(pump(pipe, launch.stdout, logs.clone())));
    let stderr = child.stderr.take().map(|pipe| tokio::spawn(pump(pipe, launch.stderr, logs.clone())));
    let (sender, mut ended) = oneshot::channel();
    // A task of its own: a call that the runner gave up on goes on, and so does its output.
    tokio::spawn({
        let calls = Arc::clone(calls);
        async move {
            let status = child.wait().await;
            let exited = Instant::now();
            // There is no limit here on purpose. The runner has none either: a forgotten child
            // that holds a pipe keeps the stage open.
            let (kept, bytes_out) = joined(stdout).await;
            let (_, bytes_err) = joined(stderr).await;
            if let Some(call) = calls.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                call.exit =
                    status.as_ref().map_or_else(|error| Exit::NotStarted(error.to_string()), |status| exit(*status));
                call.duration = begin.elapsed().as_secs_f64();
                call.eof_delay = Some(exited.elapsed().as_secs_f64());
                call.stdout_bytes = bytes_out;
                call.stderr_bytes = bytes_err;
            }
            let _ = sender.send((status, kept));
        }
    });
    let finished = |result: Result<(io::Result<ExitStatus>, Vec<u8>), _>| match result {
        Ok((Ok(status), kept)) => CallEnd::Exited(status, kept),
        Ok((Err(error), _)) => CallEnd::NotStarted(error.to_string()),
        Err(oneshot::error::RecvError { .. }) => CallEnd::Dormant(pid),
    };
    tokio::select! {
        biased;
        result = &mut ended => return finished(result),
        () = context.done() => {}
    }
    if let Err(error) = signal(pid, Signal::SIGTERM) {
        logs.warning(&format!("Failed to terminate process: {error}")).await;
        force(pid, logs).await;
    }
    if let Ok(result) = tokio::time::timeout(patience.graceful, &mut ended).await {
        return finished(result);
    }
    force(pid, logs).await;
    match tokio::time::timeout(patience.force, &mut ended).await {
        Ok(result) => finished(result),
        Err(_) => CallEnd::Dormant(pid),
    }
}

async fn force(pid: u32, logs: &Logs) {
    if let Err(error) = signal(pid, Signal::SIGKILL) {
        logs.warning(&format!("Failed to force-kill: {error}")).await;
    }
}

/// Signals the whole process group, as the runner does.
fn signal(pid: u32, signal: Signal) -> Result<(), &'static str> {
    // A pid of 0 would mean our own group.
    let group = i32::try_from(pid).ok().filter(|&pid| pid > 1).ok_or("no such process")?;
    kill(Pid::from_raw(-group), signal).map_err(|error| match error {
        Errno::EPERM => "operation not permitted",
        Errno::ESRCH => "no such process",
        other => other.desc(),
    })
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unfinished,
    }
}

/// The runner deduplicates by the text before the first `=` of the whole entry. A variable with the key
/// `A=B` therefore hides, or is hidden by, one with the key `A`.
fn last_wins(env: &[OsString]) -> BTreeMap<&OsStr, &OsStr> {
    env.iter()
        .filter_map(|entry| {
            let bytes = entry.as_bytes();
            let equals = memchr::memchr(b'=', bytes.get(1..)?)? + 1;
            Some((OsStr::from_bytes(&bytes[..equals]), OsStr::from_bytes(&bytes[equals + 1..])))
        })
        .collect()
}

fn start_problem(launch: &Launch, error: &io::Error) -> String {
    if launch.env.iter().any(|entry| entry.as_bytes().contains(&0)) {
        return "exec: environment variable contains NUL".to_owned();
    }
    let reason = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::E2BIG) => "argument list too long".to_owned(),
        Some(Errno::ENOENT) => "no such file or directory".to_owned(),
        Some(Errno::EACCES) => "permission denied".to_owned(),
        Some(Errno::ENOEXEC) => "exec format error".to_owned(),
        _ => error.to_string(),
    };
    format!("fork/exec {}: {reason}", launch.program.display())
}

async fn joined(pump: Option<tokio::task::JoinHandle<(Vec<u8>, u64)>>) -> (Vec<u8>, u64) {
    match pump {
        Some(pump) => pump.await.unwrap_or_default(),
        None => Default::default(),
    }
}

/// `KEY=VALUE` of one variable.
pub(crate) fn entry(key: impl Into<OsString>, value: impl AsRef<OsStr>) -> OsString {
    let mut bytes = key.into().into_vec();
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_ref().as_bytes());
    OsString::from_vec(bytes)
}
