//! What a verified id token of GitLab says and nothing else does.

use serde::{Deserialize, Serialize};

use super::RefType;

/// Facts that the payload and the job API do not have. GitLab has signed them for this very job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedFacts {
    /// Where the code comes from; not known from a GitLab before 18.3, which tells it from nothing.
    pub(super) source: Option<SourceProject>,
    /// What GitLab's tokens call `ref`: in the pipeline of a merge request the branch that is to be merged.
    pub(super) git_ref: Option<String>,
    pub(super) ref_type: Option<RefType>,
    pub(super) ref_protected: Option<bool>,
    pub(super) environment: Option<Environment>,
    /// The groups that the user is in directly. GitLab says it where `ci_jwt_groups_direct` is on, and he is in at most 200.
    pub(super) groups_direct: Option<Vec<String>>,
    pub(super) project_visibility: Option<String>,
    pub(super) ci_config_ref_uri: Option<String>,
    pub(super) ci_config_sha: Option<String>,
}

/// The project that code comes from: in the pipeline of a fork's merge request the fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProject {
    pub(super) id: u64,
    pub(super) path: Option<String>,
    pub(super) namespace_id: Option<u64>,
}

/// What a job deploys to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub(super) name: String,
    pub(super) protected: Option<bool>,
    pub(super) tier: Option<String>,
}

impl SignedFacts {
    /// Where the code comes from.
    pub fn source(&self) -> Option<&SourceProject> {
        self.source.as_ref()
    }

    /// What the job deploys to: a name that the author chose, and whether GitLab protects it.
    pub fn environment(&self) -> Option<&Environment> {
        self.environment.as_ref()
    }

    /// The groups that the user is in directly.
    pub fn groups_direct(&self) -> Option<&[String]> {
        self.groups_direct.as_deref()
    }

    /// Who may see the project that runs the job.
    pub fn project_visibility(&self) -> Option<&str> {
        self.project_visibility.as_deref()
    }

    /// Where the pipeline's own definition comes from.
    pub fn ci_config_ref_uri(&self) -> Option<&str> {
        self.ci_config_ref_uri.as_deref()
    }

    /// In which commit.
    pub fn ci_config_sha(&self) -> Option<&str> {
        self.ci_config_sha.as_deref()
    }
}

impl SourceProject {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its full path.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The number of its namespace.
    pub fn namespace_id(&self) -> Option<u64> {
        self.namespace_id
    }
}

impl Environment {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether GitLab protects it.
    pub fn protected(&self) -> Option<bool> {
        self.protected
    }

    /// Its kind, such as `production`.
    pub fn tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }
}
