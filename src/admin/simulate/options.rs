//! The command line of `motmot simulate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use motmot_emulator::go_duration;

/// Play GitLab and GitLab Runner for one job against the four driver binaries
///
/// The job log goes to standard output, the runner's own log to standard error, then comes the result.
/// Exit code: 0 the job succeeded, 1 it failed, 3 the site failed, 2 wrong usage.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools)] // switches of a command line
pub struct SimulateArgs {
    /// Login of the user who started the job [default: alice]; for rules with user_id, give --user-id as well
    #[arg(long, value_name = "LOGIN", help_heading = "Job")]
    pub(super) user: Option<String>,
    /// Number of that user [default: 42]
    #[arg(long, value_name = "N", help_heading = "Job")]
    pub(super) user_id: Option<i64>,
    /// Project with its namespaces [default: group/project]
    #[arg(long, value_name = "PATH", help_heading = "Job")]
    pub(super) project: Option<String>,
    /// Number of the project [default: 7]
    #[arg(long, value_name = "N", help_heading = "Job")]
    pub(super) project_id: Option<i64>,
    /// Branch, or tag with --tag [default: main]
    #[arg(long = "ref", value_name = "NAME", help_heading = "Job")]
    pub(super) reference: Option<String>,
    /// The ref is a tag
    #[arg(long, help_heading = "Job")]
    pub(super) tag: bool,
    /// Whether the ref is protected; unknown is what an old GitLab sends [default: false]
    #[arg(long, value_name = "WHETHER", help_heading = "Job")]
    pub(super) protected: Option<Protected>,
    /// Commit [default: an invented one; with --git-url the newest of the ref]
    #[arg(long, value_name = "SHA", help_heading = "Job")]
    pub(super) sha: Option<String>,
    /// Number of the pipeline [default: 55]
    #[arg(long, value_name = "N", help_heading = "Job")]
    pub(super) pipeline_id: Option<i64>,
    /// What started the pipeline [default: push]
    #[arg(long, value_name = "SOURCE", help_heading = "Job")]
    pub(super) pipeline_source: Option<String>,
    /// The fork that a merge request comes from; GitLab says it in id tokens alone. With --pipeline-source merge_request_event
    #[arg(long, value_name = "PATH", help_heading = "Job")]
    pub(super) source_project: Option<String>,
    /// Number of that fork
    #[arg(long, value_name = "N", requires = "source_project", default_value_t = 8, help_heading = "Job")]
    pub(super) source_project_id: i64,
    /// What the job deploys to (environment: in .gitlab-ci.yml); GitLab says it in id tokens alone
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    pub(super) job_environment: Option<String>,
    /// That environment is protected
    #[arg(long, requires = "job_environment", help_heading = "Job")]
    pub(super) environment_protected: bool,
    /// Group of GitLab that the user is a member of; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Job")]
    pub(super) gitlab_group: Vec<String>,
    /// Number of the job [default: drawn at random]
    #[arg(long, value_name = "N", help_heading = "Job")]
    pub(super) job_id: Option<i64>,
    /// Name of the job [default: simulated]
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    pub(super) job_name: Option<String>,
    /// Stage of the job [default: test]
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    pub(super) ci_stage: Option<String>,
    /// CI_JOB_TOKEN [default: drawn at random]
    #[arg(long, value_name = "TOKEN", help_heading = "Job")]
    pub(super) job_token: Option<String>,
    /// Start from this payload (an answer of jobs/request or a JOB_RESPONSE_FILE); other options change it
    #[arg(long, value_name = "FILE", help_heading = "Job")]
    pub(super) payload: Option<PathBuf>,

    /// Command of the script [default: true]
    #[arg(long, value_name = "CMD", help_heading = "Work", allow_hyphen_values = true)]
    pub(super) script: Vec<String>,
    /// Content of a file as one command of the script
    #[arg(long, value_name = "FILE", help_heading = "Work")]
    pub(super) script_file: Option<PathBuf>,
    /// The `run:` of the job in place of a script, as JSON: a list of steps such as [{"name": "a", "script": "id"}]. The runner makes it a
    /// script that calls step-runner
    #[arg(long, value_name = "JSON", value_parser = list_of_steps, help_heading = "Work")]
    pub(super) run: Option<String>,
    /// Command of after_script
    #[arg(long, value_name = "CMD", help_heading = "Work", allow_hyphen_values = true)]
    pub(super) after_script: Vec<String>,
    /// Further step, such as release, with one command; repeat for more
    #[arg(long, value_name = "NAME=CMD", value_parser = key_value, help_heading = "Work")]
    pub(super) step: Vec<(String, String)>,
    /// Variable behind all predefined ones
    #[arg(long, value_name = "K=V", value_parser = key_value, help_heading = "Work")]
    pub(super) variable: Vec<(String, String)>,
    /// Variable of type file
    #[arg(long, value_name = "K=V", value_parser = key_value, help_heading = "Work")]
    pub(super) file_variable: Vec<(String, String)>,
    /// Fetch this repository; without it the sources are left alone
    #[arg(long, value_name = "URL", help_heading = "Work")]
    pub(super) git_url: Option<String>,
    /// Path to cache
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    pub(super) cache: Vec<String>,
    /// Path to upload as artifact
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    pub(super) artifact: Vec<String>,

