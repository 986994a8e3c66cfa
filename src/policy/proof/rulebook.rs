//! Rules in their order, as sets of jobs, and which of them is the first for a job.

use std::collections::HashMap;
use std::rc::Rc;

use super::approved::Approved;
use super::jobs::{Branch, Common, Known, Rows};
use super::region::Atom;
use super::{Steps, Undecided};
use crate::policy::condition::Condition;
use crate::policy::rules::{Asking, mismatch};
use crate::policy::settings::{ForeignCode, MapRule, RunAs};
use crate::policy::table::{Table, TableError, Tables, User};

/// What looking at a rule costs.
const RULE: usize = 20;

/// Rules, found by what they ask for: of ten thousand that each name a user, one has to be looked at.
pub struct Rulebook<'r> {
    pub rules: &'r [MapRule],
    pub foreign_code: ForeignCode,
    pub tables: Known,
    /// What the conditions of each ask.
    pub asked: Vec<Vec<Atom>>,
    by_user: HashMap<&'r str, Vec<usize>>,
    by_user_id: HashMap<u64, Vec<usize>>,
    by_project_id: HashMap<u64, Vec<usize>>,
    /// By the first part of the path, where all patterns of a rule say it in full.
    by_group: HashMap<&'r str, Vec<usize>>,
    others: Vec<usize>,
}

impl<'r> Rulebook<'r> {
    pub fn new(
        common: &Common,
        rules: &'r [MapRule],
        foreign_code: ForeignCode,
        files: &dyn Tables,
    ) -> Result<Self, TableError> {
        let mut tables = Known::new();
        for rule in rules {
            if let RunAs::Table(path) = &rule.run_as
                && !tables.contains_key(path)
            {
                tables.insert(path.clone(), Rc::new(rows(&files.read(path)?)?));
            }
        }
        let mut book = Self {
            rules,
            foreign_code,
            tables,
            asked: rules.iter().map(|rule| common.of_conditions(&rule.when)).collect(),
            by_user: HashMap::new(),
            by_user_id: HashMap::new(),
            by_project_id: HashMap::new(),
            by_group: HashMap::new(),
            others: Vec::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            book.enter(at, rule);
        }
        Ok(book)
    }

    /// The jobs of a rule, of those that ask for this account, by the ways in which they have theirs.
    pub fn branches(&self, common: &Common, at: usize, requested: Option<&str>) -> Vec<Branch<'r>> {
        common.of_rule(&self.rules[at], &self.asked[at], self.foreign_code, requested, &self.tables)
    }

    fn enter(&mut self, at: usize, rule: &'r MapRule) {
        for condition in &rule.when.all {
            match condition {
                Condition::User(names) => {
                    for name in names {
                        self.by_user.entry(name).or_default().push(at);
                    }
                    return;
                }
                Condition::UserId(ids) => {
                    for id in ids {
                        self.by_user_id.entry(*id).or_default().push(at);
                    }
                    return;
                }
                Condition::ProjectId(ids) => {
                    for id in ids {
                        self.by_project_id.entry(*id).or_default().push(at);
                    }
                    return;
                }
                Condition::Project(patterns) => {
                    let groups: Option<Vec<&str>> = patterns.iter().map(|pattern| pattern.first_part()).collect();
                    let Some(mut groups) = groups else { continue };
                    groups.sort_unstable();
                    groups.dedup();
                    for group in groups {
                        self.by_group.entry(group).or_default().push(at);
                    }
                    return;
                }
                // Whatever else it asks: it is looked at for every job.
                _ => {}
            }
        }
        self.others.push(at);
    }

    /// The first rule for a job, by the code that decides, if its commit is approved like that.
    pub fn first(
        &self,
        asking: Asking<'_>,
        approved: &[Approved<'_>],
        steps: &Steps,
    ) -> Result<Option<usize>, Undecided> {
        let facts = asking.facts;
        let group = facts.project_path().map(|path| path.split_once('/').map_or(path, |(group, _)| group));
        let lists = [
            facts.user_login().and_then(|login| self.by_user.get(login)),
            self.by_user_id.get(&facts.human().id),
            self.by_project_id.get(&facts.project_id()),
            group.and_then(|group| self.by_group.get(group)),
            Some(&self.others),
        ];
        let mut first: Option<usize> = None;
        for list in lists.into_iter().flatten() {
            for at in list.iter().copied().take_while(|at| first.is_none_or(|first| *at < first)) {
                steps.take(RULE)?;
                if self.takes(at, asking, approved) {
                    first = Some(at);
                    break;
                }
            }
        }
        Ok(first)
    }

    /// Whether a rule matches a job, with tables that are looked up and not read through.
    fn takes(&self, at: usize, asking: Asking<'_>, approved: &[Approved<'_>]) -> bool {
        let rule = &self.rules[at];
        if mismatch(rule, self.foreign_code, asking).is_some() {
            return false;
        }
        let human = asking.facts.human();
        let row = || match &rule.run_as {
            RunAs::Table(path) => self.tables.get(path).and_then(|rows| {
                rows.by_id.get(&human.id).or_else(|| rows.by_login.get(human.login?)).map(String::as_str)
            }),
            RunAs::Account(_) | RunAs::GitLabUser | RunAs::Requested => None,
        };
        let requested = asking.requested_of(rule).map(String::as_str);
        let given = match &rule.run_as {
            // Who is not in it is none of the rule's, whatever he asks for.
            RunAs::Table(_) => match row() {
                None => return false,
                row => requested.or(row),
            },
            RunAs::Account(name) => requested.or(Some(name.as_str())),
            // Without a name he is refused, and nobody has to approve that.
            RunAs::GitLabUser => requested.or(human.login),
            RunAs::Requested if requested.is_none() => return false,
            RunAs::Requested => requested,
        };
        match (&rule.approved_by, given) {
            (None, _) | (_, None) => true,
            (Some(wanted), Some(account)) => approved.iter().any(|approved| approved.counts(account, wanted)),
        }
    }
}

/// A table that a job could be looked up in: one with a fault has nobody.
fn rows(table: &Table) -> Result<Rows, TableError> {
    let mut rows = Rows::default();
    let mut lines = HashMap::new();
    for entry in table.entries() {
        let entry = entry?;
        if let Some(first) = lines.insert(entry.user, entry.line) {
            return Err(table.twice(&entry, first));
        }
        let account = entry.account.to_owned();
        match entry.user {
            User::Login(login) => drop(rows.by_login.insert(login.to_owned(), account)),
            User::Number(id) => drop(rows.by_id.insert(id, account)),
        }
    }
    Ok(rows)
}
