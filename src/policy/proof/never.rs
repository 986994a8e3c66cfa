//! Who can become an account, and whether somebody can who must not.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::approved::{self, Approved, ApprovedFor};
use super::jobs::{Branch, Common, like};
use super::region::{Atom, Region};
use super::rulebook::Rulebook;
use super::search::{Found, search};
use super::set::OneOf;
use super::{Steps, Undecided};
use crate::approval::Asked;
use crate::evidence::JobFacts;
use crate::evidence::settings::Knowable;
use crate::evidence::supposed::Supposed;
use crate::policy::pattern::Pattern;
use crate::policy::rules::{Asking, first_match};
use crate::policy::settings::{ForeignCode, MapRule, When};
use crate::policy::table::Tables;

/// Rules that can be asked about.
pub struct Proofs<'r> {
    pub(super) common: Common,
    pub(super) book: Rulebook<'r>,
    knowable: Knowable<'r>,
    worlds: Vec<Region>,
    tables: &'r dyn Tables,
}

/// A job that becomes an account, and the rule that lets it.
#[derive(Clone, Debug)]
pub struct Becomes<'r> {
    /// The rule.
    pub rule: &'r MapRule,
    /// The job. It has been passed through what decides about jobs.
    pub job: Supposed,
    /// What it asks for.
    pub requested: Option<String>,
    /// Who has approved its commit for that account.
    pub approved_by: Option<String>,
    /// Its account.
    pub account: String,
}

/// A way to become an account.
#[derive(Clone, Debug)]
pub struct Way<'r> {
    /// A job that goes it.
    pub example: Becomes<'r>,
    /// Who can go it.
    pub who: Who,
}

/// Who can go a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// These users, by login.
    Logins(Vec<String>),
    /// These users, by number.
    Ids(Vec<u64>),
    /// So many, or fewer: some of them may be taken by rules before.
    AtMost(usize),
    /// Whoever the rule's other conditions let in.
    Anybody,
}

/// Jobs that a rule would take, were it the only one, in one of the ways in which they have their account by it.
pub(super) struct Reach<'r> {
    at: usize,
    branch: Branch<'r>,
    pub(super) regions: Vec<Region>,
}

/// A job, and who has approved its commit.
type FoundJob<'r> = (Supposed, Option<&'r str>);

/// Of so many users of a rule each is looked at.
const EACH: usize = 2000;

impl<'r> Proofs<'r> {
    /// About these rules, what sources can say of jobs, and what tables say now.
    pub fn new(
        rules: &'r [MapRule],
        foreign_code: ForeignCode,
        knowable: Knowable<'r>,
        tables: &'r dyn Tables,
    ) -> Result<Self, Undecided> {
        let common = Common::new();
        let book = Rulebook::new(&common, rules, foreign_code, tables);
        let book = book.map_err(|error| Undecided::Table(error.to_string()))?;
        Ok(Self { common, book, knowable, worlds: Region::worlds(knowable, &Steps::new())?, tables })
    }

