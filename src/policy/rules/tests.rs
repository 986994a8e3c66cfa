//! Matching against the second reading of the same text ([`naive`]).

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::naive::{self, Gives};
use super::*;
use crate::config::{self, Source};
use crate::identity::Identity;
use crate::policy::settings::{Groups, Stands, read_rule};
use crate::policy::table::Files;

const USERS: [&str; 3] = ["ada", "bob", "project_7_bot_0a"];
const PROJECTS: [&str; 3] = ["g/p", "g/s/p", "h/p"];
const PATTERNS: [&str; 4] = ["g/*", "g/**", "*/p", "h/p"];
const REFS: [&str; 3] = ["main", "dev/x", "refs/merge-requests/1/head"];
const ENVIRONMENTS: [&str; 3] = ["production", "review/7", "review/7/x"];
const STAGES: [&str; 2] = ["build", "test"];
const GROUPS: [&str; 3] = ["a", "a/b", "c"];
const SOURCES: [&str; 3] = ["push", "web", "merge_request_event"];

/// A condition as the file says it: key, and its values as JSON.
type Written = (&'static str, Vec<Value>);

fn condition() -> impl Strategy<Value = Written> {
    let texts = |key: &'static str, all: Vec<&'static str>| {
        let most = all.len();
        subsequence(all, 1..=most).prop_map(move |values| (key, values.into_iter().map(Value::from).collect()))
    };
    let flag = |key: &'static str| any::<bool>().prop_map(move |value| (key, vec![Value::from(value)]));
    prop_oneof![
        texts("user", USERS.to_vec()),
        subsequence(vec![1, 2, 3], 1..=2)
            .prop_map(|ids| ("user_id", ids.into_iter().map(Value::from).collect::<Vec<_>>())),
        texts("project", PATTERNS.to_vec()),
        texts("ref", vec!["main", "dev/*"]),
        texts("pipeline_source", SOURCES.to_vec()),
        texts("environment", vec!["production", "review/*"]),
        flag("environment_protected"),
        texts("ci_stage", STAGES.to_vec()),
        texts("gitlab_group", GROUPS.to_vec()),
        subsequence(vec![12, 13], 1..=2)
            .prop_map(|ids| ("runner", ids.into_iter().map(Value::from).collect::<Vec<_>>())),
        flag("ref_protected"),
        flag("from_fork"),
        flag("bot"),
    ]
}

/// Each key once.
fn conditions() -> impl Strategy<Value = Vec<Written>> {
    proptest::collection::vec(condition(), 0..4).prop_map(|mut all| {
        let mut seen = Vec::new();
        all.retain(|(key, _)| {
            !seen.contains(key) && {
                seen.push(*key);
                true
            }
        });
        all
    })
}

fn job() -> impl Strategy<Value = Value> {
    let unknown = |all: &'static [&'static str]| {
        proptest::option::of(select(all)).prop_map(|value| value.map_or(Value::Null, Value::from))
    };
    let flag = || proptest::option::of(any::<bool>());
    // Of each group: he is in it, he is not, or nobody has said.
    let groups = proptest::collection::vec(flag(), GROUPS.len());
    let rare = (unknown(&ENVIRONMENTS), flag(), unknown(&STAGES), proptest::option::of(12..15_u64), groups);
    (select(&USERS[..]), 1..4_u64, unknown(&PROJECTS), unknown(&REFS), unknown(&SOURCES), flag(), rare)
        .prop_map(|(user, id, project, git_ref, source, protected, (environment, environment_protected, stage, runner, groups))| {
            let those = |is_in: bool| -> Vec<&str> {
                GROUPS.into_iter().zip(&groups).filter(|(_, known)| **known == Some(is_in)).map(|(group, _)| group).collect()
            };
            let environment = json!({"name": environment, "protected": environment_protected, "tier": null});
            let environment = if environment["name"].is_null() { Value::Null } else { environment };
            json!({"user_login": user, "user_id": id, "project_path": project, "git_ref": git_ref, "pipeline_source": source, "ref_protected": protected,
                "ci_stage": stage, "runner_id": runner, "groups": {"member_of": those(true), "not_of": {"These": those(false)}}, "environment": environment})
        })
}

