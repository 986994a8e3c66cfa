//! A job while it is played: what was asked for, what has become known since, and the variables that follow from both.

pub(crate) mod environment;
pub(crate) mod variables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::call::Calls;
use crate::context::{Context, ContextEnd};
use crate::contract::failure::{FailureReason, RunnerError};
use crate::control::Control;
use crate::gitlab::payload::JobPayload;
use crate::go_duration;
use crate::log::Logs;
use crate::simulation::Simulation;
use crate::simulation::driver::Driver;

/// A job that GitLab gives no limit has this one.
const DEFAULT_JOB_TIMEOUT: Duration = Duration::from_hours(2);

/// A job and everything that outlives one attempt to prepare it. The runner calls it a build.
pub(crate) struct Build {
    pub(crate) simulation: Simulation,
    pub(crate) driver: Driver,
    pub(crate) payload: JobPayload,
    /// Base URL of GitLab.
    pub(crate) url: String,
    pub(crate) logs: Logs,
    pub(crate) calls: Calls,
    pub(crate) control: Arc<Control>,
    pub(crate) begin: Instant,
    known: Mutex<KnownOfBuild>,
}

/// Directories of a job. Empty until the first `config_exec` has been heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dirs {
    pub(crate) builds: String,
    pub(crate) cache: String,
    pub(crate) project: String,
}

impl Dirs {
    /// A sibling of the project, not a directory inside it.
    pub(crate) fn temp(&self) -> String {
        format!("{}.tmp", self.project)
    }
}

/// What becomes known on the way.
#[derive(Default)]
struct KnownOfBuild {
    dirs: Dirs,
    hostname: Option<String>,
    status: Option<&'static str>,
    attempts: u32,
}

impl Build {
    pub(crate) fn new(
        simulation: &Simulation,
        driver: &Driver,
        payload: JobPayload,
        url: String,
        logs: Logs,
    ) -> Arc<Self> {
        let limit = job_timeout(simulation, &payload);
        let control =
            Control::new(Context::background(Some(limit)), simulation.faults.cancel.clone(), simulation.handle_signals);
        let control = Arc::new(control);
        if let Some((mode, text)) = control.waits_for_text() {
            let control = Arc::clone(&control);
            logs.when_seen(&text, move || control.stop(mode));
        }
        if let Some(text) = &simulation.faults.kill_runner_on {
            let control = Arc::clone(&control);
            logs.when_seen(text, move || control.kill());
        }
        Arc::new(Self {
            simulation: simulation.clone(),
            driver: driver.clone(),
            payload,
            url,
            logs,
            calls: Calls::default(),
            control,
            begin: Instant::now(),
            known: Mutex::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, KnownOfBuild> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn timeout(&self) -> Duration {
        job_timeout(&self.simulation, &self.payload)
    }

    pub(crate) fn dirs(&self) -> Dirs {
        self.known().dirs.clone()
    }

    pub(crate) fn set_dirs(&self, dirs: Dirs) {
        self.known().dirs = dirs;
    }

    pub(crate) fn hostname(&self) -> Option<String> {
        self.known().hostname.clone()
    }

    pub(crate) fn set_hostname(&self, hostname: String) {
        self.known().hostname = Some(hostname);
    }

    /// `CI_JOB_STATUS`, once it is more than `running`.
    pub(crate) fn status(&self) -> Option<&'static str> {
        self.known().status
    }

    pub(crate) fn set_status(&self, status: &'static str) {
        self.known().status = Some(status);
    }

    /// How often it has been prepared.
    pub(crate) fn attempts(&self) -> u32 {
        self.known().attempts
    }

    pub(crate) fn set_attempts(&self, attempts: u32) {
        self.known().attempts = attempts;
    }

    /// What the end of the job's time is called.
    pub(crate) fn out_of_time(&self, end: ContextEnd) -> RunnerError {
        match end {
            ContextEnd::Canceled => RunnerError::Canceled,
            ContextEnd::DeadlineExceeded => RunnerError::Build {
                reason: FailureReason::JobExecutionTimeout,
                exit_code: 0,
                message: format!("execution took longer than {} seconds", go_duration::show(self.timeout())),
            },
        }
    }
}

fn job_timeout(simulation: &Simulation, payload: &JobPayload) -> Duration {
    simulation.runner.job_timeout.unwrap_or_else(|| match u64::try_from(payload.runner_info.timeout) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => DEFAULT_JOB_TIMEOUT,
    })
}
