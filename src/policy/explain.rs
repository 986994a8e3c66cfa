//! What would come of a job, and why: for a look at the rules while there is none.
//!
//! The stations are those that a job passes. What is missing at the end is the account: who asks here becomes nobody.

use nix::unistd::Gid;

use super::rules::{Asking, Mismatch, PassedOver, first_match};
use super::settings::MapRule;
use super::table::Tables;
use super::words::at;
use super::{Account, Machine, Mode, PolicyError, Rules};
use crate::approval::{Asked, Unapproved};
use crate::sys::accounts::PasswdEntry;
use crate::sys::login::LoginRules;

/// What would come of a job.
#[derive(Debug)]
pub struct Explained<'r> {
    /// The rules before the one that decides, or all of them, each with the first thing that does not hold.
    pub passed: Vec<(&'r MapRule, Mismatch)>,
    /// The rule that decides.
    pub rule: Option<&'r MapRule>,
    /// Its account, or why the job would be refused.
    pub verdict: Result<Foreseen, PolicyError>,
}

/// An account that a job would have.
#[derive(Debug)]
pub struct Foreseen {
    /// What the name service says of it.
    pub entry: PasswdEntry,
    /// The groups that the job would be in.
    pub groups: Vec<Gid>,
}

/// Passes a job that may be invented through what decides about jobs. PAM is not asked, as its modules may keep count of those
/// they are asked about; the files of the machine are. `approvers` are supposed to have approved whatever is asked of them.
pub fn explain<'r>(
    rules: &Rules<'r>,
    mode: Mode,
    asking: Asking<'_>,
    approvers: &[String],
    seen: Machine<'_>,
) -> Explained<'r> {
    let mut passed = Vec::new();
    let ask = |asked: Asked<'_>| Ok(supposed(approvers, asked));
    match super::chosen(rules, mode, asking, seen.tables, ask, |rule, why| passed.push((rule, why))) {
        Err(why) => Explained { passed, rule: None, verdict: Err(why) },
        Ok((rule, given, _)) => {
            let files = mode.login_rules(rules.limits).map(|_| LoginRules::Files);
            let account = super::admitted(rule, given, (rules.limits, mode, files), asking, seen.accounts);
            Explained { passed, rule: Some(rule), verdict: account.and_then(|account| foresee(&account, seen)) }
        }
    }
}

/// The rule that decides about a job that is supposed, and its account by it, or why it has none; by the rules alone. Which accounts there
/// are is not asked.
///
/// # Errors
/// That it cannot be said, as a table cannot be used.
pub fn by_rules<'r>(
    rules: &Rules<'r>,
    asking: Asking<'_>,
    approvers: &[String],
    tables: &dyn Tables,
) -> Result<(Option<&'r MapRule>, Result<String, String>), String> {
    let ask = |asked: Asked<'_>| Ok(supposed(approvers, asked));
    let mut passed = PassedOver::default();
    let foreign_code = rules.policy.merge_requests_of_forks;
    let found = first_match(rules.map, foreign_code, asking, tables, ask, |rule, why| passed.add(rule, why));
    Ok(match found.map_err(|undecided| undecided.to_string())? {
        None => (None, Err(format!("no rule matches{passed}"))),
        Some((rule, given, _)) => {
            let account = asking.account(given).map_err(|why| format!("by the rule at {}: {why}", at(&rule.place)));
            (Some(rule), account)
        }
    })
}

/// The answer about approvals where nobody looks for one: who is supposed to have approved has.
fn supposed(approvers: &[String], asked: Asked<'_>) -> Result<(), Unapproved> {
    let some = asked.wanted.iter().any(|wanted| approvers.contains(wanted));
    if some { Ok(()) } else { Err(Unapproved::Nothing) }
}

fn foresee(account: &Account, seen: Machine<'_>) -> Result<Foreseen, PolicyError> {
    let entry = account.entry();
    Ok(Foreseen { entry: entry.clone(), groups: seen.accounts.groups(entry)? })
}
