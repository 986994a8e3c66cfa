//! Which local account a job runs as, and which rule says so.
//!
//! Pure: it is told who the job is and asks a name service about accounts; it changes nothing.
//!
//! Three doors lead to an [`Account`]: [`decide`] for a job that begins, [`readmit`] for its later stages, and
//! [`for_cleanup`] for what is left of it. All of them ask the name service, and none gives away root.

mod account;
pub mod condition;
mod decision;
mod lines;
pub mod pattern;
mod rules;
pub mod settings;
pub mod table;

pub use account::{Account, ForCleanup, Mode, NotAdmitted};
pub use decision::{Admission, Decision};
pub use rules::{Asking, Given, names_number, takes_foreign_code};

use nix::unistd::Uid;

use self::rules::Undecided;
use crate::approval::{ApprovalError, Approvals, NoApprovals};
use crate::identity::Identity;
use crate::policy::settings::{AccountLimits, MapRule, PolicySettings};
use crate::policy::table::{TableError, Tables};
use crate::report::{Audience, FailureKind, Fault};
use crate::sys::accounts::{AccountDb, LookupError, Nss, PasswdEntry};
use crate::sys::login::Barred;

/// Policy's other answers.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No.
    #[error("GitLab user {} of job {job_id}: {why}", known_as(login.as_deref(), *user_id))]
    Refused {
        /// GitLab login, if it is known.
        login: Option<String>,
        /// GitLab user number.
        user_id: u64,
        /// GitLab job.
        job_id: u64,
        /// The reason, for the admin.
        why: NotAdmitted,
        /// Whether the author may read the reason.
        audience: Audience,
    },
    /// Nobody may begin anything here now. No judgement of this job, which may come again.
    #[error("this machine takes no new jobs now: {0}")]
    Closed(String),
    /// It could not be decided.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The same: the line that would have decided may be in it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Nor whether the commit was approved.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
}

impl From<Undecided> for PolicyError {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Table(error) => Self::Table(error),
            Undecided::Approval(error) => Self::Approval(error),
        }
    }
}

/// Why a later stage cannot go on as the account that its job began as.
#[derive(Debug, thiserror::Error)]
pub enum NoLonger {
    /// Policy has changed, or the account has.
    #[error("the account {name} is no longer admitted: {why}")]
    NotAdmitted {
        /// The account.
        name: String,
        /// What policy says now.
        why: NotAdmitted,
        /// Whether the author may read the reason.
        audience: Audience,
    },
    /// The name belongs to somebody else by now.
    #[error("the account {name} had uid {before} when this job began, and has {now} now")]
    OtherNumber {
        /// The account.
        name: String,
        /// Its number as recorded.
        before: Uid,
        /// Its number now.
        now: Uid,
        /// Whether the author may read the reason.
        audience: Audience,
    },
    /// It could not be found out.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Fault for NoLonger {
    /// The job was admitted, and its author has changed nothing since.
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    /// No more than of a refusal at the beginning: who keeps a job running would otherwise read how the limits change.
    fn for_author(&self) -> String {
        match self {
            Self::NotAdmitted { audience: Audience::Public, .. } | Self::OtherNumber { audience: Audience::Public, .. } => {
                "refused: this job may not continue on this machine\nIf that is a mistake, its administrators find the reason in their audit log, under this job's number."
                    .to_owned()
            }
            Self::NotAdmitted { .. } | Self::OtherNumber { .. } | Self::Lookup(_) => self.to_string(),
        }
    }
}

impl Fault for PolicyError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. } => FailureKind::Build,
            // The directory is down: that nobody was found means nothing.
            Self::Lookup(_) | Self::Closed(_) | Self::Table(_) => FailureKind::System,
            Self::Approval(error) => error.kind(),
        }
    }

    /// The same words for every reason: otherwise anybody who may start a pipeline could ask, one user name at a time,
    /// which accounts exist here and which rules there are.
    fn for_author(&self) -> String {
        match self {
            Self::Refused { login, user_id, job_id, audience: Audience::Public, .. } => format!(
                "refused: GitLab user {} may not run jobs on this machine\nIf that is a mistake, its administrators find the reason in their audit log, under job {job_id} or the reference below.",
                known_as(login.as_deref(), *user_id)
            ),
            Self::Refused { .. } => format!("refused: {self}"),
            Self::Closed(_) => self.to_string(),
            Self::Lookup(error) => error.to_string(),
            Self::Table(error) => error.for_author(),
            Self::Approval(error) => error.for_author(),
        }
    }
}

/// What decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// `[[map]]`
    pub map: &'s [MapRule],
    /// `[policy]`
    pub policy: &'s PolicySettings,
    /// `[accounts]`
    pub limits: &'s AccountLimits,
}

