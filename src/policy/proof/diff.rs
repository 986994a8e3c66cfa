//! Which jobs have another account by other rules.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::approved::{self, Approved, ApprovedFor};
use super::jobs::{Branch, Gives, Rows, known_name, person, text};
use super::never::Proofs;
use super::region::{Region, Text};
use super::search::{Found, search};
use super::set::OneOf;
use super::texts::Side;
use super::{Steps, Undecided};
use crate::evidence::JobFacts;
use crate::evidence::supposed::Supposed;
use crate::policy::rules::{Asking, takes_foreign_code};
use crate::policy::settings::{Grants, MapRule, RunAs, When};

/// A job that has another account by the new rules, or one where it had none, or none any more.
#[derive(Clone, Debug)]
pub struct Change<'o, 'n> {
    /// The job.
    pub job: Supposed,
    /// What it asks for.
    pub requested: Option<String>,
    /// Who has approved its commit, each for one account.
    pub approved: Vec<(String, String)>,
    /// By the old rules.
    pub before: Outcome<'o>,
    /// By the new ones.
    pub after: Outcome<'n>,
}

/// What becomes of a job.
#[derive(Clone, Debug)]
pub struct Outcome<'r> {
    /// The rule, if one matches.
    pub rule: Option<&'r MapRule>,
    /// The account, if it gives one.
    pub account: Option<String>,
}

/// So many pairs of rules are held against each other: seconds.
const MOST_PAIRS: usize = 1_000_000;

/// One example for each pair of an old and a new rule by which some job has another account than before.
pub fn changes<'o, 'n>(old: &Proofs<'o>, new: &Proofs<'n>) -> Result<Vec<Change<'o, 'n>>, Undecided> {
    let asked: BTreeSet<&str> = old.may_request().chain(new.may_request()).collect();
    let pairs = Pairs::of(old, new);
    let (mut left, steps) = (MOST_PAIRS, Steps::for_each_rule());
    let mut changes = Vec::new();
    for requested in [None].into_iter().chain(asked.into_iter().map(Some)) {
        for before in 0..=old.book.rules.len() {
            for after in pairs.with(before) {
                left = left.checked_sub(1).ok_or(Undecided::TooLarge)?;
                changes.extend(Pair { old, new, before, after, requested }.change(&steps)?);
            }
        }
    }
    Ok(changes)
}

/// Which old rule has to be held against which new one. The number behind the last rule is that of none at all.
///
/// Mostly a few rules have changed of many. A rule that is in both lists matches in both, and gives the same: so a job of an old
/// rule that is still there goes to a new one only if that comes before it now; and no job that an old rule takes goes to a rule
/// that was already before that one.
struct Pairs {
    /// Of each old rule: where it is now.
    now: Vec<Option<usize>>,
    /// Of each new rule: where it was.
    was: Vec<Option<usize>>,
    /// The new rules that were not there.
    added: Vec<usize>,
    /// The last place, among the old ones, of what is now before a place.
    latest: Vec<Option<usize>>,
}

impl Pairs {
    fn of(old: &Proofs<'_>, new: &Proofs<'_>) -> Self {
        let mut tables = Vec::new();
        let (olds, news) = (old.book.rules.len(), new.book.rules.len());
        let old_meanings: Vec<Meaning<'_>> = (0..olds).map(|at| meaning(old, at, &mut tables)).collect();
        let new_meanings: Vec<Meaning<'_>> = (0..news).map(|at| meaning(new, at, &mut tables)).collect();
        let now = found(&old_meanings, &new_meanings).chain([Some(news)]).collect();
        let was: Vec<Option<usize>> = found(&new_meanings, &old_meanings).chain([Some(olds)]).collect();
        let added = (0..news).filter(|at| was[*at].is_none()).collect();
        let mut latest = vec![None];
        for place in &was {
            latest.push(latest[latest.len() - 1].max(*place));
        }
        Self { now, was, added, latest }
    }

    fn with(&self, before: usize) -> Vec<usize> {
        let end = self.now[before].unwrap_or(self.was.len());
        if self.latest[end].is_none_or(|latest| latest <= before) {
            return self.added.iter().copied().filter(|at| *at < end).collect();
        }
        (0..end).filter(|at| self.was[*at].is_none_or(|was| was > before)).collect()
    }
}

