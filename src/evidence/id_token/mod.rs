//! The id token that GitLab has signed for a job (`id_tokens:` in `.gitlab-ci.yml`).
//!
//! It comes in a variable of the job, so anybody can put anything there: a token of another job, of another project, of another
//! issuer. It is believed for its signature by a key of our own GitLab, and then only if it is about the very job that the runner
//! has handed over: job, project, user and pipeline by number, for our audience alone, now.

mod kept;
mod provider;

use jiff::{SignedDuration, Timestamp};
use jose::{KeySet, Profile, Untrusted, Verified, Verifier, VerifyError};
use serde_json::{Map, Value};

use self::kept::{KeptKeys, Keys};
use super::RefType;
use super::http::BadCertificates;
use super::payload::Payload;
use super::settings::{GitLabSettings, IdTokenSettings};
use super::signed::{Environment, SignedFacts, SourceProject};
use crate::report::{FailureKind, Fault};

pub use provider::fetch;

/// GitLab's tokens live as long as the job may take, and no job may take longer than a month.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(32 * 24);
/// Longest text of a claim that is taken over. GitLab's names have at most 255 characters; paths have several of them.
const MAX_TEXT: usize = 1024;
/// GitLab lists no more; it leaves the claim out then.
const MAX_GROUPS: usize = 200;

/// An id token does not hold, or it cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// The job has none.
    #[error("the job has no id token: there is no variable {0}, or it is empty")]
    Missing(String),
    /// Not from our GitLab, not for us, or not now.
    #[error("the job's id token does not hold: {0}")]
    NotVerified(#[from] VerifyError),
    /// It is for somebody else as well, who then holds it, too.
    #[error("the job's id token does not hold: its `aud` names others beside this site; one token each, please")]
    ForOthers,
    /// A claim is missing, or not as GitLab writes it.
    #[error("the job's id token does not hold: its claim `{0}` is missing, or not as GitLab writes it")]
    Claim(&'static str),
    /// It is about something else than the payload.
    #[error("the job's id token is not this job's: {what} is {token} in it, but the payload says {payload}")]
    Mismatch {
        /// Which fact.
        what: &'static str,
        /// The token's word.
        token: u64,
        /// The payload's.
        payload: u64,
    },
    /// No answer, and no keys that are young enough.
    #[error(
        "GitLab ({url}) did not say with which keys it signs id tokens: {why}, and no answer of the last hours is at hand"
    )]
    Unreachable {
        /// `gitlab.url`
        url: String,
        /// The last failure.
        why: String,
    },
    /// An answer that is none.
    #[error("GitLab ({url}) gave no usable answer about the keys that it signs id tokens with: {why}")]
    Unusable {
        /// `gitlab.url`
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates of the configuration are not usable.
    #[error(transparent)]
    CaFile(#[from] BadCertificates),
    /// Keys cannot be kept: then each forged token would make us ask GitLab once more.
    #[error("GitLab's keys cannot be kept in {path} (jobs.state_dir): {why}")]
    NotKept {
        /// Where.
        path: String,
        /// Why not.
        why: String,
    },
}

impl Fault for IdTokenError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Missing(_) | Self::NotVerified(_) | Self::ForOthers | Self::Claim(_) | Self::Mismatch { .. } => {
                FailureKind::Build
            }
            Self::Unreachable { .. } | Self::Unusable { .. } | Self::CaFile(_) | Self::NotKept { .. } => {
                FailureKind::System
            }
        }
    }
}

/// What a token says that is about the job of the payload.
#[derive(Debug)]
pub(in crate::evidence) struct Bound {
    user_id: u64,
    pub(in crate::evidence) user_login: String,
    pub(in crate::evidence) pipeline_source: String,
    /// Of the project that runs the job.
    pub(in crate::evidence) project_path: Option<String>,
    /// The runner that has the job.
    pub(in crate::evidence) runner_id: Option<u64>,
    pub(in crate::evidence) facts: SignedFacts,
}

impl Bound {
    pub(in crate::evidence) fn user_id(&self) -> u64 {
        self.user_id
    }
}

/// Judges a token by the keys of our GitLab: those at hand, or fresh ones where it names a key that is not among them.
pub(in crate::evidence) fn verify(
    gitlab: &GitLabSettings,
    settings: &IdTokenSettings,
    token: &str,
    keys: Option<&std::path::Path>,
    now: Timestamp,
) -> Result<Verified, IdTokenError> {
    let judge = |keys: &KeySet| {
        let (issuer, audience) = (gitlab.url.as_str(), settings.audience.as_str());
        let verifier = Verifier::new(keys.clone(), issuer, audience, LONGEST_LIFE);
        verifier.with_profile(Profile::Oidc).verify(token, now)
    };
    let unknown = |verdict: &Result<Verified, VerifyError>| {
        matches!(verdict, Err(VerifyError::Untrusted(Untrusted::UnknownKid(_))))
    };
    let Some(dir) = keys else { return Ok(judge(&fetch(gitlab)?.keys)?) };
    let kept = KeptKeys::of(gitlab, dir);
    let Keys { set, fresh } = kept.at_hand(now);
    if let Some(set) = set.filter(|_| fresh) {
        let verdict = judge(&set);
        if !unknown(&verdict) {
            return Ok(verdict?);
        }
    }
    Ok(judge(&kept.renewed(now)?)?)
}

