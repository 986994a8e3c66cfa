//! Variables of the payload, which no identity is made of: the author of the pipeline, and everybody who may start one, can set
//! any of them. What is read here has to prove itself, by a signature: so an entry of the author's can only keep his own job from
//! running.

use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::payload::{self, PayloadError};

#[derive(Deserialize)]
struct Variables {
    #[serde(default)]
    variables: Option<Vec<Variable>>,
}

#[derive(Deserialize)]
struct Variable {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<Zeroizing<String>>,
}

/// All values that a variable has in the payload, in its order: the last is the one that a job sees.
pub fn values_of(payload: &Path, name: &str) -> Result<Vec<Zeroizing<String>>, PayloadError> {
    values_in(&payload::bytes(payload)?, name)
}

pub(super) fn values_in(text: &[u8], name: &str) -> Result<Vec<Zeroizing<String>>, PayloadError> {
    let found: Variables = serde_json::from_slice(text)
        .map_err(|error| PayloadError::Malformed { line: error.line(), column: error.column() })?;
    let named = found.variables.into_iter().flatten().filter(|variable| variable.key.as_deref() == Some(name));
    Ok(named.map(|variable| variable.value.unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, name: &str) -> Vec<String> {
        values_in(text.as_bytes(), name).expect("valid").iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn all_values_of_one_name_are_found_in_their_order_and_no_others() {
        let text = r#"{"id":1,"variables":[{"key":"A","value":"1","public":true},{"key":"AA","value":"2"},
            {"key":"\u0041","value":"3\n4","file":true},{"key":"a","value":"5"},{"key":"A","value":null},{}]}"#;
        assert_eq!(found(text, "A"), ["1", "3\n4", ""]);
        assert!(found(text, "B").is_empty());
        for none in ["{}", r#"{"variables":null}"#, r#"{"variables":[]}"#] {
            assert!(found(none, "A").is_empty(), "{none}");
        }
    }

    #[test]
    fn what_is_no_payload_is_a_failure_of_the_site_and_shows_nothing() {
        for text in [r#"{"variables":7}"#, r#"{"variables":[{"key":"T","value":["eyJsecret"]}]}"#, "x"] {
            let error = values_in(text.as_bytes(), "T").unwrap_err();
            assert!(
                matches!(error, PayloadError::Malformed { .. }) && !format!("{error:?}").contains("secret"),
                "{text}"
            );
        }
        assert!(values_of(Path::new("/nonexistent"), "A").is_err());
    }
}
