//! One attempt to prepare a job, and the calls of the driver that belong to it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::RunnerAccount;
use super::config_output::{self, ConfigOutput};
use super::context::Context;
use super::failure::{Failure, FailureReason, classify};
use super::identity::slug;
use super::job::Job;
use super::log::Stream;
use super::outcome::{Call, Exec, Exit};
use super::process::{self, End, Launch, Patience, Sink};
use super::stage::Stage;
use super::variables::{Dirs, get};

/// A temporary directory and what `config_exec` said; nothing of it survives into the next attempt.
pub(super) struct Executor {
    job: Arc<Job>,
    attempt: u32,
    temp: Option<PathBuf>,
    job_env: Vec<(String, String)>,
    shell: String,
}

impl Executor {
    pub(super) fn new(job: Arc<Job>, attempt: u32) -> Self {
        Self { job, attempt, temp: None, job_env: Vec::new(), shell: "bash".to_owned() }
    }

    /// `bash` or `sh`.
    pub(super) fn shell(&self) -> &str {
        &self.shell
    }

    /// `config_exec`, what follows from it, `prepare_exec`.
    pub(super) async fn prepare(&mut self, context: &Context) -> Result<(), Failure> {
        let system = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| Failure::System(format!("{what}: {error}"))
        };
        let root = self.job.simulation.runner.temp();
        let account = self.job.simulation.runner.account;
        let temp =
            private_dir(&root, "custom-executor", account).map_err(system("create the job's temporary directory"))?;
        self.temp = Some(temp.clone());
        let response = self.job.payload.response_file(self.job.simulation.runner.version);
        let response = response.map_err(|error| Failure::System(error.to_string()))?;
        write_new(&temp.join("response.json"), &response, 0o600, account).map_err(system("write response.json"))?;

