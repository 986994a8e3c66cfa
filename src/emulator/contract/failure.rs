//! Why a stage failed, in the runner's own classes: they decide what is retried and what GitLab is told.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::context::ContextEnd;

/// What GitLab is told about a failed job (`failure_reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The user's script failed, or the driver refused the job.
    ScriptFailure,
    /// The site failed: the driver said so, died, or could not be started.
    RunnerSystemFailure,
    /// The time of the job or of its script was up.
    JobExecutionTimeout,
    /// The runner was told to stop (SIGTERM).
    RunnerInterrupted,
    /// Canceled jobs: GitLab knows the reason already and does not accept the runner's word for it.
    UnknownFailure,
    /// The runner's configuration cannot work; only sent to a GitLab that lists this reason.
    RunnerConfigurationError,
}

impl FailureReason {
    /// The word GitLab uses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ScriptFailure => "script_failure",
            Self::RunnerSystemFailure => "runner_system_failure",
            Self::JobExecutionTimeout => "job_execution_timeout",
            Self::RunnerInterrupted => "runner_interrupted",
            Self::UnknownFailure => "unknown_failure",
            Self::RunnerConfigurationError => "runner_configuration_error",
        }
    }
}

/// Why the runner ends a stage or a job as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunnerError {
    /// Final: never retried in prepare. An exit code of 0 is not sent.
    Build { reason: FailureReason, exit_code: i32, message: String },
    /// The job was canceled; a build failure with a name of its own.
    Canceled,
    /// `RUNNER_SCRIPT_TIMEOUT` is over; a build failure with a name of its own.
    ScriptTimeout,
    /// Anything else.
    System(String),
    /// A stage was not started, because its time had ended before.
    Ended(ContextEnd),
}

impl RunnerError {
    /// The same failure with words around its message.
    pub(crate) fn wrap(self, words: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Build { reason, exit_code, message } => Self::Build { reason, exit_code, message: words(&message) },
            Self::System(message) => Self::System(words(&message)),
            other => other,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Build { message, .. } | Self::System(message) => message.clone(),
            Self::Canceled => "canceled".to_owned(),
            Self::ScriptTimeout => "script timeout: context deadline exceeded".to_owned(),
            Self::Ended(ContextEnd::Canceled) => "context canceled".to_owned(),
            Self::Ended(ContextEnd::DeadlineExceeded) => "context deadline exceeded".to_owned(),
        }
    }

    /// Whether prepare must not be tried again.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Build { .. } | Self::Canceled | Self::ScriptTimeout)
    }
}

/// What the end of a driver means.
///
/// `exit_code_file` is `None` for runners that have none. It is read only after exit code 1, and it is
/// never removed by the runner: what an earlier stage wrote there still counts.
pub(crate) fn classify(status: ExitStatus, exit_code_file: Option<&Path>) -> Result<(), RunnerError> {
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => {
            let text = exit_code_file.map(fs::read);
            let exit_code = match text {
                // No file: the plain exit code counts.
                None | Some(Err(_)) => 1,
                Some(Ok(bytes)) => match first_line_as_number(&bytes) {
                    Some(number) => number,
                    None => return Err(unknown(2, status)),
                },
            };
            Err(RunnerError::Build {
                reason: FailureReason::ScriptFailure,
                exit_code,
                message: format!("exit status {exit_code}"),
            })
        }
        Some(2) => Err(RunnerError::System(describe(status))),
        Some(code) => Err(unknown(code, status)),
        None => Err(unknown(-1, status)),
    }
}

fn unknown(code: i32, status: ExitStatus) -> RunnerError {
    RunnerError::System(format!(
        "unknown Custom executor executable exit code {code}; executable execution terminated with: {}",
        describe(status)
    ))
}

/// An optional sign and decimal digits, nothing else; one `\r` before the newline is forgiven.
fn first_line_as_number(bytes: &[u8]) -> Option<i32> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).ok()?;
    text.parse::<i64>().ok().and_then(|number| i32::try_from(number).ok())
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            let dumped = if status.core_dumped() { " (core dumped)" } else { "" };
            format!("signal: {}{dumped}", signal_name(signal))
        }
        (None, None) => "stopped".to_owned(),
    }
}

/// Go's words.
fn signal_name(signal: i32) -> String {
    let known = Signal::try_from(signal).ok().and_then(|known| match known {
        Signal::SIGHUP => Some("hangup"),
        Signal::SIGINT => Some("interrupt"),
        Signal::SIGQUIT => Some("quit"),
        Signal::SIGABRT => Some("aborted"),
        Signal::SIGKILL => Some("killed"),
        Signal::SIGSEGV => Some("segmentation fault"),
        Signal::SIGPIPE => Some("broken pipe"),
        Signal::SIGTERM => Some("terminated"),
        _ => None,
    });
    known.map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::first_line_as_number;

    #[test]
    fn only_a_bare_number_on_the_first_line_counts() {
        for (text, number) in [
            ("7\n", Some(7)),
            ("7", Some(7)),
            ("7\r\n", Some(7)),
            ("-1\n", Some(-1)),
            ("+3\n", Some(3)),
            ("7\nrubbish", Some(7)),
            ("0\n", Some(0)),
            ("", None),
            (" 7\n", None),
            ("7 \n", None),
            ("seven\n", None),
            ("\n7\n", None),
            ("0x7\n", None),
        ] {
            assert_eq!(first_line_as_number(text.as_bytes()), number, "{text:?}");
        }
    }
}
