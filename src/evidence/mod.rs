//! What is known of a job, and from whom.
//!
//! Everything that a pipeline author can set (each `variables` entry of the payload, each `CUSTOM_ENV_*`) stays outside
//! this module: see the runner's variable precedence, where the last of several entries with one name wins.

pub mod job_api;
pub mod payload;
pub mod settings;
pub mod variables;

use serde::{Deserialize, Serialize};

/// Facts about a job for which GitLab itself vouches: structured fields of the payload, and the answer of its API.
///
/// Made in this room only, and read-only for all others: what a job may do is decided from them.
/// Absent means unknown, and an unknown fact stays out of the token; it is never turned into a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    job_id: u64,
    job_name: Option<String>,
    ci_stage: Option<String>,
    project_id: u64,
    project_path: Option<String>,
    namespace_id: Option<u64>,
    user_id: u64,
    user_login: String,
    #[serde(default)]
    scoped_user_id: Option<u64>,
    pipeline_id: Option<u64>,
    pipeline_source: Option<String>,
    git_ref: Option<String>,
    ref_type: Option<RefType>,
    ref_protected: Option<bool>,
    sha: Option<String>,
}

impl JobFacts {
    /// GitLab's number of the job.
    pub fn job_id(&self) -> u64 {
        self.job_id
    }

    /// The job's name in `.gitlab-ci.yml`: free text of the pipeline author.
    pub fn job_name(&self) -> Option<&str> {
        self.job_name.as_deref()
    }

    /// The job's stage in `.gitlab-ci.yml`: free text of the pipeline author.
    pub fn ci_stage(&self) -> Option<&str> {
        self.ci_stage.as_deref()
    }

    /// The project that owns the job.
    pub fn project_id(&self) -> u64 {
        self.project_id
    }

    /// Its full path, `group/project`.
    pub fn project_path(&self) -> Option<&str> {
        self.project_path.as_deref()
    }

    /// The number of its namespace.
    pub fn namespace_id(&self) -> Option<u64> {
        self.namespace_id
    }

    /// Who started the job.
    pub fn user_id(&self) -> u64 {
        self.user_id
    }

    /// That user's login name in GitLab.
    pub fn user_login(&self) -> &str {
        &self.user_login
    }

    /// The user for whom that one acts, by number: he is then no person, but the service account of an AI agent (composite
    /// identity).
    pub fn scoped_user_id(&self) -> Option<u64> {
        self.scoped_user_id
    }

    /// The human behind the job: who started it, or for whom the agent acts that did.
    pub fn human(&self) -> Human<'_> {
        match self.scoped_user_id {
            Some(id) => Human { id, login: None },
            None => Human { id: self.user_id, login: Some(&self.user_login) },
        }
    }

    /// The pipeline of the job.
    pub fn pipeline_id(&self) -> Option<u64> {
        self.pipeline_id
    }

    /// What started the pipeline: `push`, `web`, `schedule`, ...
    pub fn pipeline_source(&self) -> Option<&str> {
        self.pipeline_source.as_deref()
    }

    /// Whose code the pipeline runs.
    ///
    /// In the pipeline of a merge request it may be that of a fork: `pipeline_source` and all else that the payload and the API
    /// say is the same for a branch of the project's own. Pipelines that such a pipeline starts have another source, but still the
    /// merge request's ref.
    pub fn pipeline_kind(&self) -> PipelineKind {
        if self.git_ref().is_some_and(|git_ref| git_ref.starts_with("refs/merge-requests/")) {
            return PipelineKind::MergeRequest;
        }
        match self.pipeline_source().filter(|source| !source.is_empty()) {
            Some("merge_request_event") => PipelineKind::MergeRequest,
            Some(_) => PipelineKind::Ref,
            None => PipelineKind::Unknown,
        }
    }

    /// Whether the code comes from a fork of the project. `None` where nobody has said so.
    pub fn is_from_fork(&self) -> Option<bool> {
        match self.pipeline_kind() {
            PipelineKind::Ref => Some(false),
            PipelineKind::MergeRequest | PipelineKind::Unknown => None,
        }
    }

    /// Whether the code certainly is the project's own.
    pub fn is_own_code(&self) -> bool {
        self.is_from_fork() == Some(false)
    }

    /// The path of the group or user that the project is in.
    pub fn namespace_path(&self) -> Option<&str> {
        self.project_path()?.rsplit_once('/').map(|(namespace, _)| namespace)
    }

    /// The git ref, if it certainly is one of the project itself: `main` of a fork is another branch.
    pub fn own_ref(&self) -> Option<&str> {
        self.git_ref().filter(|_| self.is_own_code())
    }

    /// The git ref, short form: a name chosen by whoever pushed it.
    pub fn git_ref(&self) -> Option<&str> {
        self.git_ref.as_deref()
    }

    /// Whether that is a branch or a tag.
    pub fn ref_type(&self) -> Option<RefType> {
        self.ref_type
    }

    /// Whether GitLab protects the ref; older servers do not say.
    pub fn ref_protected(&self) -> Option<bool> {
        self.ref_protected
    }

    /// The commit.
    pub fn sha(&self) -> Option<&str> {
        self.sha.as_deref()
    }
}

/// Somebody who has a job run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Human<'f> {
    /// GitLab's number.
    pub id: u64,
    /// The login name. Of whom an agent acts for, GitLab tells a runner no more than the number.
    pub login: Option<&'f str>,
}

/// Whose code a pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineKind {
    /// That of a branch or tag of the project itself.
    Ref,
    /// That of a merge request, perhaps of somebody who may not push to the project.
    MergeRequest,
    /// GitLab did not say.
    Unknown,
}

/// The kind of a git ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefType {
    /// `refs/heads/...`
    Branch,
    /// `refs/tags/...`
    Tag,
}
