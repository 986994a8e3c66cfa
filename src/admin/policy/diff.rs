//! `motmot policy diff`: whose account changes with a new configuration.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::replay::{Replayed, replay};
use crate::admin::terminal::{answer, complain};
use crate::policy::proof::Undecided;
use crate::policy::proof::diff::{Change, Outcome, changes};
use crate::policy::proof::never::Proofs;
use crate::policy::{Machine, at, job_in_words};
use crate::report::{counted, indented};
use crate::settings::Settings;

/// Arguments of `motmot policy diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The old configuration
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The new one
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Read this file of the audit log, not the log of the old configuration
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// Write one JSON document
    #[arg(long)]
    json: bool,
}

/// As diff(1): exit code 0 if no job has another account, 1 if some have or may have, 2 if that cannot be said.
pub fn main(args: &DiffArgs) -> ExitCode {
    match difference(args) {
        Ok((text, true)) => answer(&text, ExitCode::SUCCESS),
        Ok((text, false)) => answer(&text, ExitCode::FAILURE),
        Err(words) => complain(&words, ExitCode::from(2)),
    }
}

/// The answer, and whether nothing has changed.
fn difference(args: &DiffArgs) -> Result<(String, bool), String> {
    let load = |path: &Path| Settings::load(path).map_err(|error| error.render());
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let (olds, news): (Vec<Settings>, Vec<Settings>) = (old.of_each_gitlab().collect(), new.of_each_gitlab().collect());
    let (mut all, mut beside) = (Vec::new(), BTreeSet::new());
    for (gitlab, before, after) in pairs(&olds, &news) {
        beside.extend(before.zip(after).into_iter().flat_map(|(before, after)| other_premises(before, after)));
        let changes = changed(before, after).map_err(|undecided| undecided.to_string())?;
        all.extend(changes.into_iter().map(|change| (gitlab, change)));
    }
    let replayed = replay(&args.logs, &args.old, &old, &new);
    if let (Err(words), false) = (&replayed, args.logs.is_empty()) {
        return Err(words.clone());
    }
    let text = if args.json {
        let all: Vec<Value> = all.iter().map(|(gitlab, change)| document(*gitlab, change)).collect();
        let replayed = replayed.as_ref().map_or_else(|words| json!({ "not_replayed": words }), Replayed::document);
        format!("{:#}\n", json!({ "changes": all, "not_compared": beside, "log": replayed }))
    } else {
        let not_compared = |key: &&str| {
            format!(
                "{key} has changed, by which a job may come to another rule; that is not compared, look at it yourself\n"
            )
        };
        let of_log = match &replayed {
            Ok(replayed) => replayed.lines(),
            Err(words) => format!("no job of the audit log is tried: {words}\n"),
        };
        lines(&all) + &beside.iter().map(not_compared).collect::<String>() + &of_log
    };
    let same = replayed.as_ref().is_ok_and(Replayed::is_same) || replayed.is_err();
    Ok((text, all.is_empty() && beside.is_empty() && same))
}

/// Keys that have changed and decide who a job is, what it asks for or whether it is approved. Rules are compared for jobs of which
/// both configurations know the same, and that they do not any more.
fn other_premises(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let approvals = |settings: &Settings| {
        settings.approvals.as_ref().map(|approvals| {
            let all = (&approvals.allowed_signers, &approvals.dir, &approvals.variable, &approvals.issuer);
            format!("{all:?}")
        })
    };
    let asks = |settings: &Settings| settings.map.iter().any(|rule| rule.approved_by.is_some());
    let changed = [
        ("gitlab.url", before.gitlab.url != after.gitlab.url),
        ("gitlab.identity", before.gitlab.identity != after.gitlab.identity),
        ("policy.request_variable", before.policy.request_variable != after.policy.request_variable),
        ("approvals", asks(before) && asks(after) && approvals(before) != approvals(after)),
    ];
    changed.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}

