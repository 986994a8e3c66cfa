//! What GitLab itself says of a job: `GET /api/v4/job`, asked with the job's own token (GitLab API, "Get job token's job").
//!
//! The address comes from our configuration, never from the job. The answer must be about the job of the payload.

use serde::Deserialize;

use super::http::{self, BadCertificates, Got, TRIES, Tried};
use super::memberships::Memberships;
use super::payload::{JobToken, Payload};
use super::{JobFacts, RefType};
use crate::evidence::settings::GitLabSettings;
use crate::report::{FailureKind, Fault};

/// Longest answer that is read. A real one has a few kilobytes.
const MAX_ANSWER: u64 = 1 << 20;

/// The states of a job (GitLab API, "Jobs"), but for `running`.
const STATES: [&str; 12] = [
    "canceled",
    "canceling",
    "created",
    "failed",
    "manual",
    "pending",
    "preparing",
    "scheduled",
    "skipped",
    "success",
    "waiting_for_callback",
    "waiting_for_resource",
];
/// A token of fewer characters is none, and would be found in any text.
const SHORTEST_TOKEN: usize = 8;

/// GitLab's answer could not be had, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum JobApiError {
    /// No answer: network, TLS, time-out, or a server error, after all tries.
    #[error("GitLab ({url}) did not say whose job this is: {why} (asked {TRIES} times)")]
    Unreachable {
        /// `gitlab.url`
        url: String,
        /// The last failure.
        why: String,
    },
    /// An answer that is none.
    #[error("GitLab ({url}) gave no usable answer about this job: {why}; check `gitlab.url` in the configuration")]
    Unusable {
        /// `gitlab.url`
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates of the configuration are not usable.
    #[error(transparent)]
    CaFile(#[from] BadCertificates),
    /// GitLab does not know the token: the job has ended, or it never was its own.
    #[error(
        "GitLab does not accept this job's token (HTTP {0}): the job has ended or was cancelled, or the token is not a token of this job"
    )]
    TokenRefused(u16),
    /// The answer is about something else than the payload.
    #[error("GitLab's answer does not fit this job: {what} is {answer}, but the payload says {payload}")]
    Mismatch {
        /// Which fact.
        what: &'static str,
        /// GitLab's word.
        answer: String,
        /// The payload's.
        payload: String,
    },
    /// The job isn't running.
    #[error("GitLab says that this job is {0}, not running")]
    NotRunning(&'static str),
    /// The answer lacks what identity needs.
    #[error("GitLab's answer does not say {0}; a job without it is refused")]
    Unknown(&'static str),
}

impl Fault for JobApiError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable { .. } | Self::Unusable { .. } | Self::CaFile(_) => FailureKind::System,
            Self::TokenRefused(_) | Self::Mismatch { .. } | Self::NotRunning(_) | Self::Unknown(_) => {
                FailureKind::Build
            }
        }
    }
}

#[derive(Deserialize)]
struct JobAnswer {
    id: Option<u64>,
    status: Option<String>,
    user: Option<AnswerUser>,
    pipeline: Option<AnswerPipeline>,
    tag: Option<bool>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    runner: Option<AnswerRunner>,
}

/// Of its names and descriptions nothing is believed: whoever manages a runner of a project can write there what he likes.
#[derive(Deserialize)]
struct AnswerRunner {
    id: Option<u64>,
}

#[derive(Deserialize)]
struct AnswerUser {
    id: Option<u64>,
    username: Option<String>,
}

#[derive(Deserialize)]
struct AnswerPipeline {
    id: Option<u64>,
    project_id: Option<u64>,
    source: Option<String>,
}

