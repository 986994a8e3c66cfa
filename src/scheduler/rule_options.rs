//! What a rule fixes for the batch jobs under it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SchedulerKind;
use super::known::KNOWN;
use super::settings::read_words;
use crate::config::Section;

/// Options that jobs under a rule cannot change, for each scheduler its own, judged by it. To everybody else they are words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleOptions(BTreeMap<&'static str, Vec<String>>);

/// Reads them from the section of a rule, in which each scheduler has a key.
pub fn read_rule_options(section: &mut Section<'_>) -> RuleOptions {
    let mut options = RuleOptions::default();
    for known in KNOWN {
        let word = known.kind.word();
        options.set(word, read_words(section, word, known.judge).unwrap_or_default());
    }
    options
}

impl RuleOptions {
    /// Those for jobs of one scheduler.
    pub fn of(&self, kind: SchedulerKind) -> &[String] {
        self.0.get(kind.word()).map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, word: &'static str, options: Vec<String>) {
        if !options.is_empty() {
            self.0.insert(word, options);
        }
    }
}

/// An object with a list for every scheduler, an empty one included. It may lie flat in another object.
impl Serialize for RuleOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(KNOWN.len()))?;
        for known in KNOWN {
            map.serialize_entry(known.kind.word(), self.of(known.kind))?;
        }
        map.end()
    }
}

/// Judged once more: a file is no proof.
impl<'de> Deserialize<'de> for RuleOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;
        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = RuleOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RuleOptions, A::Error> {
                let mut options = RuleOptions::default();
                while let Some(key) = map.next_key::<String>()? {
                    if let Some(known) = KNOWN.iter().find(|known| known.kind.word() == key) {
                        let words: Vec<String> = map.next_value()?;
                        let judged = (known.judge)(&words).map_err(|wrong| {
                            A::Error::custom(wrong.into_iter().map(|word| word.why).collect::<Vec<_>>().join("; "))
                        })?;
                        options.set(known.kind.word(), judged);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(options)
            }
        }
        deserializer.deserialize_map(OptionsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Around {
        before: u32,
        #[serde(flatten)]
        options: RuleOptions,
        after: u32,
    }

    fn read(json: &str) -> Result<Around, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn they_are_lists_under_the_schedulers_words_and_an_absent_list_is_an_empty_one() {
        let json = "{\"before\":1,\"slurm\":[\"--partition=gpu\",\"--exclusive\"],\"after\":2}";
        let around = read(json).expect("valid");
        let written = |around: &Around| serde_json::to_value(around).expect("json");
        assert_eq!(around.options.of(super::super::slurm::KIND), ["--partition=gpu", "--exclusive"]);
        assert_eq!(written(&around)["slurm"], serde_json::json!(["--partition=gpu", "--exclusive"]));
        assert_eq!(read(&written(&around).to_string()).expect("its own words"), around);
        let none = read("{\"before\":1,\"other\":{},\"after\":2}").expect("valid");
        assert_eq!(none.options, RuleOptions::default());
        assert_eq!(written(&none)["slurm"], serde_json::json!([]), "said, too");
    }

    #[test]
    fn what_is_read_again_is_judged_again() {
        let error = read("{\"before\":1,\"slurm\":[\"--uid=0\"],\"after\":2}").expect_err("the driver's own");
        assert!(error.to_string().contains("--uid is the driver's own"), "{error}");
    }
}
