//! Which local account a job runs as, and which rule says so.
//!
//! Pure: it is told who the job is and asks a name service about accounts; it changes nothing.
//!
//! Three doors lead to an [`Account`]: [`decide`] for a job that begins, [`readmit`] for its later stages, and
//! [`for_cleanup`] for what is left of it. All of them ask the name service, and none gives away root.

mod account;
pub mod assertions;
pub mod condition;
mod decision;
mod explain;
pub mod hook;
mod lines;
pub mod pattern;
pub mod proof;
mod rules;
pub mod settings;
pub mod table;
mod words;

pub use account::{Account, ForCleanup, Mode, NotAdmitted};
pub use decision::{Admission, Decision};
pub use explain::{Explained, Foreseen, by_rules, explain};
pub use rules::{Asking, Given, Mismatch, names_number, takes_foreign_code};
#[cfg(any(test, fuzzing))]
pub(crate) use rules::{given, naive};
pub use words::{at, job_in_words, mismatch_in_words};

use nix::unistd::Uid;

use self::hook::{Hook, HookError, NoHook, Proposal, Verdict};
use self::rules::{Matched, PassedOver, Undecided};
use crate::approval::{Answer, ApprovalError, Approvals, Asked, NoApprovals};
use crate::evidence::JobFacts;
use crate::identity::Identity;
use crate::policy::settings::{AccountLimits, MapRule, PolicySettings};
use crate::policy::table::{TableError, Tables};
use crate::report::{Audience, FailureKind, Fault};
use crate::sys::accounts::{AccountDb, LookupError, Nss, PasswdEntry};
use crate::sys::login::{Barred, LoginRules};

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
    /// The site's hook has not answered.
    #[error(transparent)]
    Hook(#[from] HookError),
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

impl PolicyError {
    /// Whether it is a judgement of the job.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

impl Fault for PolicyError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. } => FailureKind::Build,
            // The directory is down: that nobody was found means nothing.
            Self::Lookup(_) | Self::Closed(_) | Self::Table(_) => FailureKind::System,
            Self::Approval(error) => error.kind(),
            Self::Hook(error) => error.kind(),
        }
    }

    /// The same words for every reason: otherwise anybody who may start a pipeline could ask, one user name at a time,
    /// which accounts exist here and which rules there are.
    fn for_author(&self) -> String {
        match self {
            Self::Refused { login, user_id, job_id, why, audience: Audience::Public } => format!(
                "refused: GitLab user {} may not run jobs on this machine\n{}If that is a mistake, its administrators find the reason in their audit log, under job {job_id} or the reference below.",
                known_as(login.as_deref(), *user_id),
                // Nothing of ours: what the site has a hook say to him.
                why.words_for_author().map(|words| format!("The site says: {words}\n")).unwrap_or_default()
            ),
            Self::Refused { .. } => format!("refused: {self}"),
            Self::Closed(_) => self.to_string(),
            Self::Lookup(error) => error.to_string(),
            Self::Table(error) => error.for_author(),
            Self::Approval(error) => error.for_author(),
            Self::Hook(error) => error.for_author(),
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

impl<'s> Rules<'s> {
    /// The groups of GitLab on which it depends which rule decides about a job.
    pub fn groups_that_decide(
        &self,
        identity: &Identity,
        requested: Option<&str>,
    ) -> std::collections::BTreeSet<&'s str> {
        let asking = Asking { facts: identity.facts(), requested };
        rules::groups_that_decide(self.map, self.policy.merge_requests_of_forks, asking)
    }
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
    /// What the site's own program says.
    pub hook: &'s dyn Hook,
}

impl Machine<'_> {
    /// The one that this process runs on, where nothing is approved and no hook is asked.
    pub const THIS: Machine<'static> =
        Machine { accounts: &Nss, tables: &table::Files, approvals: &NoApprovals, hook: &NoHook };
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
    let facts = identity.facts();
    let (limits, asking) = (rules.limits, Asking { facts, requested });
    let ask = |asked: Asked<'_>| seen.approvals.approver(asked);
    let (rule, given, approver) = chosen(rules, mode, asking, seen.tables, ask, |_, _| ())?;
    let by_rule = |why| refused_by(rule, facts, mode, why);
    let proposed = proposed(rule, given, (limits, mode), asking, seen.accounts)?;
    // Last, so that it is told of no account that nobody has anyway.
    let answer = match seen.hook.ask(&Proposal { identity, requested, rule, account: &proposed }) {
        Err(HookError::NoLogin(id)) => return Err(by_rule(NotAdmitted::NoLoginForHook(id))),
        answer => answer?,
    };
    let (account, approver) = match answer.verdict {
        Verdict::Accept => (proposed, approver),
        Verdict::Account(same) if same == proposed.name() => (proposed, approver),
        Verdict::Refuse => return Err(by_rule(NotAdmitted::ByHook(answer.message, answer.reason))),
        // It passes whatever the first one has passed: what the job asks for, the rule, its approvers, all limits.
        Verdict::Account(other) => {
            let given = rules::gives_too(rule, rules.policy.merge_requests_of_forks, asking, &other, ask)?;
            let approver = given.map_err(|why| by_rule(NotAdmitted::HookNames(other.clone(), why)))?;
            (Account::admit(&other, limits, mode, seen.accounts)?.map_err(by_rule)?, approver)
        }
    };
    let account = beginning(rule, account, (mode, mode.login_rules(limits)), asking, seen.accounts)?;
    Ok(Admission::new(account, describe(rule), (rule.options.clone(), rule.terms.clone()), approver))
}