/// Asks GitLab about the job of the payload and puts both together. Blocks; takes at most a few times `gitlab.timeout`.
pub fn ask(gitlab: &GitLabSettings, payload: &Payload) -> Result<JobFacts, JobApiError> {
    let agent = http::agent(gitlab)?;
    let body = fetch(&agent, gitlab, &payload.job_token)?;
    let answer: JobAnswer = serde_json::from_slice(&body).map_err(|error| JobApiError::Unusable {
        url: gitlab.url.as_str().to_owned(),
        why: format!("not the JSON of a job (line {}, column {})", error.line(), error.column()),
    })?;
    if answer.repeats(payload.job_token.expose()) {
        return Err(JobApiError::Unusable {
            url: gitlab.url.as_str().to_owned(),
            why: "it repeats the token that it was sent, as GitLab never does".to_owned(),
        });
    }
    bind(answer, payload)
}

impl JobAnswer {
    /// Whether a text in it holds the token that it was asked with. Names of users, refs and sources go into logs and claims.
    fn repeats(&self, token: &str) -> bool {
        let texts = [
            self.status.as_ref(),
            self.git_ref.as_ref(),
            self.user.as_ref().and_then(|user| user.username.as_ref()),
            self.pipeline.as_ref().and_then(|pipeline| pipeline.source.as_ref()),
        ];
        token.len() >= SHORTEST_TOKEN && texts.into_iter().flatten().any(|text| text.contains(token))
    }
}

/// Words of a library about an answer, without the token that the answer may have repeated in what they quote.
fn without(token: &JobToken, words: &str) -> String {
    match token.expose() {
        token if token.len() >= SHORTEST_TOKEN => words.replace(token, "[MASKED]"),
        _ => words.to_owned(),
    }
}

/// Whether the job still runs, by GitLab's word; asked once. `None` if it does not say. Of a job that was cancelled it either
/// says so, or knows its token no more.
pub fn still_runs(gitlab: &GitLabSettings, token: &JobToken) -> Option<bool> {
    match fetch_once(&http::agent(gitlab).ok()?, gitlab, token) {
        Fetched::Answer(body) => {
            let answer: JobAnswer = serde_json::from_slice(&body).ok()?;
            Some(answer.status? == "running")
        }
        Fetched::Final(JobApiError::TokenRefused(_)) => Some(false),
        Fetched::Retry(_) | Fetched::Final(_) => None,
    }
}

/// What is in an answer, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// HTML: words for a person, and so not the API.
    Page,
    /// Anything else.
    Other,
}

/// The answer to a question without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The HTTP status.
    pub status: u16,
    /// What came with it.
    pub content: Content,
}

/// Asks GitLab once as for a job, but without a token, for a check before there are jobs. A GitLab says 401.
pub fn probe(gitlab: &GitLabSettings) -> Result<Probed, JobApiError> {
    let unreachable = |error: ureq::Error| JobApiError::Unreachable {
        url: gitlab.url.as_str().to_owned(),
        why: match error {
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Timeout(_) => format!("no answer within {} s", gitlab.timeout.as_secs()),
            ureq::Error::HostNotFound => "there is no machine of that name".to_owned(),
            other => other.to_string(),
        },
    };
    let request = http::agent(gitlab)?.get(format!("{}/api/v4/job", gitlab.url.as_str()));
    let answer = request.header("Accept", "application/json").call().map_err(unreachable)?;
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let content = if kind.to_ascii_lowercase().contains("html") { Content::Page } else { Content::Other };
    Ok(Probed { status: answer.status().as_u16(), content })
}

/// Whether the certificates of the configuration are usable; asks nobody.
pub fn check_certificates(gitlab: &GitLabSettings) -> Result<(), JobApiError> {
    Ok(http::agent(gitlab).map(drop)?)
}

/// What one try led to.
enum Fetched {
    Answer(Vec<u8>),
    Retry(String),
    Final(JobApiError),
}

fn fetch(agent: &ureq::Agent, gitlab: &GitLabSettings, token: &JobToken) -> Result<Vec<u8>, JobApiError> {
    let once = || match fetch_once(agent, gitlab, token) {
        Fetched::Answer(body) => Tried::Over(Ok(body)),
        Fetched::Retry(why) => Tried::Again(why),
        Fetched::Final(error) => Tried::Over(Err(error)),
    };
    let unreachable = |why| JobApiError::Unreachable { url: gitlab.url.as_str().to_owned(), why };
    http::persistently(once).unwrap_or_else(|why| Err(unreachable(why)))
}

