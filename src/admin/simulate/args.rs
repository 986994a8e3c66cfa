//! The command line of `motmot simulate`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::RunnerAccount;
use super::{
    Cancel, CancelMode, CancelWhen, Driver, Identity, Outcome, RunnerVersion, SimulateError, Simulation, Variable,
    duration,
};

/// Play GitLab and GitLab Runner for one job against the four driver binaries
///
/// The job log goes to standard output, the runner's own log to standard error, then comes the result.
/// Exit code: 0 the job succeeded, 1 it failed, 3 the site failed, 2 wrong usage.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools)] // switches of a command line
pub struct SimulateArgs {
    /// Login of the user who started the job
    #[arg(long, value_name = "LOGIN", help_heading = "Job")]
    user: Option<String>,
    /// Number of that user
    #[arg(long, value_name = "N", help_heading = "Job")]
    user_id: Option<i64>,
    /// Project with its namespaces
    #[arg(long, value_name = "PATH", help_heading = "Job")]
    project: Option<String>,
    /// Number of the project
    #[arg(long, value_name = "N", help_heading = "Job")]
    project_id: Option<i64>,
    /// Branch, or tag with --tag
    #[arg(long = "ref", value_name = "NAME", help_heading = "Job")]
    reference: Option<String>,
    /// The ref is a tag
    #[arg(long, help_heading = "Job")]
    tag: bool,
    /// Whether the ref is protected; unknown is what an old GitLab sends
    #[arg(long, value_name = "WHETHER", help_heading = "Job")]
    protected: Option<Protected>,
    /// Commit; default with --git-url: the newest of the ref
    #[arg(long, value_name = "SHA", help_heading = "Job")]
    sha: Option<String>,
    /// Number of the pipeline
    #[arg(long, value_name = "N", help_heading = "Job")]
    pipeline_id: Option<i64>,
    /// What started the pipeline
    #[arg(long, value_name = "SOURCE", help_heading = "Job")]
    pipeline_source: Option<String>,
    /// Number of the job; drawn at random
    #[arg(long, value_name = "N", help_heading = "Job")]
    job_id: Option<i64>,
    /// Name of the job
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    job_name: Option<String>,
    /// Stage of the job
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    ci_stage: Option<String>,
    /// CI_JOB_TOKEN; drawn at random
    #[arg(long, value_name = "TOKEN", help_heading = "Job")]
    job_token: Option<String>,
    /// Start from this payload (an answer of jobs/request or a JOB_RESPONSE_FILE); other options change it
    #[arg(long, value_name = "FILE", help_heading = "Job")]
    payload: Option<PathBuf>,

    /// Command of the script
    #[arg(long, value_name = "CMD", help_heading = "Work", allow_hyphen_values = true)]
    script: Vec<String>,
    /// Content of a file as one command of the script
    #[arg(long, value_name = "FILE", help_heading = "Work")]
    script_file: Option<PathBuf>,
    /// Command of after_script
    #[arg(long, value_name = "CMD", help_heading = "Work", allow_hyphen_values = true)]
    after_script: Vec<String>,
    /// Further step, such as release, with one command; repeat for more
    #[arg(long, value_name = "NAME=CMD", value_parser = key_value, help_heading = "Work")]
    step: Vec<(String, String)>,
    /// Variable behind all predefined ones
    #[arg(long, value_name = "K=V", value_parser = key_value, help_heading = "Work")]
    variable: Vec<(String, String)>,
    /// Variable of type file
    #[arg(long, value_name = "K=V", value_parser = key_value, help_heading = "Work")]
    file_variable: Vec<(String, String)>,
    /// Fetch this repository; without it the sources are left alone
    #[arg(long, value_name = "URL", help_heading = "Work")]
    git_url: Option<String>,
    /// Path to cache
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    cache: Vec<String>,
    /// Path to upload as artifact
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    artifact: Vec<String>,

