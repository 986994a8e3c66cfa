//! Who a simulated job belongs to, and the payload GitLab would make of that.

use std::hash::{BuildHasher, RandomState};

use super::payload::{Artifact, Cache, Payload, Step, Variable};
use super::{SimulateError, Simulation};

/// The facts GitLab knows about a job before it starts.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Login of the user who started the job. Not part of the payload, only of the API's answer.
    pub user_login: String,
    /// Number of that user.
    pub user_id: i64,
    /// Project with its namespaces: `group/project`.
    pub project_path: String,
    /// Number of the project.
    pub project_id: i64,
    /// Branch or tag.
    pub reference: String,
    /// Whether `reference` is a tag.
    pub tag: bool,
    /// Whether the branch or tag is protected; `None` is a GitLab that does not say.
    pub protected: Option<bool>,
    /// Commit.
    pub sha: String,
    /// Number of the pipeline.
    pub pipeline_id: i64,
    /// What started the pipeline, for instance `push` or `schedule`.
    pub pipeline_source: String,
    /// Number of the job; `None` draws one.
    pub job_id: Option<i64>,
    /// Name of the job.
    pub job_name: String,
    /// Stage of the job.
    pub ci_stage: String,
    /// `CI_JOB_TOKEN`; `None` draws one.
    pub job_token: Option<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            user_login: "alice".to_owned(),
            user_id: 42,
            project_path: "group/project".to_owned(),
            project_id: 7,
            reference: "main".to_owned(),
            tag: false,
            protected: Some(false),
            sha: "5eedc0de5eedc0de5eedc0de5eedc0de5eedc0de".to_owned(),
            pipeline_id: 55,
            pipeline_source: "push".to_owned(),
            job_id: None,
            job_name: "simulated".to_owned(),
            ci_stage: "test".to_owned(),
            job_token: None,
        }
    }
}

/// Different in every process and call; nobody needs to be unable to guess it.
fn random() -> u64 {
    RandomState::new().hash_one(std::time::Instant::now())
}

impl Identity {
    /// The identity a recorded payload speaks of. The login is only there if its variables have one.
    pub(super) fn of(payload: &Payload) -> Self {
        let info = &payload.job_info;
        let git = &payload.git_info;
        let default = Self::default();
        let path = info.project_full_path.clone().filter(|path| !path.is_empty()).or_else(|| slug(&git.repo_url));
        Self {
            user_login: payload.first_variable("GITLAB_USER_LOGIN").map_or(default.user_login, str::to_owned),
            user_id: info.user_id.unwrap_or_default(),
            project_path: path.unwrap_or(default.project_path),
            project_id: info.project_id,
            reference: git.reference.clone(),
            tag: git.ref_type == "tag",
            protected: git.protected.flatten(),
            sha: git.sha.clone(),
            pipeline_id: info.pipeline_id.unwrap_or_default(),
            pipeline_source: payload
                .first_variable("CI_PIPELINE_SOURCE")
                .map_or(default.pipeline_source, str::to_owned),
            job_id: Some(payload.id).filter(|&id| id != 0),
            job_name: info.name.clone(),
            ci_stage: info.stage.clone(),
            job_token: Some(payload.token.clone()).filter(|token| !token.is_empty()),
        }
    }

    /// With number and token drawn where none were given.
    pub(super) fn settled(&self) -> Self {
        let job_id =
            self.job_id.unwrap_or_else(|| i64::try_from(1_000_000 + random() % 1_000_000_000).unwrap_or(1_000_000));
        let job_token =
            self.job_token.clone().unwrap_or_else(|| format!("glcbt-64_{:016x}{:08x}", random(), random() >> 32));
        Self { job_id: Some(job_id), job_token: Some(job_token), ..self.clone() }
    }

    pub(super) fn id(&self) -> i64 {
        self.job_id.unwrap_or_default()
    }

    pub(super) fn token(&self) -> &str {
        self.job_token.as_deref().unwrap_or_default()
    }

    pub(super) fn project_name(&self) -> &str {
        self.project_path.rsplit('/').next().unwrap_or_default()
    }