    /// Directory of motmot-config, -prepare, -run, -cleanup [default: that of this program]
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    pub(super) bin_dir: Option<PathBuf>,
    /// As root: run the driver as this account, as a runner does that is not root
    #[arg(long, value_name = "ACCOUNT", help_heading = "Runner")]
    pub(super) runner_account: Option<String>,
    /// Version of GitLab Runner to play
    #[arg(long, value_name = "VERSION", default_value = "19.3", help_heading = "Runner")]
    pub(super) runner_version: PlayedVersion,
    /// Time stamps in the job log; off because GitLab does not show them
    #[arg(long, value_name = "WHEN", default_value = "off", help_heading = "Runner")]
    pub(super) timestamps: Timestamps,
    /// Section markers in the job log
    #[arg(long, help_heading = "Runner")]
    pub(super) sections: bool,
    /// CI_CONCURRENT_ID
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Runner")]
    pub(super) concurrent_id: u32,
    /// CI_CONCURRENT_PROJECT_ID
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Runner")]
    pub(super) concurrent_project_id: u32,
    /// Number of the runner [default: 1]
    #[arg(long, value_name = "N", help_heading = "Runner")]
    pub(super) runner_id: Option<i64>,
    /// The runner's token [default: glrt-simulated1234567]
    #[arg(long, value_name = "TOKEN", help_heading = "Runner")]
    pub(super) runner_token: Option<String>,
    /// The runner's builds_dir; the driver may overrule it [default: /tmp/motmot-simulate/builds]
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    pub(super) builds_dir: Option<String>,
    /// The runner's cache_dir; the driver may overrule it [default: /tmp/motmot-simulate/cache]
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    pub(super) cache_dir: Option<String>,
    /// The runner's TMPDIR [default: that of this process]
    #[arg(long, value_name = "DIR", help_heading = "Runner")]
    pub(super) tmpdir: Option<PathBuf>,
    /// Feature flag fixed by the runner
    #[arg(long, value_name = "K=BOOL", value_parser = flag_value, help_heading = "Runner")]
    pub(super) feature_flag: Vec<(String, bool)>,
    /// Entry of the runner's `environment`
    #[arg(long, value_name = "K=V", value_parser = key_value, help_heading = "Runner")]
    pub(super) environment: Vec<(String, String)>,
    /// Keep temporary directories, with the secrets in them
    #[arg(long, help_heading = "Runner")]
    pub(super) keep_temp: bool,

