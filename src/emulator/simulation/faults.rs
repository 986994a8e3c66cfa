//! What goes wrong during a simulated job.

use std::time::Duration;

/// What goes wrong during the job.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The job is canceled.
    pub cancel: Option<Cancel>,
    /// How often `cleanup_exec` is called per attempt; 0 counts as 1. A real runner calls it once, but a
    /// driver must survive more.
    pub repeat_cleanup: u32,
    /// The runner is killed when this text has appeared in the job log: nothing is cleaned up.
    pub kill_runner_on: Option<String>,
}

/// Who stops the job, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelMode {
    /// A user cancels it: the script is stopped, `after_script` and later stages still run.
    /// Before the script begins everything is stopped.
    Graceful,
    /// GitLab aborts it: nothing but cleanup runs afterwards.
    Hard,
    /// The runner gets SIGTERM: as hard, and the runner exits when its shutdown timeout is over.
    RunnerTerm,
}

/// A cancel and its moment.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// Who does it.
    pub mode: CancelMode,
    /// At which moment.
    pub when: CancelWhen,
}

/// A moment in the life of a job.
#[derive(Debug, Clone)]
pub enum CancelWhen {
    /// So long after the start of the job.
    After(Duration),
    /// When this text has appeared in the job log.
    OnText(String),
    /// As soon as this sub-stage (or `config_exec`, `prepare_exec`, `cleanup_exec`) has been started.
    InSubStage(String),
}
