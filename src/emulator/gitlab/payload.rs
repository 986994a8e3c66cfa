//! The job as GitLab hands it to the runner.
//!
//! The runner does not pass GitLab's bytes on: it decodes them into its own types and encodes those
//! again, so fields it does not know vanish and fields GitLab left out appear with zero values.
//! The types below therefore are the *runner's*, in the order in which it encodes them.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::EmulatorError;

/// A job payload: the answer to `POST /api/v4/jobs/request`, or the content of a `JOB_RESPONSE_FILE`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobPayload {
    #[serde(deserialize_with = "nullable")]
    pub(crate) id: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) token: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) allow_git_fetch: bool,
    #[serde(deserialize_with = "nullable")]
    pub(crate) job_info: JobInfo,
    #[serde(deserialize_with = "nullable")]
    pub(crate) git_info: GitInfo,
    #[serde(deserialize_with = "nullable")]
    pub(crate) runner_info: RunnerInfo,
    /// GitLab sends a list, the file always shows an empty object (runner 18.7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inputs: Option<Value>,
    pub(crate) variables: Option<Vec<Variable>>,
    pub(crate) steps: Option<Vec<Step>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) image: Image,
    pub(crate) services: Option<Vec<Image>>,
    pub(crate) artifacts: Option<Vec<Artifact>>,
    pub(crate) cache: Option<Vec<Cache>>,
    pub(crate) credentials: Option<Value>,
    pub(crate) dependencies: Option<Vec<Dependency>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) features: Features,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secrets: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hooks: Option<Vec<Hook>>,
    /// A JSON string from GitLab, a list in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_options: Option<PolicyOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suspend_options: Option<Value>,
}

/// What GitLab says about the job. `None` is "an older GitLab did not send it".
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct JobInfo {
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) stage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline_id: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) project_id: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) project_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project_full_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_namespace_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) organization_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scoped_user_id: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) time_in_queue_seconds: Num,
    #[serde(deserialize_with = "nullable")]
    pub(crate) project_jobs_running_on_instance_runners_count: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue_depth: Option<i64>,
}

/// A JSON number that keeps its spelling: `1` must not become `1.0`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Num(serde_json::Number);

impl Default for Num {
    fn default() -> Self {
        Self(0.into())
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GitInfo {
    #[serde(deserialize_with = "nullable")]
    pub(crate) repo_url: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) repo_object_format: String,
    #[serde(rename = "ref", deserialize_with = "nullable")]
    pub(crate) reference: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) sha: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) before_sha: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ref_type: String,
    pub(crate) refspecs: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) depth: i64,
    #[allow(clippy::option_option)] // three states, see below
    /// The outer `None` hides the field from the file (runners before 18.4), the inner one is `null`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) protected: Option<Option<bool>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunnerInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uuid: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) timeout: i64,
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
pub(crate) struct Step {
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    pub(crate) script: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) timeout: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) when: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) allow_failure: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Image {
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ports: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variables: Option<Vec<Variable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pull_policy: Option<Value>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) executor_opts: ExecutorOpts,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ExecutorOpts {
    #[serde(deserialize_with = "nullable")]
    pub(crate) docker: DockerOpts,
    #[serde(deserialize_with = "nullable")]
    pub(crate) kubernetes: KubernetesOpts,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DockerOpts {
    #[serde(deserialize_with = "nullable")]
    pub(crate) platform: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) user: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KubernetesOpts {
    #[serde(deserialize_with = "nullable")]
    pub(crate) user: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names)] // GitLab's names
pub(crate) struct Artifact {
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) untracked: bool,
    pub(crate) paths: Option<Vec<String>>,
    pub(crate) exclude: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) when: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) artifact_type: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) artifact_format: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) expire_in: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cache {
    #[serde(deserialize_with = "nullable")]
    pub(crate) key: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) untracked: bool,
    #[serde(deserialize_with = "nullable")]
    pub(crate) policy: String,
    pub(crate) paths: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) when: String,
    pub(crate) fallback_keys: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Dependency {
    #[serde(deserialize_with = "nullable")]
    pub(crate) id: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) token: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) artifacts_file: ArtifactsFile,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ArtifactsFile {
    #[serde(deserialize_with = "nullable")]
    pub(crate) filename: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) size: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Features {
    #[serde(deserialize_with = "nullable")]
    pub(crate) trace_sections: bool,
    pub(crate) token_mask_prefixes: Option<Vec<String>>,
    pub(crate) failure_reasons: Option<Vec<String>>,
    pub(crate) tracing: Option<Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Hook {
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    pub(crate) script: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names)] // GitLab's names
pub(crate) struct PolicyOptions {
    #[serde(deserialize_with = "nullable")]
    pub(crate) execution_policy_job: bool,
    #[serde(deserialize_with = "nullable")]
    pub(crate) policy_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_variables_override_allowed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_variables_override_exceptions: Option<Vec<String>>,
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

impl JobPayload {
    /// Reads a payload file, see [`JobPayload::from_json`].
    pub fn from_file(path: &Path) -> Result<Self, EmulatorError> {
        let origin = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_json(&text, &origin),
            Err(error) => Err(EmulatorError::Payload { origin, problem: error.to_string() }),
        }
    }

    /// Reads a payload: the answer of `jobs/request` (also as the only element of a list) or a
    /// `JOB_RESPONSE_FILE`. `origin` is used in messages, for instance the file's name.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, EmulatorError> {
        let problem =
            |error: serde_json::Error| EmulatorError::Payload { origin: origin.to_owned(), problem: error.to_string() };
        if text.trim_start().starts_with('[') {
            let mut jobs: Vec<Self> = serde_json::from_str(text).map_err(problem)?;
            match (jobs.pop(), jobs.is_empty()) {
                (Some(job), true) => Ok(job),
                _ => Err(EmulatorError::Payload {
                    origin: origin.to_owned(),
                    problem: "expected one job, or a list with exactly one".to_owned(),
                }),
            }
        } else {
            serde_json::from_str(text).map_err(problem)
        }
    }

    /// The first variable of this name, which is the one GitLab itself put there in most cases.
    pub(crate) fn first_variable(&self, key: &str) -> Option<&str> {
        self.variables.iter().flatten().find(|variable| variable.key == key).map(|variable| variable.value.as_str())
    }
}
