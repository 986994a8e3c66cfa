//! Who a job is, and how we know.

use serde::{Deserialize, Serialize};

use crate::evidence::JobFacts;
use crate::evidence::job_api::{self, JobApiError};
use crate::evidence::payload::Payload;
use crate::evidence::settings::GitLab;

/// What vouches for an identity; the token says it too (`assurance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// GitLab's answer to a question asked with the job's own token.
    JobApi,
}

impl Assurance {
    /// As the token spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobApi => "job-api",
        }
    }
}

/// A job whose user and project are known. Made from evidence only, never from what the job says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    facts: JobFacts,
    assurance: Assurance,
}

impl Identity {
    /// Asks GitLab whose job the payload is.
    pub fn establish(gitlab: &GitLab, payload: &Payload) -> Result<Self, JobApiError> {
        Ok(Self { facts: job_api::ask(gitlab, payload)?, assurance: Assurance::JobApi })
    }

    /// The facts.
    pub fn facts(&self) -> &JobFacts {
        &self.facts
    }

    /// Who vouches for them.
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    #[cfg(test)]
    pub(crate) fn for_test(facts: JobFacts) -> Self {
        Self { facts, assurance: Assurance::JobApi }
    }
}
