//! The environment of the driver's processes.

use std::ffi::OsString;
use std::path::Path;

use serde_json::json;

use super::Build;
use super::variables::variables;
use crate::call::entry;

/// The environment of one call, as `KEY=VALUE` in the runner's order.
pub(crate) fn environment(build: &Build, temp: Option<&Path>, job_env: &[(String, String)]) -> Vec<OsString> {
    let runner = &build.simulation.runner;
    let mut env: Vec<OsString> = std::env::vars_os().map(|(key, value)| entry(key, value)).collect();
    let inside = |name: &str| temp.map_or_else(OsString::new, |temp| temp.join(name).into_os_string());
    env.push(entry("TMPDIR", temp.unwrap_or(Path::new(""))));
    env.push(entry("JOB_RESPONSE_FILE", inside("response.json")));
    env.push(entry("BUILD_FAILURE_EXIT_CODE", "1"));
    env.push(entry("SYSTEM_FAILURE_EXIT_CODE", "2"));
    if runner.version.has_exit_code_file() {
        env.push(entry("BUILD_EXIT_CODE_FILE", inside("build_exit_code")));
    }
    env.extend(job_env.iter().map(|(key, value)| entry(key, value)));
    env.extend(variables(build).iter().map(|variable| entry(format!("CUSTOM_ENV_{}", variable.key), &variable.value)));
    env.push(entry("CUSTOM_ENV_CI_JOB_SERVICES", services(build)));
    env
}

/// `CI_JOB_SERVICES`: a JSON list, or nothing at all for a job without services.
fn services(build: &Build) -> String {
    let list: Vec<_> = build.payload.services.iter().flatten().map(|service| {
        let alias = service.alias.as_deref().unwrap_or_default();
        let alias = alias.split([',', ' ']).next().unwrap_or_default();
        let mut element = json!({"name": service.name, "alias": alias, "entrypoint": service.entrypoint, "command": service.command});
        let variables: serde_json::Map<_, _> = service.variables.iter().flatten().map(|variable| (variable.key.clone(), json!(variable.value))).collect();
        if build.simulation.runner.version.has_pipeline_id() && !variables.is_empty() {
            element["variables"] = variables.into();
        }
        element
    }).collect();
    if list.is_empty() { String::new() } else { json!(list).to_string() }
}
