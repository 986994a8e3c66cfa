//! The payload that GitLab would make of a simulation.

use super::Simulation;
use crate::error::EmulatorError;
use crate::gitlab::id_token::{IdToken, InstanceKey};
use crate::gitlab::job::GitLabJob;
use crate::gitlab::payload::{Artifact, Cache, JobPayload, Step, Variable};

impl Simulation {
    /// The payload of this job: the recorded one with our changes, or one like GitLab's.
    pub(crate) fn compose(&self, job: &GitLabJob, url: &str) -> JobPayload {
        let recorded = self.payload.is_some();
        let mut payload = self.payload.clone().unwrap_or_default();
        payload.id = job.id();
        job.token().clone_into(&mut payload.token);
        let info = &mut payload.job_info;
        info.name.clone_from(&job.job_name);
        info.stage.clone_from(&job.ci_stage);
        info.project_id = job.project_id;
        info.pipeline_id = Some(job.pipeline_id);
        info.user_id = Some(job.user_id);
        let git = &mut payload.git_info;
        git.reference.clone_from(&job.reference);
        git.sha.clone_from(&job.sha);
        job.ref_type().clone_into(&mut git.ref_type);
        git.protected = Some(job.protected);
        let predefined = job.predefined(url);
        if recorded {
            // Where the recording has a variable for a fact, the first of that name is GitLab's own.
            for fresh in predefined {
                let known = payload.variables.iter_mut().flatten().find(|known| known.key == fresh.key);
                if let Some(known) =
                    known.filter(|known| !known.key.starts_with("CI_SERVER") && known.key != "CI_API_V4_URL")
                {
                    known.value = fresh.value;
                }
            }
            if info_path_is_stale(payload.job_info.project_full_path.as_deref(), job) {
                payload.job_info.project_full_path = Some(job.project_path.clone());
            }
        } else {
            self.invent(&mut payload, job, url);
            payload.variables = Some(predefined);
            if self.git_url.is_none() {
                // There is no repository behind the invented URL.
                payload.variables.get_or_insert_default().push(Variable::new("GIT_STRATEGY", "none"));
            }
        }
        if let Some(url) = &self.git_url {
            payload.git_info.repo_url.clone_from(url);
            payload.git_info.depth = 0;
            payload.git_info.refspecs = Some(vec![if job.tag {
                format!("+refs/tags/{0}:refs/tags/{0}", job.reference)
            } else {
                format!("+refs/heads/{0}:refs/remotes/origin/{0}", job.reference)
            }]);
        }
        if let Some(limit) = self.runner.job_timeout {
            payload.runner_info.timeout = i64::try_from(limit.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        }
        if let Some(run) = &self.run {
            payload.run = Some(run.as_str().into());
            payload.steps = None;
        }
        self.add_steps(&mut payload);
        let paths = |paths: &Vec<String>| Some(paths.clone());
        if !self.cache.is_empty() {
            let cache = Cache {
                key: "default".into(),
                policy: "pull-push".into(),
                paths: paths(&self.cache),
                when: "on_success".into(),
                ..Cache::default()
            };
            payload.cache.get_or_insert_default().push(cache);
        }
        if !self.artifacts.is_empty() {
            let artifact = Artifact {
                paths: paths(&self.artifacts),
                when: "always".into(),
                artifact_type: "archive".into(),
                artifact_format: "zip".into(),
                ..Artifact::default()
            };
            payload.artifacts.get_or_insert_default().push(artifact);
        }
        payload.variables.get_or_insert_default().extend(self.variables.iter().cloned());
        payload
    }

    /// Puts the id tokens where GitLab has them: behind what it says of the job, and before all that users can set.
    pub(crate) fn add_id_tokens(
        &self,
        payload: &mut JobPayload,
        job: &GitLabJob,
        url: &str,
        key: &InstanceKey,
    ) -> Result<(), EmulatorError> {
        let timeout = payload.runner_info.timeout;
        let variables = payload.variables.get_or_insert_default();
        let first = variables.iter().position(|known| known.key == "CI_JOB_TOKEN").map_or(0, |at| at + 1);
        for (at, IdToken { variable, audience }) in (first..).zip(&self.id_tokens) {
            let value = key.id_token(job, url, audience, timeout)?;
            variables.insert(at, Variable { public: false, masked: true, ..Variable::new(variable, value) });
        }
        Ok(())
    }

    /// What GitLab sends with every job and no flag of ours is about.
    fn invent(&self, payload: &mut JobPayload, job: &GitLabJob, url: &str) {
        payload.allow_git_fetch = true;
        let info = &mut payload.job_info;
        job.project_name().clone_into(&mut info.project_name);
        info.project_full_path = Some(job.project_path.clone());
        (info.namespace_id, info.root_namespace_id, info.organization_id) = (Some(3), Some(3), Some(1));
        info.instance_id = Some("simulated".to_owned());
        info.instance_uuid = Some("00000000-0000-4000-8000-000000000000".to_owned());
        "+Inf".clone_into(&mut info.project_jobs_running_on_instance_runners_count);
        let git = &mut payload.git_info;
        let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
        git.repo_url = format!("{scheme}://gitlab-ci-token:{}@{host}/{}.git", job.token(), job.project_path);
        "sha1".clone_into(&mut git.repo_object_format);
        git.before_sha = "0".repeat(40);
        git.refspecs = Some(vec![format!("+refs/pipelines/{0}:refs/pipelines/{0}", job.pipeline_id)]);
        git.depth = 20;
        payload.runner_info.timeout = 3600;
        payload.credentials = Some(serde_json::Value::Array(Vec::new()));
        payload.dependencies = Some(Vec::new());
        let reasons = [
            "unknown_failure",
            "script_failure",
            "api_failure",
            "stuck_or_timeout_failure",
            "runner_system_failure",
            "job_execution_timeout",
            "runner_interrupted",
        ];
        payload.features.failure_reasons = Some(reasons.map(str::to_owned).to_vec());
        payload.features.trace_sections = self.runner.sections;
        if self.script.is_empty() {
            payload.steps = Some(vec![step("script", &["true".to_owned()])]);
        }
    }

    fn add_steps(&self, payload: &mut JobPayload) {
        let steps = payload.steps.get_or_insert_default();
        let mut put = |name: &str, script: &[String]| {
            let fresh = step(name, script);
            match steps.iter_mut().find(|known| known.name == name) {
                Some(known) => known.script = fresh.script,
                None => steps.push(fresh),
            }
        };
        if !self.script.is_empty() {
            put("script", &self.script);
        }
        for (name, script) in &self.steps {
            put(name, script);
        }
        if !self.after_script.is_empty() {
            put("after_script", &self.after_script);
        }
    }
}

fn info_path_is_stale(path: Option<&str>, job: &GitLabJob) -> bool {
    path.is_some_and(|path| path != job.project_path)
}

fn step(name: &str, script: &[String]) -> Step {
    let after = name == "after_script";
    Step {
        name: name.to_owned(),
        script: Some(script.to_vec()),
        timeout: 3600,
        when: if after { "always" } else { "on_success" }.to_owned(),
        allow_failure: after,
    }
}
