//! Which rule matches a job: the first whose conditions all hold. Pure.

use std::collections::BTreeSet;
use std::fmt;

use super::condition::{self, Condition, Holds};
use super::settings::{ForeignCode, Grants, MapRule, RuleLine, RunAs, When};
use super::table::{TableError, Tables};
use crate::approval::{Answer, ApprovalError, Approver, Asked, Unapproved};
use crate::evidence::JobFacts;

/// So many rules are told of that did not match.
const TOLD: usize = 5;

/// A job, and what its author wants.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'j> {
    /// What is known of it.
    pub facts: &'j JobFacts,
    /// The account that it asks for. Anybody who can set a variable of the pipeline has written this, so it is held against
    /// `may_request`, and gives nothing by itself.
    pub requested: Option<&'j str>,
}

impl Asking<'_> {
    /// The account that it asks for, if a rule has it for those who ask.
    pub fn requested_of<'r>(&self, rule: &'r MapRule) -> Option<&'r String> {
        let requested = self.requested?;
        rule.may_request.iter().find(|may| *may == requested)
    }
}

/// What a rule gives a job that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// This account.
    Account(String),
    /// That of the user's own name, who has none: of him only this number is known.
    NoLogin(u64),
}

/// Why a rule does not match a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// This condition does not hold.
    Fails(&'static str),
    /// This one of `not` does.
    Excluded(&'static str),
    /// Nobody has said what this condition asks for.
    Unknown(&'static str),
    /// The user is a bot, and the rule does not name it.
    Bot,
    /// The user acts for another one, and the rule is not for such.
    ActsForAnother,
    /// It takes its account from a table that does not have the user.
    NotInTable,
    /// It gives accounts to jobs alone that ask for one of them.
    NotRequested,
    /// Whether the user is a bot nobody has said, and the rule does not name its number.
    PerhapsBot,
    /// Its account is not given to a person, and the code may be a stranger's.
    ForeignCode,
    /// Nobody whom it names has approved the commit for its account.
    NotApproved(Unapproved),
}

/// Why an account that a hook has named is none for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNamable {
    /// The rule does not have it for those who ask.
    NotInRule,
    /// The job asks for another one.
    NotRequested,
    /// Nor would the rule give it to a job that asks for it.
    Mismatch(Mismatch),
}

/// It cannot be said whether a rule matches, and so not which rule does.
#[derive(Debug)]
pub enum Undecided {
    /// The line of a table that would have decided may be in it.
    Table(TableError),
    /// Whether the commit is approved.
    Approval(ApprovalError),
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => error.fmt(f),
            Self::Approval(error) => error.fmt(f),
        }
    }
}

impl From<TableError> for Undecided {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<ApprovalError> for Undecided {
    fn from(error: ApprovalError) -> Self {
        Self::Approval(error)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(key) => write!(f, "{key} does not hold"),
            Self::Excluded(key) => write!(f, "not.{key} holds"),
            Self::Unknown(key) => write!(f, "{key} is not known of this job"),
            Self::Bot => f.write_str("the user is a bot, which it does not name (bot = true)"),
            Self::ActsForAnother => {
                f.write_str("the user acts for another one, for which it is not (acting_for = true)")
            }
            Self::NotInTable => f.write_str("its table (run_as) does not have the user"),
            Self::NotRequested => f.write_str("the job has asked for none of its accounts (may_request)"),
            Self::PerhapsBot => {
                f.write_str("the login name of the user is not known, and it does not name the number (user_id)")
            }
            Self::ForeignCode => f.write_str("the code may come from a fork, and its account is for the project's own"),
            Self::NotApproved(why) => write!(f, "approved_by does not hold: {why}"),
        }
    }
}

/// The first rules that do not match a job, with their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    first: Vec<(RuleLine, Mismatch)>,
    more: usize,
}