    /// Time limit of the job [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, help_heading = "Time and faults")]
    pub(super) job_timeout: Option<Duration>,
    /// RUNNER_SCRIPT_TIMEOUT of the job
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, help_heading = "Time and faults")]
    pub(super) script_timeout: Option<Duration>,
    /// RUNNER_AFTER_SCRIPT_TIMEOUT of the job
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, help_heading = "Time and faults")]
    pub(super) after_script_timeout: Option<Duration>,
    /// prepare_timeout of the runner (19.0)
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, help_heading = "Time and faults")]
    pub(super) prepare_timeout: Option<Duration>,
    /// get_sources_timeout of the runner (19.1)
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, help_heading = "Time and faults")]
    pub(super) get_sources_timeout: Option<Duration>,
    /// config_exec_timeout of the runner
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "1h", help_heading = "Time and faults")]
    pub(super) config_exec_timeout: Duration,
    /// prepare_exec_timeout of the runner
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "1h", help_heading = "Time and faults")]
    pub(super) prepare_exec_timeout: Duration,
    /// cleanup_exec_timeout of the runner
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "1h", help_heading = "Time and faults")]
    pub(super) cleanup_exec_timeout: Duration,
    /// From SIGTERM to SIGKILL
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "600s", help_heading = "Time and faults")]
    pub(super) graceful_kill_timeout: Duration,
    /// From SIGKILL until the runner gives up
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "10s", help_heading = "Time and faults")]
    pub(super) force_kill_timeout: Duration,
    /// How long a stopped job may take before cleanup starts regardless
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "300s", help_heading = "Time and faults")]
    pub(super) wait_for_build_finish: Duration,
    /// Pause between attempts to prepare
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "3s", help_heading = "Time and faults")]
    pub(super) retry_interval: Duration,
    /// First pause between attempts of a sub-stage
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "5s", help_heading = "Time and faults")]
    pub(super) stage_retry_interval: Duration,
    /// How long the runner lives after SIGTERM
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, default_value = "30s", help_heading = "Time and faults")]
    pub(super) shutdown_timeout: Duration,
    /// Cancel the job; needs one of --cancel-after, --cancel-on, --cancel-in
    #[arg(long, value_name = "HOW", requires = "moment", help_heading = "Time and faults")]
    pub(super) cancel: Option<Cancels>,
    /// Cancel so long after the start
    #[arg(long, value_name = "TIME", value_parser = go_duration::parse, group = "moment", requires = "cancel", help_heading = "Time and faults")]
    pub(super) cancel_after: Option<Duration>,
    /// Cancel when this text has appeared in the job log (commands are shown there before they run)
    #[arg(long, value_name = "TEXT", group = "moment", requires = "cancel", help_heading = "Time and faults")]
    pub(super) cancel_on: Option<String>,
    /// Cancel when this sub-stage (or config_exec, prepare_exec) has been started
    #[arg(long, value_name = "SUB_STAGE", group = "moment", requires = "cancel", help_heading = "Time and faults")]
    pub(super) cancel_in: Option<String>,
    /// Call cleanup_exec so often
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Time and faults")]
    pub(super) repeat_cleanup: u32,
    /// The runner is killed when this text has appeared in the job log: its stages end with it, nobody cleans up, and motmot reap takes what is left for that of a runner which may live
    #[arg(long, value_name = "TEXT", help_heading = "Time and faults")]
    pub(super) kill_runner_on: Option<String>,

    /// Where the configuration has several [[gitlab]]: the name of the one to play
    #[arg(long, value_name = "NAME", help_heading = "GitLab")]
    pub(super) gitlab: Option<String>,
    /// Use the configuration unchanged, with the GitLab it names, instead of a built-in one
    #[arg(long, help_heading = "GitLab")]
    pub(super) gitlab_from_config: bool,
    /// Change the answer of the job API: a dotted path and JSON or text, such as user.username=mallory
    #[arg(long, value_name = "PATH=VALUE", value_parser = key_value, conflicts_with = "gitlab_from_config", help_heading = "GitLab")]
    pub(super) answer: Vec<(String, String)>,
    /// Let the job API answer with this HTTP status only
    #[arg(long, value_name = "CODE", conflicts_with = "gitlab_from_config", help_heading = "GitLab")]
    pub(super) answer_status: Option<u16>,

    /// Write the job log to this file instead of standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) log: Option<PathBuf>,
    /// Write the runner's own log to this file instead of standard error
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) runner_log: Option<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Protected {
    True,
    False,
    Unknown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Timestamps {
    On,
    Off,
    /// As the played version has it
    Profile,
}

/// A version of GitLab Runner.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PlayedVersion {
    /// Has no `BUILD_EXIT_CODE_FILE`: a job can only fail with exit code 1
    #[value(name = "17.8")]
    V17_8,
    /// First with `BUILD_EXIT_CODE_FILE`; its `JOB_RESPONSE_FILE` does not say who the user is
    #[value(name = "17.9")]
    V17_9,
    /// First with `user_id` and `project_full_path` in `JOB_RESPONSE_FILE`
    #[value(name = "18.5")]
    V18_5,
    /// First with `pipeline_id` in `JOB_RESPONSE_FILE`
    #[value(name = "19.0")]
    V19_0,
    /// First whose scripts trap SIGTERM instead of piping into `eval`
    #[value(name = "19.1")]
    V19_1,
    /// The newest
    #[value(name = "19.3")]
    V19_3,
}

/// Who stops the job, and how.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Cancels {
    /// A user cancels it: the script is stopped, `after_script` and later stages still run. Before the script begins
    /// everything is stopped
    Graceful,
    /// GitLab aborts it: nothing but cleanup runs afterwards
    Hard,
    /// The runner gets SIGTERM: as hard, and the runner exits when its shutdown timeout is over
    RunnerTerm,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`; write NAME=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn list_of_steps(text: &str) -> Result<String, String> {
    let steps: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    match steps.as_array() {
        Some(list) if !list.is_empty() => Ok(text.to_owned()),
        _ => Err("it is not a list of steps; write [{\"name\": \"a\", \"script\": \"id\"}]".to_owned()),
    }
}

fn flag_value(text: &str) -> Result<(String, bool), String> {
    let (key, value) = key_value(text)?;
    let value = value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?;
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use motmot_emulator::Simulation;

    use super::*;

    /// They are the emulator's, and no value of clap's: where a payload is given, its facts hold.
    #[test]
    fn the_defaults_that_help_shows_are_those_of_the_emulator() {
        let command = SimulateArgs::augment_args(clap::Command::new("simulate"));
        let Simulation { job, runner, .. } = Simulation::default();
        for (option, default) in [
            ("user", job.user_login),
            ("user_id", job.user_id.to_string()),
            ("project", job.project_path),
            ("project_id", job.project_id.to_string()),
            ("reference", job.reference),
            ("protected", job.protected.expect("known").to_string()),
            ("pipeline_id", job.pipeline_id.to_string()),
            ("pipeline_source", job.pipeline_source),
            ("job_name", job.job_name),
            ("ci_stage", job.ci_stage),
            ("runner_token", runner.token),
            ("builds_dir", runner.builds_dir),
            ("cache_dir", runner.cache_dir),
        ] {
            let found = command.get_arguments().find(|arg| arg.get_id() == option).expect(option);
            let help = found.get_help().expect("help").to_string();
            assert!(help.contains(&format!("[default: {default}]")), "--{option}: {help}, {default}");
        }
        assert!(job.job_id.is_none() && job.job_token.is_none() && runner.tmpdir.is_none());
    }
}
