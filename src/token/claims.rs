//! What a token says about a job.
//!
//! Names and types are those of GitLab's own tokens where GitLab has the claim (numbers and truth values are strings),
//! so that existing rules carry over. A fact that is not known is left out; no default ever stands in for it.
//! Absent on purpose, at top level: `sun`, `username`, `uid`, `gid`, `groups`, `scope`, `name`, `id`. Slurm and others
//! take those for a login; ours lie in `hpc`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::{NoContext, Uuid};

use super::lifetime::Ttl;
use super::subject::{Subject, SubjectError};
use crate::evidence::{Code, Environment, JobFacts, RefType, SignedFacts};
use crate::identity::{Assurance, Identity};
use crate::policy::Account;
use crate::scheduler::{BatchPlacement, JobId, Placement, SchedulerKind};

/// How long before its issue a token is valid already, in seconds: room for clocks that are late.
const BACKDATE: i64 = 60;
/// Most bytes of `groups_direct`: tokens go into headers, whose length others limit.
const MAX_GROUPS: usize = 1024;

/// What the site says about all of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuance {
    /// `iss`: who we are. Verifiers compare it byte for byte.
    pub issuer: String,
    /// `aud`: the one service, or group of services, that the token is for.
    pub audience: String,
    /// How long it lives.
    pub ttl: Ttl,
    /// `upstream_iss`: the GitLab whose job this is; numbers of jobs and projects are unique only within one.
    pub upstream_iss: String,
}

/// What this site adds for one stage of a job. Who the job is and as whom it runs is not among it: [`Identity`] and
/// [`Account`] say that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageContext {
    /// The runner's name for the stage: `build_script`, `get_sources`, ... Not the stage of `.gitlab-ci.yml`.
    pub executor_stage: String,
    /// The site's name.
    pub site: Option<String>,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Where it runs.
    pub placement: Placement,
}

/// The kind of bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityType {
    /// A CI job.
    Job,
}

/// `ref_protected`, a string as in GitLab's tokens. Unknown is neither of these but no claim at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefProtection {
    /// `"true"`
    True,
    /// `"false"`
    False,
}

/// `runner_environment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunnerEnvironment {
    /// Not one of GitLab's own machines.
    SelfHosted,
}

/// All claims of a token. A claim's meaning is documented where its value comes from: [`JobFacts`], [`Account`],
/// [`StageContext`], [`Issuance`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    /// One string, never a list: whoever accepts a token knows that nobody else does.
    pub aud: String,
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    /// A UUID of version 7, fresh in each token.
    #[serde(with = "uuid_text")]
    pub jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_path: Option<String>,
    /// With all of `namespace_*`, `project_*` and `ref*`: whose code it is. Left out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_path: Option<String>,
    /// With all of `job_*`: the project that the job runs in. Always known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_namespace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_namespace_path: Option<String>,
    pub job_project_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_project_path: Option<String>,
    /// With `user_login`: the human behind the job.
    pub user_id: String,
    /// Not known of the human for whom an agent acts, and where the payload alone vouches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_login: Option<String>,
    /// Who acts for him.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_source: Option<String>,
    pub job_id: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_type: Option<RefType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_protected: Option<RefProtection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha: Option<String>,
    pub runner_environment: RunnerEnvironment,
    /// The groups that the user is in directly. With this one and the next six: known from GitLab's id token alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_direct: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_protected: Option<RefProtection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_visibility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_config_ref_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_config_sha: Option<String>,
    pub upstream_iss: String,
    pub assurance: Assurance,
    pub identity_type: IdentityType,
    pub hpc: Hpc,
}

/// `act`: who acts for the user (RFC 8693, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// GitLab's number of the agent's service account.
    pub sub: String,
    /// Its login name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_login: Option<String>,
}

impl Actor {
    fn of(facts: &JobFacts) -> Result<Option<Self>, ClaimsError> {
        if facts.scoped_user_id().is_none() {
            return Ok(None);
        }
        let sub = number("agent's user id", facts.user_id())?;
        let user_login = facts.user_login().map(|login| needed("agent's user login", login)).transpose()?;
        Ok(Some(Self { sub, user_login }))
    }
}