fn fetch_once(agent: &ureq::Agent, gitlab: &GitLabSettings, token: &JobToken) -> Fetched {
    let url = gitlab.url.as_str().to_owned();
    let request = agent.get(format!("{url}/api/v4/job")).header("JOB-TOKEN", token.expose());
    let unusable = |why: String| Fetched::Final(JobApiError::Unusable { url, why });
    match http::get(request, MAX_ANSWER) {
        Got::Answer(body) => Fetched::Answer(body),
        Got::Redirect(code) => {
            unusable(format!("it redirects (HTTP {code}), and a job token is not carried to another address"))
        }
        Got::Status(code @ (401 | 403)) => Fetched::Final(JobApiError::TokenRefused(code)),
        Got::Status(code) => unusable(format!("HTTP {code}")),
        Got::TooLong => unusable("the answer is longer than 1 MiB".into()),
        Got::Nothing(why) => Fetched::Retry(without(token, &why)),
    }
}

/// Checks that the answer is about the job of the payload, and joins what both say.
fn bind(answer: JobAnswer, payload: &Payload) -> Result<JobFacts, JobApiError> {
    let same = |what, answer: u64, payload: u64| {
        if answer == payload {
            Ok(())
        } else {
            Err(JobApiError::Mismatch { what, answer: answer.to_string(), payload: payload.to_string() })
        }
    };
    // The token may be that of another job: whoever sends a payload could have put it there.
    same("the job", answer.id.ok_or(JobApiError::Unknown("which job it is about"))?, payload.job_id)?;
    match answer.status.as_deref() {
        Some("running") => {}
        other => {
            // In our own words: whatever else answers there may repeat what it was sent, which is a token.
            let known = other.and_then(|status| STATES.into_iter().find(|known| *known == status));
            return Err(JobApiError::NotRunning(known.unwrap_or("in a state that is none of GitLab's")));
        }
    }
    let user = answer.user.ok_or(JobApiError::Unknown("who started the job"))?;
    let user_id = user.id.filter(|id| *id != 0).ok_or(JobApiError::Unknown("who started the job"))?;
    if let Some(id) = payload.user_id {
        same("the user", user_id, id)?;
    }
    let pipeline = answer.pipeline;
    if let Some(id) = pipeline.as_ref().and_then(|pipeline| pipeline.project_id) {
        same("the project", id, payload.project_id)?;
    }
    let pipeline_id = pipeline.as_ref().and_then(|pipeline| pipeline.id);
    if let (Some(answered), Some(id)) = (pipeline_id, payload.pipeline_id) {
        same("the pipeline", answered, id)?;
    }
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let ref_type = payload.ref_type.or(answer.tag.map(|tag| if tag { RefType::Tag } else { RefType::Branch }));
    Ok(JobFacts {
        job_id: payload.job_id,
        job_name: payload.job_name.clone(),
        ci_stage: payload.ci_stage.clone(),
        project_id: payload.project_id,
        project_path: payload.project_path.clone(),
        namespace_id: payload.namespace_id,
        user_id,
        scoped_user_id: payload.scoped_user_id,
        user_login: Some(text(user.username).ok_or(JobApiError::Unknown("the login name of who started the job"))?),
        pipeline_id: payload.pipeline_id.or(pipeline_id),
        pipeline_source: text(pipeline.and_then(|pipeline| pipeline.source)),
        git_ref: payload.git_ref.clone().or(text(answer.git_ref)),
        ref_type,
        ref_protected: payload.ref_protected,
        sha: payload.sha.clone(),
        runner_id: answer.runner.and_then(|runner| runner.id).filter(|id| *id != 0),
        groups: Memberships::default(),
        signed: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> Payload {
        Payload::parse(br#"{"id":101,"token":"t","job_info":{"project_id":7,"user_id":42,"pipeline_id":55}}"#)
            .expect("valid")
    }

    fn answer(change: impl FnOnce(&mut serde_json::Value)) -> Result<JobFacts, JobApiError> {
        let mut json = serde_json::json!({"id":101,"status":"running","user":{"id":42,"username":"adent"},"pipeline":{"id":55,"project_id":7,"source":"push"}});
        change(&mut json);
        bind(serde_json::from_value(json).expect("an answer"), &payload())
    }

    #[test]
    fn an_answer_about_the_same_job_gives_the_login() {
        let facts = answer(|_| ()).expect("bound");
        assert_eq!((facts.user_login(), facts.user_id(), facts.pipeline_source()), (Some("adent"), 42, Some("push")));
    }

    #[test]
    fn the_runner_is_known_by_its_number_and_by_no_name_that_somebody_has_given_it() {
        let runner = |runner: serde_json::Value| answer(|json| json["runner"] = runner).expect("bound").runner_id();
        assert_eq!(runner(serde_json::json!({"id": 12, "description": "hpc", "name": null})), Some(12));
        for none in [serde_json::json!(null), serde_json::json!({"description": "12"}), serde_json::json!({"id": 0})] {
            assert_eq!(runner(none.clone()), None, "{none}");
        }
        assert_eq!(answer(|_| ()).expect("bound").runner_id(), None);
    }

    #[test]
    fn an_answer_about_another_job_user_project_or_pipeline_is_refused() {
        for (path, value) in [("/id", 102), ("/user/id", 43), ("/pipeline/project_id", 8), ("/pipeline/id", 56)] {
            let error = answer(|json| *json.pointer_mut(path).expect("path") = value.into()).unwrap_err();
            assert!(matches!(error, JobApiError::Mismatch { .. }), "{path}: {error}");
            assert_eq!(error.kind(), FailureKind::Build, "{path}");
        }
    }

    #[test]
    fn what_an_answer_calls_a_state_is_not_repeated() {
        let token = "glcbt-64_0123456789abcdef";
        for (status, words) in [("success", "is success,"), ("canceled", "is canceled,"), (token, "none of GitLab's,")]
        {
            let error = answer(|json| json["status"] = status.into()).unwrap_err();
            assert!(error.to_string().contains(words) && !error.to_string().contains(token), "{error}");
        }
    }

    #[test]
    fn an_answer_that_repeats_the_token_is_none() {
        let token = "glcbt-64_0123456789abcdef";
        for path in ["/status", "/ref", "/user/username", "/pipeline/source"] {
            let mut json =
                serde_json::json!({"status": "x", "ref": "x", "user": {"username": "x"}, "pipeline": {"source": "x"}});
            let read = |json: &serde_json::Value| serde_json::from_value::<JobAnswer>(json.clone()).expect("an answer");
            assert!(!read(&json).repeats(token) && !read(&json).repeats("x"));
            *json.pointer_mut(path).expect("path") = format!("<{token}>").into();
            assert!(read(&json).repeats(token), "{path}");
        }
        let payload = format!(r#"{{"id":1,"token":"{token}","job_info":{{"project_id":7}}}}"#);
        let sent = Payload::parse(payload.as_bytes()).expect("valid").job_token;
        assert_eq!(without(&sent, &format!("bad header {token}")), "bad header [MASKED]");
    }

    #[test]
    fn a_job_that_has_ended_or_has_no_user_is_refused() {
        for (path, value) in [
            ("/status", serde_json::json!("success")),
            ("/status", serde_json::json!(null)),
            ("/user", serde_json::json!(null)),
            ("/user/id", serde_json::json!(0)),
            ("/user/username", serde_json::json!("")),
            ("/id", serde_json::json!(null)),
        ] {
            let error = answer(|json| *json.pointer_mut(path).expect("path") = value).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Build, "{path}");
        }
    }
}