/// Of each of some rules the first of others that is the same.
fn found<'m>(some: &'m [Meaning<'_>], others: &'m [Meaning<'_>]) -> impl Iterator<Item = Option<usize>> + 'm {
    let mut first = HashMap::new();
    for (at, meaning) in others.iter().enumerate() {
        first.entry(meaning).or_insert(at);
    }
    some.iter().map(move |meaning| first.get(meaning).copied())
}

/// All of a rule that decides, for being compared: conditions, what it takes besides, and what it gives. What a table gives, too: it may
/// have changed between the one reading and the other.
#[derive(PartialEq, Eq, Hash)]
struct Meaning<'r> {
    when: &'r When,
    takes: [bool; 2],
    run_as: &'r RunAs,
    may_request: &'r [String],
    approved_by: Option<&'r [String]>,
    table: Option<usize>,
}

fn meaning<'r>(proofs: &Proofs<'r>, at: usize, tables: &mut Vec<Rc<Rows>>) -> Meaning<'r> {
    let rule = &proofs.book.rules[at];
    let takes = |grants| takes_foreign_code(rule, grants, proofs.book.foreign_code);
    let table = match &rule.run_as {
        RunAs::Table(path) => proofs.book.tables.get(path).map(|rows| {
            tables.iter().position(|known| known == rows).unwrap_or_else(|| {
                tables.push(Rc::clone(rows));
                tables.len() - 1
            })
        }),
        RunAs::Account(_) | RunAs::GitLabUser | RunAs::Requested => None,
    };
    Meaning {
        when: &rule.when,
        takes: [takes(rule.grants()), takes(Grants::ToCode)],
        run_as: &rule.run_as,
        may_request: &rule.may_request,
        approved_by: rule.approved_by.as_deref(),
        table,
    }
}

/// An old and a new rule.
struct Pair<'p, 'o, 'n> {
    old: &'p Proofs<'o>,
    new: &'p Proofs<'n>,
    before: usize,
    after: usize,
    requested: Option<&'p str>,
}

