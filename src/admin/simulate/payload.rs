//! The job as GitLab hands it to the runner, and as the runner writes it to `JOB_RESPONSE_FILE`.
//!
//! The runner does not pass GitLab's bytes on: it decodes them into its own types and encodes those
//! again, so fields it does not know vanish and fields GitLab left out appear with zero values.
//! The types below therefore are the *runner's*, in the order in which it encodes them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::SimulateError;
use super::profile::RunnerVersion;

/// A job payload: the answer to `POST /api/v4/jobs/request`, or the content of a `JOB_RESPONSE_FILE`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Payload {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: i64,
    #[serde(deserialize_with = "nullable")]
    pub(super) token: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) allow_git_fetch: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) job_info: JobInfo,
    #[serde(deserialize_with = "nullable")]
    pub(super) git_info: GitInfo,
    #[serde(deserialize_with = "nullable")]
    pub(super) runner_info: RunnerInfo,
    /// GitLab sends a list, the file always shows an empty object (runner 18.7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inputs: Option<Value>,
    pub(super) variables: Option<Vec<Variable>>,
    pub(super) steps: Option<Vec<Step>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) image: Image,
    pub(super) services: Option<Vec<Image>>,
    pub(super) artifacts: Option<Vec<Artifact>>,
    pub(super) cache: Option<Vec<Cache>>,
    pub(super) credentials: Option<Value>,
    pub(super) dependencies: Option<Vec<Dependency>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) features: Features,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secrets: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hooks: Option<Vec<Hook>>,
    /// A JSON string from GitLab, a list in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_options: Option<PolicyOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suspend_options: Option<Value>,
}

/// What GitLab says about the job. `None` is "an older GitLab did not send it".
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct JobInfo {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) stage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_id: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub(super) project_id: i64,
    #[serde(deserialize_with = "nullable")]
    pub(super) project_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project_full_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) root_namespace_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scoped_user_id: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub(super) time_in_queue_seconds: Num,
    #[serde(deserialize_with = "nullable")]
    pub(super) project_jobs_running_on_instance_runners_count: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue_depth: Option<i64>,
}

/// A JSON number that keeps its spelling: `1` must not become `1.0`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Num(serde_json::Number);

impl Default for Num {
    fn default() -> Self {
        Self(0.into())
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct GitInfo {
    #[serde(deserialize_with = "nullable")]
    pub(super) repo_url: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) repo_object_format: String,
    #[serde(rename = "ref", deserialize_with = "nullable")]
    pub(super) reference: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) sha: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) before_sha: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) ref_type: String,
    pub(super) refspecs: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) depth: i64,
    #[allow(clippy::option_option)] // three states, see below
    /// The outer `None` hides the field from the file (runners before 18.4), the inner one is `null`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(super) protected: Option<Option<bool>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RunnerInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uuid: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) timeout: i64,
}

/// One job variable, in the order and with the flags GitLab sends.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // GitLab's flags
pub struct Variable {
    /// Name. Not checked by anybody: `A=B` is possible.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// Value; for a file variable the content of the file.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
    /// GitLab may show it.
    #[serde(deserialize_with = "nullable")]
    pub public: bool,
    /// The script gets a path of a file with the value.
    #[serde(deserialize_with = "nullable")]
    pub file: bool,
    /// The runner blanks it out in the log.
    #[serde(deserialize_with = "nullable")]
    pub masked: bool,
    /// References to other variables are not expanded.
    #[serde(deserialize_with = "nullable")]
    pub raw: bool,
}

impl Variable {
    /// An ordinary variable.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), public: true, ..Self::default() }
    }

    /// A variable of type *file*: the driver sees its content, the script a path.
    pub fn file(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { file: true, public: false, ..Self::new(key, value) }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    pub(super) script: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) timeout: i64,
    #[serde(deserialize_with = "nullable")]
    pub(super) when: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) allow_failure: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Image {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ports: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) variables: Option<Vec<Variable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pull_policy: Option<Value>,
    #[serde(deserialize_with = "nullable")]
    pub(super) executor_opts: ExecutorOpts,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ExecutorOpts {
    #[serde(deserialize_with = "nullable")]
    pub(super) docker: DockerOpts,
    #[serde(deserialize_with = "nullable")]
    pub(super) kubernetes: KubernetesOpts,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DockerOpts {
    #[serde(deserialize_with = "nullable")]
    pub(super) platform: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) user: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KubernetesOpts {
    #[serde(deserialize_with = "nullable")]
    pub(super) user: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names)] // GitLab's names
