//! What two sections say of each other: no room by itself can judge that.

use jiff::SignedDuration;

use crate::config::{Place, Section};
use crate::evidence::settings::GitLabSettings;
use crate::launch::settings::Executor;
use crate::policy::settings::MapRule;
use crate::policy::settings::terms::RuleExecutor;
use crate::scheduler::known::Schedulers;
use crate::token::Ttl;
use crate::token::settings::TokenSettings;

/// Whoever trusts an issuer tells jobs from each other by what stands behind it: project 7, climate/model, user 42. So no two servers have
/// the same one.
pub(super) fn judge_issuers(token: &TokenSettings, gitlabs: &[GitLabSettings], place: &Place, root: &Section<'_>) {
    let issuer = |gitlab: &'_ GitLabSettings| gitlab.token_issuer.clone().unwrap_or_else(|| token.issuer.clone());
    for (number, gitlab) in gitlabs.iter().enumerate() {
        if let Some(other) = gitlabs[..number].iter().find(|other| issuer(other) == issuer(gitlab)) {
            let named = |gitlab: &GitLabSettings| gitlab.name.clone().unwrap_or_default();
            root.problem_with_help(
                place,
                format!(
                    "jobs of the servers {:?} and {:?} would have tokens of one issuer ({}): a service could not tell the same path or number of the two apart",
                    named(other),
                    named(gitlab),
                    issuer(gitlab).as_str()
                ),
                "write token_issuer = \"https://...\" in each [[gitlab]] but one; all of them show the same JWKS",
            );
        }
    }
}

/// To be asked where there is no `[approvals]`.
pub(super) fn no_rule_needs_approvals<'r>(root: &Section<'_>, rules: impl IntoIterator<Item = &'r MapRule>) {
    if let Some(rule) = rules.into_iter().find(|rule| rule.approved_by.is_some()) {
        root.problem_with_help(
            &rule.place,
            "this rule has `approved_by`, and there is no [approvals] section that says by whose keys",
            "add [approvals] with allowed_signers = \"/etc/motmot/allowed_signers\"",
        );
    }
}

/// A rule is about the jobs of one GitLab, and so is a test.
pub(super) fn judge_gitlab(
    what: &str,
    (named, place): (Option<&str>, &Place),
    gitlabs: &[GitLabSettings],
    root: &Section<'_>,
) {
    match named {
        Some(name) if !gitlabs.is_empty() && !gitlabs.iter().any(|gitlab| gitlab.name.as_deref() == Some(name)) => {
            root.problem(place, format!("`{what}.gitlab` is {name:?}, and no server has this name"));
        }
        None if gitlabs.len() > 1 => root.problem_with_help(
            place,
            format!("`{what}.gitlab` is missing, and there are several servers: the same number or name is somebody else in each"),
            "write gitlab = \"NAME\" in each of them, with the name of one server",
        ),
        _ => {}
    }
}

/// Whether what a rule grants is what the site has, or less.
pub(super) fn judge_terms(rule: &MapRule, executor: Executor, schedulers: &Schedulers, root: &Section<'_>) {
    if let Some(RuleExecutor::Batch(kind)) = rule.terms.executor
        && executor != Executor::Batch(kind)
    {
        let word = kind.word();
        root.problem_with_help(
            &rule.place,
            format!("`map.executor` is {word:?}, and jobs.executor is not"),
            format!(
                "write jobs.executor = {word:?}, and executor = \"shell\" in the rules whose jobs stay on this machine"
            ),
        );
    }
    for words in rule.terms.limits.wider_than(schedulers) {
        root.problem_with_help(&rule.place, words, "a rule has the same bounds or tighter ones");
    }
    for words in rule.terms.limits.passed_by_defaults(schedulers, &rule.options) {
        let help = "a job that asks for nothing would have more than the rule grants: let the rule fix this option itself, within its bound";
        root.problem_with_help(&rule.place, words, help);
    }
}

/// The same of tokens.
pub(super) fn judge_token_terms(rule: &MapRule, token: Option<&TokenSettings>, root: &Section<'_>) {
    let (terms, place) = (&rule.terms, &rule.place);
    let Some(token) = token else {
        for (key, is_there) in
            [("token_ttl", terms.token_ttl.is_some()), ("token_audience", terms.token_audience.is_some())]
        {
            if is_there {
                root.problem(place, format!("`map.{key}` is there, and no [token]: jobs get no tokens"));
            }
        }
        return;
    };
    let Some(life) = terms.token_ttl else { return };
    match SignedDuration::try_from(life).map(Ttl::new) {
        Ok(Ok(life)) if life <= token.ttl => {}
        Ok(Err(error)) => root.problem(place, format!("`map.token_ttl`: {error}")),
        _ => root.problem(
            place,
            format!(
                "`map.token_ttl` is longer than token.ttl, which is {:#}: a rule makes it shorter",
                token.ttl.signed()
            ),
        ),
    }
}
