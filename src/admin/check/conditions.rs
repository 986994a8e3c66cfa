//! Conditions that hold for nobody as the site is, and those that guard less than they seem to.

use super::findings::Findings;
use super::rules::what;
use crate::policy::condition::Condition;
use crate::policy::settings::MapRule;
use crate::settings::Settings;

/// Each rule with such a condition, negated or not, by the line where it begins.
pub(super) fn judge(settings: &Settings, findings: &mut Findings) {
    for rule in &settings.map {
        for condition in conditions(rule) {
            if let Some(words) = never_known(condition, settings) {
                findings.warning(&what(rule), words);
            }
        }
    }
}

fn conditions(rule: &MapRule) -> impl Iterator<Item = &Condition> {
    rule.when.all.iter().chain(&rule.when.none)
}

/// Why a condition is never known here to hold or not, so that its rule matches nobody.
fn never_known(condition: &Condition, settings: &Settings) -> Option<String> {
    let key = condition.key();
    match condition {
        Condition::Environment(_) | Condition::EnvironmentProtected(_)
            if settings.gitlab.identity.id_token().is_none() =>
        {
            Some(format!(
                "it asks for {key}, which only id tokens say, and none is asked for, so it matches nobody; write gitlab.identity = [\"job-api\", \"id-token\"]"
            ))
        }
        _ => None,
    }
}
