//! The jobs of a rule: what its conditions, and the rules about bots and forks, ask of each fact.
//!
//! A condition on a fact that is unknown neither holds nor fails. So what is asked is always "it is known, and so", and what
//! must not be is "it is known, and not so": both are one thing for each fact, and a rule's jobs are all those for which some
//! such things are so. That is what makes them easy to take away from each other.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::membership::Of;
use super::region::{Atom, FIRST, Few, Number, SECOND, Text};
use super::sequence::{Class, Count, Sequence};
use super::set::OneOf;
use super::texts::Side;
use crate::evidence::{JobFacts, RefType};
use crate::policy::condition::Condition;
use crate::policy::pattern::Pattern;
use crate::policy::rules::{is_for_bots, names_number, takes_foreign_code};
use crate::policy::settings::{ForeignCode, Grants, MapRule, RunAs, When};

/// Jobs of a rule, and what they have by it.
#[derive(Clone, Debug)]
pub struct Branch<'r> {
    /// What is asked of them.
    pub atoms: Vec<Atom>,
    /// Their account.
    pub gives: Gives,
    /// One of these has to have approved the commit for it.
    pub approvers: Option<&'r [String]>,
}

/// An account.
#[derive(Clone, Debug)]
pub enum Gives {
    /// This one.
    Account(String),
    /// That of the user's own name.
    Login,
    /// The one that a table has for his number.
    ById(Rc<Rows>),
    /// The one that it has for his name.
    ByLogin(Rc<Rows>),
    /// None, as the user's name is not known.
    Nothing,
}

impl Gives {
    /// What is asked of jobs in addition that have one of these accounts. `None`: none has.
    pub fn atoms(&self, accounts: &Rc<OneOf>) -> Option<Vec<Atom>> {
        let wanted = |name: &str| accounts.contains(name);
        match self {
            Self::Account(name) => wanted(name).then(Vec::new),
            Self::Login => Some(vec![person(), text(Text::Login, Side::In, accounts)]),
            Self::ById(rows) => Some(vec![rows.numbers(wanted)]),
            Self::ByLogin(rows) => Some(vec![rows.logins(wanted)]),
            Self::Nothing => None,
        }
    }

    /// The one that a job has.
    pub fn account<'g>(&'g self, facts: &'g JobFacts) -> Option<&'g str> {
        let human = facts.human();
        match self {
            Self::Account(name) => Some(name),
            Self::Login => human.login,
            Self::ById(rows) => rows.by_id.get(&human.id).map(String::as_str),
            Self::ByLogin(rows) => rows.by_login.get(human.login?).map(String::as_str),
            Self::Nothing => None,
        }
    }

    /// Whether this and another one give the same to whatever job has both.
    pub fn is_always(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Account(one), Self::Account(other)) => one == other,
            (Self::Login, Self::Login) => true,
            (Self::ById(one), Self::ById(other)) | (Self::ByLogin(one), Self::ByLogin(other)) => one == other,
            _ => false,
        }
    }
}

/// A table of accounts, for being looked up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub by_id: HashMap<u64, String>,
    pub by_login: HashMap<String, String>,
}

impl Rows {
    /// Whose numbers are there.
    fn numbers(&self, wanted: impl Fn(&str) -> bool) -> Atom {
        let ids = self.by_id.iter().filter(|(_, account)| wanted(account)).map(|(id, _)| *id);
        Atom::Number { of: Number::User, side: Side::In, set: Rc::new(ids.collect()) }
    }

    /// Whose names are.
    fn logins(&self, wanted: impl Fn(&str) -> bool) -> Atom {
        let names = self.by_login.iter().filter(|(_, account)| wanted(account)).map(|(name, _)| name.clone());
        text(Text::Login, Side::In, &OneOf::new(names, Vec::new()))
    }

    /// Whoever is there by number, and whoever is there by name alone.
    fn atoms(&self, person: Atom) -> [Vec<Atom>; 2] {
        let by_id = self.numbers(|_| true);
        let by_name = vec![person, self.logins(|_| true), by_id.opposite()];
        [vec![by_id], by_name]
    }
}

/// All tables that rules name.
pub type Known = HashMap<PathBuf, Rc<Rows>>;

/// Sets that many rules ask about.
pub struct Common {
    bots: Rc<OneOf>,
    nothing: Rc<OneOf>,
    in_a_namespace: Rc<OneOf>,
}

