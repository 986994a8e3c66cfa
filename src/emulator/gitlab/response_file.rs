//! The payload as the runner writes it to `JOB_RESPONSE_FILE`.

use serde_json::Value;

use super::payload::JobPayload;
use crate::contract::version::RunnerVersion;

impl JobPayload {
    /// The line that the runner of this version writes to `response.json`.
    pub(crate) fn response_file(&self, version: RunnerVersion) -> Result<Vec<u8>, serde_json::Error> {
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
        Ok((escape_like_go(&text) + "\n").into_bytes())
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
pub(super) fn escape_like_go(text: &str) -> String {
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
    escaped
}
