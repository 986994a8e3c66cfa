//! The runner's side of a simulation: its version, its account, its limits.

use std::path::PathBuf;
use std::time::Duration;

use super::account::RunnerAccount;
use crate::contract::version::RunnerVersion;

/// The runner: its version, its slot, and the limits of its `config.toml`. Defaults are those of
/// GitLab Runner 19.3.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// Which version to play.
    pub version: RunnerVersion,
    /// The account that the driver is started as. `None` means that of this process; another takes root.
    pub account: Option<RunnerAccount>,
    /// Name in the log.
    pub name: String,
    /// Authentication token; nine of its characters appear in paths and as `CI_RUNNER_SHORT_TOKEN`.
    pub token: String,
    /// `CI_CONCURRENT_ID`
    pub concurrent_id: u32,
    /// `CI_CONCURRENT_PROJECT_ID`
    pub concurrent_project_id: u32,
    /// `builds_dir` of the runner; the driver's `config_exec` may overrule it.
    pub builds_dir: String,
    /// `cache_dir` of the runner; the driver's `config_exec` may overrule it.
    pub cache_dir: String,
    /// The runner's `TMPDIR`. `None` means that of this process.
    pub tmpdir: Option<PathBuf>,
    /// `environment` of the runner.
    pub environment: Vec<(String, String)>,
    /// `[runners.feature_flags]`; a job cannot change these.
    pub feature_flags: Vec<(String, bool)>,
    /// Time stamps before each line of the log. GitLab does not show them.
    pub timestamps: bool,
    /// Section markers in the log.
    pub sections: bool,
    /// Time limit of the job. `None` means the payload's (2 h if that has none).
    pub job_timeout: Option<Duration>,
    /// `prepare_timeout` (19.0): `config_exec`, `prepare_exec` and `prepare_script` together.
    pub prepare_timeout: Option<Duration>,
    /// `get_sources_timeout` (19.1).
    pub get_sources_timeout: Option<Duration>,
    /// `config_exec_timeout`
    pub config_exec_timeout: Duration,
    /// `prepare_exec_timeout`
    pub prepare_exec_timeout: Duration,
    /// `cleanup_exec_timeout`
    pub cleanup_exec_timeout: Duration,
    /// `graceful_kill_timeout`: from SIGTERM to SIGKILL.
    pub graceful_kill_timeout: Duration,
    /// `force_kill_timeout`: from SIGKILL until the runner gives up.
    pub force_kill_timeout: Duration,
    /// How long a stopped job may take before cleanup starts regardless. Fixed in the real runner.
    pub wait_for_build_finish: Duration,
    /// Pause between preparation attempts. Fixed in the real runner.
    pub retry_interval: Duration,
    /// First pause between attempts of a sub-stage; it doubles each time. Fixed in the real runner.
    pub stage_retry_interval: Duration,
    /// `shutdown_timeout`: how long the runner lives after SIGTERM.
    pub shutdown_timeout: Duration,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            version: RunnerVersion::default(),
            account: None,
            name: "simulated".to_owned(),
            token: "glrt-simulated1234567".to_owned(),
            concurrent_id: 0,
            concurrent_project_id: 0,
            builds_dir: "/tmp/motmot-simulate/builds".to_owned(),
            cache_dir: "/tmp/motmot-simulate/cache".to_owned(),
            tmpdir: None,
            environment: Vec::new(),
            feature_flags: Vec::new(),
            timestamps: false,
            sections: false,
            job_timeout: None,
            prepare_timeout: None,
            get_sources_timeout: None,
            config_exec_timeout: Duration::from_hours(1),
            prepare_exec_timeout: Duration::from_hours(1),
            cleanup_exec_timeout: Duration::from_hours(1),
            graceful_kill_timeout: Duration::from_mins(10),
            force_kill_timeout: Duration::from_secs(10),
            wait_for_build_finish: Duration::from_mins(5),
            retry_interval: Duration::from_secs(3),
            stage_retry_interval: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl RunnerSettings {
    /// Nine characters of the token behind its kind.
    pub(crate) fn short_token(&self) -> String {
        self.token.strip_prefix("glrt-").unwrap_or(&self.token).chars().take(9).collect()
    }

    /// Where temporary files go.
    pub fn temp_dir(&self) -> PathBuf {
        self.tmpdir.clone().unwrap_or_else(std::env::temp_dir)
    }
}
