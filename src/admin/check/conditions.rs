//! Conditions that hold for nobody as the site is, and those that guard less than they seem to.

use super::findings::Findings;
use super::rules::what;
use crate::evidence::settings::Sources;
use crate::policy::condition::Condition;
use crate::policy::settings::When;
use crate::policy::settings::assertions::Assertions;
use crate::settings::Settings;

/// Each rule with such a condition, negated or not, by the line where it begins.
pub(super) fn judge(settings: &Settings, findings: &mut Findings) {
    for rule in &settings.map {
        for condition in conditions(&rule.when) {
            if let Some(words) = never_known(condition, settings).or_else(|| chosen(condition)) {
                findings.warning(&what(rule), words);
            }
        }
    }
}

/// The same of what is asserted, for which no server is asked.
pub(super) fn judge_assertions(assertions: &Assertions, findings: &mut Findings) {
    for never in &assertions.nevers {
        let what = format!("never at {}:{}", never.place.path().display(), never.place.line());
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
        Condition::Runner(_) if settings.gitlab.identity == Sources::Payload => Some(format!(
            "it asks for {key}, and gitlab.identity = \"payload\" does not bring it, so it matches nobody; ask another source"
        )),
        _ => None,
    }
}
