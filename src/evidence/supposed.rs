//! A job that nobody vouches for: what an administrator asks about, and what a proof invents.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::memberships::Memberships;
use super::{Environment, JobFacts, RefType, SignedFacts, SourceProject};

/// Where the log keeps what a job has asked for.
pub const REQUEST: &str = "request";

/// What is said of it. Without a word about something it is unknown, a number of 0 included.
///
/// Its facts open no door: an identity is made of evidence alone, and without one there is neither an account nor a token. The audit log
/// keeps them of jobs that were decided about, so that other rules can be asked about the same jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supposed {
    /// Login of the user who started it.
    pub user: Option<String>,
    /// His number.
    pub user_id: u64,
    /// The user for whom that one acts.
    pub scoped_user_id: Option<u64>,
    /// Path of the project.
    pub project: Option<String>,
    /// Its number.
    pub project_id: u64,
    /// Number of its namespace.
    pub namespace_id: Option<u64>,
    /// Branch or tag.
    pub git_ref: Option<String>,
    /// Which of the two.
    pub ref_type: Option<RefType>,
    /// Whether it is protected.
    pub ref_protected: Option<bool>,
    /// What started the pipeline.
    pub pipeline_source: Option<String>,
    /// Number of the project that the code comes from, as an id token says it and nothing else.
    pub source_project_id: Option<u64>,
    /// The branch of that project, said likewise. In the pipeline of a merge request the one that is to be merged.
    pub source_ref: Option<String>,
    /// What it deploys to, said likewise.
    pub environment: Option<String>,
    /// Whether that is protected. Nothing can be if nothing is deployed to.
    pub environment_protected: Option<bool>,
    /// Number of the runner.
    pub runner_id: Option<u64>,
    /// Groups that the human behind it is a member of, and others.
    pub groups: Memberships,
    /// Groups that an id token names.
    pub groups_direct: Option<Vec<String>>,
    /// Number of the pipeline.
    pub pipeline_id: Option<u64>,
    /// Number of the job.
    pub job_id: u64,
    /// Its name.
    pub job_name: Option<String>,
    /// Its stage.
    pub ci_stage: Option<String>,
    /// The commit.
    pub sha: Option<String>,
}

impl Supposed {
    /// With code that comes from a fork of the project, or certainly from none, as an id token says it, and from the same branch.
    #[must_use]
    pub fn with_code(mut self, from_fork: bool) -> Self {
        // Of which fork no rule asks.
        self.source_project_id = Some(self.project_id.wrapping_add(u64::from(from_fork)));
        self.source_ref.clone_from(&self.git_ref);
        self
    }

    /// What rules can ask of a job. Nothing else is kept: no name of a job, no commit.
    pub fn of(facts: &JobFacts) -> Self {
        let signed = facts.signed();
        let environment = signed.and_then(SignedFacts::environment);
        Self {
            user: facts.user_login.clone(),
            user_id: facts.user_id,
            scoped_user_id: facts.scoped_user_id,
            project: facts.project_path.clone(),
            project_id: facts.project_id,
            git_ref: facts.git_ref.clone(),
            // Of the branch that is to be merged what GitLab has signed counts.
            ref_type: source_says(facts, |signed| signed.ref_type).or(facts.ref_type),
            ref_protected: source_says(facts, |signed| signed.ref_protected).or(facts.ref_protected),
            pipeline_source: facts.pipeline_source.clone(),
            source_project_id: facts.source_project().map(SourceProject::id),
            source_ref: signed.and_then(|signed| signed.git_ref.clone()),
            environment: environment.map(|environment| environment.name.clone()),
            environment_protected: environment.and_then(|environment| environment.protected),
            runner_id: facts.runner_id,
            groups: facts.groups.clone(),
            groups_direct: signed.and_then(|signed| signed.groups_direct.clone()),
            job_id: facts.job_id,
            ci_stage: facts.ci_stage.clone(),
            ..Self::default()
        }
    }

    /// As the audit log keeps it: without what is unknown.
    pub fn kept(&self) -> Value {
        let mut kept = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = kept.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            if self.groups.is_empty() {
                fields.remove("groups");
            }
        }
        kept
    }

    /// As facts.
    pub fn facts(self) -> JobFacts {
        let source = self.source_project_id.map(|id| SourceProject { id, path: None, namespace_id: None });
        let protected = self.environment_protected;
        let environment = self.environment.map(|name| Environment { name, protected, tier: None });
        JobFacts {
            job_id: self.job_id,
            job_name: self.job_name,
            ci_stage: self.ci_stage,
            project_id: self.project_id,
            project_path: self.project,
            namespace_id: self.namespace_id,
            user_id: self.user_id,
            user_login: self.user,
            scoped_user_id: self.scoped_user_id,
            pipeline_id: self.pipeline_id,
            pipeline_source: self.pipeline_source,
            git_ref: self.git_ref,
            ref_type: self.ref_type,
            ref_protected: self.ref_protected,
            sha: self.sha,
            runner_id: self.runner_id,
            groups: self.groups,
            signed: (source.is_some() || environment.is_some() || self.groups_direct.is_some()).then_some(
                SignedFacts {
                    source,
                    git_ref: self.source_ref,
                    ref_type: None,
                    ref_protected: None,
                    environment,
                    groups_direct: self.groups_direct,
                    project_visibility: None,
                    ci_config_ref_uri: None,
                    ci_config_sha: None,
                },
            ),
        }
    }
}

/// What is signed of the code's own project.
fn source_says<T>(facts: &JobFacts, what: impl FnOnce(&SignedFacts) -> Option<T>) -> Option<T> {
    facts.signed().filter(|signed| signed.source().is_some()).and_then(what)
}
