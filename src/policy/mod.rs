//! Which local account a job runs as, and which rule says so.
//!
//! Pure: it is told who the job is and asks a name service about accounts; it changes nothing. A verdict is the only way
//! to an [`Account`].

mod account;
pub mod settings;

pub use account::{Account, ForCleanup, Mode, Refused};

use crate::evidence::JobFacts;
use crate::identity::Identity;
use crate::policy::settings::{AccountLimits, MapRule, RunAs, When};
use crate::report::{FailureKind, Fault};
use crate::scheduler::slurm::SlurmOptions;
use crate::sys::accounts::{AccountDb, LookupError};

/// Policy's answer: this account, by this rule.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The account.
    pub account: Account,
    /// The rule, for people: its name and its line in the configuration.
    pub rule: String,
    /// What the rule fixes for Slurm jobs.
    pub slurm: SlurmOptions,
}

/// Policy's other answers.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No.
    #[error("GitLab user {login:?} (number {user_id}) of job {job_id}: {why}")]
    Refused {
        /// GitLab login.
        login: String,
        /// GitLab user number.
        user_id: u64,
        /// GitLab job.
        job_id: u64,
        /// The reason, for the admin.
        why: Refused,
        /// Whether the author may read the reason.
        audience: Audience,
    },
    /// It could not be decided.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// Who reads a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The author of a pipeline on a machine that many share.
    Public,
    /// The owner of the machine's account: one user's own runner.
    Owner,
}

impl Fault for PolicyError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. } => FailureKind::Build,
            // The directory is down: that nobody was found means nothing.
            Self::Lookup(_) => FailureKind::System,
        }
    }

    /// The same words for every reason: otherwise anybody who may start a pipeline could ask, one user name at a time,
    /// which accounts exist here and which rules there are.
    fn for_author(&self) -> String {
        match self {
            Self::Refused { login, user_id, job_id, audience: Audience::Public, .. } => format!(
                "refused: GitLab user {login:?} (number {user_id}) may not run jobs on this machine\nIf that is a mistake, its administrators find the reason in their audit log, under job {job_id}."
            ),
            Self::Refused { .. } => format!("refused: {self}"),
            Self::Lookup(error) => error.to_string(),
        }
    }
}

/// Maps a job to an account: the first rule whose conditions all hold decides; without one the job is refused.
pub fn decide(
    rules: &[MapRule],
    limits: &AccountLimits,
    mode: Mode,
    identity: &Identity,
    db: &dyn AccountDb,
) -> Result<Verdict, PolicyError> {
    let facts = identity.facts();
    let refused = |why| PolicyError::Refused {
        login: facts.user_login.clone(),
        user_id: facts.user_id,
        job_id: facts.job_id,
        why,
        audience: mode.audience(),
    };
    let Some(rule) = rules.iter().find(|rule| holds(&rule.when, facts)) else {
        return Err(refused(Refused::NoRule));
    };
    let name = match &rule.run_as {
        RunAs::GitLabUser => facts.user_login.as_str(),
        RunAs::Account(name) => name,
    };
    let account = Account::admit(name, limits, mode, db)?
        .map_err(|why| refused(Refused::ByRule { rule: describe(rule), why: Box::new(why) }))?;
    Ok(Verdict { account, rule: describe(rule), slurm: rule.slurm.clone() })
}

fn holds(when: &When, facts: &JobFacts) -> bool {
    let When { user, user_id } = when;
    user.as_ref().is_none_or(|user| *user == facts.user_login) && user_id.is_none_or(|id| id == facts.user_id)
}

fn describe(rule: &MapRule) -> String {
    match &rule.name {
        Some(name) => format!("{name:?} (line {})", rule.line),
        None => format!("[[map]] at line {}", rule.line),
    }
}

#[cfg(test)]
mod tests;