impl PassedOver {
    /// One more.
    pub fn add(&mut self, rule: &MapRule, why: Mismatch) {
        if self.first.len() < TOLD {
            self.first.push((rule.line(), why));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (line, why)) in self.first.iter().enumerate() {
            write!(f, "{} {line}: {why}", if number == 0 { ":" } else { ";" })?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// A rule that matches, what it gives, and who has approved that, where it asks for it.
pub type Matched<'r, A = Approver> = (&'r MapRule, Given, Option<A>);

/// The first rule that matches. Of each one before it `pass` is told why it does not. `ask` says who has approved a commit:
/// for a job in earnest an [`Approver`], for one that nobody runs whatever is supposed.
pub fn first_match<'r, A>(
    rules: &'r [MapRule],
    foreign_code: ForeignCode,
    asking: Asking<'_>,
    tables: &dyn Tables,
    ask: impl Fn(Asked<'_>) -> Answer<A>,
    mut pass: impl FnMut(&'r MapRule, Mismatch),
) -> Result<Option<Matched<'r, A>>, Undecided> {
    for rule in rules {
        match given(rule, foreign_code, asking, tables)? {
            Ok(given) => match approver(rule, &given, asking, &ask)? {
                Ok(approver) => return Ok(Some((rule, given, approver))),
                Err(why) => pass(rule, Mismatch::NotApproved(why)),
            },
            Err(why) => pass(rule, why),
        }
    }
    Ok(None)
}

/// Who has approved it, where the rule asks for that, if a rule that matches a job gives it this account, too: as if the job
/// had asked for it.
pub fn gives_too(
    rule: &MapRule,
    foreign_code: ForeignCode,
    asking: Asking<'_>,
    account: &str,
    ask: impl Fn(Asked<'_>) -> Answer<Approver>,
) -> Result<Result<Option<Approver>, NotNamable>, Undecided> {
    if asking.requested.is_some_and(|requested| requested != account) {
        return Ok(Err(NotNamable::NotRequested));
    }
    let asking = Asking { requested: Some(account), ..asking };
    if asking.requested_of(rule).is_none() {
        return Ok(Err(NotNamable::NotInRule));
    }
    if let Some(why) = mismatch(rule, foreign_code, asking) {
        return Ok(Err(NotNamable::Mismatch(why)));
    }
    let approver = approver(rule, &Given::Account(account.to_owned()), asking, ask)?;
    Ok(approver.map_err(|why| NotNamable::Mismatch(Mismatch::NotApproved(why))))
}

/// Who has approved the commit for the account that a rule gives, if it asks for that: the last question, and only then.
fn approver<A>(
    rule: &MapRule,
    given: &Given,
    asking: Asking<'_>,
    ask: impl Fn(Asked<'_>) -> Answer<A>,
) -> Answer<Option<A>> {
    match (&rule.approved_by, given) {
        // Without an account nothing is given away.
        (None, _) | (_, Given::NoLogin(_)) => Ok(Ok(None)),
        (Some(wanted), Given::Account(account)) => {
            let facts = asking.facts;
            let asked = Asked { project_id: facts.project_id(), sha: facts.sha(), account, wanted };
            Ok(ask(asked)?.map(Some))
        }
    }
}

/// The account that a rule gives a job, if that needs no approval or has it; else why it does not match. Its table is looked at last.
pub fn given(
    rule: &MapRule,
    foreign_code: ForeignCode,
    asking: Asking<'_>,
    tables: &dyn Tables,
) -> Result<Result<Given, Mismatch>, TableError> {
    if let Some(why) = mismatch(rule, foreign_code, asking) {
        return Ok(Err(why));
    }
    let human = asking.facts.human();
    let own = match &rule.run_as {
        RunAs::Account(name) => Some(Given::Account(name.clone())),
        RunAs::GitLabUser => {
            Some(human.login.map_or(Given::NoLogin(human.id), |login| Given::Account(login.to_owned())))
        }
        RunAs::Table(path) => {
            let table = tables.read(path)?;
            // Of a job that is supposed nobody may have said the number, and a line may have it.
            if human.id == 0 && table.has_numbers()? {
                return Ok(Err(Mismatch::Unknown("user_id")));
            }
            match table.account_of(human)? {
                Some(name) => Some(Given::Account(name.to_owned())),
                None => return Ok(Err(Mismatch::NotInTable)),
            }
        }
        RunAs::Requested => None,
    };
    let requested = asking.requested_of(rule).map(|name| Given::Account(name.clone()));
    Ok(requested.or(own).ok_or(Mismatch::NotRequested))
}

/// Why the conditions of a rule, or what it does not say, keep a job out; `None` if they do not.
pub fn mismatch(rule: &MapRule, foreign_code: ForeignCode, asking: Asking<'_>) -> Option<Mismatch> {
    let facts = asking.facts;
    if let Some(why) = failing(&rule.when, facts, |_| true) {
        return Some(why);
    }
    unsaid(rule, foreign_code, asking)
}

/// Why a rule does not match a job for which its conditions hold.
fn unsaid(rule: &MapRule, foreign_code: ForeignCode, asking: Asking<'_>) -> Option<Mismatch> {
    let facts = asking.facts;
    if facts.scoped_user_id().is_some() && !rule.is_for_agents() {
        return Some(Mismatch::ActsForAnother);
    }
    match facts.user_login() {
        Some(login) if condition::is_bot(login) && !is_for_bots(rule) => return Some(Mismatch::Bot),
        None if !names_number(rule) => return Some(Mismatch::PerhapsBot),
        _ => {}
    }
    // Whose code it is has written the request, too.
    let grants = if asking.requested_of(rule).is_some() { Grants::ToCode } else { rule.grants() };
    if !facts.is_own_code() && !takes_foreign_code(rule, grants, foreign_code) {
        return Some(Mismatch::ForeignCode);
    }
    None
}

/// Where a number is all that is known of a user: whether the rule, or its table, names it.
pub fn names_number(rule: &MapRule) -> bool {
    matches!(rule.run_as, RunAs::Table(_))
        || rule.when.all.iter().any(|condition| matches!(condition, Condition::UserId(_)))
}

/// The groups on which it depends which rule is the first for a job: those of rules that nothing else keeps it out of, up to one
/// that takes it for certain. Who is in other groups is nobody's business.
pub fn groups_that_decide<'r>(
    rules: &'r [MapRule],
    foreign_code: ForeignCode,
    asking: Asking<'_>,
) -> BTreeSet<&'r str> {
    let mut all = BTreeSet::new();
    for rule in rules {
        let conditions = rule.when.all.iter().chain(&rule.when.none);
        let named = conditions.filter_map(|condition| match condition {
            Condition::GitLabGroup(groups) => Some(groups),
            _ => None,
        });
        let groups: Vec<&str> = named.flatten().map(String::as_str).collect();
        let others = |condition: &Condition| !matches!(condition, Condition::GitLabGroup(_));
        if failing(&rule.when, asking.facts, others).or_else(|| unsaid(rule, foreign_code, asking)).is_some() {
            continue;
        }
        if groups.is_empty() && rule.gives_all() {
            break;
        }
        all.extend(groups);
    }
    all
}

/// The first condition that does not hold, of those that count.
fn failing(when: &When, facts: &JobFacts, counts: impl Fn(&Condition) -> bool) -> Option<Mismatch> {
    for condition in when.all.iter().filter(|condition| counts(condition)) {
        match condition.holds(facts) {
            Holds::Yes => {}
            Holds::No => return Some(Mismatch::Fails(condition.key())),
            Holds::Unknown => return Some(Mismatch::Unknown(condition.key())),
        }
    }
    for condition in when.none.iter().filter(|condition| counts(condition)) {
        match condition.holds(facts).negated() {
            Holds::Yes => {}
            Holds::No => return Some(Mismatch::Excluded(condition.key())),
            Holds::Unknown => return Some(Mismatch::Unknown(condition.key())),
        }
    }
    None
}

impl When {
    /// Whether all of them hold for a job.
    pub fn holds(&self, facts: &JobFacts) -> bool {
        failing(self, facts, |_| true).is_none()
    }
}

/// Access tokens act for whoever has made them, so no rule for people is theirs.
pub fn is_for_bots(rule: &MapRule) -> bool {
    // The conditions hold: a list of names has this one. A number does not say whose it is.
    rule.when.all.iter().any(|condition| matches!(condition, Condition::User(_) | Condition::Bot(true)))
}

/// Whether it is for code that may be a stranger's.
pub fn takes_foreign_code(rule: &MapRule, grants: Grants, foreign_code: ForeignCode) -> bool {
    // That it is one has then been found known, and true.
    rule.is_for_forks()
        || match foreign_code {
            ForeignCode::Allow => true,
            // Who presses play runs what others have written as himself, as in his own shell.
            ForeignCode::OwnAccount => grants == Grants::ToPerson,
            ForeignCode::Refuse => false,
        }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod naive;
#[cfg(test)]
mod tests;
