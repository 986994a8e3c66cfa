//! From the options of the command line to what the emulator plays.

use std::path::{Path, PathBuf};

use motmot_emulator::{
    Cancel, CancelMode, CancelWhen, Environment, GitLabJob, JobApi, JobPayload, RunnerVersion, Simulation,
    SourceProject, Variable, go_duration,
};

use super::error::SimulateError;
use super::options::{Cancels, PlayedVersion, Protected, SimulateArgs, Timestamps};
use super::play::AskedGitLab;
use super::runner_account;

impl SimulateArgs {
    /// Whether the driver asks the GitLab of its configuration, and not the emulator's.
    pub fn uses_configured_gitlab(&self) -> bool {
        self.gitlab_from_config
    }

    /// Which of several GitLabs is played.
    pub fn name_of_gitlab(&self) -> Option<&str> {
        self.gitlab.as_deref()
    }

    /// Which GitLab the driver asks.
    pub(super) fn gitlab(&self) -> AskedGitLab {
        if self.uses_configured_gitlab() {
            return AskedGitLab::Configured;
        }
        let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
        let changes = self.answer.iter().map(|(path, value)| (path.clone(), json(value))).collect();
        AskedGitLab::Played(JobApi { changes, status: self.answer_status })
    }

    /// Where the stage binaries are: as named, otherwise beside this program.
    pub(super) fn bin_dir(&self) -> Result<PathBuf, SimulateError> {
        if let Some(dir) = &self.bin_dir {
            return std::path::absolute(dir).map_err(SimulateError::system("find the current directory"));
        }
        let own = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        Ok(own.unwrap_or_default())
    }

    /// The simulation these options describe.
    pub(super) fn simulation(&self) -> Result<Simulation, SimulateError> {
        let mut simulation = Simulation::default();
        if let Some(file) = &self.payload {
            simulation.adopt(JobPayload::from_file(file)?);
        }
        if let Some(name) = &self.runner_account {
            simulation.runner.account = Some(runner_account::named(name)?);
        }
        self.identify(&mut simulation.job);
        simulation.script.clone_from(&self.script);
        if let Some(file) = &self.script_file {
            let text = std::fs::read_to_string(file)
                .map_err(SimulateError::system(format!("read the script {}", file.display())))?;
            simulation.script.push(text);
        }
        simulation.run.clone_from(&self.run);
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
            variables.extend(limit.map(|limit| Variable::new(name, go_duration::show(limit))));
        }
        variables.extend(self.variable.iter().map(|(key, value)| Variable::new(key, value)));
        variables.extend(self.file_variable.iter().map(|(key, value)| Variable::file(key, value)));
        simulation.git_url.clone_from(&self.git_url);
        if let (Some(url), None) = (&self.git_url, &self.sha) {
            simulation.job.sha = newest(url, &simulation.job)?;
        }
        simulation.cache.clone_from(&self.cache);
        simulation.artifacts.clone_from(&self.artifact);
        simulation.keep_temp = self.keep_temp;
        simulation.handle_signals = true;
        self.configure(&mut simulation);
        self.break_things(&mut simulation);
        Ok(simulation)
    }

    fn identify(&self, job: &mut GitLabJob) {
        fn set<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut job.user_login, self.user.as_ref());
        set(&mut job.user_id, self.user_id.as_ref());
        set(&mut job.project_path, self.project.as_ref());
        set(&mut job.project_id, self.project_id.as_ref());
        set(&mut job.reference, self.reference.as_ref());
        set(&mut job.sha, self.sha.as_ref());
        set(&mut job.pipeline_id, self.pipeline_id.as_ref());
        set(&mut job.pipeline_source, self.pipeline_source.as_ref());
        set(&mut job.job_name, self.job_name.as_ref());
        set(&mut job.ci_stage, self.ci_stage.as_ref());
        set(&mut job.runner_id, self.runner_id.as_ref());
        job.source_project = self.source_project.clone().map(|path| SourceProject { id: self.source_project_id, path });
        let protected = self.environment_protected;
        job.environment = self.job_environment.clone().map(|name| Environment { name, protected });
        job.groups.clone_from(&self.gitlab_group);
        job.tag |= self.tag;
        job.job_id = self.job_id.or(job.job_id);
        job.job_token = self.job_token.clone().or(job.job_token.take());
        match self.protected {
            None => {}
            Some(Protected::True) => job.protected = Some(true),
            Some(Protected::False) => job.protected = Some(false),
            Some(Protected::Unknown) => job.protected = None,
        }
    }

    fn configure(&self, simulation: &mut Simulation) {
        let runner = &mut simulation.runner;
        runner.version = self.runner_version.into();
        runner.timestamps = match self.timestamps {
            Timestamps::On => true,
            Timestamps::Off => false,
            Timestamps::Profile => runner.version.has_timestamps(),
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
        simulation.faults.cancel = self.cancel.zip(when).map(|(mode, when)| Cancel { mode: mode.into(), when });
        simulation.faults.repeat_cleanup = self.repeat_cleanup;
        simulation.faults.kill_runner_on.clone_from(&self.kill_runner_on);
    }
}

impl From<PlayedVersion> for RunnerVersion {
    fn from(version: PlayedVersion) -> Self {
        match version {
            PlayedVersion::V17_8 => Self::V17_8,
            PlayedVersion::V17_9 => Self::V17_9,
            PlayedVersion::V18_5 => Self::V18_5,
            PlayedVersion::V19_0 => Self::V19_0,
            PlayedVersion::V19_1 => Self::V19_1,
            PlayedVersion::V19_3 => Self::V19_3,
        }
    }
}

impl From<Cancels> for CancelMode {
    fn from(mode: Cancels) -> Self {
        match mode {
            Cancels::Graceful => Self::Graceful,
            Cancels::Hard => Self::Hard,
            Cancels::RunnerTerm => Self::RunnerTerm,
        }
    }
}

/// The newest commit of a branch or tag, which a real GitLab would know.
fn newest(url: &str, job: &GitLabJob) -> Result<String, SimulateError> {
    let kind = if job.tag { "tags" } else { "heads" };
    let reference = format!("refs/{kind}/{}", job.reference);
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