fn written(conditions: &[Written]) -> String {
    let one = |(key, values): &Written| match *key {
        "ref_protected" | "from_fork" | "bot" | "environment_protected" => format!("{key} = {}", values[0]),
        _ => format!("{key} = {}", Value::from(values.clone())),
    };
    conditions.iter().map(one).collect::<Vec<_>>().join(", ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_rule_matches_as_a_second_reading_of_it_says(
        all in conditions(),
        none in conditions(),
        personal in any::<bool>(),
        setting in select(vec![ForeignCode::OwnAccount, ForeignCode::Refuse, ForeignCode::Allow]),
        job in job(),
    ) {
        let run_as = if personal { "{gitlab_user}" } else { "svc" };
        let separator = if all.is_empty() { "" } else { ", " };
        let when = format!("{}{separator}not = {{ {} }}", written(&all), written(&none));
        let policy = json!({"merge_requests_of_forks": match setting {
            ForeignCode::OwnAccount => "own-account",
            ForeignCode::Refuse => "refuse",
            ForeignCode::Allow => "allow",
        }});
        let text = format!("[[map]]\nwhen = {{ {when} }}\nrun_as = {run_as:?}\n");
        let read = config::read(&Source::new("c.toml", text.clone()), |mut root| {
            root.tables("map", |section| read_rule(section, &Groups::new(), Stands::InTheFile)).pop()?
        });
        let rule = read.unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut facts = Value::Null;
        let identity = Identity::for_test(|ordinary| {
            let mut job = job.as_object().expect("an object").clone();
            ordinary["signed"]["environment"] = job.remove("environment").expect("a key");
            ordinary.as_object_mut().expect("an object").extend(job);
            facts = ordinary.clone();
        });
        let asking = Asking { facts: identity.facts(), requested: None };
        let found = match given(&rule, setting, asking, &Files).expect("no table") {
            Ok(Given::Account(name)) => Gives::Account(name),
            Ok(Given::NoLogin(_)) => Gives::NoLogin,
            Err(_) => Gives::Nothing,
        };
        let written: Value = toml::from_str(&text).expect("TOML");
        let config = json!({"policy": policy});
        prop_assert_eq!(found, naive::gives(&config, &written["map"][0], &facts, None), "{} {}", text, job);
    }
}

#[test]
fn only_groups_that_can_decide_are_asked_about() {
    let rules = |text: &str| {
        config::read(&Source::new("c.toml", text.to_owned()), |mut root| {
            root.tables("map", |section| read_rule(section, &Groups::new(), Stands::InTheFile))
                .into_iter()
                .collect::<Option<Vec<_>>>()
        })
        .unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let one = |when: &str| format!("[[map]]\nwhen = {{ {when} }}\nrun_as = \"svc\"\n");
    let text = [
        one("user = \"zaphod\", gitlab_group = \"other-user\""),
        one("ref = \"dev\", not = { gitlab_group = \"other-ref\" }"),
        one("project_id = 22, gitlab_group = [\"a\", \"b\"]"),
        one("user = \"adent\", not = { gitlab_group = \"c\" }"),
        one("gitlab_group = \"of-forks\", from_fork = true"),
        one("project_id = 22"),
        one("gitlab_group = \"behind\""),
    ]
    .concat();
    let rules = rules(&text);
    let asked = |change: fn(&mut Value)| {
        let identity = Identity::for_test(change);
        let asking = Asking { facts: identity.facts(), requested: None };
        let all = groups_that_decide(&rules, ForeignCode::OwnAccount, asking);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(asked(|_| ()), ["a", "b", "c"]);
    assert_eq!(asked(|facts| facts["project_id"] = 23.into()), ["behind", "c"]);
    assert_eq!(asked(|facts| facts["git_ref"] = "dev".into()), ["a", "b", "c", "other-ref"]);
    // A bot, for which none of them is.
    assert!(asked(|facts| facts["user_login"] = "project_22_bot_0a".into()).is_empty());
}