        let limits = &self.job.simulation.runner;
        let (config_limit, prepare_limit) = (limits.config_exec_timeout, limits.prepare_exec_timeout);
        let config = self.call(Exec::Config, None, context, Some(config_limit)).await?;
        let config = config_output::parse(&config)
            .map_err(|problem| Failure::System(format!("error while parsing JSON output: {problem}")))?;
        self.apply(config).await?;
        self.call(Exec::Prepare, None, context, Some(prepare_limit)).await?;
        Ok(())
    }

    /// Takes over what the driver chose, and works out the directories.
    async fn apply(&mut self, config: ConfigOutput) -> Result<(), Failure> {
        let using = match (&config.driver_name, &config.driver_version) {
            (Some(name), Some(version)) => {
                format!("Using Custom executor with driver {name} {version}...")
            }
            (Some(name), None) => format!("Using Custom executor with driver {name}..."),
            (None, _) => "Using Custom executor...".to_owned(),
        };
        self.job.logs.line(&using).await;
        self.job_env = config.job_env;
        if let Some(hostname) = config.hostname {
            self.job.set_hostname(hostname);
        }
        let runner = &self.job.simulation.runner;
        let builds = config.builds_dir.unwrap_or_else(|| runner.builds_dir.clone());
        let cache = config.cache_dir.unwrap_or_else(|| runner.cache_dir.clone());
        for (dir, name) in [(&builds, "builds_dir"), (&cache, "cache_dir")] {
            if dir.is_empty() {
                return Err(configuration(format!("the {name} is not configured")));
            }
        }
        let variables = self.job.variables();
        if get(&variables, "GIT_CLONE_PATH").is_some_and(|path| !path.is_empty()) {
            return Err(configuration(
                "setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature".to_owned(),
            ));
        }
        let payload = &self.job.payload;
        let slug =
            slug(&payload.git_info.repo_url).unwrap_or_else(|| format!("project-{}", payload.job_info.project_id));
        let mut project = if config.builds_dir_is_shared.unwrap_or(false) {
            format!("{builds}/{}/{}/{slug}", self.job.short_token(), runner.concurrent_project_id)
        } else {
            format!("{builds}/{slug}")
        };
        if get(&variables, "GIT_STRATEGY") == Some("empty") {
            project.push_str("-empty");
        }
        let cache = format!("{cache}/{slug}");
        self.job.set_dirs(Dirs { builds, cache, project });
        match config.shell.as_deref() {
            None | Some("bash") => "bash".clone_into(&mut self.shell),
            Some("sh") => "sh".clone_into(&mut self.shell),
            Some(other @ ("pwsh" | "powershell")) => {
                return Err(Failure::System(format!("the emulator writes no scripts for {other}; use bash or sh")));
            }
            Some(other) => return Err(Failure::System(format!("shell {other} not found"))),
        }
        Ok(())
    }

    /// Writes the script and has the driver run it.
    pub(super) async fn run(&self, stage: &Stage, script: &[u8], context: &Context) -> Result<(), Failure> {
        let name = stage.argument();
        if name == "build_script" {
            self.job.logs.warning("Starting with version 17.0 the 'build_script' stage will be replaced with 'step_script': https://gitlab.com/groups/gitlab-org/-/epics/6112").await;
        }
        let temp = self.temp.as_deref().unwrap_or(Path::new(""));
        let account = self.job.simulation.runner.account;
        let path = private_dir(temp, "script", account)
            .map(|dir| dir.join("script"))
            .and_then(|path| write_new(&path, script, 0o700, account).map(|()| path))
            .map_err(|error| Failure::System(format!("write the script of {name}: {error}")))?;
        self.call(Exec::Run, Some((path, name)), context, None).await.map(drop)
    }

    /// `cleanup_exec`, which nothing outside can stop, and the end of the temporary directory.
    pub(super) async fn cleanup(&self) {
        let simulation = &self.job.simulation;
        for _ in 0..simulation.faults.repeat_cleanup.max(1) {
            // A context of its own: cleanup runs although the job was canceled or its time is over.
            let context = Context::background(None);
            let limit = Some(simulation.runner.cleanup_exec_timeout);
            if let Err(failure) = self.call(Exec::Cleanup, None, &context, limit).await {
                let message = format!("Cleanup script failed: {}", failure.message());
                self.job.logs.warning(&message).await;
                self.job.logs.runner("warning", &message, "").await;
            }
        }
        if let (Some(temp), false) = (&self.temp, simulation.keep_temp) {
            // What a privileged driver left there stays, as with the real runner.
            let _ = as_account(simulation.runner.account, || fs::remove_dir_all(temp));
        }
    }

    /// One call of a driver binary. Returns the captured standard output of `config_exec`.
    async fn call(
        &self,
        exec: Exec,
        script: Option<(PathBuf, String)>,
        context: &Context,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, Failure> {
        let job = &self.job;
        let runner = &job.simulation.runner;
        let (stdout, stderr) = match exec {
            Exec::Config => (Sink::Keep, Sink::Job(Stream::ExecutorErr)),
            Exec::Prepare => (Sink::Job(Stream::ExecutorOut), Sink::Job(Stream::ExecutorErr)),
            Exec::Run => (Sink::Job(Stream::WorkOut), Sink::Job(Stream::WorkErr)),
            Exec::Cleanup => (Sink::Runner("debug", "out"), Sink::Runner("warning", "err")),
        };
        let mut args = vec![OsString::from("--config"), job.config.clone().into_os_string()];
        let sub_stage = script.map(|(path, name)| {
            args.extend([path.into_os_string(), OsString::from(&name)]);
            name
        });
        // config_exec cannot have the environment that it is about to choose.
        let job_env = if exec == Exec::Config { &[] } else { &*self.job_env };
        let launch = Launch {
            program: job.simulation.driver.bin_dir.join(exec.program()),
            args,
            env: job.environment(self.temp.as_deref(), job_env),
            cwd: self.temp.clone(),
            account: job.simulation.runner.account,
            stdout,
            stderr,
        };
        let name = sub_stage.clone().unwrap_or_else(|| exec.name().to_owned());
        let call = Call {
            exec,
            attempt: self.attempt_of(sub_stage.as_deref()),
            sub_stage,
            exit: Exit::Unfinished,
            started: job.begin.elapsed().as_secs_f64(),
            duration: 0.0,
            eof_delay: None,
            stdout_bytes: 0,
            stderr_bytes: 0,
        };
        let context = context.child(limit);
        let patience = Patience { graceful: runner.graceful_kill_timeout, force: runner.force_kill_timeout };
        let control = Arc::clone(&job.control);
        let end =
            process::run(launch, call, &job.calls, &context, patience, &job.logs, move || control.started(&name)).await;
        match end {
            End::Exited(status, kept) => {
                let file = self.temp.as_ref().map(|temp| temp.join("build_exit_code"));
                classify(status, file.as_deref().filter(|_| runner.version.has_exit_code_file())).map(|()| kept)
            }
            End::NotStarted(problem) => Err(Failure::System(format!("failed to start command: {problem}"))),
            End::Dormant(pid) => {
                Err(Failure::System(format!("failed to kill process PID={pid}, likely process is dormant")))
            }
        }
    }

    fn attempt_of(&self, sub_stage: Option<&str>) -> u32 {
        let Some(name) = sub_stage else {
            return self.attempt;
        };
        let calls = self.job.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = calls.iter().filter(|call| call.sub_stage.as_deref() == Some(name)).count();
        u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(1)
    }
}

fn configuration(message: String) -> Failure {
    Failure::Build { reason: FailureReason::RunnerConfigurationError, exit_code: 0, message }
}

/// A fresh directory for the runner's account alone, which is not removed by itself.
fn private_dir(parent: &Path, prefix: &str, account: Option<RunnerAccount>) -> io::Result<PathBuf> {
    let make = || {
        tempfile::Builder::new()
            .prefix(prefix)
            .permissions(Permissions::from_mode(0o700)) // tempfile's own default is 0777 less the umask
            .rand_bytes(10)
            .tempdir_in(parent)
            .map(tempfile::TempDir::keep)
    };
    as_account(account, make)?
}

/// A new file; the umask of this process applies to `mode`, as it does in the runner.
fn write_new(path: &Path, content: &[u8], mode: u32, account: Option<RunnerAccount>) -> io::Result<()> {
    let write = || OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(content);
    as_account(account, write)?
}

fn as_account<T>(account: Option<RunnerAccount>, body: impl FnOnce() -> T) -> io::Result<T> {
    match account {
        Some(account) => account.act(body),
        None => Ok(body()),
    }
}