impl<'o, 'n> Pair<'_, 'o, 'n> {
    /// A job that the one takes of the old ones and the other of the new ones, and that has another account by it.
    fn change(&self, steps: &Steps) -> Result<Option<Change<'o, 'n>>, Undecided> {
        for before in branches(self.old, self.before, self.requested) {
            for after in branches(self.new, self.after, self.requested) {
                let empty = Vec::new();
                let atoms =
                    |branch: Option<&'_ Branch<'_>>| branch.map_or(empty.clone(), |branch| branch.atoms.clone());
                let (old, new) = (atoms(before.as_ref()), atoms(after.as_ref()));
                for region in self.old.regions_beside(self.new, &old.iter().chain(&new), steps)? {
                    let found = self.between(&region, [before.as_ref(), after.as_ref()], steps)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The same for jobs of a region that have their accounts in these ways.
    fn between(
        &self,
        region: &Region,
        ways: [Option<&Branch<'_>>; 2],
        steps: &Steps,
    ) -> Result<Option<Change<'o, 'n>>, Undecided> {
        let gives = ways.map(|way| way.map(|branch| &branch.gives).filter(|gives| !matches!(gives, Gives::Nothing)));
        let regions = match self.requested {
            None => differing(region.clone(), gives[0], gives[1], steps)?,
            Some(name) => having(region, gives, name, steps)?,
        };
        let approvers = ways.map(|way| approved::each(way.and_then(|branch| branch.approvers)));
        for region in regions {
            for (one, other) in approvers[0].iter().flat_map(|one| approvers[1].iter().map(move |other| (*one, *other)))
            {
                let both = [(one, gives[0]), (other, gives[1])].into_iter();
                let approved: Vec<ApprovedFor<'_>> =
                    both.filter_map(|(by, gives)| Some(ApprovedFor { by: by?, gives: gives? })).collect();
                if let Some(job) = self.first_of(region.clone(), &approved, steps)? {
                    return self.checked(job, &approved).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// A job of a region that no rule before either of them takes.
    fn first_of(
        &self,
        region: Region,
        approved: &[ApprovedFor<'_>],
        steps: &Steps,
    ) -> Result<Option<Supposed>, Undecided> {
        let requested = self.requested;
        search(region, steps, |facts| {
            let asking = Asking { facts, requested };
            let approved: Vec<Approved<'_>> = approved.iter().map(|approved| approved.of(facts)).collect();
            let before = self.old.book.first(asking, &approved, steps)?.unwrap_or(self.old.book.rules.len());
            let after = self.new.book.first(asking, &approved, steps)?.unwrap_or(self.new.book.rules.len());
            if before > self.before || after > self.after {
                Err(Undecided::Disagree)
            } else if before < self.before {
                Ok(Found::Taken(self.old.taken(before, requested, &approved)))
            } else if after < self.after {
                Ok(Found::Taken(self.new.taken(after, requested, &approved)))
            } else {
                Ok(Found::Wanted)
            }
        })
    }

    /// With what really becomes of it.
    fn checked(&self, job: Supposed, approved: &[ApprovedFor<'_>]) -> Result<Change<'o, 'n>, Undecided> {
        let facts = job.clone().facts();
        let approved: Vec<Approved<'_>> = approved.iter().map(|approved| approved.of(&facts)).collect();
        let before = outcome(self.old, &facts, self.requested, &approved)?;
        let after = outcome(self.new, &facts, self.requested, &approved)?;
        if before.account == after.account {
            return Err(Undecided::Disagree);
        }
        let named = approved.iter().filter_map(|approved| Some((approved.by.to_owned(), approved.account.clone()?)));
        let (approved, requested) = (named.collect(), self.requested.map(str::to_owned));
        Ok(Change { job, requested, approved, before, after })
    }
}

fn outcome<'r>(
    proofs: &Proofs<'r>,
    facts: &JobFacts,
    requested: Option<&str>,
    approved: &[Approved<'_>],
) -> Result<Outcome<'r>, Undecided> {
    let (rule, account) = proofs.decided(facts, requested, approved)?.unzip();
    Ok(Outcome { rule, account: account.flatten() })
}

/// The ways of a rule; behind the last one that of no rule at all.
fn branches<'r>(proofs: &Proofs<'r>, at: usize, requested: Option<&str>) -> Vec<Option<Branch<'r>>> {
    if at == proofs.book.rules.len() {
        return vec![None];
    }
    proofs.book.branches(&proofs.common, at, requested).into_iter().map(Some).collect()
}

/// The jobs of a region, of those that ask for this account, that have it by one of two ways and not by the other: who asks for an
/// account has that one, or none.
fn having(
    region: &Region,
    [before, after]: [Option<&Gives>; 2],
    name: &str,
    steps: &Steps,
) -> Result<Vec<Region>, Undecided> {
    let wanted = OneOf::new([name.to_owned()], Vec::new());
    let asked = |gives: Option<&Gives>| gives.and_then(|gives| gives.atoms(&wanted));
    let mut regions = Vec::new();
    for (yes, no) in [(asked(before), asked(after)), (asked(after), asked(before))] {
        let Some(yes) = yes else { continue };
        let mut rest = region.clone().narrow_to(&yes, steps)?;
        let Some(no) = no else {
            regions.extend(rest);
            continue;
        };
        for atom in &no {
            let Some(left) = rest else { break };
            regions.extend(left.narrow(&atom.opposite(), steps)?);
            rest = left.narrow(atom, steps)?;
        }
    }
    Ok(regions)
}

/// The jobs of a region, of those that ask for nothing, for which two ways to an account lead to different ones.
fn differing(
    region: Region,
    before: Option<&Gives>,
    after: Option<&Gives>,
    steps: &Steps,
) -> Result<Vec<Region>, Undecided> {
    Ok(match (before, after) {
        (Some(Gives::Nothing), other) => differing(region, None, other, steps)?,
        (other, Some(Gives::Nothing)) => differing(region, other, None, steps)?,
        (None, None) | (Some(Gives::Login), Some(Gives::Login)) => Vec::new(),
        // An agent has no name of its human, and so no account by it; nor has a user whose name nobody says.
        (Some(Gives::Login), None) | (None, Some(Gives::Login)) => {
            region.narrow_to(&[person(), known_name()], steps)?.into_iter().collect()
        }
        (Some(_), None) | (None, Some(_)) => vec![region],
        (Some(Gives::Account(one)), Some(Gives::Account(other))) => {
            if one == other {
                Vec::new()
            } else {
                vec![region]
            }
        }
        (Some(Gives::Login), Some(Gives::Account(name))) | (Some(Gives::Account(name)), Some(Gives::Login)) => {
            let is_name = text(Text::Login, Side::In, &OneOf::new([name.clone()], Vec::new()));
            let agents = region.narrow(&person().opposite(), steps)?;
            agents.into_iter().chain(region.narrow_to(&[person(), is_name.opposite()], steps)?).collect()
        }
        // Of a table each line gives another one: it is as if there were a rule for each of its users.
        (Some(Gives::ById(_) | Gives::ByLogin(_)), Some(other)) => each(&region, before, other, steps)?,
        (Some(other), Some(Gives::ById(_) | Gives::ByLogin(_))) => each(&region, after, other, steps)?,
    })
}

/// The same, for each user of a table by himself. The region is known to have no others.
fn each(region: &Region, table: Option<&Gives>, other: &Gives, steps: &Steps) -> Result<Vec<Region>, Undecided> {
    let mut regions = Vec::new();
    let mut add = |his: Option<Region>, account: Option<&String>| {
        steps.take(1)?;
        let his = his.ok_or(Undecided::Disagree)?;
        let account = account.ok_or(Undecided::Disagree)?;
        regions.extend(differing(his, Some(&Gives::Account(account.clone())), Some(other), steps)?);
        Ok(())
    };
    match table {
        Some(Gives::ById(rows)) => {
            let ids = region.user_ids().ok_or(Undecided::Disagree)?;
            ids.into_iter().try_for_each(|id| add(region.of_user_id(id), rows.by_id.get(&id)))?;
        }
        Some(Gives::ByLogin(rows)) => {
            let names = region.logins().ok_or(Undecided::Disagree)?;
            names.into_iter().try_for_each(|name| add(region.of_login(&name), rows.by_login.get(&name)))?;
        }
        Some(Gives::Account(_) | Gives::Login | Gives::Nothing) | None => {}
    }
    Ok(regions)
}
