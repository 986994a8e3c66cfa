//! GitLab's payload: whatever the bytes are.

use serde_json::Value;

use super::*;
use crate::evidence::variables::values_in;

/// Nothing panics, and what is accepted is what a second reading of the same text finds.
///
/// # Panics
/// Where that is not so.
pub fn payload(text: &[u8]) {
    let variable = values_in(text, "MOTMOT_ID_TOKEN");
    let found = Payload::parse(text);
    if let Err(error) = &found {
        // What an error shows goes to the job's log.
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    // What no struct asks for is skipped by its reader, and may be what this one refuses: a number of 1000 digits.
    let Ok(read) = serde_json::from_slice::<Value>(text) else { return };
    if let Ok(values) = variable {
        let all = read["variables"].as_array().into_iter().flatten();
        let named = all.filter(|one| one["key"] == "MOTMOT_ID_TOKEN");
        let expected: Vec<&str> = named.map(|one| one["value"].as_str().unwrap_or_default()).collect();
        assert!(values.iter().map(|value| value.as_str()).eq(expected), "other values of the variable");
    }
    let Ok(payload) = found else { return };
    let number = |value: &Value| value.as_u64().filter(|number| (1..=i64::MAX as u64).contains(number));
    let words = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (job, git) = (&read["job_info"], &read["git_info"]);
    assert_eq!(Some(payload.job_id), read["id"].as_u64().filter(|id| *id != 0));
    assert_eq!(Some(payload.project_id), number(&job["project_id"]));
    assert_eq!(payload.namespace_id, number(&job["namespace_id"]));
    assert_eq!(payload.user_id, number(&job["user_id"]));
    assert_eq!(payload.scoped_user_id, number(&job["scoped_user_id"]));
    assert_eq!(payload.pipeline_id, number(&job["pipeline_id"]));
    assert_eq!(payload.job_name, words(&job["name"]));
    assert_eq!(payload.ci_stage, words(&job["stage"]));
    assert_eq!(payload.git_ref, words(&git["ref"]));
    assert_eq!(payload.sha, words(&git["sha"]));
    assert_eq!(payload.ref_protected, git["protected"].as_bool());
    assert_eq!(payload.ref_type.is_some(), matches!(git["ref_type"].as_str(), Some("branch" | "tag")));
    match words(&job["project_full_path"]) {
        Some(path) => assert_eq!(payload.project_path, Some(path)),
        None => assert!(payload.project_path.is_none_or(|path| {
            !path.is_empty() && git["repo_url"].as_str().is_some_and(|url| url.contains(&path))
        })),
    }
    let token = payload.job_token.expose();
    assert_eq!(Some(token), read["token"].as_str());
    assert!((1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| (b'!'..=b'~').contains(&byte)));
    assert_eq!(format!("{:?}", payload.job_token), "JobToken(..)");
}
