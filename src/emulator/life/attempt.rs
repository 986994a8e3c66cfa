//! One attempt to prepare a job, and the calls of the driver that belong to it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::build::environment::environment;
use crate::build::variables::{get, variables};
use crate::build::{Build, Dirs};
use crate::call::{self, CallEnd, Launch, Patience, Sink};
use crate::context::Context;
use crate::contract::build_stage::BuildStage;
use crate::contract::config_output::{self, ConfigOutput};
use crate::contract::failure::{FailureReason, RunnerError, classify};
use crate::contract::result::{DriverCall, Exec, Exit};
use crate::gitlab::job::slug;
use crate::log::Stream;
use crate::simulation::account::{RunnerAccount, as_account};

/// A temporary directory and what `config_exec` said; nothing of it survives into the next attempt.
pub(super) struct Attempt {
    build: Arc<Build>,
    number: u32,
    temp: Option<PathBuf>,
    job_env: Vec<(String, String)>,
    shell: String,
}

impl Attempt {
    pub(super) fn new(build: Arc<Build>, number: u32) -> Self {
        Self { build, number, temp: None, job_env: Vec::new(), shell: "bash".to_owned() }
    }

    /// `bash` or `sh`.
    pub(super) fn shell(&self) -> &str {
        &self.shell
    }

    /// `config_exec`, what follows from it, `prepare_exec`.
    pub(super) async fn prepare(&mut self, context: &Context) -> Result<(), RunnerError> {
        let system = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| RunnerError::System(format!("{what}: {error}"))
        };
        let root = self.build.simulation.runner.temp_dir();
        let account = self.build.simulation.runner.account;
        let temp =
            private_dir(&root, "custom-executor", account).map_err(system("create the job's temporary directory"))?;
        self.temp = Some(temp.clone());
        let response = self.build.payload.response_file(self.build.simulation.runner.version);
        let response = response.map_err(|error| RunnerError::System(error.to_string()))?;
        write_new(&temp.join("response.json"), &response, 0o600, account).map_err(system("write response.json"))?;

