//! Proofs against brute force: all jobs of a small world, through the code that decides about jobs.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::diff::changes;
use super::never::{Proofs, Who};
use super::set::OneOf;
use super::*;
use crate::approval::{Asked, Unapproved};
use crate::config::{self, Source};
use crate::evidence::JobFacts;
use crate::evidence::settings::{Groups as GroupsAre, Knowable, Sources};
use crate::policy::pattern::Pattern;
use crate::policy::rules::{Asking, Given, first_match, given};
use crate::policy::settings::{ForeignCode, Groups, MapRule, Stands, When, read_rule};
use crate::policy::table::{Table, TableError, Tables};

mod approvals;
mod bounds;
mod worlds;

use worlds::{Facts, WORLDS};

/// Three that rules name, and others who are like them in all that rules can ask.
const USERS: [&str; 7] = ["ada", "bob", "project_7_bot_0a", "svc", "web", "anna", "group_8_bot"];
const PATHS: [&str; 3] = ["g/*", "*/p", "g/**"];
const NAMESPACES: [&str; 2] = ["g", "*"];
const REFS: [&str; 2] = ["main", "**"];
const SOURCES: [&str; 2] = ["push", "merge_request_event"];
const REQUESTS: [Option<&str>; 3] = [None, Some("svc"), Some("web")];

/// A site that asks the job API, and nobody else.
const JOB_API: Knowable<'static> = Knowable { sources: &Sources::JobApi, groups: GroupsAre::NotAsked };

/// One table, for whatever path.
pub(super) struct OneTable;

impl Tables for OneTable {
    fn read(&self, _: &Path) -> Result<Table, TableError> {
        Ok(Table::for_test("ada svc\nbob other\nid:1 ada\nid:9 web\n"))
    }
}

pub(super) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect(text)
}

fn condition(facts: Facts) -> BoxedStrategy<(&'static str, String)> {
    match facts {
        Facts::Usual => usual_condition().boxed(),
        Facts::Deployments => prop_oneof![
            1 => select(vec!["1", "[1, 2]", "2"]).prop_map(|ids| ("user_id", ids.to_owned())),
            1 => any::<bool>().prop_map(|value| ("from_fork", value.to_string())),
            3 => subsequence(vec!["production", "review/*", "**"], 1..=2).prop_map(|values| ("environment", format!("{values:?}"))),
            3 => any::<bool>().prop_map(|value| ("environment_protected", value.to_string())),
            2 => Just(("ci_stage", "\"build\"".to_owned())),
            2 => Just(("runner", "1".to_owned())),
        ]
        .boxed(),
        Facts::Groups => prop_oneof![
            1 => select(vec!["1", "[1, 2]", "2"]).prop_map(|ids| ("user_id", ids.to_owned())),
            1 => any::<bool>().prop_map(|value| ("acting_for", value.to_string())),
            4 => subsequence(vec!["a", "b", "c"], 1..=2).prop_map(|groups| ("gitlab_group", format!("{groups:?}"))),
        ]
        .boxed(),
    }
}

fn usual_condition() -> impl Strategy<Value = (&'static str, String)> {
    let texts = |key: &'static str, all: &'static [&'static str]| {
        subsequence(all, 1..=2).prop_map(move |values| (key, format!("{values:?}")))
    };
    let flag = |key: &'static str| any::<bool>().prop_map(move |value| (key, value.to_string()));
    prop_oneof![
        3 => texts("user", &USERS[..3]),
        2 => select(vec!["1", "[1, 2]", "2"]).prop_map(|ids| ("user_id", ids.to_owned())),
        3 => texts("project", &PATHS),
        1 => texts("namespace", &NAMESPACES),
        2 => texts("ref", &REFS),
        2 => texts("pipeline_source", &SOURCES),
        2 => flag("ref_protected"),
        1 => flag("from_fork"),
        1 => flag("bot"),
        1 => flag("acting_for"),
    ]
}

fn when(facts: Facts) -> impl Strategy<Value = String> {
    let some = move || {
        proptest::collection::vec(condition(facts), 0..3).prop_map(|mut all| {
            all.sort();
            all.dedup_by_key(|(key, _)| *key);
            all.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
        })
    };
    (some(), some(), any::<bool>()).prop_map(|(all, none, not)| match (all.as_str(), not) {
        (all, false) => format!("{{ {all} }}"),
        ("", true) => format!("{{ not = {{ {none} }} }}"),
        (all, true) => format!("{{ {all}, not = {{ {none} }} }}"),
    })
}

