//! Who a job is, and how we know.

use serde::{Deserialize, Serialize};

use crate::evidence::JobFacts;
use crate::evidence::memberships::Memberships;
use crate::evidence::settings::Sources;
use crate::evidence::sources::{self, EvidenceError, Question};

/// What vouches for an identity; the token says it too (`assurance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// GitLab's answer to a question asked with the job's own token.
    JobApi,
    /// GitLab's signature for this very job.
    IdToken,
    /// Both, which agree.
    #[serde(rename = "job-api+id-token")]
    JobApiAndIdToken,
    /// The runner's copy of the job alone, with numbers and no names.
    Payload,
    /// Nobody: root plays GitLab (`motmot simulate`). Services that look see that no pipeline has run.
    Simulated,
}

impl Assurance {
    /// As the token spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobApi => "job-api",
            Self::IdToken => "id-token",
            Self::JobApiAndIdToken => "job-api+id-token",
            Self::Payload => "payload",
            Self::Simulated => "simulated",
        }
    }
}

/// A job whose user and project are known. Made from evidence only, never from what the job says of itself.
///
/// The config stage establishes it, and its session keeps it for the later ones: serde is for that record, and for nothing
/// else. It lies in a directory that only the driver's account can open. Whoever can write there is the driver already, and
/// could as well ask the kernel to become anybody: no signature would keep such a one out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    facts: JobFacts,
    assurance: Assurance,
}

impl Identity {
    /// Asks whose job the payload is: all sources that the configuration names.
    pub fn establish(question: &Question<'_>) -> Result<Self, EvidenceError> {
        let assurance = match question.gitlab.identity {
            Sources::JobApi => Assurance::JobApi,
            Sources::IdToken(_) => Assurance::IdToken,
            Sources::JobApiAndIdToken(_) => Assurance::JobApiAndIdToken,
            Sources::Payload => Assurance::Payload,
        };
        Ok(Self { facts: sources::ask(question)?, assurance })
    }

    /// The same, where it is known that no real GitLab has vouched. There is no way back.
    #[must_use]
    pub fn simulated(self) -> Self {
        Self { assurance: Assurance::Simulated, ..self }
    }

    /// With what GitLab says of groups that its human is in, or not.
    #[must_use]
    pub fn with_groups(self, groups: Memberships) -> Self {
        Self { facts: self.facts.with_groups(groups), ..self }
    }

    /// The facts.
    pub fn facts(&self) -> &JobFacts {
        &self.facts
    }

    /// Who vouches for them.
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// An ordinary job, and what a test changes about it.
    #[cfg(test)]
    pub(crate) fn for_test(change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let mut facts = serde_json::json!({
            "job_id": 4711, "job_name": "build: [gcc]", "ci_stage": "build",
            "project_id": 22, "project_path": "climate/core/model", "namespace_id": 7,
            "user_id": 42, "user_login": "adent",
            "pipeline_id": 99, "pipeline_source": "push",
            "git_ref": "main", "ref_type": "branch", "ref_protected": true,
            "sha": "0123456789abcdef0123456789abcdef01234567",
        });
        change(&mut facts);
        Self { facts: serde_json::from_value(facts).expect("facts"), assurance: Assurance::JobApi }
    }
}