    /// A job that becomes one of these accounts although not all of `unless` hold for it.
    pub fn counterexample(
        &self,
        accounts: &[Pattern],
        unless: Option<&When>,
    ) -> Result<Option<Becomes<'r>>, Undecided> {
        let steps = Steps::new();
        for (requested, accounts) in self.requests(&like(accounts)) {
            for at in 0..self.book.rules.len() {
                for reach in self.reaches(at, requested, &accounts, &steps)? {
                    if let Some(found) = self.first_of(&reach, requested, unless, &steps)? {
                        return self.becomes(found, &reach, requested, &accounts).map(Some);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Each rule that makes somebody one of these accounts.
    pub fn ways(&self, accounts: &[Pattern]) -> Result<Vec<Way<'r>>, Undecided> {
        let mut ways = Vec::new();
        let steps = Steps::for_each_rule();
        for (requested, accounts) in self.requests(&like(accounts)) {
            for at in 0..self.book.rules.len() {
                for reach in self.reaches(at, requested, &accounts, &steps)? {
                    if let Some(found) = self.first_of(&reach, requested, None, &steps)? {
                        let example = self.becomes(found, &reach, requested, &accounts)?;
                        ways.push(Way { example, who: self.who(&reach, requested, &steps)? });
                    }
                }
            }
        }
        Ok(ways)
    }

    /// What jobs may ask for, as far as it matters to who becomes one of these accounts, and which of them they then can have: a job
    /// has the account that it asks for, or none.
    fn requests(&self, accounts: &Rc<OneOf>) -> Vec<(Option<&'r str>, Rc<OneOf>)> {
        let asked: BTreeSet<&'r str> = self.may_request().filter(|name| accounts.contains(name)).collect();
        let one = |name: &'r str| (Some(name), OneOf::new([name.to_owned()], Vec::new()));
        [(None, Rc::clone(accounts))].into_iter().chain(asked.into_iter().map(one)).collect()
    }

    /// All that rules have for those who ask.
    pub(super) fn may_request(&self) -> impl Iterator<Item = &'r str> {
        self.book.rules.iter().flat_map(|rule| rule.may_request.iter().map(String::as_str))
    }

    /// The jobs for which all of some things are so.
    pub(super) fn regions<'a>(
        &self,
        atoms: &(impl Iterator<Item = &'a Atom> + Clone),
        steps: &Steps,
    ) -> Result<Vec<Region>, Undecided> {
        let narrowed = self.worlds.iter().map(|world| world.clone().narrow_to(atoms.clone(), steps));
        narrowed.filter_map(Result::transpose).collect()
    }

    /// The same, of those jobs that the sources of either can tell of.
    pub(super) fn regions_beside<'a>(
        &self,
        other: &Proofs<'_>,
        atoms: &(impl Iterator<Item = &'a Atom> + Clone),
        steps: &Steps,
    ) -> Result<Vec<Region>, Undecided> {
        let mut regions = self.regions(atoms, steps)?;
        if self.knowable != other.knowable {
            regions.extend(other.regions(atoms, steps)?);
        }
        Ok(regions)
    }

    /// The jobs of a rule, were it the only one, that have one of these accounts.
    pub(super) fn reaches(
        &self,
        at: usize,
        requested: Option<&str>,
        accounts: &Rc<OneOf>,
        steps: &Steps,
    ) -> Result<Vec<Reach<'r>>, Undecided> {
        let mut reaches = Vec::new();
        for branch in self.book.branches(&self.common, at, requested) {
            let Some(more) = branch.gives.atoms(accounts) else { continue };
            // The few that have the account first: what is empty then is seen at once.
            let regions = self.regions(&more.iter().chain(&branch.atoms), steps)?;
            reaches.push(Reach { at, branch, regions });
        }
        Ok(reaches)
    }

    /// A job of a reach that no rule before it takes, and for which not all of `unless` hold; and who has approved it.
    fn first_of(
        &self,
        reach: &Reach<'r>,
        requested: Option<&str>,
        unless: Option<&When>,
        steps: &Steps,
    ) -> Result<Option<FoundJob<'r>>, Undecided> {
        let Reach { at, branch, regions } = reach;
        let allowed = unless.map(|when| (when, self.common.of_conditions(when)));
        for (region, by) in
            regions.iter().flat_map(|region| approved::each(branch.approvers).into_iter().map(move |by| (region, by)))
        {
            let approved = by.map(|by| ApprovedFor { by, gives: &branch.gives });
            let job = search(region.clone(), steps, |facts| {
                let approved = approved.map(|approved| approved.of(facts));
                match self.book.first(Asking { facts, requested }, approved.as_slice(), steps)? {
                    Some(first) if first == *at => Ok(match &allowed {
                        Some((when, atoms)) if when.holds(facts) => Found::Taken(vec![atoms.clone()]),
                        _ => Found::Wanted,
                    }),
                    Some(first) if first < *at => Ok(Found::Taken(self.taken(first, requested, approved.as_slice()))),
                    _ => Err(Undecided::Disagree),
                }
            })?;
            if let Some(job) = job {
                return Ok(Some((job, by)));
            }
        }
        Ok(None)
    }