/// The `hpc` object: what is local to this site. Nested, so that no verifier takes a member for one it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hpc {
    pub local_user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// None is a shell, and said, too.
    #[serde(with = "scheduler_word")]
    pub scheduler: Option<SchedulerKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    pub executor_stage: String,
    /// Free text of the pipeline's author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci_stage: Option<String>,
    /// Free text of the pipeline's author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
}

/// Why no claims can be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClaimsError {
    /// A fact without which a token would speak for nobody.
    #[error("the job's {0} is not known, so no token can be made")]
    Unknown(&'static str),
    /// See [`SubjectError`].
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Before 1970, or after 9999.
    #[error("the clock of this machine says {0}: set it, then try again")]
    Clock(Timestamp),
}

impl Claims {
    /// What a token issued at `now` says. The random part of `jti` is the only thing that is not an argument.
    pub(super) fn new(
        settings: &Issuance,
        identity: &Identity,
        account: &Account,
        stage: &StageContext,
        now: Timestamp,
    ) -> Result<Self, ClaimsError> {
        Self::of(settings, (identity.facts(), identity.assurance()), account.name(), stage, now)
    }

    fn of(
        settings: &Issuance,
        (facts, assurance): (&JobFacts, Assurance),
        local_user: &str,
        stage: &StageContext,
        now: Timestamp,
    ) -> Result<Self, ClaimsError> {
        let iat = now.as_second();
        let nanos = u32::try_from(now.subsec_nanosecond()).map_err(|_| ClaimsError::Clock(now))?;
        let since_1970 = u64::try_from(iat).ok().filter(|_| iat > BACKDATE).ok_or(ClaimsError::Clock(now))?;
        // Whose code it is, as in GitLab's own tokens: in the pipeline of a fork's merge request the fork. Only where that is known: a
        // token that says `project_path` and `ref` for a stranger's code would speak for the project's own branch.
        let code = match facts.code() {
            Code::Of(code) => Some(code),
            Code::Unknown(_) => None,
        };
        let some_id = |id: Option<u64>| id.filter(|id| *id != 0).map(|id| id.to_string());
        let git_ref = known(code.and_then(|code| code.git_ref));
        let ref_type = code.and_then(|code| code.ref_type);
        let human = facts.human();
        let signed = facts.signed();
        let environment = signed.and_then(SignedFacts::environment);
        let protection = |yes| if yes { RefProtection::True } else { RefProtection::False };
        Ok(Self {
            iss: needed("issuer (token.issuer in the configuration)", &settings.issuer)?,
            sub: Subject::of(facts)?.encode(),
            aud: needed("audience (token.audience in the configuration)", &settings.audience)?,
            exp: iat + settings.ttl.as_secs(),
            iat,
            nbf: iat - BACKDATE,
            jti: Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, since_1970, nanos)),
            namespace_id: some_id(code.and_then(|code| code.namespace_id)),
            namespace_path: known(code.and_then(|code| code.namespace_path())),
            project_id: some_id(code.map(|code| code.project_id)),
            project_path: known(code.and_then(|code| code.project_path)),
            job_namespace_id: some_id(facts.namespace_id()),
            job_namespace_path: known(facts.namespace_path()),
            job_project_id: number("project id", facts.project_id())?,
            job_project_path: known(facts.project_path()),
            user_id: number("user id", human.id)?,
            user_login: human.login.map(|login| needed("user login", login)).transpose()?,
            act: Actor::of(facts)?,
            pipeline_id: facts.pipeline_id().filter(|id| *id != 0).map(|id| id.to_string()),
            pipeline_source: known(facts.pipeline_source()),
            job_id: number("job id", facts.job_id())?,
            ref_path: full_ref(ref_type, git_ref.as_deref()),
            git_ref,
            ref_type,
            ref_protected: code.and_then(|code| code.ref_protected).map(protection),
            sha: known(facts.sha()),
            runner_environment: RunnerEnvironment::SelfHosted,
            groups_direct: signed.and_then(SignedFacts::groups_direct).filter(|groups| fit(groups)).map(<[_]>::to_vec),
            environment: known(environment.map(Environment::name)),
            environment_protected: environment.and_then(Environment::protected).map(protection),
            deployment_tier: known(environment.and_then(Environment::tier)),
            project_visibility: known(signed.and_then(SignedFacts::project_visibility)),
            ci_config_ref_uri: known(signed.and_then(SignedFacts::ci_config_ref_uri)),
            ci_config_sha: known(signed.and_then(SignedFacts::ci_config_sha)),
            upstream_iss: needed("GitLab's address (gitlab.url in the configuration)", &settings.upstream_iss)?,
            assurance,
            identity_type: IdentityType::Job,
            hpc: Hpc::new(facts, local_user, stage)?,
        })
    }
}