    /// Directory of motmot-config, -prepare, -run, -cleanup; default: that of this program
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    bin_dir: Option<PathBuf>,
    /// As root: run the driver as this account, as a runner does that is not root
    #[arg(long, value_name = "ACCOUNT", help_heading = "Runner")]
    runner_account: Option<String>,
    /// Version of GitLab Runner to play
    #[arg(long, value_name = "VERSION", default_value = "19.3", help_heading = "Runner")]
    runner_version: RunnerVersion,
    /// Time stamps in the job log; off because GitLab does not show them
    #[arg(long, value_name = "WHEN", default_value = "off", help_heading = "Runner")]
    timestamps: Timestamps,
    /// Section markers in the job log
    #[arg(long, help_heading = "Runner")]
    sections: bool,
    /// CI_CONCURRENT_ID
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Runner")]
    concurrent_id: u32,
    /// CI_CONCURRENT_PROJECT_ID
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Runner")]
    concurrent_project_id: u32,
    /// The runner's token
    #[arg(long, value_name = "TOKEN", help_heading = "Runner")]
    runner_token: Option<String>,
    /// The runner's builds_dir; the driver may overrule it
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    builds_dir: Option<String>,
    /// The runner's cache_dir; the driver may overrule it
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    cache_dir: Option<String>,
    /// The runner's TMPDIR
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    tmpdir: Option<PathBuf>,
    /// Feature flag fixed by the runner
    #[arg(long, value_name = "K=BOOL", value_parser = flag_value, help_heading = "Runner")]
    feature_flag: Vec<(String, bool)>,
    /// Entry of the runner's `environment`
    #[arg(long, value_name = "K=V", value_parser = key_value, help_heading = "Runner")]
    environment: Vec<(String, String)>,
    /// Keep temporary directories, with the secrets in them
    #[arg(long, help_heading = "Runner")]
    keep_temp: bool,