    /// The jobs that a rule takes, if their commits are approved like that.
    pub(super) fn taken(&self, at: usize, requested: Option<&str>, approved: &[Approved<'_>]) -> Vec<Vec<Atom>> {
        self.book
            .branches(&self.common, at, requested)
            .iter()
            .flat_map(|branch| approved::with(branch, approved))
            .collect()
    }

    /// The rule and the account of a job, by the code that decides about jobs from beginning to end.
    pub(super) fn decided(
        &self,
        facts: &JobFacts,
        requested: Option<&str>,
        approved: &[Approved<'_>],
    ) -> Result<Option<(&'r MapRule, Option<String>)>, Undecided> {
        let asking = Asking { facts, requested };
        let ask = |asked: Asked<'_>| Ok(approved::answer(approved, asked));
        let found = first_match(self.book.rules, self.book.foreign_code, asking, self.tables, ask, |_, _| ());
        let found = found.map_err(|undecided| Undecided::Table(undecided.to_string()))?;
        Ok(found.map(|(rule, given, _)| (rule, asking.account(given).ok())))
    }

    /// With the account that it really has.
    fn becomes(
        &self,
        (job, by): FoundJob<'r>,
        reach: &Reach<'r>,
        requested: Option<&str>,
        accounts: &OneOf,
    ) -> Result<Becomes<'r>, Undecided> {
        let facts = job.clone().facts();
        let approved = by.map(|by| ApprovedFor { by, gives: &reach.branch.gives }.of(&facts));
        let Some((rule, Some(account))) = self.decided(&facts, requested, approved.as_slice())? else {
            return Err(Undecided::Disagree);
        };
        if !std::ptr::eq(rule, &raw const self.book.rules[reach.at]) || !accounts.contains(&account) {
            return Err(Undecided::Disagree);
        }
        let approved_by = by.map(str::to_owned);
        Ok(Becomes { rule, job, requested: requested.map(str::to_owned), approved_by, account })
    }

    /// The users of a reach, without those whose jobs are all taken by rules before this one.
    fn who(&self, reach: &Reach<'r>, requested: Option<&str>, steps: &Steps) -> Result<Who, Undecided> {
        let can = |regions: Vec<Region>| {
            let his = Reach { at: reach.at, branch: reach.branch.clone(), regions };
            Ok(self.first_of(&his, requested, None, steps)?.is_some())
        };
        let logins = all_of(reach.regions.iter().map(Region::logins));
        if let Some(names) = logins {
            if names.len() > EACH {
                return Ok(Who::AtMost(names.len()));
            }
            let his = |name: &str| reach.regions.iter().filter_map(|region| region.of_login(name)).collect();
            let reached = names.into_iter().map(|name| Ok(can(his(&name))?.then_some(name)));
            return Ok(Who::Logins(reached.filter_map(Result::transpose).collect::<Result<_, Undecided>>()?));
        }
        let Some(ids) = all_of(reach.regions.iter().map(Region::user_ids)) else { return Ok(Who::Anybody) };
        if ids.len() > EACH {
            return Ok(Who::AtMost(ids.len()));
        }
        let his = |id: u64| reach.regions.iter().filter_map(|region| region.of_user_id(id)).collect();
        let reached = ids.into_iter().map(|id| Ok(can(his(id))?.then_some(id)));
        Ok(Who::Ids(reached.filter_map(Result::transpose).collect::<Result<_, Undecided>>()?))
    }
}

/// All that some lists have, unless one of them is none.
fn all_of<T: Ord>(lists: impl Iterator<Item = Option<Vec<T>>>) -> Option<BTreeSet<T>> {
    lists.collect::<Option<Vec<_>>>().map(|lists| lists.into_iter().flatten().collect())
}