        let limits = &self.build.simulation.runner;
        let (config_limit, prepare_limit) = (limits.config_exec_timeout, limits.prepare_exec_timeout);
        let config = self.call(Exec::Config, None, context, Some(config_limit)).await?;
        let config = config_output::parse(&config)
            .map_err(|problem| RunnerError::System(format!("error while parsing JSON output: {problem}")))?;
        self.apply(config).await?;
        self.call(Exec::Prepare, None, context, Some(prepare_limit)).await?;
        Ok(())
    }

    /// Takes over what the driver chose, and works out the directories.
    async fn apply(&mut self, config: ConfigOutput) -> Result<(), RunnerError> {
        let using = match (&config.driver_name, &config.driver_version) {
            (Some(name), Some(version)) => {
                format!("Using Custom executor with driver {name} {version}...")
            }
            (Some(name), None) => format!("Using Custom executor with driver {name}..."),
            (None, _) => "Using Custom executor...".to_owned(),
        };
        self.build.logs.line(&using).await;
        self.job_env = config.job_env;
        if let Some(hostname) = config.hostname {
            self.build.set_hostname(hostname);
        }
        let runner = &self.build.simulation.runner;
        let builds = config.builds_dir.unwrap_or_else(|| runner.builds_dir.clone());
        let cache = config.cache_dir.unwrap_or_else(|| runner.cache_dir.clone());
        for (dir, name) in [(&builds, "builds_dir"), (&cache, "cache_dir")] {
            if dir.is_empty() {
                return Err(configuration(format!("the {name} is not configured")));
            }
        }
        let variables = variables(&self.build);
        if get(&variables, "GIT_CLONE_PATH").is_some_and(|path| !path.is_empty()) {
            return Err(configuration(
                "setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature".to_owned(),
            ));
        }
        let payload = &self.build.payload;
        let slug =
            slug(&payload.git_info.repo_url).unwrap_or_else(|| format!("project-{}", payload.job_info.project_id));
        let mut project = if config.builds_dir_is_shared.unwrap_or(false) {
            format!("{builds}/{}/{}/{slug}", runner.short_token(), runner.concurrent_project_id)
        } else {
            format!("{builds}/{slug}")
        };
        if get(&variables, "GIT_STRATEGY") == Some("empty") {
            project.push_str("-empty");
        }
        let cache = format!("{cache}/{slug}");
        self.build.set_dirs(Dirs { builds, cache, project });
        match config.shell.as_deref() {
            None | Some("bash") => "bash".clone_into(&mut self.shell),
            Some("sh") => "sh".clone_into(&mut self.shell),
            Some(other @ ("pwsh" | "powershell")) => {
                return Err(RunnerError::System(format!("the emulator writes no scripts for {other}; use bash or sh")));
            }
            Some(other) => return Err(RunnerError::System(format!("shell {other} not found"))),
        }
        Ok(())
    }

    /// Writes the script and has the driver run it.
    pub(super) async fn run(&self, stage: &BuildStage, script: &[u8], context: &Context) -> Result<(), RunnerError> {
        let name = stage.argument();
        if name == "build_script" {
            self.build.logs.warning("Starting with version 17.0 the 'build_script' stage will be replaced with 'step_script': https://gitlab.com/groups/gitlab-org/-/epics/6112").await;
        }
        let temp = self.temp.as_deref().unwrap_or(Path::new(""));
        let account = self.build.simulation.runner.account;
        let path = private_dir(temp, "script", account)
            .map(|dir| dir.join("script"))
            .and_then(|path| write_new(&path, script, 0o700, account).map(|()| path))
            .map_err(|error| RunnerError::System(format!("write the script of {name}: {error}")))?;
        self.call(Exec::Run, Some((path, name)), context, None).await.map(drop)
    }

    /// `cleanup_exec`, which nothing outside can stop, and the end of the temporary directory.
    pub(super) async fn cleanup(&self) {
        let simulation = &self.build.simulation;
        for _ in 0..simulation.faults.repeat_cleanup.max(1) {
            // A context of its own: cleanup runs although the job was canceled or its time is over.
            let context = Context::background(None);
            let limit = Some(simulation.runner.cleanup_exec_timeout);
            if let Err(failure) = self.call(Exec::Cleanup, None, &context, limit).await {
                let message = format!("Cleanup script failed: {}", failure.message());
                self.build.logs.warning(&message).await;
                self.build.logs.runner("warning", &message, "").await;
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
    ) -> Result<Vec<u8>, RunnerError> {
        let build = &self.build;
        let runner = &build.simulation.runner;
        let (stdout, stderr) = match exec {
            Exec::Config => (Sink::Keep, Sink::Job(Stream::ExecutorErr)),
            Exec::Prepare => (Sink::Job(Stream::ExecutorOut), Sink::Job(Stream::ExecutorErr)),
            Exec::Run => (Sink::Job(Stream::WorkOut), Sink::Job(Stream::WorkErr)),
            Exec::Cleanup => (Sink::Runner("debug", "out"), Sink::Runner("warning", "err")),
        };
        let mut args = build.driver.args.clone();
        let sub_stage = script.map(|(path, name)| {
            args.extend([path.into_os_string(), OsString::from(&name)]);
            name
        });
        // config_exec cannot have the environment that it is about to choose.
        let job_env = if exec == Exec::Config { &[] } else { &*self.job_env };
        let launch = Launch {
            program: build.driver.program(exec).to_owned(),
            args,
            env: environment(build, self.temp.as_deref(), job_env),
            cwd: self.temp.clone(),
            account: build.simulation.runner.account,
            stdout,
            stderr,
        };
        let name = sub_stage.clone().unwrap_or_else(|| exec.name().to_owned());
        let call = DriverCall {
            exec,
            attempt: self.attempt_of(sub_stage.as_deref()),
            sub_stage,
            exit: Exit::Unfinished,
            started: build.begin.elapsed().as_secs_f64(),
            duration: 0.0,
            eof_delay: None,
            stdout_bytes: 0,
            stderr_bytes: 0,
        };
        let context = context.child(limit);
        let patience = Patience { graceful: runner.graceful_kill_timeout, force: runner.force_kill_timeout };
        let control = Arc::clone(&build.control);
        let end =
            call::run(launch, call, &build.calls, &context, patience, &build.logs, move || control.started(&name))
                .await;
        match end {
            CallEnd::Exited(status, kept) => {
                let file = self.temp.as_ref().map(|temp| temp.join("build_exit_code"));
                classify(status, file.as_deref().filter(|_| runner.version.has_exit_code_file())).map(|()| kept)
            }
            CallEnd::NotStarted(problem) => Err(RunnerError::System(format!("failed to start command: {problem}"))),
            CallEnd::Dormant(pid) => {
                Err(RunnerError::System(format!("failed to kill process PID={pid}, likely process is dormant")))
            }
        }
    }

    fn attempt_of(&self, sub_stage: Option<&str>) -> u32 {
        let Some(name) = sub_stage else {
            return self.number;
        };
        let calls = self.build.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = calls.iter().filter(|call| call.sub_stage.as_deref() == Some(name)).count();
        u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(1)
    }
}

fn configuration(message: String) -> RunnerError {
    RunnerError::Build { reason: FailureReason::RunnerConfigurationError, exit_code: 0, message }
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
