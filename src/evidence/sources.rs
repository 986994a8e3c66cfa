//! Who may say whose job one is, and what the facts of a job are when they have spoken.

use std::path::Path;

use jiff::Timestamp;

use super::JobFacts;
use super::id_token::{self, IdTokenError};
use super::job_api::{self, JobApiError};
use super::memberships::Memberships;
use super::payload::{Payload, PayloadError};
use super::settings::{GitLabSettings, IdTokenSettings, Sources};
use super::variables;
use crate::report::{Audience, FailureKind, Fault, with_causes};

/// Whose job is it? With all that is needed to ask.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who is asked, and who else must agree.
    pub gitlab: &'a GitLabSettings,
    /// The job.
    pub payload: &'a Payload,
    /// Where that lies: of its variables one is looked for, if an id token is asked for.
    pub payload_file: &'a Path,
    /// A directory of this driver's own for GitLab's keys; without one they are fetched for each job.
    pub keys: Option<&'a Path>,
    /// Who reads why a job is refused.
    pub audience: Audience,
    /// The time.
    pub now: Timestamp,
}

/// Nobody has said whose job it is in a way that holds.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The job API.
    #[error(transparent)]
    JobApi(#[from] JobApiError),
    /// The payload could not be read once more.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The id token, or what GitLab's keys are.
    #[error("{why}")]
    IdToken {
        /// What is wrong.
        why: IdTokenError,
        /// What the author of a job may read of it.
        told: Box<Told>,
    },
    /// Two sources say different things.
    #[error(
        "GitLab contradicts itself: {what} is {api} in the answer of its job API, but {token} in the job's id token"
    )]
    Contradiction {
        /// Which fact.
        what: &'static str,
        /// The job API's word.
        api: String,
        /// The id token's.
        token: String,
        /// What the author of a job may read of it.
        told: Box<Told>,
    },
    /// A payload that does not say who started the job.
    #[error(
        "the job payload does not say who started job {0} (runners before 18.5 do not know it), and nobody else is asked (gitlab.identity)"
    )]
    NoUser(u64),
}

/// What the author of a job is told when its id token does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    reader: Audience,
    job_id: u64,
    variable: String,
    audience: String,
}

impl Told {
    fn of(question: &Question<'_>, settings: &IdTokenSettings) -> Self {
        Self {
            reader: question.audience,
            job_id: question.payload.job_id,
            variable: settings.variable.clone(),
            audience: settings.audience.clone(),
        }
    }

    /// The same words for each reason: who forges tokens must not learn from them how far he has come. They help whoever has
    /// only forgotten to ask for one.
    fn words(&self) -> String {
        let Self { job_id, variable, audience, .. } = self;
        format!(
            "refused: this machine asks each job for an id token of GitLab, and this job has none that holds\nWhat a job in .gitlab-ci.yml needs is `id_tokens: {{ {variable}: {{ aud: {audience:?} }} }}`, and no other variable of that name. If it has that, the administrators find the reason in their audit log, under job {job_id} or the reference below."
        )
    }
}

impl Fault for EvidenceError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::JobApi(error) => error.kind(),
            Self::Payload(error) => error.kind(),
            Self::IdToken { why, .. } => why.kind(),
            Self::Contradiction { .. } | Self::NoUser(_) => FailureKind::Build,
        }
    }

    fn for_author(&self) -> String {
        match self {
            Self::JobApi(error) => error.for_author(),
            Self::IdToken { told, .. } | Self::Contradiction { told, .. }
                if self.kind() == FailureKind::Build && told.reader == Audience::Public =>
            {
                told.words()
            }
            _ => with_causes(self),
        }
    }
}

/// Asks all sources that the configuration names, and joins what they say. What one of them says must not contradict another.
pub fn ask(question: &Question<'_>) -> Result<JobFacts, EvidenceError> {
    let Question { gitlab, payload, .. } = *question;
    match &gitlab.identity {
        Sources::JobApi => Ok(job_api::ask(gitlab, payload)?),
        Sources::IdToken(settings) => {
            let token = verified(question, settings)?;
            let user_id = token.user_id();
            Ok(JobFacts {
                runner_id: token.runner_id,
                signed: Some(token.facts),
                ..facts(payload, user_id, Some(token.user_login), Some(token.pipeline_source), token.project_path)
            })
        }
        Sources::JobApiAndIdToken(settings) => {
            // First what asks nobody, or only for keys.
            let token = verified(question, settings)?;
            let facts = job_api::ask(gitlab, payload)?;
            let same = |what, api: &str, token: &str| {
                if api == token {
                    return Ok(());
                }
                let told = Box::new(Told::of(question, settings));
                Err(EvidenceError::Contradiction { what, api: format!("{api:?}"), token: format!("{token:?}"), told })
            };
            same("the number of the user", &facts.user_id.to_string(), &token.user_id().to_string())?;
            same("the login name of the user", facts.user_login().unwrap_or_default(), &token.user_login)?;
            if let Some(source) = facts.pipeline_source() {
                same("what started the pipeline", source, &token.pipeline_source)?;
            }
            if let (Some(api), Some(token)) = (facts.runner_id, token.runner_id) {
                same("the number of the runner", &api.to_string(), &token.to_string())?;
            }
            Ok(JobFacts {
                runner_id: token.runner_id.or(facts.runner_id),
                pipeline_source: Some(token.pipeline_source),
                project_path: token.project_path.or(facts.project_path),
                signed: Some(token.facts),
                ..facts
            })
        }
        Sources::Payload => {
            let user_id = payload.user_id.ok_or(EvidenceError::NoUser(payload.job_id))?;
            // Numbers alone. Names change hands, and of the pipeline's kind the payload says nothing.
            Ok(JobFacts { project_path: None, ..facts(payload, user_id, None, None, None) })
        }
    }
}

fn verified(question: &Question<'_>, settings: &IdTokenSettings) -> Result<id_token::Bound, EvidenceError> {
    // The last entry of that name wins, as in the job's own environment.
    let token = variables::values_of(question.payload_file, &settings.variable)?.pop();
    let token = token.filter(|token| !token.is_empty()).ok_or_else(|| IdTokenError::Missing(settings.variable.clone()));
    let verified = token.and_then(|token| {
        let verified = id_token::verify(question.gitlab, settings, &token, question.keys, question.now)?;
        id_token::bind(&verified, question.payload)
    });
    verified.map_err(|why| EvidenceError::IdToken { why, told: Box::new(Told::of(question, settings)) })
}

/// What the payload says, with what it does not say.
fn facts(
    payload: &Payload,
    user_id: u64,
    user_login: Option<String>,
    pipeline_source: Option<String>,
    project_path: Option<String>,
) -> JobFacts {
    JobFacts {
        job_id: payload.job_id,
        job_name: payload.job_name.clone(),
        ci_stage: payload.ci_stage.clone(),
        project_id: payload.project_id,
        project_path: project_path.or_else(|| payload.project_path.clone()),
        namespace_id: payload.namespace_id,
        user_id,
        scoped_user_id: payload.scoped_user_id,
        user_login,
        pipeline_id: payload.pipeline_id,
        pipeline_source,
        git_ref: payload.git_ref.clone(),
        ref_type: payload.ref_type,
        ref_protected: payload.ref_protected,
        sha: payload.sha.clone(),
        runner_id: None,
        groups: Memberships::default(),
        signed: None,
    }
}