    /// What GitLab puts before the variables of users. Every one of them can be overridden by users.
    fn predefined(&self, url: &str) -> Vec<Variable> {
        let host = url.split("://").nth(1).unwrap_or(url);
        let name = self.project_name();
        let namespace = self.project_path.strip_suffix(name).unwrap_or_default().trim_end_matches('/');
        let protected = self.protected.unwrap_or_default().to_string();
        let ref_variable = if self.tag { "CI_COMMIT_TAG" } else { "CI_COMMIT_BRANCH" };
        let mut variables = vec![
            Variable::new("CI_PIPELINE_ID", self.pipeline_id.to_string()),
            Variable::new("CI_PIPELINE_URL", format!("{url}/{}/-/pipelines/{}", self.project_path, self.pipeline_id)),
            Variable::new("CI_JOB_ID", self.id().to_string()),
            Variable::new("CI_JOB_URL", format!("{url}/{}/-/jobs/{}", self.project_path, self.id())),
            Variable { public: false, masked: true, ..Variable::new("CI_JOB_TOKEN", self.token()) },
            Variable::new("CI_JOB_NAME", &*self.job_name),
            Variable::new("CI_JOB_STAGE", &*self.ci_stage),
            Variable::new("CI_PIPELINE_SOURCE", &*self.pipeline_source),
            Variable::new("CI", "true"),
            Variable::new("GITLAB_CI", "true"),
            Variable::new("CI_SERVER_URL", url),
            Variable::new("CI_SERVER_HOST", host.split(':').next().unwrap_or(host)),
            Variable::new("CI_API_V4_URL", format!("{url}/api/v4")),
            Variable::new("CI_PROJECT_ID", self.project_id.to_string()),
            Variable::new("CI_PROJECT_NAME", name),
            Variable::new("CI_PROJECT_NAMESPACE", namespace),
            Variable::new("CI_PROJECT_PATH", &*self.project_path),
            Variable::new("CI_COMMIT_SHA", &*self.sha),
            Variable::new("CI_COMMIT_REF_NAME", &*self.reference),
            Variable::new("CI_COMMIT_REF_PROTECTED", protected),
            Variable::new(ref_variable, &*self.reference),
        ];
        variables.extend([
            Variable::new("GITLAB_USER_ID", self.user_id.to_string()),
            Variable::new("GITLAB_USER_LOGIN", &*self.user_login),
            Variable::new("GITLAB_USER_NAME", &*self.user_login),
        ]);
        variables
    }
}

/// Path of a repository URL without `.git`. `None` for one without a host.
pub(super) fn slug(repo_url: &str) -> Option<String> {
    let (_, rest) = repo_url.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let path = path.strip_suffix(".git").unwrap_or(path).trim_matches('/');
    (!host.is_empty() && !path.is_empty()).then(|| path.to_owned())
}

impl Simulation {
    /// Takes over who the job belongs to from a recorded payload, so that single facts can be changed
    /// afterwards.
    pub fn adopt(&mut self, payload: Payload) {
        self.identity = Identity::of(&payload);
        self.payload = Some(payload);
    }

