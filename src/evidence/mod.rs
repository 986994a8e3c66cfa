//! What is known of a job, and from whom.
//!
//! Everything that a pipeline author can set (each `variables` entry of the payload, each `CUSTOM_ENV_*`) stays outside
//! this module: see the runner's variable precedence, where the last of several entries with one name wins. One variable alone is
//! looked at, for an id token, of which nothing is believed but what GitLab has signed for this very job.

pub mod groups;
mod http;
pub mod id_token;
pub mod job_api;
pub mod memberships;
pub mod payload;
pub mod settings;
mod signed;
pub mod sources;
pub mod supposed;
pub mod variables;

pub use signed::{Environment, SignedFacts, SourceProject};

use serde::{Deserialize, Serialize};

use memberships::Memberships;

/// Facts about a job for which GitLab itself vouches: structured fields of the payload, the answer of its API, and what it has
/// signed in the job's id token. What only the latter says stays together ([`SignedFacts`]), so that its source is remembered.
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
    #[serde(default)]
    user_login: Option<String>,
    #[serde(default)]
    scoped_user_id: Option<u64>,
    pipeline_id: Option<u64>,
    pipeline_source: Option<String>,
    git_ref: Option<String>,
    ref_type: Option<RefType>,
    ref_protected: Option<bool>,
    sha: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Memberships::is_empty")]
    groups: Memberships,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<SignedFacts>,
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

    /// That user's login name in GitLab. Not known where the payload alone is asked, which has numbers only.
    pub fn user_login(&self) -> Option<&str> {
        self.user_login.as_deref()
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
            None => Human { id: self.user_id, login: self.user_login() },
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

    /// What GitLab has signed for this job, if it was asked to.
    pub fn signed(&self) -> Option<&SignedFacts> {
        self.signed.as_ref()
    }

    /// The project that the code comes from, where GitLab has signed it: in the pipeline of a merge request perhaps a fork.
    pub fn source_project(&self) -> Option<&SourceProject> {
        self.signed.as_ref()?.source()
    }

    /// What the job deploys to, where GitLab has signed it. That a token says nothing of one may mean that there is none, or that
    /// its GitLab does not tell: so it is unknown.
    pub fn environment(&self) -> Option<&Environment> {
        self.signed.as_ref()?.environment()
    }

    /// Whose code the job runs, as far as it is known.
    pub fn code(&self) -> Code<'_> {
        let pipeline = self.pipeline_kind();
        let own_ref = self.git_ref().filter(|_| pipeline == PipelineKind::Ref);
        if let Some((signed, source)) = self.signed.as_ref().and_then(|signed| Some((signed, signed.source()?))) {
            // A ref that is no branch says nothing about one.
            let branch = || signed.git_ref.as_deref().filter(|name| !name.starts_with("refs/"));
            return Code::Of(CodeOf {
                project_id: source.id(),
                project_path: source.path(),
                namespace_id: source.namespace_id(),
                git_ref: own_ref.or_else(branch),
                ref_type: signed.ref_type.or(self.ref_type),
                ref_protected: signed.ref_protected.or(self.ref_protected),
            });
        }
        match pipeline {
            PipelineKind::Ref => Code::Of(CodeOf {
                project_id: self.project_id,
                project_path: self.project_path(),
                namespace_id: self.namespace_id,
                git_ref: self.git_ref(),
                ref_type: self.ref_type,
                ref_protected: self.ref_protected,
            }),
            PipelineKind::MergeRequest | PipelineKind::Unknown => Code::Unknown(pipeline),
        }
    }

    /// Whether the code comes from a fork of the project. `None` where nobody has said so.
    pub fn is_from_fork(&self) -> Option<bool> {
        if let Some(source) = self.source_project() {
            return Some(source.id() != self.project_id);
        }
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
        self.own_code()?.git_ref
    }

    /// Whether that one is a branch or a tag. Where GitLab has signed it for the branch that is to be merged, that counts.
    pub fn own_ref_type(&self) -> Option<RefType> {
        self.own_code()?.ref_type
    }

    /// Whether GitLab protects that one, likewise.
    pub fn own_ref_protected(&self) -> Option<bool> {
        self.own_code()?.ref_protected
    }

    /// What of the project runs, if it certainly is its own and of a known ref.
    fn own_code(&self) -> Option<CodeOf<'_>> {
        match self.code() {
            Code::Of(code) if self.is_own_code() && code.git_ref.is_some() => Some(code),
            Code::Of(_) | Code::Unknown(_) => None,
        }
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

    /// GitLab's number of the runner that has the job. The payload does not say it, and each variable that does can be set by
    /// anybody.
    pub fn runner_id(&self) -> Option<u64> {
        self.runner_id
    }

    /// Whether the human behind the job is a member of this group, if that is known.
    ///
    /// GitLab's answer counts. Where it was not asked, its signature does: that lists the groups that whoever starts the job is in
    /// directly, which makes him a member of those below them. Of no group it says that he is not in it, as he may be by another one that was
    /// invited there; and of whom an agent acts for it says nothing.
    pub fn is_in_group(&self, group: &str) -> Option<bool> {
        let is_or_is_above =
            |listed: &str| group.strip_prefix(listed).is_some_and(|below| below.is_empty() || below.starts_with('/'));
        let listed = || {
            let signed = self.signed.as_ref().filter(|_| self.scoped_user_id.is_none())?;
            signed.groups_direct()?.iter().any(|listed| is_or_is_above(listed)).then_some(true)
        };
        self.groups.of(group).or_else(listed)
    }

    /// The groups that it is known to be a member of.
    pub fn groups(&self) -> Vec<&str> {
        let signed =
            self.signed.as_ref().filter(|_| self.scoped_user_id.is_none()).and_then(SignedFacts::groups_direct);
        self.groups.known().chain(signed.into_iter().flatten().map(String::as_str)).collect()
    }

    /// With what GitLab has answered about groups.
    #[must_use]
    pub fn with_groups(self, groups: Memberships) -> Self {
        Self { groups, ..self }
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
    /// The login name. Of whom an agent acts for, GitLab tells a runner no more than the number, nor does the payload of anybody.
    pub login: Option<&'f str>,
}

/// Whose code a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code<'a> {
    /// That of this project: the job's own, or a fork of it.
    Of(CodeOf<'a>),
    /// Nobody has said.
    Unknown(PipelineKind),
}

/// A project, and what of it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeOf<'a> {
    /// Its number.
    pub project_id: u64,
    /// Its full path.
    pub project_path: Option<&'a str>,
    /// The number of its namespace.
    pub namespace_id: Option<u64>,
    /// The branch or tag: a name chosen by whoever pushed it.
    pub git_ref: Option<&'a str>,
    /// Which of the two.
    pub ref_type: Option<RefType>,
    /// Whether GitLab protects it.
    pub ref_protected: Option<bool>,
}

impl<'a> CodeOf<'a> {
    /// The path of the group or user that the project is in.
    pub fn namespace_path(&self) -> Option<&'a str> {
        self.project_path?.rsplit_once('/').map(|(namespace, _)| namespace)
    }
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