fn one_rule(facts: Facts) -> impl Strategy<Value = String> {
    let run_as = select(vec![
        "run_as = \"svc\"",
        "run_as = \"svc\"\nmay_request = [\"web\"]",
        "run_as = \"ada\"",
        "run_as = \"other\"",
        "run_as = \"{gitlab_user}\"",
        "run_as = \"{gitlab_user}\"\nmay_request = [\"svc\"]",
        "run_as = \"table:/t\"",
        "run_as = \"table:/t\"\nmay_request = [\"web\"]",
        "may_request = [\"svc\", \"web\"]",
    ]);
    let approved = select(vec!["", "", "", "approved_by = \"p\"\n", "approved_by = [\"p\", \"q\"]\n"]);
    (when(facts), run_as, approved)
        .prop_map(|(when, run_as, approved)| format!("[[map]]\nwhen = {when}\n{run_as}\n{approved}"))
}

pub(super) fn rules_of(text: &str) -> Vec<MapRule> {
    let read = config::read(&Source::new("c.toml", text.to_owned()), |mut root| {
        root.tables("map", |section| read_rule(section, &Groups::new(), Stands::InTheFile))
            .into_iter()
            .collect::<Option<Vec<_>>>()
    });
    read.unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn when_of(text: &str) -> When {
    rules_of(&format!("[[map]]\nwhen = {text}\nrun_as = \"x\"\n")).remove(0).when
}

/// Who has approved the commit of a job, and for which account.
type Approvals<'a> = &'a [(&'a str, &'a str)];

/// The rule and the account of a job.
pub(super) fn decided(
    rules: &[MapRule],
    foreign_code: ForeignCode,
    facts: &JobFacts,
    requested: Option<&str>,
    approvals: Approvals<'_>,
) -> Option<(usize, Option<String>)> {
    let asking = Asking { facts, requested };
    let approved = |asked: Asked<'_>| {
        let by = approvals
            .iter()
            .find(|(by, account)| *account == asked.account && asked.wanted.iter().any(|one| one == by));
        Ok(by.map(|_| ()).ok_or(Unapproved::Nothing))
    };
    let found = first_match(rules, foreign_code, asking, &OneTable, approved, |_, _| ()).expect("a table");
    let (rule, given, _) = found?;
    let at = rules.iter().position(|other| std::ptr::eq(rule, other)).expect("one of them");
    Some((at, asking.account(given).ok()))
}

/// All accounts that rules give a job, were each the only one, approved by each of whom they ask for it: of these approvals all
/// sets are tried that may matter, which are those of none, one and two.
fn approvals(
    rules: &[MapRule],
    foreign_code: ForeignCode,
    facts: &JobFacts,
    requested: Option<&str>,
) -> Vec<(String, String)> {
    let mut all = BTreeSet::new();
    for rule in rules {
        let asking = Asking { facts, requested };
        if let Some(wanted) = &rule.approved_by
            && let Ok(Given::Account(account)) = given(rule, foreign_code, asking, &OneTable).expect("a table")
        {
            all.extend(wanted.iter().map(|by| (by.clone(), account.clone())));
        }
    }
    all.into_iter().collect()
}

/// The sets of them with up to so many.
fn sets(all: &[(String, String)], most: usize) -> Vec<Vec<(&str, &str)>> {
    let pairs: Vec<(&str, &str)> = all.iter().map(|(by, account)| (by.as_str(), account.as_str())).collect();
    let mut sets = vec![Vec::new()];
    sets.extend(pairs.iter().map(|one| vec![*one]));
    if most > 1 {
        sets.extend(pairs.iter().enumerate().flat_map(|(at, one)| pairs[..at].iter().map(|other| vec![*one, *other])));
    }
    sets
}

