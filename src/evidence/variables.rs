//! Variables of the payload, which no identity is made of: the author of the pipeline, and everybody who may start one, can set
//! any of them. What is read here has to prove itself, by a signature.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::payload::MAX_BYTES;

#[derive(Deserialize)]
struct Variables<'p> {
    #[serde(borrow, default)]
    variables: Vec<Variable<'p>>,
}

#[derive(Deserialize)]
struct Variable<'p> {
    #[serde(borrow, default)]
    key: Cow<'p, str>,
    #[serde(borrow, default)]
    value: Cow<'p, str>,
}

/// All values that a variable has in the payload, in its order: the last is the one that a job sees. A payload that cannot be
/// read has none; whoever reads all of it says so.
pub fn values_of(payload: &Path, name: &str) -> Vec<String> {
    let mut text = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(payload).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
    if read.is_ok() { values_in(&text, name) } else { Vec::new() }
}

fn values_in(text: &[u8], name: &str) -> Vec<String> {
    let found: Result<Variables<'_>, _> = serde_json::from_slice(text);
    let variables = found.map(|found| found.variables).unwrap_or_default();
    variables.into_iter().filter(|one| one.key == name).map(|one| one.value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_of_one_name_are_found_in_their_order_and_no_others() {
        let text = br#"{"id":1,"variables":[{"key":"A","value":"1","public":true},{"key":"AA","value":"2"},
            {"key":"\u0041","value":"3\n4","file":true},{"key":"a","value":"5"}]}"#;
        assert_eq!(values_in(text, "A"), ["1", "3\n4"]);
        assert!(values_in(text, "B").is_empty());
    }

    #[test]
    fn what_is_no_list_of_variables_has_none() {
        for text in ["", "{}", "[]", r#"{"variables":null}"#, r#"{"variables":[{"key":1}]}"#] {
            assert!(values_in(text.as_bytes(), "A").is_empty(), "{text}");
        }
        assert!(values_of(Path::new("/nonexistent"), "A").is_empty());
    }
}
