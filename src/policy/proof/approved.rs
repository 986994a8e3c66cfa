//! Approvals of commits, as questions about rules suppose them.
//!
//! Where a job is looked for that a rule gives an account which somebody has to have approved, one of those has; and nothing else is
//! approved, as that could only let rules before it take the job. Those before it that ask the same person for the same account do.

use super::jobs::{Branch, Gives};
use super::region::Atom;
use super::set::OneOf;
use crate::approval::{Asked, Unapproved};
use crate::evidence::JobFacts;

/// Somebody has approved the commit of each job for what it has by a rule.
#[derive(Clone, Copy, Debug)]
pub struct ApprovedFor<'a> {
    /// Who.
    pub by: &'a str,
    /// What it has.
    pub gives: &'a Gives,
}

/// The same of one job.
#[derive(Clone, Debug)]
pub struct Approved<'a> {
    /// Who.
    pub by: &'a str,
    /// For which account. Where there is none, nobody asks.
    pub account: Option<String>,
    gives: &'a Gives,
}

impl<'a> ApprovedFor<'a> {
    /// Of this job.
    pub fn of(self, facts: &JobFacts) -> Approved<'a> {
        Approved { by: self.by, account: self.gives.account(facts).map(str::to_owned), gives: self.gives }
    }
}

impl Approved<'_> {
    /// Whether one of these has approved this account.
    pub fn counts(&self, account: &str, wanted: &[String]) -> bool {
        self.account.as_deref() == Some(account) && wanted.iter().any(|one| one == self.by)
    }
}

/// Of whom one has to have approved something: each of them, or nobody where nobody has to.
pub fn each(approvers: Option<&[String]>) -> Vec<Option<&str>> {
    match approvers {
        None => vec![None],
        Some(all) => all.iter().map(|one| Some(one.as_str())).collect(),
    }
}

/// What is answered to the code that decides.
pub fn answer(approved: &[Approved<'_>], asked: Asked<'_>) -> Result<(), Unapproved> {
    let counts = approved.iter().any(|approved| approved.counts(asked.account, asked.wanted));
    if counts { Ok(()) } else { Err(Unapproved::Nothing) }
}

/// The jobs that have an account by a branch of a rule, if they are approved like that one.
pub fn with(branch: &Branch<'_>, approved: &[Approved<'_>]) -> Vec<Vec<Atom>> {
    let Some(approvers) = branch.approvers else { return vec![branch.atoms.clone()] };
    let by_one_of_them = approved.iter().filter(|approved| approvers.iter().any(|one| one == approved.by));
    by_one_of_them
        .filter_map(|approved| {
            if approved.gives.is_always(&branch.gives) {
                return Some(branch.atoms.clone());
            }
            // Where they differ only those for which both give the one that was approved.
            let account = OneOf::new([approved.account.clone()?], Vec::new());
            let (one, other) = (branch.gives.atoms(&account)?, approved.gives.atoms(&account)?);
            Some(branch.atoms.iter().chain(&one).chain(&other).cloned().collect())
        })
        .collect()
}
