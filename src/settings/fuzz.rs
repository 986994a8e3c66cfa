//! The configuration and what its rules make of a job: whatever both are.

use std::path::Path;

use arbitrary::Unstructured;
use serde_json::{Map, Value, json};

use super::Settings;
use crate::evidence::JobFacts;
use crate::policy::naive::{self, Gives};
use crate::policy::table::{Table, TableError, Tables};
use crate::policy::{Asking, Given, given};

/// Begins with a zero: rules and a job made of words that mean something. Else the text of a configuration, whose first line may be
/// a comment with what is particular about the job: `# {"user_login": "ford"}`.
///
/// Nothing panics, and each rule that is read gives the job what a second reading of the same text says.
///
/// # Panics
/// Where that is not so.
pub fn rules(bytes: &[u8]) {
    let Some((0, made_of)) = bytes.split_first().map(|(first, rest)| (*first, rest)) else {
        let text = String::from_utf8_lossy(bytes);
        let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let job = first.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        return agree(&text, job);
    };
    if let Ok((text, job)) = written(&mut Unstructured::new(made_of)) {
        agree(&text, job);
    }
}

struct Lines;

impl Tables for Lines {
    fn read(&self, _: &Path) -> Result<Table, TableError> {
        Ok(Table::for_test(&naive::TABLE.map(|(user, account)| format!("{user} {account}\n")).concat()))
    }
}

