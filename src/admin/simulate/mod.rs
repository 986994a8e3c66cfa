//! `motmot simulate`: GitLab and GitLab Runner for one job, without either of them.
//!
//! The emulator calls the four driver binaries exactly as a runner's custom executor would, so that an
//! admin can try a mapping, and the test suite a fault, with nothing installed but motmot. It knows the
//! contract from GitLab Runner's behaviour alone and shares no code with the driver it drives: a
//! misunderstanding must not be able to cancel itself out.
//!
//! Reading order: `job` tells the life of a job, `executor` one preparation attempt and its calls,
//! `process` a single call. `failure` holds the meaning of exit codes, `script` writes what the
//! driver is asked to run.
//!
//! Not played: masking of secrets in the log, the log's size limit, PowerShell, `run:` steps.

mod args;
mod config_output;
mod context;
mod control;
mod duration;
mod executor;
mod failure;
mod git_script;
mod gitlab;
mod helper_script;
mod identity;
mod job;
mod log;
mod outcome;
mod payload;
mod process;
mod profile;
mod script;
mod stage;
mod variables;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use args::{SimulateArgs, main};
pub use control::{Cancel, CancelMode, CancelWhen};
pub use failure::FailureReason;
pub use identity::Identity;
pub use outcome::{Call, Exec, Exit, Outcome, Status};
pub use payload::{Payload, Variable};
pub use profile::RunnerVersion;

/// Everything about one simulated job, as plain data.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    /// Who the job belongs to and what it is called.
    pub identity: Identity,
    /// A recorded payload to start from. What [`Simulation::identity`] says still holds.
    pub payload: Option<Payload>,
    /// Commands of the job. Empty means those of the payload, or a single `true` without one.
    pub script: Vec<String>,
    /// Commands of `after_script`. Empty means those of the payload.
    pub after_script: Vec<String>,
    /// Further steps after the script, such as `release`, each with its commands.
    pub steps: Vec<(String, Vec<String>)>,
    /// Variables behind all others, so that they win wherever the last one wins.
    pub variables: Vec<Variable>,
    /// Paths to cache; without any there are no cache stages.
    pub cache: Vec<String>,
    /// Paths to upload as artifacts; without any there is no upload stage.
    pub artifacts: Vec<String>,
    /// Repository to fetch in `get_sources`. `None` means `GIT_STRATEGY=none`, or the payload's own.
    pub git_url: Option<String>,
    /// The program under test.
    pub driver: Driver,
    /// The runner's configuration.
    pub runner: Runner,
    /// The other side of the job's API.
    pub gitlab: GitLab,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether SIGINT and SIGTERM to this process cancel the job. For programs, not for libraries.
    pub handle_signals: bool,
    /// Keep the temporary directories (and the secrets in them) for a look.
    pub keep_temp: bool,
}

/// Where the driver is.
#[derive(Debug, Clone)]
pub struct Driver {
    /// Directory with `motmot-config`, `motmot-prepare`, `motmot-run` and `motmot-cleanup`.
    pub bin_dir: PathBuf,
    /// The driver's configuration file.
    pub config: PathBuf,
}

impl Default for Driver {
    fn default() -> Self {
        let bin_dir = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        Self { bin_dir: bin_dir.unwrap_or_default(), config: PathBuf::from("/etc/motmot/config.toml") }
    }
}

/// An account of this machine that a runner runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerAccount {
    /// Its number.
    pub uid: u32,
    /// Number of its primary group.
    pub gid: u32,
}

