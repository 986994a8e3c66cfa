//! What `config_exec` prints, read by the rules of Go's JSON decoder.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The settings a driver may change for one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigOutput {
    pub(crate) driver_name: Option<String>,
    pub(crate) driver_version: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) builds_dir: Option<String>,
    pub(crate) cache_dir: Option<String>,
    pub(crate) builds_dir_is_shared: Option<bool>,
    pub(crate) job_env: Vec<(String, String)>,
    pub(crate) shell: Option<String>,
}

/// A JSON object in the order of its text, duplicates included: for Go the later one wins, even when
/// they differ in letter case.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Reads the output. No output at all is fine; a lone newline is not.
pub(crate) fn parse(stdout: &[u8]) -> Result<ConfigOutput, String> {
    let mut output = ConfigOutput::default();
    if stdout.is_empty() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(stdout);
    if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        return Err("unexpected end of JSON input".to_owned());
    }
    let members: Option<Members> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    for (key, value) in members.map(|members| members.0).unwrap_or_default() {
        match key.to_ascii_lowercase().as_str() {
            "driver" => driver(&mut output, &value)?,
            "hostname" => output.hostname = string("hostname", value)?,
            "builds_dir" => output.builds_dir = string("builds_dir", value)?,
            "cache_dir" => output.cache_dir = string("cache_dir", value)?,
            "shell" => output.shell = string("shell", value)?,
            "builds_dir_is_shared" => {
                output.builds_dir_is_shared = match value {
                    Value::Null => None,
                    Value::Bool(shared) => Some(shared),
                    other => return Err(wrong_type("builds_dir_is_shared", &other, "bool")),
                };
            }
            "job_env" => job_env(&mut output, value)?,
            _ => {}
        }
    }
    Ok(output)
}

fn driver(output: &mut ConfigOutput, value: &Value) -> Result<(), String> {
    match value {
        Value::Null => (output.driver_name, output.driver_version) = (None, None),
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.to_ascii_lowercase().as_str() {
                    "name" => output.driver_name = string("driver.name", value.clone())?,
                    "version" => output.driver_version = string("driver.version", value.clone())?,
                    _ => {}
                }
            }
        }
        other => return Err(wrong_type("driver", other, "object")),
    }
    Ok(())
}

fn job_env(output: &mut ConfigOutput, value: Value) -> Result<(), String> {
    match value {
        Value::Null => output.job_env.clear(),
        Value::Object(entries) => {
            for (key, value) in entries {
                let value = string("job_env", value)?.unwrap_or_default();
                output.job_env.retain(|(known, _)| *known != key);
                output.job_env.push((key, value));
            }
        }
        other => return Err(wrong_type("job_env", &other, "map[string]string")),
    }
    Ok(())
}

fn string(field: &str, value: Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => Err(wrong_type(field, &other, "string")),
    }
}

fn wrong_type(field: &str, value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("cannot unmarshal {kind} into {field} of type {wanted}")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_go_accepts_is_accepted() {
        for text in ["", "null", "{}", " {} \n", r#"{"unknown": [1]}"#, r#"{"job_env": null}"#, r#"{"shell": null}"#] {
            assert!(parse(text.as_bytes()).is_ok(), "{text:?}");
        }
        let output =
            parse(br#"{"BUILDS_DIR": "/a", "builds_dir": "/b", "Job_Env": {"A": "1", "B": null}}"#).unwrap_or_default();
        assert_eq!(output.builds_dir.as_deref(), Some("/b"));
        assert_eq!(output.job_env, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())]);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "\n",
            " ",
            "[]",
            "1",
            "{",
            "{} x",
            "banner\n{}",
            r#"{"job_env": {"A": 1}}"#,
            r#"{"job_env": []}"#,
            r#"{"builds_dir": 1}"#,
            r#"{"builds_dir_is_shared": "yes"}"#,
            r#"{"driver": "x"}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
