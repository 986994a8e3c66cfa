//! What is told: one document, and the same in lines.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::evidence::{Environment, JobFacts};
use crate::launch::settings::Executor;
use crate::policy::settings::MapRule;
use crate::policy::{Explained, Foreseen, at, mismatch_in_words};
use crate::report::indented;
use crate::scheduler::Placement;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};
use crate::token::claims::foreseen;
use crate::token::{Issuance, StageContext};

/// The stage whose token is shown.
const STAGE: &str = "build_script";

pub(super) fn document(explained: &Explained<'_>, facts: &JobFacts, settings: &Settings) -> Value {
    let passed = explained.passed.iter().map(|(rule, why)| {
        let mut said = rule_of(rule);
        said["because"] = mismatch_in_words(rule, *why, facts).into();
        said
    });
    let mut document = json!({ "job": job(facts), "passed_over": passed.collect::<Vec<_>>() });
    if let Some(rule) = explained.rule {
        document["rule"] = rule_of(rule);
    }
    match &explained.verdict {
        Err(why) => {
            document["verdict"] = if why.is_refusal() { "refused".into() } else { "undecided".into() };
            document["because"] = why.to_string().into();
        }
        Ok(account) => {
            document["verdict"] = "admitted".into();
            document["account"] = account_of(account, settings);
            if let Some(hook) = &settings.hook {
                document["hook"] = hook.program.display().to_string().into();
            }
            match claims(account, explained.rule, facts, settings) {
                None => {}
                Some(Ok(claims)) => document["claims"] = claims,
                Some(Err(words)) => document["no_token"] = words.into(),
            }
        }
    }
    document
}

fn rule_of(rule: &MapRule) -> Value {
    json!({ "name": rule.name, "at": at(&rule.place), "when": rule.when.to_string(), "run_as": rule.run_as.to_string(), "approved_by": rule.approved_by, "grants": rule.terms })
}

/// What is known of it, by the names of conditions.
fn job(facts: &JobFacts) -> Value {
    let mut known = json!({ "user": facts.user_login() });
    let number = |id: u64| Some(id).filter(|id| *id != 0).map(Value::from);
    let more = [
        ("user_id", number(facts.user_id())),
        ("project", facts.project_path().map(Value::from)),
        ("project_id", number(facts.project_id())),
        ("ref", facts.git_ref().map(Value::from)),
        ("ref_type", facts.ref_type().and_then(|kind| serde_json::to_value(kind).ok())),
        ("ref_protected", facts.ref_protected().map(Value::from)),
        ("pipeline_source", facts.pipeline_source().map(Value::from)),
        ("from_fork", facts.is_from_fork().map(Value::from)),
        ("environment", facts.environment().map(|environment| environment.name().into())),
        ("environment_protected", facts.environment().and_then(Environment::protected).map(Value::from)),
        ("ci_stage", facts.ci_stage().map(Value::from)),
        ("runner", facts.runner_id().map(Value::from)),
        ("gitlab_group", Some(facts.groups()).filter(|groups| !groups.is_empty()).map(Value::from)),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            known[name] = value;
        }
    }
    known
}

fn account_of(account: &Foreseen, settings: &Settings) -> Value {
    let entry = &account.entry;
    let groups = account.groups.iter().map(|gid| {
        let name = Nss.group_name(*gid).ok().flatten();
        json!({ "gid": gid.as_raw(), "name": name })
    });
    let data = settings.jobs.data_dir.expand(entry.home(), entry.name(), entry.uid().as_raw());
    json!({
        "name": entry.name(), "uid": entry.uid().as_raw(), "gid": entry.gid().as_raw(), "groups": groups.collect::<Vec<_>>(),
        "home": entry.home(), "shell": entry.shell(), "data_dir": data,
    })
}

/// Nothing where jobs get no tokens.
fn claims(
    account: &Foreseen,
    rule: Option<&MapRule>,
    facts: &JobFacts,
    settings: &Settings,
) -> Option<Result<Value, String>> {
    let terms = rule.map(|rule| &rule.terms).cloned().unwrap_or_default();
    let settings = match settings.clone().under(&terms) {
        Ok(settings) => settings,
        Err(words) => return Some(Err(words)),
    };
    let section = settings.token.as_ref()?;
    let issuance = Issuance {
        issuer: section.issuer.as_str().to_owned(),
        audience: section.audience.clone(),
        ttl: section.ttl,
        upstream_iss: settings.gitlab.url.as_str().to_owned(),
    };
    let stage = StageContext {
        executor_stage: STAGE.to_owned(),
        site: section.site.clone(),
        cluster: section.cluster.clone(),
        placement: Placement::Shell,
    };
    let mut said = foreseen(&issuance, facts, account.entry.name(), &stage).map_err(|error| error.to_string());
    if let (Ok(claims), Executor::Batch(_)) = (&mut said, settings.jobs.executor)
        && let Some(hpc) = claims["hpc"].as_object_mut()
    {
        // Where it will run the scheduler says, once it runs.
        hpc.remove("scheduler");
    }
    Some(said)
}

/// The document in lines.
pub(super) fn text(document: &Value) -> String {
    let mut text = String::new();
    let mut line = |what: &str, words: &str| {
        let _ = writeln!(text, "{what:<9}{}", indented(words)); // into a string: cannot fail
    };
    line("job", &pairs(&document["job"]));
    for rule in document["passed_over"].as_array().into_iter().flatten() {
        line("passed", &format!("{}: {}", named(rule), string(&rule["because"])));
    }
    if document["rule"].is_object() {
        let rule = &document["rule"];
        line(
            "rule",
            &format!("{}: when = {}, run_as = {}", named(rule), string(&rule["when"]), string(&rule["run_as"])),
        );
    }
    let account = &document["account"];
    if account.is_object() {
        line("verdict", &format!("runs as {}", string(&account["name"])));
        line("account", &format!("uid {}, gid {}, groups {}", account["uid"], account["gid"], groups(account)));
        line("home", &format!("{}, shell {}", string(&account["home"]), string(&account["shell"])));
        line("data_dir", &string(&account["data_dir"]));
    } else {
        line("verdict", &format!("{}: {}", string(&document["verdict"]), string(&document["because"])));
    }
    if document["hook"].is_string() {
        let hook = string(&document["hook"]);
        line(
            "hook",
            &format!("{hook} is asked then, and not here: it can refuse, or name another account of may_request"),
        );
    }
    if document["claims"].is_object() {
        line("token", &format!("{:#}", document["claims"]));
    } else if document["no_token"].is_string() {
        line("token", &format!("none: {}", string(&document["no_token"])));
    }
    text
}

fn named(rule: &Value) -> String {
    match rule["name"].as_str() {
        Some(name) => format!("{} {name:?}", string(&rule["at"])),
        None => string(&rule["at"]),
    }
}

fn pairs(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten().map(|(name, value)| format!("{name} = {value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

fn groups(account: &Value) -> String {
    let groups = account["groups"].as_array().into_iter().flatten().map(|group| match group["name"].as_str() {
        Some(name) => format!("{} ({name})", group["gid"]),
        None => group["gid"].to_string(),
    });
    groups.collect::<Vec<_>>().join(", ")
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
