//! The job payload (`JOB_RESPONSE_FILE`): the runner's own copy of what GitLab sent it.
//!
//! Its structured fields cannot be set by a pipeline author. Its `variables` can, all of them, so this module does not
//! even parse them. (One of them may carry an id token, which is believed for its signature: `id_token::variable`.)

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::RefType;
use crate::report::{FailureKind, Fault};

/// Largest payload: variables and scripts of one job, with room to spare.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// Longest job token. Today's are a few hundred bytes, or a JWT of a few thousand; web servers refuse longer headers.
const MAX_TOKEN: usize = 16 << 10;

/// What the payload says, as far as it decides something here.
#[derive(Debug)]
pub struct Payload {
    /// `id`
    pub job_id: u64,
    /// `token`
    pub job_token: JobToken,
    /// `job_info.project_id`
    pub project_id: u64,
    /// `job_info.project_full_path` (runner 18.5), else the path of `git_info.repo_url`
    pub project_path: Option<String>,
    /// `job_info.namespace_id` (runner 18.5)
    pub namespace_id: Option<u64>,
    /// `job_info.user_id` (runner 18.5)
    pub user_id: Option<u64>,
    /// `job_info.scoped_user_id` (runner 18.5): for whom the user acts, who is then the service account of an AI agent
    pub scoped_user_id: Option<u64>,
    /// `job_info.pipeline_id` (runner 19.0)
    pub pipeline_id: Option<u64>,
    /// `job_info.name`
    pub job_name: Option<String>,
    /// `job_info.stage`
    pub ci_stage: Option<String>,
    /// `git_info.ref`
    pub git_ref: Option<String>,
    /// `git_info.ref_type`
    pub ref_type: Option<RefType>,
    /// `git_info.protected` (runner 18.4, GitLab 18.3)
    pub ref_protected: Option<bool>,
    /// `git_info.sha`
    pub sha: Option<String>,
    /// `image.name`
    pub image: Option<String>,
    /// `services[].name`
    pub services: Vec<String>,
    /// `run`: whether the job has this keyword, in place of a script
    pub runs_steps: bool,
    /// `runner_info.timeout`: how long the job may take
    pub timeout: Option<Duration>,
}

/// The job's own credential for GitLab's API. Opaque; shown to nobody.
pub struct JobToken(Zeroizing<String>);

impl JobToken {
    /// The secret itself, for one request header.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JobToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobToken(..)")
    }
}

/// The payload can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The runner's file can't be read.
    #[error("the job payload {path} cannot be read")]
    Unreadable {
        /// `JOB_RESPONSE_FILE`
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It isn't what a runner writes.
    #[error("the job payload is not valid JSON (line {line}, column {column})")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A fact without which nothing can be decided is missing.
    #[error("the job payload does not say {0}; a job without it is refused")]
    Unknown(&'static str),
    /// The token can't be sent.
    #[error("the job token in the payload {0}; a job with such a token is refused")]
    Token(&'static str),
}

impl Fault for PayloadError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } => FailureKind::System,
            // Final: asking again would not make them known. The runner's own start-up check is such a job.
            Self::Unknown(_) | Self::Token(_) => FailureKind::Build,
        }
    }
}

#[derive(Deserialize)]
struct RawPayload {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    token: Option<Zeroizing<String>>,
    #[serde(default)]
    job_info: Option<RawJobInfo>,
    #[serde(default)]
    git_info: Option<RawGitInfo>,
    /// Of any form: it decides nothing but what the author is told.
    #[serde(default)]
    image: serde_json::Value,
    #[serde(default)]
    services: serde_json::Value,
    #[serde(default)]
    run: serde_json::Value,
    #[serde(default)]
    runner_info: Option<RawRunnerInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawRunnerInfo {
    timeout: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawJobInfo {
    name: Option<String>,
    stage: Option<String>,
    project_id: Option<i64>,
    project_full_path: Option<String>,
    namespace_id: Option<i64>,
    user_id: Option<i64>,
    scoped_user_id: Option<i64>,
    pipeline_id: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawGitInfo {
    repo_url: Option<Zeroizing<String>>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    ref_type: Option<String>,
    protected: Option<bool>,
    sha: Option<String>,
}

impl Payload {
    /// Reads the runner's file.
    pub fn read(path: &Path) -> Result<Self, PayloadError> {
        Self::parse(&bytes(path)?)
    }

    /// Parses it: leniently about what is absent, strictly about what is needed.
    pub fn parse(text: &[u8]) -> Result<Self, PayloadError> {
        let raw: RawPayload = serde_json::from_slice(text)
            .map_err(|error| PayloadError::Malformed { line: error.line(), column: error.column() })?;
        let job = raw.job_info.unwrap_or_default();
        let git = raw.git_info.unwrap_or_default();
        // Zero is what the runner writes for a field that GitLab did not send. It means unknown, never "number 0".
        let known =
            |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number != 0);
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            job_id: raw.id.filter(|id| *id != 0).ok_or(PayloadError::Unknown("its job id"))?,
            job_token: checked_token(raw.token)?,
            project_id: known(job.project_id).ok_or(PayloadError::Unknown("its project"))?,
            project_path: text(job.project_full_path).or_else(|| git.repo_url.as_deref().and_then(|url| path_of(url))),
            namespace_id: known(job.namespace_id),
            user_id: known(job.user_id),
            scoped_user_id: known(job.scoped_user_id),
            pipeline_id: known(job.pipeline_id),
            job_name: text(job.name),
            ci_stage: text(job.stage),
            git_ref: text(git.git_ref),
            ref_type: match git.ref_type.as_deref() {
                Some("branch") => Some(RefType::Branch),
                Some("tag") => Some(RefType::Tag),
                _ => None,
            },
            ref_protected: git.protected,
            sha: text(git.sha),
            image: name_in(&raw.image),
            services: raw.services.as_array().into_iter().flatten().filter_map(name_in).collect(),
            runs_steps: raw.run.as_array().is_some_and(|steps| !steps.is_empty()),
            timeout: known(raw.runner_info.unwrap_or_default().timeout).map(Duration::from_secs),
        })
    }
}

