//! What came of a simulated job.

use std::fmt;

use serde::Serialize;

use super::failure::FailureReason;

/// The end of a job, as GitLab would see it, and the calls that led there.
#[derive(Debug, Clone, Serialize)]
pub struct JobResult {
    /// Number of the job.
    pub job_id: i64,
    /// What the runner reported last.
    pub status: Status,
    /// Why it failed, in GitLab's words. `None` for a success.
    pub failure_reason: Option<FailureReason>,
    /// Exit code sent to GitLab, which `allow_failure:exit_codes` looks at. `None` if none is sent.
    pub exit_code: Option<i32>,
    /// The runner's words for the failure, as in the last line of the job log.
    pub message: Option<String>,
    /// How often the job was prepared (at most 3).
    pub attempts: u32,
    /// Every call of a driver binary in the order of their starts.
    pub calls: Vec<DriverCall>,
}

/// State of the job at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `success`
    Success,
    /// `failed`, which includes canceled jobs
    Failed,
    /// The runner died ([`Faults::kill_runner_on`](crate::Faults::kill_runner_on), or [`CancelMode::RunnerTerm`](crate::CancelMode::RunnerTerm)
    /// took too long) and nothing was reported.
    RunnerGone,
}

/// One call of a driver binary.
#[derive(Debug, Clone, Serialize)]
pub struct DriverCall {
    /// `config_exec`, `prepare_exec`, `run_exec` or `cleanup_exec`.
    pub exec: Exec,
    /// Last argument of `run_exec`, for instance `build_script`.
    pub sub_stage: Option<String>,
    /// Which try this was, from 1: of the preparation, or of this sub-stage.
    pub attempt: u32,
    /// How the process ended.
    pub exit: Exit,
    /// Start, in seconds since the job began.
    pub started: f64,
    /// Seconds until the process had exited and both pipes were closed.
    pub duration: f64,
    /// Seconds between the exit and the end of both pipes: more than a few milliseconds mean that some
    /// other process held them.
    pub eof_delay: Option<f64>,
    /// Bytes written to standard output.
    pub stdout_bytes: u64,
    /// Bytes written to standard error.
    pub stderr_bytes: u64,
}

impl DriverCall {
    /// `config_exec`, or the sub-stage for `run_exec`.
    pub fn name(&self) -> &str {
        self.sub_stage.as_deref().unwrap_or(self.exec.name())
    }
}

/// The four executables of the runner's `[runners.custom]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Exec {
    /// Asked once per attempt for directories and environment.
    #[serde(rename = "config_exec")]
    Config,
    /// Called once per attempt before the scripts.
    #[serde(rename = "prepare_exec")]
    Prepare,
    /// Called once per script.
    #[serde(rename = "run_exec")]
    Run,
    /// Called after every attempt.
    #[serde(rename = "cleanup_exec")]
    Cleanup,
}

impl Exec {
    /// The key in the runner's `config.toml`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Config => "config_exec",
            Self::Prepare => "prepare_exec",
            Self::Run => "run_exec",
            Self::Cleanup => "cleanup_exec",
        }
    }

    /// All four, in the order of their first call.
    pub(crate) const ALL: [Self; 4] = [Self::Config, Self::Prepare, Self::Run, Self::Cleanup];
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// The kernel refused to start it, with this message.
    NotStarted(String),
    /// It had not ended (or its pipes were still open) when the simulation was over.
    Unfinished,
}

impl JobResult {
    /// What a program that plays one job may exit with: 0 success, 1 the job failed, 3 the site or the runner failed.
    pub fn exit_code_of_program(&self) -> u8 {
        use FailureReason::{RunnerInterrupted, RunnerSystemFailure};
        match (self.status, self.failure_reason) {
            (Status::Success, _) => 0,
            (Status::RunnerGone, _) | (_, Some(RunnerSystemFailure | RunnerInterrupted)) => 3,
            (Status::Failed, _) => 1,
        }
    }
}

/// A few lines for a reader at a terminal, without a newline at the end.
impl fmt::Display for JobResult {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let status = match self.status {
            Status::Success => "success",
            Status::Failed => "failed",
            Status::RunnerGone => "never reported, the runner is gone",
        };
        write!(formatter, "Job {}: {status}", self.job_id)?;
        if let Some(reason) = self.failure_reason {
            write!(formatter, " ({})", reason.name())?;
        }
        if let Some(code) = self.exit_code {
            write!(formatter, ", exit code {code}")?;
        }
        if self.attempts > 1 {
            write!(formatter, ", prepared {} times", self.attempts)?;
        }
        for call in &self.calls {
            write!(formatter, "\n  {:7.2} s  {:<28} {}, {:.2} s", call.started, call.name(), call.exit, call.duration)?;
            if let Some(delay) = call.eof_delay.filter(|&delay| delay > HELD) {
                write!(formatter, ", something held its output {delay:.1} s longer")?;
            }
        }
        Ok(())
    }
}

/// Seconds between exit and end of output above which a reader should know.
const HELD: f64 = 0.1;

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit {code}"),
            Self::Signal(signal) => write!(formatter, "signal {signal}"),
            Self::NotStarted(problem) => write!(formatter, "not started ({problem})"),
            Self::Unfinished => formatter.write_str("did not end"),
        }
    }
}
