//! What is known of a job, and from whom.
//!
//! Everything that a pipeline author can set (each `variables` entry of the payload, each `CUSTOM_ENV_*`) stays outside
//! this module: see the runner's variable precedence, where the last of several entries with one name wins.

pub mod job_api;
pub mod payload;
pub mod settings;

use serde::{Deserialize, Serialize};

/// Facts about a job for which GitLab itself vouches: structured fields of the payload, and the answer of its API.
///
/// Absent means unknown, and an unknown fact stays out of the token; it is never turned into a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    /// GitLab's number of the job.
    pub job_id: u64,
    /// The job's name in `.gitlab-ci.yml`: free text of the pipeline author.
    pub job_name: Option<String>,
    /// The job's stage in `.gitlab-ci.yml`: free text of the pipeline author.
    pub ci_stage: Option<String>,
    /// The project that owns the job.
    pub project_id: u64,
    /// Its full path, `group/project`.
    pub project_path: Option<String>,
    /// The number of its namespace.
    pub namespace_id: Option<u64>,
    /// Who started the job.
    pub user_id: u64,
    /// That user's login name in GitLab.
    pub user_login: String,
    /// The pipeline of the job.
    pub pipeline_id: Option<u64>,
    /// What started the pipeline: `push`, `web`, `schedule`, ...
    pub pipeline_source: Option<String>,
    /// The git ref, short form: a name chosen by whoever pushed it.
    pub git_ref: Option<String>,
    /// Whether that is a branch or a tag.
    pub ref_type: Option<RefType>,
    /// Whether GitLab protects the ref; older servers do not say.
    pub ref_protected: Option<bool>,
    /// The commit.
    pub sha: Option<String>,
}

/// The kind of a git ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefType {
    /// `refs/heads/...`
    Branch,
    /// `refs/tags/...`
    Tag,
}
