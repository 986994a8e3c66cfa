//! What is needed to believe whose job one is, beyond the job API.

use super::findings::{Findings, without_number};
use super::runner::Runner;
use crate::evidence::id_token;
use crate::evidence::settings::{GitLabSettings, Sources};
use crate::policy;
use crate::policy::settings::{MapRule, RunAs};
use crate::report::counted;
use crate::settings::Settings;

const WHAT: &str = "identity";

/// What the file says.
pub(super) fn judge(settings: &Settings, findings: &mut Findings) {
    let gitlab = &settings.gitlab;
    if gitlab.identity.id_token().is_none() && gitlab.id_token.has_audience() {
        findings.warning(
            WHAT,
            "gitlab.id_token_audience is set, but no id token is asked for; write identity = [\"job-api\", \"id-token\"], or take it away",
        );
    }
    if gitlab.identity == Sources::Payload {
        settings.map.iter().filter_map(never_with_numbers_alone).for_each(|words| findings.warning(WHAT, words));
    }
}

/// Why a rule gives nobody an account where only numbers are known.
fn never_with_numbers_alone(rule: &MapRule) -> Option<String> {
    let line = rule.place.line();
    if !policy::names_number(rule) {
        return Some(format!(
            "line {line}: this rule matches nobody, since gitlab.identity = \"payload\" brings numbers alone; name users by number (user_id)"
        ));
    }
    matches!(rule.run_as, RunAs::GitLabUser).then(|| {
        format!("line {line}: run_as = \"{{gitlab_user}}\" is nobody, since gitlab.identity = \"payload\" brings numbers alone; name an account")
    })
}

/// Whether GitLab says with which keys it signs.
pub(super) fn ask(gitlab: &GitLabSettings, runner: &Runner, findings: &mut Findings) {
    let Some(wanted) = gitlab.identity.id_token() else { return };
    match runner.act(|| id_token::fetch(gitlab)) {
        Err(words) => findings.problem(WHAT, words),
        Ok(Err(error)) => findings.problem(WHAT, without_number(&error)),
        Ok(Ok(provider)) => findings.ok(
            WHAT,
            format!(
                "{} signs id tokens with {}; what each job needs in .gitlab-ci.yml: id_tokens: {{ {}: {{ aud: {:?} }} }}",
                gitlab.url.as_str(),
                counted(provider.keys.kids().count(), "key"),
                wanted.variable,
                wanted.audience
            ),
        ),
    }
}