/// The whole of the runner's file.
pub(super) fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let unreadable = |source| PayloadError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// The runner writes an image without a name for a job that has none.
fn name_in(image: &serde_json::Value) -> Option<String> {
    image.get("name")?.as_str().filter(|name| !name.is_empty()).map(ToOwned::to_owned)
}

fn checked_token(token: Option<Zeroizing<String>>) -> Result<JobToken, PayloadError> {
    let token = token.filter(|token| !token.is_empty()).ok_or(PayloadError::Unknown("its job token"))?;
    if token.len() > MAX_TOKEN {
        return Err(PayloadError::Token("is longer than 16 KiB"));
    }
    // It becomes a header: a line break in it would add another.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(PayloadError::Token("contains characters that no token has"));
    }
    Ok(JobToken(token))
}

/// `group/project` of a clone URL; runners before 18.5 have no other field for it.
fn path_of(repo_url: &str) -> Option<String> {
    let uri: ureq::http::Uri = repo_url.parse().ok()?;
    let path = uri.path().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!path.is_empty()).then(|| path.to_owned())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_zero_and_null_mean_unknown() {
        for info in ["{}", r#"{"project_id":0}"#, r#"{"project_id":null}"#, r#"{"project_id":-1}"#] {
            let text = format!(r#"{{"id":1,"token":"t","job_info":{info}}}"#);
            assert!(matches!(Payload::parse(text.as_bytes()), Err(PayloadError::Unknown("its project"))), "{info}");
        }
        let payload =
            Payload::parse(br#"{"id":1,"token":"t","job_info":{"project_id":7,"user_id":0},"git_info":null}"#)
                .expect("valid");
        assert_eq!((payload.user_id, payload.ref_protected, payload.git_ref), (None, None, None));
    }

    #[test]
    fn the_runners_start_up_check_is_refused_for_good() {
        let error = Payload::parse(br#"{"id":9223372036854775806,"token":"boot-verify","job_info":{"name":"boot-verify","project_id":0,"user_id":0}}"#).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Build);
    }

    #[test]
    fn variables_of_the_payload_are_no_evidence() {
        let text = br#"{"id":1,"token":"t","job_info":{"project_id":7},"variables":[{"key":"CI_PROJECT_PATH","value":"evil/evil"},{"key":"GITLAB_USER_LOGIN","value":"root"}]}"#;
        let payload = Payload::parse(text).expect("valid");
        assert_eq!((payload.project_path, payload.user_id), (None, None));
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        for token in [String::new(), "a b".into(), "a\r\nX: y".into(), "t".repeat(100_000)] {
            let text = serde_json::json!({"id": 1, "token": token, "job_info": {"project_id": 7}}).to_string();
            assert_eq!(
                Payload::parse(text.as_bytes()).unwrap_err().kind(),
                FailureKind::Build,
                "{} bytes",
                token.len()
            );
        }
    }

    #[test]
    fn image_and_services_are_known_by_their_names_and_spoil_no_payload() {
        let of = |text: &str| {
            let text = format!(r#"{{"id":1,"token":"t","job_info":{{"project_id":7}},{text}}}"#);
            let payload = Payload::parse(text.as_bytes()).expect("valid");
            (payload.image, payload.services)
        };
        assert_eq!(
            of(r#""image":{"name":"python:3"},"services":[{"name":"redis"},{"name":"postgres:16","alias":"db"}]"#),
            (Some("python:3".into()), vec!["redis".into(), "postgres:16".into()])
        );
        for none in [r#""image":{"name":"","executor_opts":{}},"services":null"#, r#""image":7,"services":["x",[],{}]"#]
        {
            assert_eq!(of(none), (None, Vec::new()), "{none}");
        }
    }

    #[test]
    fn the_project_path_of_older_runners_comes_from_the_clone_url() {
        let text = br#"{"id":1,"token":"t","job_info":{"project_id":7},"git_info":{"repo_url":"https://gitlab-ci-token:t@gl.example/g/s/p.git"}}"#;
        assert_eq!(Payload::parse(text).expect("valid").project_path.as_deref(), Some("g/s/p"));
    }

    #[test]
    fn neither_debug_nor_errors_show_the_token() {
        let payload = Payload::parse(br#"{"id":1,"token":"glcbt-secret","job_info":{"project_id":7}}"#).expect("valid");
        assert!(!format!("{payload:?}").contains("secret"));
        let error = Payload::parse(br#"{"id":"x","token":"glcbt-secret"}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
