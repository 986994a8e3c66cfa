//! A record before it is a line of JSON: its fields in their order.

use std::fmt::{self, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};

/// Longest text of a field, in bytes. With it a record fits into one datagram whatever a job, a scheduler or GitLab has said;
/// a socket takes no part of one.
const MOST_TEXT: usize = 8 << 10;

/// Fields, each once.
#[derive(Debug, Default)]
pub(super) struct Record {
    fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// Adds a field, unless the record has it.
    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::String(text) => Value::String(shortened(text)),
            Value::Null => return,
            other => other,
        };
        if self.get(name).is_none() {
            self.fields.push((name, value));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// All of them.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.fields.iter().map(|(name, value)| (*name, value))
    }

    /// As an object without its end, so that the file can add what it alone knows.
    pub(super) fn opened_object(&self) -> String {
        let mut object = String::from("{");
        for (number, (name, value)) in self.fields.iter().enumerate() {
            if number > 0 {
                object.push(',');
            }
            let _ = write!(object, "\"{name}\":{value}");
        }
        object
    }
}

fn shortened(text: String) -> String {
    if text.len() <= MOST_TEXT {
        return text;
    }
    let end = text.floor_char_boundary(MOST_TEXT);
    format!("{}... ({} bytes more)", &text[..end], text.len() - end)
}

/// What stands in an event becomes fields.
impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_an_event_has_said_is_not_said_again() {
        let mut record = Record::default();
        record.add("job_id", 7_u64);
        record.add("job_id", 8_u64);
        record.add("session", None::<String>);
        record.add("ref", "a\"b\n");
        assert_eq!(record.opened_object(), r#"{"job_id":7,"ref":"a\"b\n""#);
    }

    #[test]
    fn a_text_has_an_end_that_cuts_no_character() {
        let mut record = Record::default();
        record.add("reason", "x".to_owned() + &"é".repeat(MOST_TEXT));
        let told = record.text("reason").expect("a text");
        assert!(told.len() < MOST_TEXT + 40 && told.ends_with("bytes more)"), "{}", told.len());
    }
}