impl Common {
    pub fn new() -> Self {
        let form = |sequence| OneOf::new([], vec![sequence]);
        let any = (Class::Any, Count::Any);
        Self {
            bots: OneOf::new([], bots()),
            nothing: OneOf::new([], Vec::new()),
            in_a_namespace: form(Sequence::new([any, (Class::Is('/'), Count::One), any])),
        }
    }

    /// The jobs for which a rule is, of those that ask for this account, by the ways in which they have theirs. `when` is what its
    /// conditions ask.
    pub fn of_rule<'r>(
        &self,
        rule: &'r MapRule,
        when: &[Atom],
        foreign_code: ForeignCode,
        requested: Option<&str>,
        tables: &Known,
    ) -> Vec<Branch<'r>> {
        let mut atoms = when.to_vec();
        if !rule.is_for_agents() {
            atoms.push(person());
        }
        if !is_for_bots(rule) {
            let (of, side, set) = (Text::Login, Side::Out, Rc::clone(&self.bots));
            atoms.push(Atom::Text { of, side, set, or_unknown: names_number(rule) });
        }
        let asked = requested.filter(|wanted| rule.may_request.iter().any(|may| may == wanted));
        let grants = if asked.is_some() { Grants::ToCode } else { rule.grants() };
        if !takes_foreign_code(rule, grants, foreign_code) {
            atoms.push(OWN_CODE);
        }
        let approvers = rule.approved_by.as_deref();
        let asked = asked.map(|name| Gives::Account(name.to_owned()));
        match (&rule.run_as, asked) {
            (RunAs::Table(path), asked) => {
                let Some(table) = tables.get(path) else { return Vec::new() };
                let [by_id, by_login] = table.atoms(person());
                [(by_id, Gives::ById(Rc::clone(table))), (by_login, Gives::ByLogin(Rc::clone(table)))]
                    .into_iter()
                    .map(|(more, gives)| Branch {
                        atoms: atoms.iter().cloned().chain(more).collect(),
                        gives: asked.clone().unwrap_or(gives),
                        approvers,
                    })
                    .collect()
            }
            (RunAs::Account(_) | RunAs::GitLabUser | RunAs::Requested, Some(gives)) => {
                vec![Branch { atoms, gives, approvers }]
            }
            (RunAs::Account(name), None) => vec![Branch { atoms, gives: Gives::Account(name.clone()), approvers }],
            (RunAs::GitLabUser, None) if approvers.is_some() => of_own_account(&atoms, approvers),
            (RunAs::GitLabUser, None) => vec![Branch { atoms, gives: Gives::Login, approvers }],
            (RunAs::Requested, None) => Vec::new(),
        }
    }

    /// The jobs for which conditions hold.
    pub fn of_conditions(&self, when: &When) -> Vec<Atom> {
        let all = when.all.iter().flat_map(|condition| self.atoms(condition, Side::In));
        let none = when.none.iter().flat_map(|condition| self.atoms(condition, Side::Out));
        all.chain(none).collect()
    }

    fn is_known(&self, of: Text) -> Atom {
        text(of, Side::Out, &self.nothing)
    }

    /// The jobs for which a condition holds, or those for which it is known that it does not.
    fn atoms(&self, condition: &Condition, side: Side) -> Vec<Atom> {
        let with_ref = |atom: Atom| vec![self.is_known(Text::OwnRef), atom];
        let flag = |of, wanted: bool| {
            let yes = wanted == (side == Side::In);
            Atom::Few { of, bits: if yes { SECOND } else { FIRST } }
        };
        match condition {
            // Of whoever an agent acts for only the number is known.
            Condition::User(names) => {
                vec![person(), text(Text::Login, side, &OneOf::new(names.iter().cloned(), Vec::new()))]
            }
            Condition::UserId(ids) => vec![number(Number::User, side, ids)],
            Condition::Project(patterns) => vec![text(Text::Project, side, &like(patterns))],
            Condition::ProjectId(ids) => vec![number(Number::Project, side, ids)],
            Condition::Namespace(patterns) => {
                // All up to the last `/`: what is behind it has none.
                let last = [(Class::Is('/'), Count::One), (Class::NotSlash, Count::Any)];
                let forms = patterns.iter().map(|pattern| Sequence::of(pattern).then(last)).collect();
                vec![
                    text(Text::Project, Side::In, &self.in_a_namespace),
                    text(Text::Project, side, &OneOf::new([], forms)),
                ]
            }
            Condition::Ref(patterns) => vec![text(Text::OwnRef, side, &like(patterns))],
            Condition::RefType(types) => {
                let bit = |kind: &RefType| match kind {
                    RefType::Branch => FIRST,
                    RefType::Tag => SECOND,
                };
                let named = types.iter().map(bit).fold(0, |bits, bit| bits | bit);
                let bits = if side == Side::In { named } else { !named & (FIRST | SECOND) };
                with_ref(Atom::Few { of: Few::RefType, bits })
            }
            Condition::RefProtected(wanted) => with_ref(flag(Few::RefProtected, *wanted)),
            Condition::PipelineSource(words) => {
                vec![text(Text::Source, side, &OneOf::new(words.iter().cloned(), Vec::new()))]
            }
            Condition::FromFork(wanted) => vec![flag(Few::Code, *wanted)],
            Condition::Bot(wanted) => {
                let side = if *wanted { side } else { side.other() };
                vec![text(Text::Login, side, &self.bots)]
            }
            Condition::ActingFor(wanted) => vec![flag(Few::Acting, *wanted)],
            Condition::Environment(patterns) => vec![text(Text::Environment, side, &like(patterns))],
            Condition::EnvironmentProtected(wanted) => {
                vec![self.is_known(Text::Environment), flag(Few::EnvironmentProtected, *wanted)]
            }
            Condition::Runner(ids) => {
                vec![Atom::Few { of: Few::Runner, bits: FIRST }, number(Number::Runner, side, ids)]
            }
            Condition::GitLabGroup(groups) => {
                let (of, bits) = match side {
                    Side::In => (Of::Some, SECOND),
                    Side::Out => (Of::All, FIRST),
                };
                vec![Atom::Groups { of, list: Rc::new(groups.iter().cloned().collect()), bits }]
            }
            Condition::CiStage(names) => {
                vec![text(Text::CiStage, side, &OneOf::new(names.iter().cloned(), Vec::new()))]
            }
        }
    }
}

