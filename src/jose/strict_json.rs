//! JSON in which no member can hide behind another.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON object without repeated members, at any depth.
///
/// Parsers disagree on which of two equal names counts, and some (Go's) do not tell upper case from lower: a token that
/// one service reads as `aud: a` and another as `AUD: b` is a token for both. So names that differ only in ASCII case
/// are a repetition too (RFC 7515 and RFC 7519, section 4 of both, let a reader refuse repetitions).
#[derive(Debug)]
pub(crate) struct StrictObject(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Strict::deserialize(deserializer)?.0 {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(A::Error::custom("repeated member"));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &str) -> bool {
        serde_json::from_str::<StrictObject>(text).is_ok()
    }

    #[test]
    fn repeated_members_are_refused_at_any_depth_and_in_any_case_or_spelling() {
        assert!(accepted(r#"{"a":1,"b":[{"a":1},{"a":null}],"c":{"a":true,"d":-1.5}}"#));
        assert!(!accepted(r#"{"a":1,"a":1}"#));
        assert!(!accepted(r#"{"a":1,"A":2}"#));
        assert!(!accepted(r#"{"a":1,"\u0061":2}"#));
        assert!(!accepted(r#"{"x":{"a":1,"a":2}}"#));
        assert!(!accepted(r#"{"x":[{"a":1,"a":2}]}"#));
    }

    #[test]
    fn only_one_object_is_accepted() {
        for text in ["[]", "1", "null", "", "{}{}", "{} x", r#"{"a":1,}"#, r#""{}""#] {
            assert!(!accepted(text), "{text}");
        }
    }

    #[test]
    fn the_content_is_what_an_ordinary_parser_reads() {
        let text = r#"{"a":[1,-2,3.5,"x",null,true,{"b":18446744073709551615}]}"#;
        let strict: StrictObject = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(strict.0), serde_json::from_str::<Value>(text).unwrap());
    }
}