pub(super) struct Artifact {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) untracked: bool,
    pub(super) paths: Option<Vec<String>>,
    pub(super) exclude: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) when: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) artifact_type: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) artifact_format: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) expire_in: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Cache {
    #[serde(deserialize_with = "nullable")]
    pub(super) key: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) untracked: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) policy: String,
    pub(super) paths: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) when: String,
    pub(super) fallback_keys: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Dependency {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: i64,
    #[serde(deserialize_with = "nullable")]
    pub(super) token: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) artifacts_file: ArtifactsFile,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ArtifactsFile {
    #[serde(deserialize_with = "nullable")]
    pub(super) filename: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) size: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Features {
    #[serde(deserialize_with = "nullable")]
    pub(super) trace_sections: bool,
    pub(super) token_mask_prefixes: Option<Vec<String>>,
    pub(super) failure_reasons: Option<Vec<String>>,
    pub(super) tracing: Option<Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Hook {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    pub(super) script: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names)] // GitLab's names
pub(super) struct PolicyOptions {
    #[serde(deserialize_with = "nullable")]
    pub(super) execution_policy_job: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) policy_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_variables_override_allowed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_variables_override_exceptions: Option<Vec<String>>,
}

/// Go leaves a field at its zero value when the JSON says `null`.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Tells `null` (the inner `None`) from absence (the outer one).
#[allow(clippy::option_option)] // the runner's file shows all three states
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Payload {
    /// Reads a payload: the answer of `jobs/request` (also as the only element of a list) or a
    /// `JOB_RESPONSE_FILE`. `origin` is used in messages, for instance the file's name.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, SimulateError> {
        let problem =
            |error: serde_json::Error| SimulateError::Payload { origin: origin.to_owned(), problem: error.to_string() };
        if text.trim_start().starts_with('[') {
            let mut jobs: Vec<Self> = serde_json::from_str(text).map_err(problem)?;
            match (jobs.pop(), jobs.is_empty()) {
                (Some(job), true) => Ok(job),
                _ => Err(SimulateError::Payload {
                    origin: origin.to_owned(),
                    problem: "expected one job, or a list with exactly one".to_owned(),
                }),
            }
        } else {
            serde_json::from_str(text).map_err(problem)
        }
    }

    /// The line that the runner of this version writes to `response.json`.
    pub(super) fn response_file(&self, version: RunnerVersion) -> Result<Vec<u8>, serde_json::Error> {
        let mut job = self.clone();
        let info = &mut job.job_info;
        gate(&mut info.pipeline_id, version.has_pipeline_id());
        let identity = version.has_identity_fields();
        gate(&mut info.project_full_path, identity);
        gate(&mut info.namespace_id, identity);
        gate(&mut info.root_namespace_id, identity);
        gate(&mut info.organization_id, identity);
        gate(&mut info.instance_id, identity);
        gate(&mut info.instance_uuid, identity);
        gate(&mut info.user_id, identity);
        if !identity {
            info.scoped_user_id = None;
        }
        gate(&mut info.queue_size, version.has_policy_options());
        gate(&mut info.queue_depth, version.has_policy_options());
        gate(&mut job.git_info.protected, version.has_protected());
        gate(&mut job.runner_info.uuid, version.has_runner_uuid());
        gate(&mut job.policy_options, version.has_policy_options());
        job.inputs = version.has_inputs().then(|| Value::Object(serde_json::Map::new()));
        let empty = || Value::Object(serde_json::Map::new());
        job.suspend_options = version.has_pipeline_id().then(|| job.suspend_options.take().unwrap_or_else(empty));
        if let Some(Value::String(text)) = &job.run {
            job.run = serde_json::from_str(text).ok();
        }
        job.run = job.run.filter(|run| run.as_array().is_some_and(|list| !list.is_empty()));
        job.secrets = job.secrets.filter(|map| map.as_object().is_some_and(|map| !map.is_empty()));
        job.hooks = job.hooks.filter(|hooks| !hooks.is_empty());
        let text = serde_json::to_string(&job)?;
        Ok(escape_like_go(&text).into_bytes())
    }

    /// The first variable of this name, which is the one GitLab itself put there in most cases.
    pub(super) fn first_variable(&self, key: &str) -> Option<&str> {
        self.variables.iter().flatten().find(|variable| variable.key == key).map(|variable| variable.value.as_str())
    }
}

/// Shows a field with its zero value, or hides it, as the runner's version demands.
fn gate<T: Default>(field: &mut Option<T>, known: bool) {
    if known {
        field.get_or_insert_default();
    } else {
        *field = None;
    }
}

/// Go's encoder writes these five characters as escapes so that the text is safe inside HTML and
/// JavaScript. They can only occur inside strings, therefore plain replacement is right.
fn escape_like_go(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped.push('\n');
    escaped
}