/// A GitLab, and what runners of it see: before, and now.
type OfGitLab<'s> = (Option<&'s str>, Option<&'s Settings>, Option<&'s Settings>);

/// For each GitLab of either. User 42 is somebody else in each, so no rules of two are held against each other.
fn pairs<'s>(olds: &'s [Settings], news: &'s [Settings]) -> Vec<OfGitLab<'s>> {
    fn of<'s>(all: &'s [Settings], name: Option<&str>) -> Option<&'s Settings> {
        all.iter().find(|settings| settings.gitlab.name.as_deref() == name)
    }
    if let ([old], [new]) = (olds, news) {
        // The only one, whatever it is called.
        return vec![(new.gitlab.name.as_deref(), Some(old), Some(new))];
    }
    let mut names: Vec<Option<&str>> =
        olds.iter().chain(news).map(|settings| settings.gitlab.name.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| (name, of(olds, name), of(news, name))).collect()
}

/// Where there is no such GitLab, no rule is for its jobs.
fn changed<'s>(before: Option<&'s Settings>, after: Option<&'s Settings>) -> Result<Vec<Change<'s, 's>>, Undecided> {
    let Some(one) = before.or(after) else { return Ok(Vec::new()) };
    let proofs = |settings: Option<&'s Settings>| {
        let map = settings.map_or(&[][..], |settings| settings.map.as_slice());
        let of = settings.unwrap_or(one);
        Proofs::new(map, of.policy.merge_requests_of_forks, of.gitlab.knowable(), Machine::THIS.tables)
    };
    changes(&proofs(before)?, &proofs(after)?)
}

/// So many are shown: what one rule has taken may go to thousands behind it.
const SHOWN: usize = 20;

fn lines(changes: &[(Option<&str>, Change<'_, '_>)]) -> String {
    let mut text = String::new();
    for (gitlab, change) in changes.iter().take(SHOWN) {
        let job = example(change);
        let of = gitlab.map_or_else(String::new, |name| format!(" (jobs of the GitLab {name:?})"));
        let words = format!(
            "{} -> {}{of}\nbefore: {}\nafter: {}\nfor example {job}",
            account(&change.before),
            account(&change.after),
            rule(&change.before),
            rule(&change.after)
        );
        let _ = writeln!(text, "{}", indented(&words)); // into a string: cannot fail, as below
    }
    if let Some(more) = changes.len().checked_sub(SHOWN + 1) {
        let _ = writeln!(text, "and {} more; --json has them all", more + 1);
    }
    match changes.len() {
        0 => text.push_str("no job has another account\n"),
        many => {
            let _ = writeln!(text, "{}: one example for each pair of an old and a new rule", counted(many, "change"));
        }
    }
    text
}

fn account<'o>(outcome: &'o Outcome<'_>) -> &'o str {
    outcome.account.as_deref().unwrap_or("refused")
}

fn rule(outcome: &Outcome<'_>) -> String {
    match outcome.rule {
        None => "no rule matches".to_owned(),
        Some(rule) => {
            let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" {name:?}"));
            format!("the rule at {}{name}: when = {}", at(&rule.place), rule.when)
        }
    }
}

fn example(change: &Change<'_, '_>) -> String {
    let approved: Vec<String> = change.approved.iter().map(|(by, account)| format!("{by} (for {account})")).collect();
    let approved: Vec<&str> = approved.iter().map(String::as_str).collect();
    job_in_words(&change.job.clone().facts(), change.requested.as_deref(), &approved)
}

fn document(gitlab: Option<&str>, change: &Change<'_, '_>) -> Value {
    let outcome = |outcome: &Outcome<'_>| {
        let at = outcome.rule.map(|rule| at(&rule.place));
        json!({ "account": outcome.account, "at": at, "rule": outcome.rule.and_then(|rule| rule.name.as_deref()) })
    };
    json!({
        "before": outcome(&change.before), "after": outcome(&change.after), "request": change.requested,
        "gitlab": gitlab, "example": example(change),
    })
}