/// `job` is what is different from an ordinary one, and what it asks for.
fn agree(text: &str, mut job: Map<String, Value>) {
    let settings = match Settings::parse(Path::new("/etc/motmot/config.toml"), text) {
        Ok(settings) => settings,
        Err(error) => return assert!(error.render().starts_with("error"), "{}", error.render()),
    };
    let config: Value = toml::from_str(text).expect("what was read once is TOML");
    let requested = job.remove("requested").and_then(|name| name.as_str().map(str::to_owned));
    let mut facts = json!({
        "job_id": 4711, "project_id": 22, "project_path": "climate/core/model", "user_id": 42, "user_login": "adent",
        "pipeline_source": "push", "git_ref": "main", "ref_type": "branch", "ref_protected": true,
    });
    facts.as_object_mut().expect("an object").append(&mut job);
    let Ok(known) = serde_json::from_value::<JobFacts>(facts.clone()) else { return };
    // In other files there may be anything.
    let lists = config["groups"].as_object().into_iter().flatten().filter_map(|(_, members)| members.as_array());
    let elsewhere = |name: &Value| name.as_str().is_some_and(|name| name.starts_with('/'));
    if !config["include"].is_null() || lists.flatten().any(elsewhere) {
        return;
    }
    let asking = Asking { facts: &known, requested: requested.as_deref() };
    let written = config["map"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(settings.map.len(), written.len(), "as many rules as are written: {text}");
    for (rule, written) in settings.map.iter().zip(written) {
        let found = match given(rule, settings.policy.merge_requests_of_forks, asking, &Lines).expect("a table") {
            Ok(Given::Account(name)) => Gives::Account(name),
            Ok(Given::NoLogin(_)) => Gives::NoLogin,
            Err(_) => Gives::Nothing,
        };
        let expected = naive::gives(&config, written, &facts, asking.requested);
        assert_eq!(found, expected, "rule {written}\nof {text}\nfor {facts}, which asks for {requested:?}");
    }
}

/// Conditions, and values that mean something beside the facts below.
const CONDITIONS: [(&str, &[&str]); 12] = [
    ("user", &["\"adent\"", "\"bob\"", "\"@crew\"", "\"project_7_bot_0a\""]),
    ("user_id", &["7", "42"]),
    ("project", &["\"climate/**\"", "\"*/model\"", "\"**/model\"", "\"climate/*/m*l\"", "\"x\""]),
    ("project_id", &["22", "23"]),
    ("namespace", &["\"climate\"", "\"climate/*\"", "\"**\""]),
    ("ref", &["\"main\"", "\"dev/*\"", "\"refs/**\""]),
    ("ref_type", &["\"branch\"", "\"tag\""]),
    ("ref_protected", &["true", "false"]),
    ("pipeline_source", &["\"push\"", "\"web\"", "\"merge_request_event\""]),
    ("from_fork", &["true", "false"]),
    ("bot", &["true", "false"]),
    ("acting_for", &["true", "false"]),
];

const FACTS: [(&str, &[&str]); 11] = [
    ("user_login", &["\"adent\"", "\"bob\"", "\"project_7_bot_0a\"", "\"group_7_bot\"", "\"\"", "null"]),
    ("user_id", &["7", "42"]),
    ("scoped_user_id", &["null", "null", "7", "42"]),
    ("project_path", &["\"climate/core/model\"", "\"climate/model\"", "\"x\"", "null"]),
    ("project_id", &["22", "23"]),
    ("git_ref", &["\"main\"", "\"dev/x\"", "\"refs/merge-requests/1/head\"", "null"]),
    ("ref_type", &["\"branch\"", "\"tag\"", "null"]),
    ("ref_protected", &["true", "false", "null"]),
    ("pipeline_source", &["\"push\"", "\"web\"", "\"merge_request_event\"", "\"parent_pipeline\"", "\"\"", "null"]),
    ("requested", &["null", "\"svc-a\"", "\"svc-b\""]),
    (
        "signed",
        &[
            "null",
            "null",
            "{\"source\":{\"id\":22}}",
            "{\"source\":{\"id\":9},\"git_ref\":\"main\"}",
            "{\"source\":{\"id\":22},\"git_ref\":\"dev/x\"}",
        ],
    ),
];

const RUN_AS: [&str; 4] = [
    "run_as = \"svc\"",
    "run_as = \"{gitlab_user}\"",
    "run_as = \"table:/users.map\"",
    "may_request = [\"svc-a\", \"svc-b\"]",
];

/// A configuration and a job.
fn written(from: &mut Unstructured<'_>) -> arbitrary::Result<(String, Map<String, Value>)> {
    let setting = *from.choose(&["own-account", "refuse", "allow"])?;
    let mut text = format!(
        "[gitlab]\nurl = \"https://gitlab.example\"\n[policy]\nmerge_requests_of_forks = \"{setting}\"\n[groups]\ncrew = [\"adent\", \"zaphod\"]\n"
    );
    for _ in 0..from.int_in_range(1..=3)? {
        let (all, none) = (conditions(from)?, conditions(from)?);
        let not = if none.is_empty() { String::new() } else { format!("not = {{ {} }}, ", none.join(", ")) };
        let run_as = from.choose(&RUN_AS)?;
        let may = if from.ratio(1, 4)? && !run_as.starts_with("may") { "\nmay_request = \"svc-b\"" } else { "" };
        let when = format!("{not}{}", all.join(", "));
        let when = when.trim_end_matches(", ");
        text.extend(["[[map]]\nwhen = { ", when, " }\n", run_as, may, "\n"]);
    }
    let mut job = Map::new();
    for (fact, values) in FACTS {
        // An ordinary job but for a few of them: others are nobody's.
        if !from.ratio(1, 3)? {
            continue;
        }
        let any = values[0].starts_with('"') && from.ratio(1, 8)?;
        let value = if any {
            Value::from(from.arbitrary::<&str>()?)
        } else {
            serde_json::from_str(from.choose(values)?).unwrap_or_default()
        };
        job.insert(fact.to_owned(), value);
    }
    Ok((text, job))
}

/// Some of them, each once.
fn conditions(from: &mut Unstructured<'_>) -> arbitrary::Result<Vec<String>> {
    let mut found = Vec::new();
    for (key, values) in CONDITIONS {
        if !from.ratio(1, 6)? {
            continue;
        }
        let value = *from.choose(values)?;
        // These take one.
        let is_one = matches!(key, "ref_type") || matches!(value, "true" | "false");
        found.push(if is_one {
            format!("{key} = {value}")
        } else {
            format!("{key} = [{value}, {}]", from.choose(values)?)
        });
    }
    Ok(found)
}