/// So many random rules; more by hand, with `MOTMOT_PROOF_CASES=5000`.
fn cases(usual: u32) -> u32 {
    std::env::var("MOTMOT_PROOF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// One of the worlds by its number, with what is made for its facts.
fn in_a_world<T: std::fmt::Debug>(made: impl Fn(Facts) -> BoxedStrategy<T>) -> impl Strategy<Value = (usize, T)> {
    (0..WORLDS.len()).prop_flat_map(move |world| (Just(world), made(WORLDS[world].facts)))
}

fn settings() -> impl Strategy<Value = ForeignCode> {
    select(vec![ForeignCode::OwnAccount, ForeignCode::Refuse, ForeignCode::Allow])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_proven_of_rules_is_what_trying_all_jobs_of_a_small_world_finds(
        (world, (text, unless)) in in_a_world(|facts| {
            let rules = proptest::collection::vec(one_rule(facts), 1..7).prop_map(|rules| rules.concat());
            (rules, proptest::option::of(when(facts))).boxed()
        }),
        account in select(vec!["svc", "ada", "a*", "web", "bob"]),
        setting in settings(),
    ) {
        let world = &WORLDS[world];
        let rules = rules_of(&text);
        let accounts = [pattern(account)];
        let unless = unless.map(|unless| when_of(&unless));
        let proofs = Proofs::new(&rules, setting, world.knowable(), &OneTable).expect("decided");
        let becomes = |facts: &JobFacts, requested: Option<&str>, approvals: Approvals<'_>| {
            let (at, account) = decided(&rules, setting, facts, requested, approvals)?;
            account.filter(|account| accounts[0].matches(account)).map(|_| at)
        };
        let is_allowed = |job: &JobFacts| unless.as_ref().is_some_and(|when| when.holds(job));
        let needs_approval = rules.iter().any(|rule| rule.approved_by.is_some());

        let mut tried = None;
        let mut ways = BTreeSet::new();
        let mut logins = BTreeSet::new();
        for ((job, facts), requested) in world.jobs.iter().flat_map(|job| REQUESTS.map(|requested| (job, requested))) {
            let all = if needs_approval { approvals(&rules, setting, facts, requested) } else { Vec::new() };
            for approvals in sets(&all, 1) {
                let Some(at) = becomes(facts, requested, &approvals) else { continue };
                if !is_allowed(facts) {
                    tried = tried.or(Some((job, requested)));
                }
                ways.insert((at, requested.filter(|name| rules.iter().any(|rule| rule.may_request.iter().any(|may| may == name)))));
                logins.insert((at, facts.human().login));
            }
        }
        let found = proofs.counterexample(&accounts, unless.as_ref()).expect("decided");
        if let Some(found) = &found {
            let facts = found.job.clone().facts();
            let approvals: Vec<(&str, &str)> = found.approved_by.iter().map(|by| (by.as_str(), found.account.as_str())).collect();
            let becomes = becomes(&facts, found.requested.as_deref(), &approvals);
            prop_assert!(becomes.is_some() && !is_allowed(&facts), "no counterexample: {:?}", found);
        }
        prop_assert_eq!(tried.is_some(), found.is_some(), "{} {:?}: {:?} {:?}", text, unless, tried, found);

        let found = proofs.ways(&accounts).expect("decided");
        let at = |rule: &MapRule| rules.iter().position(|other| std::ptr::eq(rule, other)).expect("one of them");
        for way in &found {
            let example = &way.example;
            let approvals: Vec<(&str, &str)> = example.approved_by.iter().map(|by| (by.as_str(), example.account.as_str())).collect();
            prop_assert_eq!(becomes(&example.job.clone().facts(), example.requested.as_deref(), &approvals), Some(at(example.rule)));
            if let Who::Logins(names) = &way.who {
                let missing = names.iter().find(|name| !logins.contains(&(at(way.example.rule), Some(name))));
                prop_assert_eq!(missing, None, "{}", text);
            }
        }
        let found: BTreeSet<_> = found.iter().map(|way| (at(way.example.rule), way.example.requested.as_deref())).collect();
        // Who asks for what nobody has for asking is like one who asks for nothing.
        prop_assert_eq!(ways, found, "{}", text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(150), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_changes_between_two_lists_of_rules_are_those_that_trying_all_jobs_finds(
        (world, (mut rules, more)) in in_a_world(|facts| {
            (proptest::collection::vec(one_rule(facts), 1..6), proptest::collection::vec(one_rule(facts), 0..3)).boxed()
        }),
        swapped in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        dropped in any::<Option<proptest::sample::Index>>(),
        (before, after) in (settings(), settings()),
    ) {
        let world = &WORLDS[world];
        let old_text = rules.concat();
        let (one, other) = (swapped.0.index(rules.len()), swapped.1.index(rules.len()));
        rules.swap(one, other);
        if let Some(dropped) = dropped {
            let at = dropped.index(rules.len());
            rules.remove(at);
        }
        for (at, rule) in more.into_iter().enumerate() {
            rules.insert((at * 2).min(rules.len()), rule);
        }
        let new_text = rules.concat();
        let read = |text: &str| if text.is_empty() { Vec::new() } else { rules_of(text) };
        let (old, new) = (read(&old_text), read(&new_text));
        let proofs = |rules, setting| Proofs::new(rules, setting, world.knowable(), &OneTable).expect("decided");
        let found = changes(&proofs(&old, before), &proofs(&new, after)).expect("decided");
        let place = |rules: &[MapRule], rule: Option<&MapRule>| rule.map(|rule| rules.iter().position(|other| std::ptr::eq(rule, other)).expect("one of them"));
        let found: BTreeSet<_> = found.iter().map(|change| (place(&old, change.before.rule), place(&new, change.after.rule))).collect();
        let needs_approval = old.iter().chain(&new).any(|rule| rule.approved_by.is_some());
        let mut tried = BTreeSet::new();
        for ((_, facts), requested) in world.jobs.iter().flat_map(|job| REQUESTS.map(|requested| (job, requested))) {
            let mut all = Vec::new();
            if needs_approval {
                all = approvals(&old, before, facts, requested);
                all.extend(approvals(&new, after, facts, requested));
                all.sort();
                all.dedup();
            }
            for approvals in sets(&all, 2) {
                let is = decided(&old, before, facts, requested, &approvals);
                let becomes = decided(&new, after, facts, requested, &approvals);
                let account = |decided: &Option<(usize, Option<String>)>| decided.as_ref().and_then(|(_, account)| account.clone());
                if account(&is) != account(&becomes) {
                    tried.insert((is.map(|(at, _)| at), becomes.map(|(at, _)| at)));
                }
            }
        }
        prop_assert_eq!(tried, found, "{}\n---\n{}", old_text, new_text);
    }
}

#[test]
fn what_takes_too_long_is_undecided_and_never_proven() {
    // Each of them takes away another half of what is left.
    let some = ('a'..='p').map(|letter| {
        format!("[[map]]\nwhen = {{ project = \"**{letter}**\", ref = \"**{letter}**\" }}\nrun_as = \"other\"\n")
    });
    let mut text: String = some.collect();
    text += "[[map]]\nwhen = { project = \"**a**b**c**d**e**f**g**h**i**j**k**l**m**n**o**p**\", ref = \"**a**b**c**d**e**f**g**h**i**j**k**l**m**n**o**p**\" }\nrun_as = \"svc\"\n";
    let rules = rules_of(&text);
    let proofs = Proofs::new(&rules, ForeignCode::Allow, JOB_API, &OneTable).expect("few rules");
    let svc = OneOf::new(["svc".to_owned()], Vec::new());
    assert!(proofs.reaches(16, None, &svc, &Steps::new()).is_ok());
    assert_eq!(proofs.reaches(16, None, &svc, &Steps::few(50)).err(), Some(Undecided::TooLarge));
}

/// CPU time of this thread since it was asked for the last time: other tests run beside it.
fn cpu(last: &mut Duration) -> Duration {
    let now: Duration = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into();
    now.saturating_sub(std::mem::replace(last, now))
}

#[test]
#[allow(clippy::print_stdout)] // figures, for whoever asks for them with --nocapture
fn ten_thousand_rules_are_decided_in_seconds() {
    let one = |at: usize| match at % 4 {
        0 => format!("[[map]]\nwhen = {{ user = \"u{at}\" }}\nrun_as = \"a{at}\"\n"),
        1 => format!("[[map]]\nwhen = {{ user_id = {at} }}\nrun_as = \"a{at}\"\n"),
        2 => format!("[[map]]\nwhen = {{ project = \"g{at}/**\", ref_protected = true }}\nrun_as = \"svc-{at}\"\n"),
        _ => format!(
            "[[map]]\nwhen = {{ project = \"g{at}/p\", user = [\"u{at}\", \"v{at}\"] }}\nrun_as = \"{{gitlab_user}}\"\n"
        ),
    };
    let mut text: String = (1..=10_000).map(one).collect();
    text += "[[map]]\nwhen = { not = { user = \"svc-2\" } }\nrun_as = \"{gitlab_user}\"\n";
    let old = rules_of(&text);
    let new = rules_of(&text.replace("g42/**", "g42/*"));
    let mut last = Duration::ZERO;
    cpu(&mut last);
    let proofs = Proofs::new(&old, ForeignCode::OwnAccount, JOB_API, &OneTable).expect("decided");
    let unless = when_of("{ project = \"g2/**\", ref_protected = true }");
    assert!(proofs.counterexample(&[pattern("svc-2")], Some(&unless)).expect("decided").is_none());
    let never = cpu(&mut last);
    let all = proofs.ways(&[pattern("svc-2")]).expect("decided");
    assert_eq!(all.len(), 1, "{all:?}");
    let ways = cpu(&mut last);
    // Of fewer: whoever had a rule that is gone may come to each of those behind it, and all of them are looked for.
    let before = Proofs::new(&old[..2000], ForeignCode::OwnAccount, JOB_API, &OneTable).expect("decided");
    let after = Proofs::new(&new[..2000], ForeignCode::OwnAccount, JOB_API, &OneTable).expect("decided");
    let found = changes(&before, &after).expect("decided");
    // Whoever had the changed rule comes to one of thousands behind it now, and to no other.
    let changed = |rule: &MapRule| rule.when.to_string().contains("g42/**");
    assert!(found.iter().all(|change| change.before.rule.is_some_and(changed)), "{:?}", found.first());
    assert!(found.len() > 500, "{}", found.len());
    let diff = cpu(&mut last);
    println!("never {never:?}, who can {ways:?}, diff {diff:?}");
    assert!(never + ways + diff < Duration::from_mins(2), "{never:?} {ways:?} {diff:?}");
}