/// The rule that decides about a job, and what it gives. Of each one before it `pass` is told why it does not.
fn chosen<'r, A>(
    rules: &Rules<'r>,
    mode: Mode,
    asking: Asking<'_>,
    tables: &dyn Tables,
    ask: impl Fn(Asked<'_>) -> Answer<A>,
    mut pass: impl FnMut(&'r MapRule, Mismatch),
) -> Result<Matched<'r, A>, PolicyError> {
    let mut passed = PassedOver::default();
    let foreign_code = rules.policy.merge_requests_of_forks;
    let found = rules::first_match(rules.map, foreign_code, asking, tables, ask, |rule, why| {
        passed.add(rule, why);
        pass(rule, why);
    })?;
    found.ok_or_else(|| {
        let why = match asking.facts.scoped_user_id() {
            Some(id) => NotAdmitted::ActsForAnother(id, passed),
            None => NotAdmitted::NoRule(passed),
        };
        refused(asking.facts, mode, why)
    })
}

/// The account that a rule gives to a job, if nothing stands against it. Last the machine is asked whether it may begin now, by
/// these rules for logging in.
fn admitted(
    rule: &MapRule,
    given: Given,
    (limits, mode, login): (&AccountLimits, Mode, Option<LoginRules>),
    asking: Asking<'_>,
    db: &dyn AccountDb,
) -> Result<Account, PolicyError> {
    let account = proposed(rule, given, (limits, mode), asking, db)?;
    beginning(rule, account, (mode, login), asking, db)
}

/// The same, before the machine is asked.
fn proposed(
    rule: &MapRule,
    given: Given,
    (limits, mode): (&AccountLimits, Mode),
    asking: Asking<'_>,
    db: &dyn AccountDb,
) -> Result<Account, PolicyError> {
    let by_rule = |why| refused_by(rule, asking.facts, mode, why);
    let name = asking.account(given).map_err(by_rule)?;
    Account::admit(&name, limits, mode, db)?.map_err(by_rule)
}

/// The same account, if the machine lets it begin now.
fn beginning(
    rule: &MapRule,
    account: Account,
    (mode, login): (Mode, Option<LoginRules>),
    asking: Asking<'_>,
    db: &dyn AccountDb,
) -> Result<Account, PolicyError> {
    // Asked when a job begins, as at a login: who is logged in stays so when a machine is about to be closed.
    match account.may_begin(login, db)? {
        Ok(()) => Ok(account),
        Err(Barred::Closed(words)) => Err(PolicyError::Closed(words)),
        Err(why) => {
            let why = NotAdmitted::Barred(account.name().to_owned(), why);
            Err(refused_by(rule, asking.facts, mode, why))
        }
    }
}

impl Asking<'_> {
    /// The account of what a rule gives, if the job can have it.
    fn account(&self, given: Given) -> Result<String, NotAdmitted> {
        let name = match given {
            Given::Account(name) => name,
            Given::NoLogin(id) => return Err(NotAdmitted::NoLogin(id)),
        };
        // As somebody else it would do what its author has meant for that account alone.
        match self.requested {
            Some(wanted) if wanted != name => Err(NotAdmitted::NotRequestable(wanted.to_owned(), name)),
            _ => Ok(name),
        }
    }
}

fn refused_by(rule: &MapRule, facts: &JobFacts, mode: Mode, why: NotAdmitted) -> PolicyError {
    refused(facts, mode, NotAdmitted::ByRule { rule: describe(rule), why: Box::new(why) })
}

fn refused(facts: &JobFacts, mode: Mode, why: NotAdmitted) -> PolicyError {
    PolicyError::Refused {
        login: facts.user_login().map(str::to_owned),
        user_id: facts.user_id(),
        job_id: facts.job_id(),
        why,
        audience: mode.audience(),
    }
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
    match (login, user_id) {
        // Of one that is supposed nobody may have said it; no number of GitLab is 0.
        (Some(login), 0) => format!("{login:?}"),
        (Some(login), _) => format!("{login:?} (number {user_id})"),
        (None, _) => format!("number {user_id}"),
    }
}

/// A rule in words: its name and its line.
pub fn describe(rule: &MapRule) -> String {
    match &rule.name {
        Some(name) => format!("{name:?} ({})", rule.line()),
        None => format!("[[map]] at {}", rule.line()),
    }
}

#[cfg(test)]
mod tests;