/// What is asked of the machine.
#[derive(Clone, Copy)]
pub struct Machine<'s> {
    /// Which accounts there are.
    pub accounts: &'s dyn AccountDb,
    /// Who has which, where that is in tables.
    pub tables: &'s dyn Tables,
    /// Who has approved what.
    pub approvals: &'s dyn Approvals,
}

impl Machine<'_> {
    /// The one that this process runs on, where nothing is approved.
    pub const THIS: Machine<'static> = Machine { accounts: &Nss, tables: &table::Files, approvals: &NoApprovals };
}

/// Maps a job to an account: the first rule whose conditions all hold decides; without one the job is refused. `requested` is
/// the account that the job asks for: it has that one, or none.
pub fn decide(
    rules: &Rules<'_>,
    mode: Mode,
    identity: &Identity,
    requested: Option<&str>,
    seen: Machine<'_>,
) -> Result<Admission, PolicyError> {
    let limits = rules.limits;
    let Machine { accounts: db, tables, approvals } = seen;
    let facts = identity.facts();
    let refused = |why| PolicyError::Refused {
        login: facts.user_login().map(str::to_owned),
        user_id: facts.user_id(),
        job_id: facts.job_id(),
        why,
        audience: mode.audience(),
    };
    let asking = Asking { facts, requested };
    let matched = rules::first_match(rules.map, rules.policy.merge_requests_of_forks, asking, tables, approvals)?;
    let (rule, given, approver) = matched.map_err(|why| {
        refused(match facts.scoped_user_id() {
            Some(id) => NotAdmitted::ActsForAnother(id, why),
            None => NotAdmitted::NoRule(why),
        })
    })?;
    let by_rule = |why| refused(NotAdmitted::ByRule { rule: describe(rule), why: Box::new(why) });
    let name = match given {
        Given::Account(name) => name,
        Given::NoLogin(id) => return Err(by_rule(NotAdmitted::NoLogin(id))),
    };
    // As somebody else it would do what its author has meant for that account alone.
    if let Some(wanted) = requested.filter(|wanted| *wanted != name) {
        return Err(by_rule(NotAdmitted::NotRequestable(wanted.to_owned(), name)));
    }
    let account = Account::admit(&name, limits, mode, db)?.map_err(by_rule)?;
    // Asked when a job begins, as at a login: who is logged in stays so when a machine is about to be closed.
    match account.may_begin(limits, mode, db)? {
        Ok(()) => {}
        Err(Barred::Closed(words)) => return Err(PolicyError::Closed(words)),
        Err(why) => return Err(by_rule(NotAdmitted::Barred(account.name().to_owned(), why))),
    }
    Ok(Admission::new(account, describe(rule), rule.options.clone(), approver))
}

/// The account of a job that goes on: looked up and judged once more. It may have been closed meanwhile, and a record is
/// no permission.
pub fn readmit(
    decision: &Decision,
    limits: &AccountLimits,
    mode: Mode,
    db: &dyn AccountDb,
) -> Result<Account, NoLonger> {
    let (name, audience) = (|| decision.account().to_owned(), mode.audience());
    let account = Account::admit(decision.account(), limits, mode, db)?.map_err(|why| NoLonger::NotAdmitted {
        name: name(),
        why,
        audience,
    })?;
    let (before, now) = (decision.uid(), account.uid());
    if now == before { Ok(account) } else { Err(NoLonger::OtherNumber { name: name(), before, now, audience }) }
}

/// The account of a job that ends, whatever policy says of it by now: an account may have been closed, or may have
/// changed its shell, and cleaning up after it matters all the more. It still is neither root nor the driver's own.
pub fn for_cleanup(decision: &Decision, mode: Mode, db: &dyn AccountDb) -> Result<ForCleanup, LookupError> {
    Account::admit_for_cleanup(decision.account(), decision.uid(), mode, db)
}

/// What would come of an account that a rule names, for a look at the rules while there is no job. Nothing but what the name
/// service says of it: without a job there is no [`Account`].
pub fn forecast(
    name: &str,
    limits: &AccountLimits,
    mode: Mode,
    db: &dyn AccountDb,
) -> Result<Result<PasswdEntry, NotAdmitted>, LookupError> {
    Ok(Account::admit(name, limits, mode, db)?.map(|account| account.entry().clone()))
}

/// A GitLab user in words.
fn known_as(login: Option<&str>, user_id: u64) -> String {
    login.map_or_else(|| format!("number {user_id}"), |login| format!("{login:?} (number {user_id})"))
}

fn describe(rule: &MapRule) -> String {
    match &rule.name {
        Some(name) => format!("{name:?} ({})", rule.line()),
        None => format!("[[map]] at {}", rule.line()),
    }
}

#[cfg(test)]
mod tests;
