//! Who a simulated job belongs to.

use std::hash::{BuildHasher, RandomState};

use super::payload::{JobPayload, Variable};

/// The facts GitLab knows about a job before it starts.
#[derive(Debug, Clone)]
pub struct GitLabJob {
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
    /// In the pipeline of a merge request from a fork: the fork. Only id tokens say it.
    pub source_project: Option<SourceProject>,
    /// What it deploys to (`environment:`). Only id tokens say whether that is protected.
    pub environment: Option<Environment>,
    /// Number of the runner that has it.
    pub runner_id: i64,
    /// Groups that the user is a member of, by their full paths.
    pub groups: Vec<String>,
}

/// What a job deploys to.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Whether it is protected.
    pub protected: bool,
}

/// A project that a merge request comes from.
#[derive(Debug, Clone)]
pub struct SourceProject {
    /// Its number.
    pub id: i64,
    /// Its path with namespaces.
    pub path: String,
}

impl Default for GitLabJob {
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
            source_project: None,
            environment: None,
            runner_id: 1,
            groups: Vec::new(),
        }
    }
}

/// Different in every process and call; nobody needs to be unable to guess it.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::time::Instant::now())
}

impl GitLabJob {
    /// The job that a recorded payload speaks of. The login is only there if its variables have one.
    pub(crate) fn of(payload: &JobPayload) -> Self {
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
            source_project: None,
            environment: None,
            runner_id: default.runner_id,
            groups: default.groups,
        }
    }

    /// With number and token drawn where none were given.
    pub(crate) fn settled(&self) -> Self {
        let job_id =
            self.job_id.unwrap_or_else(|| i64::try_from(1_000_000 + random() % 1_000_000_000).unwrap_or(1_000_000));
        let job_token =
            self.job_token.clone().unwrap_or_else(|| format!("glcbt-64_{:016x}{:08x}", random(), random() >> 32));
        Self { job_id: Some(job_id), job_token: Some(job_token), ..self.clone() }
    }

    pub(crate) fn id(&self) -> i64 {
        self.job_id.unwrap_or_default()
    }

    pub(crate) fn token(&self) -> &str {
        self.job_token.as_deref().unwrap_or_default()
    }

    pub(crate) fn project_name(&self) -> &str {
        self.project_path.rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn ref_type(&self) -> &'static str {
        if self.tag { "tag" } else { "branch" }
    }

    /// What GitLab puts before the variables of users. Every one of them can be overridden by users.
    pub(crate) fn predefined(&self, url: &str) -> Vec<Variable> {
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
        variables.extend(
            self.environment.as_ref().map(|environment| Variable::new("CI_ENVIRONMENT_NAME", &*environment.name)),
        );
        variables
    }
}

/// Path of a repository URL without `.git`. `None` for one without a host.
pub(crate) fn slug(repo_url: &str) -> Option<String> {
    let (_, rest) = repo_url.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let path = path.strip_suffix(".git").unwrap_or(path).trim_matches('/');
    (!host.is_empty() && !path.is_empty()).then(|| path.to_owned())
}