/// Holds a genuine token against the payload, and takes over what it says.
pub(in crate::evidence) fn bind(token: &Verified, payload: &Payload) -> Result<Bound, IdTokenError> {
    let claims = token.claims();
    if claims.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() != 1) {
        return Err(IdTokenError::ForOthers);
    }
    let same = |what, token: u64, payload: u64| {
        if token == payload { Ok(()) } else { Err(IdTokenError::Mismatch { what, token, payload }) }
    };
    same("the job", needed_number(claims, "job_id")?, payload.job_id)?;
    let user_id = needed_number(claims, "user_id")?;
    if let Some(id) = payload.user_id {
        same("the user", user_id, id)?;
    }
    let pipeline_id = needed_number(claims, "pipeline_id")?;
    if let Some(id) = payload.pipeline_id {
        same("the pipeline", pipeline_id, id)?;
    }
    // Since 18.3 `project_*` is whose code it is, and `job_project_*` the project that runs it; before, both are the latter.
    let project_id = needed_number(claims, "project_id")?;
    let running = number(claims, "job_project_id")?;
    same("the project", running.unwrap_or(project_id), payload.project_id)?;
    let source = match running {
        Some(running) => Some(source_project(claims, project_id, running)?),
        None => None,
    };
    let path = if running.is_some() { "job_project_path" } else { "project_path" };
    Ok(Bound {
        user_id,
        user_login: needed_text(claims, "user_login")?,
        pipeline_source: needed_text(claims, "pipeline_source")?,
        project_path: text(claims, path)?,
        runner_id: runner(claims)?,
        facts: SignedFacts {
            source,
            git_ref: text(claims, "ref")?,
            ref_type: match text(claims, "ref_type")?.as_deref() {
                Some("branch") => Some(RefType::Branch),
                Some("tag") => Some(RefType::Tag),
                _ => None,
            },
            ref_protected: truth(claims, "ref_protected")?,
            environment: match text(claims, "environment")? {
                Some(name) => Some(Environment {
                    name,
                    protected: truth(claims, "environment_protected")?,
                    tier: text(claims, "deployment_tier")?,
                }),
                None => None,
            },
            groups_direct: groups(claims)?,
            project_visibility: text(claims, "project_visibility")?,
            ci_config_ref_uri: text(claims, "ci_config_ref_uri")?,
            ci_config_sha: text(claims, "ci_config_sha")?,
        },
    })
}

/// Whose code it is. Should GitLab come to say it in `source_project_*`, `project_*` may mean the running project again: then a
/// reader of `project_id` alone would take a fork's code for the project's own. So whichever names another project is right, and if
/// both do, nobody knows.
fn source_project(claims: &Map<String, Value>, project: u64, running: u64) -> Result<SourceProject, IdTokenError> {
    let names = match number(claims, "source_project_id")? {
        Some(source) if source != project && project != running => {
            return Err(IdTokenError::Claim("source_project_id"));
        }
        Some(source) if source != project => (source, "source_project_path", "source_namespace_id"),
        _ => (project, "project_path", "namespace_id"),
    };
    let (id, path, namespace) = names;
    Ok(SourceProject { id, path: text(claims, path)?, namespace_id: number(claims, namespace)? })
}

/// Numbers are strings in GitLab's tokens. Absent and null mean unknown; anything else is not GitLab's.
fn number(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, IdTokenError> {
    let digits = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())),
        Some(_) => None,
    };
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| *number != 0);
    number.map(Some).ok_or(IdTokenError::Claim(name))
}

/// The one number that is none of strings.
fn runner(claims: &Map<String, Value>) -> Result<Option<u64>, IdTokenError> {
    let Some(id) = claims.get("runner_id").filter(|id| !id.is_null()) else { return Ok(None) };
    id.as_u64().filter(|id| *id != 0).map(Some).ok_or(IdTokenError::Claim("runner_id"))
}

fn needed_number(claims: &Map<String, Value>, name: &'static str) -> Result<u64, IdTokenError> {
    number(claims, name)?.ok_or(IdTokenError::Claim(name))
}

/// What is too long to be a name of GitLab's is not known.
fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, IdTokenError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| (1..=MAX_TEXT).contains(&text.len()))),
        Some(_) => Err(IdTokenError::Claim(name)),
    }
}

fn needed_text(claims: &Map<String, Value>, name: &'static str) -> Result<String, IdTokenError> {
    text(claims, name)?.ok_or(IdTokenError::Claim(name))
}

/// Truth values are strings in GitLab's tokens.
fn truth(claims: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, IdTokenError> {
    match text(claims, name)?.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(IdTokenError::Claim(name)),
    }
}

fn groups(claims: &Map<String, Value>) -> Result<Option<Vec<String>>, IdTokenError> {
    let wrong = || IdTokenError::Claim("groups_direct");
    let Some(list) = claims.get("groups_direct").filter(|list| !list.is_null()) else { return Ok(None) };
    let list = list.as_array().filter(|list| list.len() <= MAX_GROUPS).ok_or_else(wrong)?;
    let group = |group: &Value| group.as_str().filter(|group| group.len() <= MAX_TEXT).map(str::to_owned);
    list.iter().map(|one| group(one).ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
