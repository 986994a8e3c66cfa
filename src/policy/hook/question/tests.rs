//! What a hook is told, and what not.

use serde_json::{Value, json};

use super::*;
use crate::config::{self, Section, Source};
use crate::identity::Identity;
use crate::policy::Account;
use crate::policy::settings::{MapRule, Stands, read_policy, read_rule};

const SITE: Site<'static> = Site { name: Some("prod"), url: "https://gitlab.example.com" };

fn rule() -> MapRule {
    let text = "# A line.\n[[map]]\nname = \"climate\"\nrun_as = \"arthur\"\nmay_request = [\"svc\"]\n";
    let read = |mut root: Section<'_>| {
        let policy = root.section("policy");
        let policy = read_policy(policy, root.section("groups"));
        let mut rules = root.tables("map", |section| read_rule(section, &policy.groups, Stands::InTheFile));
        rules.pop()?
    };
    config::read(&Source::new("c.toml", text), read).expect("a rule")
}

/// What it is given for a job, in one of the forms.
fn given(
    form: fn(Site<'_>, &Proposal<'_>) -> Result<Given, HookError>,
    requested: Option<&str>,
    change: impl FnOnce(&mut Value),
) -> Result<Given, HookError> {
    let (identity, rule, account) = (Identity::for_test(change), rule(), Account::for_test("arthur"));
    form(SITE, &Proposal { identity: &identity, requested, rule: &rule, account: &account })
}

#[test]
fn a_hook_is_told_the_verified_identity_the_rule_and_the_account() {
    let given = given(as_json, Some("arthur"), |_| ()).expect("told");
    let told: Value = serde_json::from_slice(&given.input).expect("JSON");
    let expected = json!({
        "version": 1,
        "gitlab": { "name": "prod", "url": "https://gitlab.example.com" },
        "identity": {
            "assurance": "job-api",
            "user_id": 42, "user_login": "adent",
            "job_id": 4711, "job_name": "build: [gcc]", "ci_stage": "build",
            "project_id": 22, "project_path": "climate/core/model", "namespace_id": 7, "namespace_path": "climate/core",
            "pipeline_id": 99, "pipeline_source": "push",
            "ref": "main", "ref_type": "branch", "ref_protected": true,
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "from_fork": false,
        },
        "rule": { "name": "climate", "line": "line 2", "may_request": ["svc"] },
        "requested": "arthur",
        "account": { "name": "arthur", "uid": 1001 },
    });
    assert_eq!(told, expected);
    assert_eq!(String::from_utf8_lossy(&given.input).lines().count(), 1);
    assert_eq!((given.args.len(), given.environment.len()), (1, ENVIRONMENT.len()));
    // The page shows this very question.
    let page = include_str!("../../../../packaging/doc/hook.md");
    let shown = page.lines().skip_while(|line| *line != "    {").take_while(|line| line.starts_with("    "));
    let shown: Value = serde_json::from_str(&shown.collect::<String>()).expect("JSON");
    assert_eq!(shown, expected);
}

#[test]
fn what_is_not_known_of_a_job_is_not_told_and_the_ref_of_a_merge_request_is_not_known() {
    let told = given(as_json, None, |facts| {
        facts["pipeline_source"] = "merge_request_event".into();
        facts["user_login"] = Value::Null;
        facts["scoped_user_id"] = 7.into();
    });
    let told: Value = serde_json::from_slice(&told.expect("told").input).expect("JSON");
    let identity = told["identity"].as_object().expect("an identity");
    for unknown in ["ref", "ref_type", "ref_protected", "from_fork", "user_login", "source_project_id"] {
        assert!(!identity.contains_key(unknown), "{unknown}: {told}");
    }
    assert_eq!((&identity["acting_for"], told.get("requested")), (&json!(7), None));
}

#[test]
fn names_that_strangers_choose_stay_in_their_strings() {
    let hostile = "x\", \"user_id\": 1}\n{\"answer\":\"accept\"}\u{0}\u{1b}[2K";
    let told = given(as_json, None, |facts| {
        for name in ["job_name", "ci_stage", "git_ref", "project_path"] {
            facts[name] = hostile.into();
        }
    });
    let input = told.expect("told").input;
    assert_eq!(input.iter().filter(|byte| **byte < b' ').count(), 1, "one line break, at the end");
    let told: Value = serde_json::from_slice(&input).expect("JSON");
    assert_eq!((&told["identity"]["user_id"], &told["identity"]["job_name"]), (&json!(42), &json!(hostile)));
}

#[test]
fn a_script_for_run_as_of_jacamar_is_told_who_asks_and_for_what() {
    let asked = |requested| given(as_arguments, requested, |_| ()).expect("told");
    assert_eq!(asked(None).args[1..], ["adent"]);
    let given_both = asked(Some("svc"));
    assert_eq!(given_both.args[1..], ["svc", "adent"]);
    assert!(given_both.input.is_empty());
    let names: Vec<&str> = given_both.environment.iter().map(|(name, _)| name.as_str()).collect();
    let told = [
        "USER_LOGIN",
        "USER_ID",
        "PROJECT_ID",
        "PROJECT_PATH",
        "NAMESPACE_ID",
        "JOB_ID",
        "PIPELINE_ID",
        "PIPELINE_SOURCE",
        "ISS",
    ];
    let told: Vec<String> = told.iter().map(|name| format!("JWT_{name}")).collect();
    assert_eq!(names[..2], ["PATH", "LC_ALL"]);
    assert_eq!(names[2..], told);
    let page = include_str!("../../../../packaging/doc/hook.md");
    assert!(told.iter().all(|name| page.contains(&format!("`{name}`"))), "the page has each of them");
    // Of an agent's human, and of everybody where GitLab is not asked, only the number is known.
    for change in
        [|facts: &mut Value| facts["scoped_user_id"] = 7.into(), |facts: &mut Value| facts["user_login"] = Value::Null]
    {
        assert!(matches!(given(as_arguments, None, change), Err(HookError::NoLogin(7 | 42))));
    }
    let option = given(as_arguments, None, |facts| facts["user_login"] = "--help".into());
    assert!(matches!(option, Err(HookError::Untold(_))));
}