/// What the token of a job would say that may be invented, without what each job and each token has of its own: numbers and
/// times. A document to be read, and nothing that [`mint`](super::mint) takes.
pub fn foreseen(
    settings: &Issuance,
    facts: &JobFacts,
    local_user: &str,
    stage: &StageContext,
) -> Result<serde_json::Value, ClaimsError> {
    let claims = Claims::of(settings, (facts, Assurance::JobApi), local_user, stage, Timestamp::now())?;
    let mut said = serde_json::to_value(&claims).map_err(|_| ClaimsError::Unknown("claims as JSON"))?;
    if let Some(members) = said.as_object_mut() {
        members.retain(|name, _| !["exp", "iat", "nbf", "jti", "job_id"].contains(&name.as_str()));
    }
    Ok(said)
}

impl Hpc {
    fn new(facts: &JobFacts, local_user: &str, stage: &StageContext) -> Result<Self, ClaimsError> {
        let local_user = needed("local account", local_user)?;
        let (scheduler, [account, partition, qos, job_id]) = match &stage.placement {
            Placement::Shell => (None, [const { None }; 4]),
            Placement::Batch(BatchPlacement { kind, account, partition, qos, job_id }) => {
                let facts =
                    [account.as_deref(), partition.as_deref(), qos.as_deref(), job_id.as_ref().map(JobId::as_str)];
                (Some(*kind), facts.map(known))
            }
        };
        Ok(Self {
            local_user,
            site: known(stage.site.as_deref()),
            cluster: known(stage.cluster.as_deref()),
            scheduler,
            account,
            partition,
            qos,
            job_id,
            executor_stage: needed("executor stage", &stage.executor_stage)?,
            ci_stage: known(facts.ci_stage()),
            job_name: known(facts.job_name()),
        })
    }
}

/// A scheduler's word, or `none`. No other is a claim that we have made.
mod scheduler_word {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::scheduler::SchedulerKind;
    use crate::scheduler::known::kinds;

    const NONE: &str = "none";

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(kind: &Option<SchedulerKind>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.map_or(NONE, SchedulerKind::word))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SchedulerKind>, D::Error> {
        let word = String::deserialize(deserializer)?;
        if word == NONE {
            return Ok(None);
        }
        let kind = kinds().find(|kind| kind.word() == word);
        kind.map(Some).ok_or_else(|| {
            let words: Vec<String> = kinds().map(|kind| format!("`{}`", kind.word())).collect();
            D::Error::custom(format_args!("unknown variant `{word}`, expected `{NONE}` or {}", words.join(" or ")))
        })
    }
}

/// A UUID in its ordinary spelling.
mod uuid_text {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        Uuid::try_parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// `ref_path`. A ref that begins with `refs/` already (merge requests) has no place below `refs/heads/`.
fn full_ref(kind: Option<RefType>, git_ref: Option<&str>) -> Option<String> {
    let name = git_ref.filter(|name| !name.starts_with("refs/"))?;
    Some(match kind? {
        RefType::Branch => format!("refs/heads/{name}"),
        RefType::Tag => format!("refs/tags/{name}"),
    })
}

/// Whether a list of groups is short enough for a token. Some of them would be read as all.
fn fit(groups: &[String]) -> bool {
    groups.iter().map(|group| group.len() + 3).sum::<usize>() <= MAX_GROUPS
}

fn known(fact: Option<&str>) -> Option<String> {
    fact.filter(|fact| !fact.is_empty()).map(ToOwned::to_owned)
}

fn needed(what: &'static str, fact: &str) -> Result<String, ClaimsError> {
    known(Some(fact)).ok_or(ClaimsError::Unknown(what))
}

/// GitLab numbers everything from 1; 0 is a runner's way to say that it does not know.
fn number(what: &'static str, id: u64) -> Result<String, ClaimsError> {
    if id == 0 { Err(ClaimsError::Unknown(what)) } else { Ok(id.to_string()) }
}

#[cfg(test)]
pub(crate) mod tests;
