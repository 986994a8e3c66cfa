//! Conditions that hold for nobody as the site is, and those that guard less than they seem to.

use std::collections::BTreeSet;

use super::findings::{Findings, without_number};
use super::rules::what;
use super::runner::Runner;
use crate::evidence::groups::{self, GroupsError};
use crate::evidence::settings::{GitLabSettings, Sources};
use crate::policy;
use crate::policy::condition::Condition;
use crate::policy::settings::When;
use crate::policy::settings::assertions::Assertions;
use crate::report::counted;
use crate::settings::Settings;

/// Each rule with such a condition, negated or not, by the line where it begins.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    for rule in &settings.map {
        let all = rule.when.all.iter().map(|condition| (condition, Side::Plain));
        let none = rule.when.none.iter().map(|condition| (condition, Side::Negated));
        for (condition, side) in all.chain(none) {
            if let Some(words) = never_known(condition, side, settings).or_else(|| chosen(condition)) {
                findings.warning(&what(rule), words);
            }
        }
    }
    if let Some(file) = &settings.gitlab.groups_token {
        let judged = runner.act(|| groups::check_token(file));
        let judged = judged.and_then(|judged| judged.map_err(|error| without_number(&error)));
        findings.judged("gitlab.groups_token", judged.map(|()| file.display().to_string()));
    }
}

/// Whether GitLab shows each group that rules name to whoever has the token.
pub(super) fn ask(settings: &Settings, gitlab: &GitLabSettings, runner: &Runner, findings: &mut Findings) {
    if settings.gitlab.groups_token.is_none() {
        return;
    }
    let named: BTreeSet<&str> =
        settings.map.iter().flat_map(|rule| conditions(&rule.when)).flat_map(groups_of).collect();
    let mut shown = 0;
    for group in &named {
        match runner.act(|| groups::probe(gitlab, group)) {
            Err(words) => findings.problem("groups", words),
            Ok(Err(error)) => {
                findings.problem("groups", without_number(&error));
                // The others would be waited for as long.
                if matches!(error, GroupsError::Unreachable { .. }) {
                    return;
                }
            }
            Ok(Ok(())) => shown += 1,
        }
    }
    if shown > 0 {
        findings.ok("groups", format!("GitLab shows {} of those that rules name", counted(shown, "group")));
    }
}

fn groups_of(condition: &Condition) -> impl Iterator<Item = &str> {
    let groups = match condition {
        Condition::GitLabGroup(groups) => groups.as_slice(),
        _ => &[],
    };
    groups.iter().map(String::as_str)
}

/// Where a condition stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Plain,
    /// In `not`.
    Negated,
}

/// The same of what is asserted, for which no server is asked.
pub(super) fn judge_assertions(assertions: &Assertions, findings: &mut Findings) {
    for never in &assertions.nevers {
        let what = format!("never at {}", policy::at(&never.place));
        let unless = never.unless.iter().flat_map(conditions);
        unless.filter_map(chosen).for_each(|words| findings.warning(&what, words));
    }
}

fn conditions(when: &When) -> impl Iterator<Item = &Condition> {
    when.all.iter().chain(&when.none)
}

/// Why a condition does not keep out whoever writes the pipeline.
fn chosen(condition: &Condition) -> Option<String> {
    let key = condition.key();
    matches!(condition, Condition::CiStage(_)).then(|| {
        format!("it asks for {key}, which whoever writes the pipeline chooses, so it keeps none of his jobs out; ask for what GitLab vouches for: project_id, ref_protected, environment_protected")
    })
}

/// Why a condition is never known here to hold or not, so that its rule matches nobody.
fn never_known(condition: &Condition, side: Side, settings: &Settings) -> Option<String> {
    let key = condition.key();
    let (asked, signed) = (settings.gitlab.groups_token.is_some(), settings.gitlab.identity.id_token().is_some());
    match condition {
        Condition::Environment(_) | Condition::EnvironmentProtected(_)
            if settings.gitlab.identity.id_token().is_none() =>
        {
            Some(format!(
                "it asks for {key}, which only id tokens say, and none is asked for, so it matches nobody; write gitlab.identity = [\"job-api\", \"id-token\"]"
            ))
        }
        Condition::Runner(_) if settings.gitlab.identity == Sources::Payload => Some(format!(
            "it asks for {key}, and gitlab.identity = \"payload\" does not bring it, so it matches nobody; ask another source"
        )),
        Condition::GitLabGroup(_) if !asked && !signed => Some(format!(
            "it asks for {key}, and nobody is asked who is in a group, so it matches nobody; write gitlab.groups_token"
        )),
        Condition::GitLabGroup(_) if !asked && side == Side::Negated => Some(format!(
            "it asks for not = {{ {key} = ... }}, and id tokens say of no group that somebody is not in it, so it matches nobody; write gitlab.groups_token"
        )),
        _ => None,
    }
}