/// The jobs that have the account of the user's own name if that is approved. Who has no name is refused without: nothing is given
/// away.
fn of_own_account<'r>(atoms: &[Atom], approvers: Option<&'r [String]>) -> Vec<Branch<'r>> {
    let with = |more: &[Atom]| atoms.iter().chain(more).cloned().collect();
    let named = known_name();
    vec![
        Branch { atoms: with(&[person(), named.clone()]), gives: Gives::Login, approvers },
        Branch { atoms: with(&[person(), named.opposite()]), gives: Gives::Nothing, approvers: None },
        Branch { atoms: with(&[person().opposite()]), gives: Gives::Nothing, approvers: None },
    ]
}

/// See [`is_bot`](crate::policy::condition::is_bot).
fn bots() -> Vec<Sequence> {
    let mut forms = Vec::new();
    for whose in ["project_", "group_"] {
        let begin = || {
            let id = [(Class::Digit, Count::One), (Class::Digit, Count::Any)];
            Sequence::new(Sequence::text(whose)).then(id).then(Sequence::text("_bot"))
        };
        forms.push(begin().then([(Class::Digit, Count::Any)]));
        forms.push(begin().then(Sequence::text("_")).then([(Class::Hex, Count::One), (Class::Hex, Count::Any)]));
    }
    forms
}

/// Known to be the project's own code.
const OWN_CODE: Atom = Atom::Few { of: Few::Code, bits: FIRST };

/// A user whose login name is known.
pub fn known_name() -> Atom {
    text(Text::Login, Side::Out, &OneOf::new([], Vec::new()))
}

/// A user that acts for nobody else.
pub fn person() -> Atom {
    Atom::Few { of: Few::Acting, bits: FIRST }
}

/// Known, and on this side.
pub fn text(of: Text, side: Side, set: &Rc<OneOf>) -> Atom {
    Atom::Text { of, side, set: Rc::clone(set), or_unknown: false }
}

fn number(of: Number, side: Side, ids: &[u64]) -> Atom {
    Atom::Number { of, side, set: Rc::new(ids.iter().copied().collect()) }
}

/// Patterns without a star are the text that they are.
pub fn like(patterns: &[Pattern]) -> Rc<OneOf> {
    let (plain, forms): (Vec<&Pattern>, Vec<&Pattern>) = patterns.iter().partition(|pattern| pattern.plain().is_some());
    let plain = plain.into_iter().filter_map(|pattern| pattern.plain().map(str::to_owned));
    OneOf::new(plain, forms.into_iter().map(Sequence::of).collect())
}