    /// Reads a payload file, see [`Payload::from_json`].
    pub fn adopt_file(&mut self, path: &std::path::Path) -> Result<(), SimulateError> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SimulateError::Payload { origin: origin.clone(), problem: error.to_string() })?;
        self.adopt(Payload::from_json(&text, &origin)?);
        Ok(())
    }

    /// The payload of this job: the recorded one with our changes, or one like GitLab's.
    pub(super) fn compose(&self, identity: &Identity, url: &str) -> Payload {
        let recorded = self.payload.is_some();
        let mut job = self.payload.clone().unwrap_or_default();
        job.id = identity.id();
        identity.token().clone_into(&mut job.token);
        let info = &mut job.job_info;
        info.name.clone_from(&identity.job_name);
        info.stage.clone_from(&identity.ci_stage);
        info.project_id = identity.project_id;
        info.pipeline_id = Some(identity.pipeline_id);
        info.user_id = Some(identity.user_id);
        let git = &mut job.git_info;
        git.reference.clone_from(&identity.reference);
        git.sha.clone_from(&identity.sha);
        identity.ref_type().clone_into(&mut git.ref_type);
        git.protected = Some(identity.protected);
        let predefined = identity.predefined(url);
        if recorded {
            // Where the recording has a variable for a fact, the first of that name is GitLab's own.
            for fresh in predefined {
                let known = job.variables.iter_mut().flatten().find(|known| known.key == fresh.key);
                if let Some(known) =
                    known.filter(|known| !known.key.starts_with("CI_SERVER") && known.key != "CI_API_V4_URL")
                {
                    known.value = fresh.value;
                }
            }
            if info_path_is_stale(job.job_info.project_full_path.as_deref(), identity) {
                job.job_info.project_full_path = Some(identity.project_path.clone());
            }
        } else {
            self.invent(&mut job, identity, url);
            job.variables = Some(predefined);
            if self.git_url.is_none() {
                // There is no repository behind the invented URL.
                job.variables.get_or_insert_default().push(Variable::new("GIT_STRATEGY", "none"));
            }
        }
        if let Some(url) = &self.git_url {
            job.git_info.repo_url.clone_from(url);
            job.git_info.depth = 0;
            job.git_info.refspecs = Some(vec![if identity.tag {
                format!("+refs/tags/{0}:refs/tags/{0}", identity.reference)
            } else {
                format!("+refs/heads/{0}:refs/remotes/origin/{0}", identity.reference)
            }]);
        }
        if let Some(limit) = self.runner.job_timeout {
            job.runner_info.timeout = i64::try_from(limit.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        }
        self.add_steps(&mut job);
        let paths = |paths: &Vec<String>| Some(paths.clone());
        if !self.cache.is_empty() {
            let cache = Cache {
                key: "default".into(),
                policy: "pull-push".into(),
                paths: paths(&self.cache),
                when: "on_success".into(),
                ..Cache::default()
            };
            job.cache.get_or_insert_default().push(cache);
        }
        if !self.artifacts.is_empty() {
            let artifact = Artifact {
                paths: paths(&self.artifacts),
                when: "always".into(),
                artifact_type: "archive".into(),
                artifact_format: "zip".into(),
                ..Artifact::default()
            };
            job.artifacts.get_or_insert_default().push(artifact);
        }
        job.variables.get_or_insert_default().extend(self.variables.iter().cloned());
        job
    }

    /// What GitLab sends with every job and no flag of ours is about.
    fn invent(&self, job: &mut Payload, identity: &Identity, url: &str) {
        job.allow_git_fetch = true;
        let info = &mut job.job_info;
        identity.project_name().clone_into(&mut info.project_name);
        info.project_full_path = Some(identity.project_path.clone());
        (info.namespace_id, info.root_namespace_id, info.organization_id) = (Some(3), Some(3), Some(1));
        info.instance_id = Some("simulated".to_owned());
        info.instance_uuid = Some("00000000-0000-4000-8000-000000000000".to_owned());
        "+Inf".clone_into(&mut info.project_jobs_running_on_instance_runners_count);
        let git = &mut job.git_info;
        let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
        git.repo_url = format!("{scheme}://gitlab-ci-token:{}@{host}/{}.git", identity.token(), identity.project_path);
        "sha1".clone_into(&mut git.repo_object_format);
        git.before_sha = "0".repeat(40);
        git.refspecs = Some(vec![format!("+refs/pipelines/{0}:refs/pipelines/{0}", identity.pipeline_id)]);
        git.depth = 20;
        job.runner_info.timeout = 3600;
        job.credentials = Some(serde_json::Value::Array(Vec::new()));
        job.dependencies = Some(Vec::new());
        let reasons = [
            "unknown_failure",
            "script_failure",
            "api_failure",
            "stuck_or_timeout_failure",
            "runner_system_failure",
            "job_execution_timeout",
            "runner_interrupted",
        ];
        job.features.failure_reasons = Some(reasons.map(str::to_owned).to_vec());
        job.features.trace_sections = self.runner.sections;
        if self.script.is_empty() {
            job.steps = Some(vec![step("script", &["true".to_owned()])]);
        }
    }

    fn add_steps(&self, job: &mut Payload) {
        let steps = job.steps.get_or_insert_default();
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

impl Identity {
    pub(super) fn ref_type(&self) -> &'static str {
        if self.tag { "tag" } else { "branch" }
    }
}

fn info_path_is_stale(path: Option<&str>, identity: &Identity) -> bool {
    path.is_some_and(|path| path != identity.project_path)
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
