//! Whether the rules do what is said beside them.

use super::Rules;
use super::explain::by_rules;
use super::proof::never::Proofs;
use super::rules::Asking;
use super::settings::assertions::{Assertions, Expect, Never, Test};
use super::table::Tables;
use super::words::{at, job_in_words};
use crate::evidence::settings::GitLabSettings;

/// What came of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Which one, and where it stands.
    pub what: String,
    /// Whether it is so; else what came instead.
    pub result: Result<(), String>,
}

/// Judges all of them that are about the jobs of this GitLab, by the rules for those alone: which accounts there are here, and which of
/// them are admitted, is not asked.
pub fn judge(rules: &Rules<'_>, gitlab: &GitLabSettings, assertions: &Assertions, tables: &dyn Tables) -> Vec<Judged> {
    let (map, foreign_code) = (rules.map, rules.policy.merge_requests_of_forks);
    let here = |of: &Option<String>| of.is_none() || *of == gitlab.name;
    let tests = assertions.tests.iter().filter(|test| here(&test.gitlab)).map(|test| Judged {
        what: named("test", test.name.as_deref(), &at(&test.place)),
        result: run(test, rules, tables),
    });
    let mut judged: Vec<Judged> = tests.collect();
    let nevers: Vec<&Never> = assertions.nevers.iter().filter(|never| here(&never.gitlab)).collect();
    if nevers.is_empty() {
        return judged;
    }
    let proofs = Proofs::new(map, foreign_code, gitlab.knowable(), tables);
    let of = |never: &Never| match (&never.gitlab, &gitlab.name) {
        (None, Some(name)) => format!(" for the GitLab {name:?}"),
        _ => String::new(),
    };
    judged.extend(nevers.into_iter().map(|never| Judged {
        what: format!("{}{}", named("never", never.name.as_deref(), &at(&never.place)), of(never)),
        result: proofs.as_ref().map_err(ToString::to_string).and_then(|proofs| prove(never, proofs)),
    }));
    judged
}

fn named(kind: &str, name: Option<&str>, place: &str) -> String {
    match name {
        Some(name) => format!("{kind} {name:?} at {place}"),
        None => format!("{kind} at {place}"),
    }
}

fn run(test: &Test, rules: &Rules<'_>, tables: &dyn Tables) -> Result<(), String> {
    let facts = test.job.clone().facts();
    let asking = Asking { facts: &facts, requested: test.request.as_deref() };
    let (rule, account) = by_rules(rules, asking, &test.approved_by, tables)?;
    let by = || rule.map_or_else(String::new, |rule| format!(" by the rule at {}", at(&rule.place)));
    match (&test.expect, account) {
        (Expect::Account(wanted), Ok(account)) if account == *wanted => {}
        (Expect::Refused, Err(_)) => {}
        (Expect::Account(wanted), Ok(account)) => return Err(format!("expected {wanted}, came {account}{}", by())),
        (Expect::Account(wanted), Err(why)) => return Err(format!("expected {wanted}, came a refusal: {why}")),
        (Expect::Refused, Ok(account)) => return Err(format!("expected a refusal, came {account}{}", by())),
    }
    match &test.rule {
        Some(wanted) if rule.and_then(|rule| rule.name.as_ref()) != Some(wanted) => {
            let other = if rule.is_some() { by() } else { " by no rule".to_owned() };
            Err(format!("as expected, but not by the rule {wanted:?}: it came{other}"))
        }
        _ => Ok(()),
    }
}

fn prove(never: &Never, proofs: &Proofs<'_>) -> Result<(), String> {
    match proofs.counterexample(&never.accounts, never.unless.as_ref()) {
        Ok(None) => Ok(()),
        Ok(Some(found)) => Err(format!(
            "the rule at {} gives {} to this job: {}",
            at(&found.rule.place),
            found.account,
            job_in_words(&found.job.facts(), found.requested.as_deref(), found.approved_by.as_deref().as_slice())
        )),
        Err(undecided) => Err(undecided.to_string()),
    }
}