impl RunnerAccount {
    /// Looks it up.
    pub fn named(name: &str) -> Result<Self, SimulateError> {
        match nix::unistd::User::from_name(name) {
            Ok(Some(user)) => Ok(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
            Ok(None) => Err(SimulateError::Usage(format!("there is no account {name:?} on this machine"))),
            Err(error) => Err(SimulateError::system(format!("look up the account {name:?}"))(error.into())),
        }
    }

    /// Does something with files as this account. In directories that it owns root must not do it: by name it could be
    /// led to any other place, with a link put there in the right moment.
    fn act<T>(self, body: impl FnOnce() -> T) -> io::Result<T> {
        use nix::unistd::{Gid, Uid, getgroups, setegid, seteuid, setgroups};
        let acting = Acting { before: getgroups()? };
        setgroups(&[Gid::from_raw(self.gid)])?;
        setegid(Gid::from_raw(self.gid))?;
        seteuid(Uid::from_raw(self.uid))?;
        let result = body();
        drop(acting);
        Ok(result)
    }
}

/// Ends the acting, whatever happens in it.
struct Acting {
    before: Vec<nix::unistd::Gid>,
}

impl Drop for Acting {
    fn drop(&mut self) {
        use nix::unistd::{getgid, getuid, setegid, seteuid, setgroups};
        let back = seteuid(getuid()).and_then(|()| setegid(getgid())).and_then(|()| setgroups(&self.before));
        if back.is_err() {
            // Nothing that follows would be what it seems.
            std::process::abort();
        }
    }
}

/// The runner: its version, its slot, and the limits of its `config.toml`. Defaults are those of
/// GitLab Runner 19.3.
#[derive(Debug, Clone)]
pub struct Runner {
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

impl Default for Runner {
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

impl Runner {
    /// Where temporary files go.
    fn temp(&self) -> PathBuf {
        self.tmpdir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// The GitLab whose job API the driver may ask.
#[derive(Debug, Clone, Default)]
pub struct GitLab {
    /// Start none: the driver's configuration is used as it is and names a GitLab of its own.
    pub from_config: bool,
    /// Changes to the answer of `GET /api/v4/job`: a dotted path and a value, for instance `user.username`.
    pub answers: Vec<(String, serde_json::Value)>,
    /// Answer every request with this HTTP status instead.
    pub status: Option<u16>,
}

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

/// Why a simulation could not be run. A job that fails is not an error but an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A driver binary is there, but not for us.
    #[error(
        "{} may not be executed by this account. Run this as root (with --runner-account if the runner is not root), or as the runner's account",
        .0.display()
    )]
    Forbidden(PathBuf),
    /// A driver binary is not there.
    #[error("{} is not an executable file. Build or install motmot, or say where its binaries are with --bin-dir", .0.display())]
    Binary(PathBuf),
    /// The driver's configuration cannot be read.
    #[error("cannot read the configuration {}: {problem}. Name another file with --config", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A payload is not what a runner would accept.
    #[error("{origin} is not a job payload: {problem}")]
    Payload {
        /// Where it came from.
        origin: String,
        /// What is wrong with it, with line and column.
        problem: String,
    },
    /// A value on the command line.
    #[error("{0}")]
    Usage(String),
    /// The system refused something the emulator itself needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SimulateError {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

impl Simulation {
    /// Runs the job to its end, cleanup included. Blocks; builds a runtime of its own.
    ///
    /// `log` receives the job log byte by byte as the runner would send it to GitLab, `runner_log` the
    /// lines of the runner's own log, among them the output of `cleanup_exec`.
    pub fn run(
        &self,
        log: &mut (dyn Write + Send),
        runner_log: &mut (dyn Write + Send),
    ) -> Result<Outcome, SimulateError> {
        for exec in Exec::ALL {
            let program = self.driver.bin_dir.join(exec.program());
            if nix::unistd::access(&program, nix::unistd::AccessFlags::X_OK).is_err() || program.is_dir() {
                let exists = program.is_file();
                return Err(if exists { SimulateError::Forbidden(program) } else { SimulateError::Binary(program) });
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SimulateError::system("start the emulator"))?;
        let style = log::Style { timestamps: self.runner.timestamps, sections: self.runner.sections };
        let (logs, entries) = log::Logs::new(style);
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || log::write_out(entries, log, runner_log));
            let outcome = runtime.block_on(self.play(logs));
            // Ends the tasks that still listen to abandoned processes, and with them the last
            // senders: only then does the writer return.
            drop(runtime);
            let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the log writer panicked")));
            let outcome = outcome?;
            written.map_err(SimulateError::system("write the job log"))?;
            Ok(outcome)
        })
    }

    async fn play(&self, logs: log::Logs) -> Result<Outcome, SimulateError> {
        let identity = self.identity.settled();
        let gitlab =
            if self.gitlab.from_config { None } else { Some(gitlab::Server::start(&identity, &self.gitlab).await?) };
        let url = gitlab.as_ref().map_or_else(|| gitlab::url_in(&self.driver.config), |server| Ok(server.url()))?;
        let config = match &gitlab {
            Some(server) => {
                gitlab::private_config(&self.driver.config, &server.url(), &self.runner.temp(), self.runner.account)?
            }
            None => gitlab::ConfigCopy::none(&self.driver.config)?,
        };
        let payload = self.compose(&identity, &url);
        let job = job::Job::new(self, payload, config.path(), url, logs);
        let control = Arc::clone(&job.control);
        let clock = Arc::clone(&job.control);
        if let Some(server) = &gitlab {
            control.on_stop(server.revoker());
        }
        tokio::spawn(async move { clock.watch().await });
        let outcome = job.play().await;
        if let Some(server) = &gitlab {
            server.revoke();
        }
        if self.keep_temp || outcome.status == Status::RunnerGone {
            // The processes that are left may still read it.
            config.keep();
        }
        Ok(outcome)
    }
}
