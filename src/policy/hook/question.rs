//! What a hook is told: what is known of the job and from whom, the rule, and the account that the job would have.

use serde::Serialize;

use super::{HookError, Proposal, Site};
use crate::evidence::{Code, RefType, SourceProject};
use crate::sys::sealed::Given;

/// All of its environment, but for what the form adds. Programs are found in the system's own directories alone.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")];

/// The question as JSON. What is not there is not known. Fields may be added; none changes its meaning.
#[derive(Serialize)]
struct Question<'q> {
    version: u32,
    gitlab: GitLab<'q>,
    identity: Facts<'q>,
    rule: Rule<'q>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<&'q str>,
    account: Account<'q>,
}

#[derive(Serialize)]
struct GitLab<'q> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'q str>,
    url: &'q str,
}

/// By the names that tokens have for them, where they have one.
#[derive(Serialize)]
struct Facts<'q> {
    assurance: &'static str,
    user_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_login: Option<&'q str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acting_for: Option<u64>,
    job_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_name: Option<&'q str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ci_stage: Option<&'q str>,
    project_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_path: Option<&'q str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_path: Option<&'q str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_source: Option<&'q str>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    git_ref: Option<&'q str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ref_type: Option<RefType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ref_protected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha: Option<&'q str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_fork: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_project_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_project_path: Option<&'q str>,
}

#[derive(Serialize)]
struct Rule<'q> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'q str>,
    line: String,
    may_request: &'q [String],
}

#[derive(Serialize)]
struct Account<'q> {
    name: &'q str,
    uid: u32,
}

/// One JSON object on standard input.
pub(super) fn as_json(site: Site<'_>, proposal: &Proposal<'_>) -> Result<Given, HookError> {
    let facts = proposal.identity.facts();
    let source = facts.source_project();
    // That of a merge request is unknown here as it is in rules: `main` of a fork is another branch.
    let own = match facts.code() {
        Code::Of(code) if facts.is_own_code() => Some(code),
        Code::Of(_) | Code::Unknown(_) => None,
    };
    let question = Question {
        version: 1,
        gitlab: GitLab { name: site.name, url: site.url },
        identity: Facts {
            assurance: proposal.identity.assurance().as_str(),
            user_id: facts.user_id(),
            user_login: facts.user_login(),
            acting_for: facts.scoped_user_id(),
            job_id: facts.job_id(),
            job_name: facts.job_name(),
            ci_stage: facts.ci_stage(),
            project_id: facts.project_id(),
            project_path: facts.project_path(),
            namespace_id: facts.namespace_id(),
            namespace_path: facts.namespace_path(),
            pipeline_id: facts.pipeline_id(),
            pipeline_source: facts.pipeline_source(),
            git_ref: own.and_then(|code| code.git_ref),
            ref_type: own.and_then(|code| code.ref_type),
            ref_protected: own.and_then(|code| code.ref_protected),
            sha: facts.sha(),
            from_fork: facts.is_from_fork(),
            source_project_id: source.map(SourceProject::id),
            source_project_path: source.and_then(SourceProject::path),
        },
        rule: Rule {
            name: proposal.rule.name.as_deref(),
            line: proposal.rule.line().to_string(),
            may_request: &proposal.rule.may_request,
        },
        requested: proposal.requested,
        account: Account { name: proposal.account.name(), uid: proposal.account.uid().as_raw() },
    };
    let mut input = serde_json::to_vec(&question).map_err(|error| HookError::Untold(error.to_string()))?;
    input.push(b'\n');
    Ok(Given { args: vec!["hook".to_owned()], environment: environment([]), input })
}

/// Names as arguments, as RunAs validation scripts of Jacamar CI have them: the account that the job asks for, if it asks for one,
/// and who has started it.
pub(super) fn as_arguments(site: Site<'_>, proposal: &Proposal<'_>) -> Result<Given, HookError> {
    let facts = proposal.identity.facts();
    let human = facts.human();
    let login = human.login.ok_or(HookError::NoLogin(human.id))?;
    // GitLab has no such login, and a script would take it for one of its options.
    if login.starts_with('-') {
        return Err(HookError::Untold(format!("the login name {login:?} would be an option")));
    }
    let args = ["hook"].into_iter().chain(proposal.requested).chain([login]).map(str::to_owned).collect();
    let text = str::to_owned;
    let known = [
        ("JWT_USER_LOGIN", Some(text(login))),
        ("JWT_USER_ID", Some(facts.user_id().to_string())),
        ("JWT_PROJECT_ID", Some(facts.project_id().to_string())),
        ("JWT_PROJECT_PATH", facts.project_path().map(text)),
        ("JWT_NAMESPACE_ID", facts.namespace_id().map(|id| id.to_string())),
        ("JWT_JOB_ID", Some(facts.job_id().to_string())),
        ("JWT_PIPELINE_ID", facts.pipeline_id().map(|id| id.to_string())),
        ("JWT_PIPELINE_SOURCE", facts.pipeline_source().map(text)),
        ("JWT_ISS", Some(text(site.url))),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(Given { args, environment: environment(known), input: Vec::new() })
}

fn environment<'n>(more: impl IntoIterator<Item = (&'n str, String)>) -> Vec<(String, String)> {
    let own = ENVIRONMENT.into_iter().map(|(name, value)| (name, value.to_owned()));
    own.chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;