    /// Time limit of the job
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Time and faults")]
    job_timeout: Option<Duration>,
    /// RUNNER_SCRIPT_TIMEOUT of the job
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Time and faults")]
    script_timeout: Option<Duration>,
    /// RUNNER_AFTER_SCRIPT_TIMEOUT of the job
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Time and faults")]
    after_script_timeout: Option<Duration>,
    /// prepare_timeout of the runner (19.0)
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Time and faults")]
    prepare_timeout: Option<Duration>,
    /// get_sources_timeout of the runner (19.1)
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Time and faults")]
    get_sources_timeout: Option<Duration>,
    /// config_exec_timeout of the runner
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "1h", help_heading = "Time and faults")]
    config_exec_timeout: Duration,
    /// prepare_exec_timeout of the runner
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "1h", help_heading = "Time and faults")]
    prepare_exec_timeout: Duration,
    /// cleanup_exec_timeout of the runner
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "1h", help_heading = "Time and faults")]
    cleanup_exec_timeout: Duration,
    /// From SIGTERM to SIGKILL
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "600s", help_heading = "Time and faults")]
    graceful_kill_timeout: Duration,
    /// From SIGKILL until the runner gives up
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "10s", help_heading = "Time and faults")]
    force_kill_timeout: Duration,
    /// How long a stopped job may take before cleanup starts regardless
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "300s", help_heading = "Time and faults")]
    wait_for_build_finish: Duration,
    /// Pause between attempts to prepare
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s", help_heading = "Time and faults")]
    retry_interval: Duration,
    /// First pause between attempts of a sub-stage
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "5s", help_heading = "Time and faults")]
    stage_retry_interval: Duration,
    /// How long the runner lives after SIGTERM
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "30s", help_heading = "Time and faults")]
    shutdown_timeout: Duration,
    /// Cancel the job; needs one of --cancel-after, --cancel-on, --cancel-in
    #[arg(long, value_name = "HOW", requires = "moment", help_heading = "Time and faults")]
    cancel: Option<CancelMode>,
    /// Cancel so long after the start
    #[arg(long, value_name = "TIME", value_parser = duration::parse, group = "moment", requires = "cancel", help_heading = "Time and faults")]
    cancel_after: Option<Duration>,
    /// Cancel when this text has appeared in the job log (commands are shown there before they run)
    #[arg(long, value_name = "TEXT", group = "moment", requires = "cancel", help_heading = "Time and faults")]
    cancel_on: Option<String>,
    /// Cancel when this sub-stage (or config_exec, prepare_exec) has been started
    #[arg(long, value_name = "SUB_STAGE", group = "moment", requires = "cancel", help_heading = "Time and faults")]
    cancel_in: Option<String>,
    /// Call cleanup_exec so often
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Time and faults")]
    repeat_cleanup: u32,
    /// The runner is killed when this text has appeared in the job log: no cleanup, processes stay
    #[arg(long, value_name = "TEXT", help_heading = "Time and faults")]
    kill_runner_on: Option<String>,

    /// Use the configuration unchanged, with the GitLab it names, instead of a built-in one
    #[arg(long, help_heading = "GitLab")]
    gitlab_from_config: bool,
    /// Change the answer of the job API: a dotted path and JSON or text, such as user.username=mallory
    #[arg(long, value_name = "PATH=VALUE", value_parser = key_value, conflicts_with = "gitlab_from_config", help_heading = "GitLab")]
    answer: Vec<(String, String)>,
    /// Let the job API answer with this HTTP status only
    #[arg(long, value_name = "CODE", conflicts_with = "gitlab_from_config", help_heading = "GitLab")]
    answer_status: Option<u16>,

    /// Write the job log to this file instead of standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    log: Option<PathBuf>,
    /// Write the runner's own log to this file instead of standard error
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    runner_log: Option<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protected {
    True,
    False,
    Unknown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Timestamps {
    On,
    Off,
    /// As the played version has it
    Profile,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`; write NAME=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn flag_value(text: &str) -> Result<(String, bool), String> {
    let (key, value) = key_value(text)?;
    let value = value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?;
    Ok((key, value))
}

impl SimulateArgs {
    /// Whether the driver asks the GitLab of its configuration, and not the emulator's.
    pub fn uses_configured_gitlab(&self) -> bool {
        self.gitlab_from_config
    }

    /// The simulation these options describe. `config` is the driver's configuration file.
    pub fn simulation(&self, config: &Path) -> Result<Simulation, SimulateError> {
        let mut simulation =
            Simulation { driver: Driver { config: config.to_owned(), ..Driver::default() }, ..Simulation::default() };
        if let Some(file) = &self.payload {
            simulation.adopt_file(file)?;
        }
        if let Some(dir) = &self.bin_dir {
            simulation.driver.bin_dir =
                std::path::absolute(dir).map_err(SimulateError::system("find the current directory"))?;
        }
        if let Some(name) = &self.runner_account {
            simulation.runner.account = Some(RunnerAccount::named(name)?);
        }
        self.identify(&mut simulation.identity);
        simulation.script.clone_from(&self.script);
        if let Some(file) = &self.script_file {
            let text = std::fs::read_to_string(file)
                .map_err(SimulateError::system(format!("read the script {}", file.display())))?;
            simulation.script.push(text);
        }
        simulation.after_script.clone_from(&self.after_script);
        for (name, command) in &self.step {
            match simulation.steps.iter_mut().find(|(known, _)| known == name) {
                Some((_, commands)) => commands.push(command.clone()),
                None => simulation.steps.push((name.clone(), vec![command.clone()])),
            }
        }
        let variables = &mut simulation.variables;
        for (name, limit) in
            [("RUNNER_SCRIPT_TIMEOUT", self.script_timeout), ("RUNNER_AFTER_SCRIPT_TIMEOUT", self.after_script_timeout)]
        {
            variables.extend(limit.map(|limit| Variable::new(name, duration::show(limit))));
        }
        variables.extend(self.variable.iter().map(|(key, value)| Variable::new(key, value)));
        variables.extend(self.file_variable.iter().map(|(key, value)| Variable::file(key, value)));
        simulation.git_url.clone_from(&self.git_url);
        if let (Some(url), None) = (&self.git_url, &self.sha) {
            simulation.identity.sha = newest(url, &simulation.identity)?;
        }
        simulation.cache.clone_from(&self.cache);
        simulation.artifacts.clone_from(&self.artifact);
        simulation.keep_temp = self.keep_temp;
        simulation.handle_signals = true;
        self.configure(&mut simulation);
        self.break_things(&mut simulation);
        Ok(simulation)
    }

    fn identify(&self, identity: &mut Identity) {
        fn set<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut identity.user_login, self.user.as_ref());
        set(&mut identity.user_id, self.user_id.as_ref());
        set(&mut identity.project_path, self.project.as_ref());
        set(&mut identity.project_id, self.project_id.as_ref());
        set(&mut identity.reference, self.reference.as_ref());
        set(&mut identity.sha, self.sha.as_ref());
        set(&mut identity.pipeline_id, self.pipeline_id.as_ref());
        set(&mut identity.pipeline_source, self.pipeline_source.as_ref());
        set(&mut identity.job_name, self.job_name.as_ref());
        set(&mut identity.ci_stage, self.ci_stage.as_ref());
        identity.tag |= self.tag;
        identity.job_id = self.job_id.or(identity.job_id);
        identity.job_token = self.job_token.clone().or(identity.job_token.take());
        match self.protected {
            None => {}
            Some(Protected::True) => identity.protected = Some(true),
            Some(Protected::False) => identity.protected = Some(false),
            Some(Protected::Unknown) => identity.protected = None,
        }
    }

    fn configure(&self, simulation: &mut Simulation) {
        let runner = &mut simulation.runner;
        runner.version = self.runner_version;
        runner.timestamps = match self.timestamps {
            Timestamps::On => true,
            Timestamps::Off => false,
            Timestamps::Profile => self.runner_version.has_inputs(),
        };
        runner.sections = self.sections;
        runner.concurrent_id = self.concurrent_id;
        runner.concurrent_project_id = self.concurrent_project_id;
        if let Some(token) = &self.runner_token {
            runner.token.clone_from(token);
        }
        if let Some(dir) = &self.builds_dir {
            runner.builds_dir.clone_from(dir);
        }
        if let Some(dir) = &self.cache_dir {
            runner.cache_dir.clone_from(dir);
        }
        runner.tmpdir.clone_from(&self.tmpdir);
        runner.feature_flags.clone_from(&self.feature_flag);
        runner.environment.clone_from(&self.environment);
        runner.job_timeout = self.job_timeout;
        runner.prepare_timeout = self.prepare_timeout;
        runner.get_sources_timeout = self.get_sources_timeout;
        runner.config_exec_timeout = self.config_exec_timeout;
        runner.prepare_exec_timeout = self.prepare_exec_timeout;
        runner.cleanup_exec_timeout = self.cleanup_exec_timeout;
        runner.graceful_kill_timeout = self.graceful_kill_timeout;
        runner.force_kill_timeout = self.force_kill_timeout;
        runner.wait_for_build_finish = self.wait_for_build_finish;
        runner.retry_interval = self.retry_interval;
        runner.stage_retry_interval = self.stage_retry_interval;
        runner.shutdown_timeout = self.shutdown_timeout;
    }

    fn break_things(&self, simulation: &mut Simulation) {
        let when = match (self.cancel_after, &self.cancel_on, &self.cancel_in) {
            (Some(delay), ..) => Some(CancelWhen::After(delay)),
            (_, Some(text), _) => Some(CancelWhen::OnText(text.clone())),
            (.., Some(stage)) => Some(CancelWhen::InSubStage(stage.clone())),
            _ => None,
        };
        simulation.faults.cancel = self.cancel.zip(when).map(|(mode, when)| Cancel { mode, when });
        simulation.faults.repeat_cleanup = self.repeat_cleanup;
        simulation.faults.kill_runner_on.clone_from(&self.kill_runner_on);
        let gitlab = &mut simulation.gitlab;
        gitlab.from_config = self.gitlab_from_config;
        gitlab.status = self.answer_status;
        gitlab.answers = self
            .answer
            .iter()
            .map(|(path, value)| (path.clone(), serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into())))
            .collect();
    }

    fn play(&self, config: &Path) -> Result<Outcome, SimulateError> {
        let simulation = self.simulation(config)?;
        let open =
            |file: &PathBuf| File::create(file).map_err(SimulateError::system(format!("write {}", file.display())));
        let mut log: Box<dyn Write + Send> = match &self.log {
            Some(file) => Box::new(open(file)?),
            None => Box::new(io::stdout()),
        };
        let mut runner_log: Box<dyn Write + Send> = match &self.runner_log {
            Some(file) => Box::new(open(file)?),
            None => Box::new(io::stderr()),
        };
        simulation.run(&mut log, &mut runner_log)
    }
}

/// The newest commit of a branch or tag, which a real GitLab would know.
fn newest(url: &str, identity: &Identity) -> Result<String, SimulateError> {
    let kind = if identity.tag { "tags" } else { "heads" };
    let reference = format!("refs/{kind}/{}", identity.reference);
    let output = std::process::Command::new("git")
        .args(["ls-remote", "--", url, &reference])
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .map_err(SimulateError::system("run git ls-remote to find the commit"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let sha = text.split_whitespace().next().filter(|_| output.status.success());
    sha.map(str::to_owned).ok_or_else(|| {
        let words = String::from_utf8_lossy(&output.stderr);
        SimulateError::Usage(format!(
            "{url} has no {reference}. Name another with --ref, or the commit with --sha. {}",
            words.trim()
        ))
    })
}

/// Runs `motmot simulate`. `config` is the driver's configuration file.
#[allow(clippy::needless_pass_by_value)] // the end of the options
pub fn main(args: SimulateArgs, config: &Path) -> ExitCode {
    match args.play(config) {
        Ok(outcome) => {
            let shown =
                if args.json { serde_json::to_string(&outcome).unwrap_or_default() } else { format!("\n{outcome}") };
            // The exit code says it too; a closed terminal is no reason to change that.
            let _ = writeln!(io::stdout(), "{shown}");
            ExitCode::from(outcome.exit_code_of_program())
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "motmot simulate: {error}");
            ExitCode::from(2)
        }
    }
}
