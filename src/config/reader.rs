//! Reads a TOML table key by key and collects what is wrong, instead of stopping at the first problem.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::Problem;

/// Where problems are collected while a file is read.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes one.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.0.borrow_mut().push(Problem { span, message: message.into(), help: help.into() });
    }

    /// All of them, in the order of their places in the file.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes of the file.
    pub span: Range<usize>,
}

/// One table of the file. Every key has to be asked for: what nobody asked for is unknown, and unknown is a problem.
pub struct Section<'f> {
    name: String,
    span: Range<usize>,
    table: Option<&'f DeTable<'f>>,
    known: BTreeSet<&'static str>,
    problems: &'f Problems,
}

impl<'f> Section<'f> {
    /// The whole file.
    pub fn root(table: &'f Spanned<DeTable<'f>>, problems: &'f Problems) -> Self {
        Self { name: String::new(), span: 0..0, table: Some(table.get_ref()), known: BTreeSet::new(), problems }
    }

    /// Where the section stands; nowhere if the file does not have it.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the file has this section.
    pub fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Notes a problem.
    pub fn problem(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.add(span, message, help);
    }

    /// A table below this one. If it is absent, all its keys are.
    pub fn section(&mut self, key: &'static str) -> Section<'f> {
        let name = self.full(key);
        let (table, span) = match self.get(key) {
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => (Some(table), value.span()),
                other => {
                    self.wrong_type(&value.span(), key, "a table", other);
                    (None, value.span())
                }
            },
            None => (None, self.span.clone()),
        };
        Section { name, span, table, known: BTreeSet::new(), problems: self.problems }
    }

    /// An array of tables (`[[key]]`).
    pub fn tables(&mut self, key: &'static str) -> Vec<Section<'f>> {
        let name = self.full(key);
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(&value.span(), key, &format!("an array of tables ([[{key}]])"), value.get_ref());
            return Vec::new();
        };
        let mut sections = Vec::new();
        for element in array {
            match element.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section {
                        name: name.clone(),
                        span: element.span(),
                        table: Some(table),
                        known: BTreeSet::new(),
                        problems: self.problems,
                    });
                }
                other => self.wrong_type(&element.span(), key, "a table", other),
            }
        }
        sections
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.get(key)?;
        if let DeValue::String(text) = value.get_ref() {
            Some(At { value: text.to_string(), span: value.span() })
        } else {
            self.wrong_type(&value.span(), key, "a string", value.get_ref());
            None
        }
    }

    /// A string that must be there, if the section is.
    pub fn required_string(&mut self, key: &'static str, example: &str) -> Option<At<String>> {
        if self.is_present() && self.table.is_some_and(|table| table.get(key).is_none()) {
            self.known.insert(key);
            self.problem(
                self.span(),
                format!("`{}` is missing", self.full(key)),
                format!("for example: {key} = {example}"),
            );
            return None;
        }
        self.string(key)
    }

    /// A string turned into something else by `parse`; its error becomes a problem at the string's place.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let at = self.string(key)?;
        self.checked(at, key, parse)
    }

    /// The same for a string already taken.
    pub fn checked<T, E: std::fmt::Display>(
        &self,
        at: At<String>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(&at.value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(at.span, format!("`{}` {error}", self.full(key)), None);
                None
            }
        }
    }

    /// true or false.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            Some(*flag)
        } else {
            self.wrong_type(&value.span(), key, "true or false", value.get_ref());
            None
        }
    }

    /// A whole number that is not negative.
    pub fn number(&mut self, key: &'static str) -> Option<At<u64>> {
        let value = self.get(key)?;
        self.as_number(key, value)
    }

    /// A span of time, written "90s", "5m", "1h 30m".
    pub fn duration(&mut self, key: &'static str) -> Option<At<Duration>> {
        let at = self.string(key)?;
        let span = at.span.clone();
        self.checked(at, key, |text| {
            text.parse::<jiff::SignedDuration>()
                .ok()
                .and_then(|time| Duration::try_from(time).ok())
                .filter(|time| !time.is_zero())
                .ok_or_else(|| format!("is not a span of time: {text:?}; write \"90s\", \"5m\" or \"1h 30m\""))
        })
        .map(|value| At { value, span })
    }

    /// A list of strings.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        Some(self.strings_at(key)?.value.into_iter().map(|at| at.value).collect())
    }

    /// A list of strings, each with its place.
    pub fn strings_at(&mut self, key: &'static str) -> Option<At<Vec<At<String>>>> {
        let value = self.get(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(&value.span(), key, "a list of strings", value.get_ref());
            return None;
        };
        let mut strings = Vec::new();
        for element in array {
            match element.get_ref() {
                DeValue::String(text) => strings.push(At { value: text.to_string(), span: element.span() }),
                other => self.wrong_type(&element.span(), key, "a list of strings", other),
            }
        }
        Some(At { value: strings, span: value.span() })
    }

    /// A table of free names with strings for values.
    pub fn string_map(&mut self, key: &'static str) -> BTreeMap<String, At<String>> {
        let section = self.section(key);
        let mut map = BTreeMap::new();
        for (name, value) in section.table.into_iter().flatten() {
            match value.get_ref() {
                DeValue::String(text) => {
                    map.insert(name.get_ref().to_string(), At { value: text.to_string(), span: value.span() });
                }
                other => section.wrong_type(&value.span(), name.get_ref(), "a string", other),
            }
        }
        map
    }

    /// A table of free names with whole numbers for values. None if the file does not have it.
    pub fn number_map(&mut self, key: &'static str) -> Option<At<BTreeMap<String, At<u64>>>> {
        let section = self.section(key);
        let mut map = BTreeMap::new();
        for (name, value) in section.table? {
            if let Some(number) = section.as_number(name.get_ref(), value) {
                map.insert(name.get_ref().to_string(), number);
            }
        }
        Some(At { value: map, span: section.span })
    }

    /// One word of a few.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(key, |text| {
            choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
                format!("is {text:?}, but must be {}", words.join(" or "))
            })
        })
    }

    /// Says which keys nobody knows. To be called when all keys have been asked for.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(name) {
                let nearest = self
                    .known
                    .iter()
                    .map(|known| (strsim::levenshtein(known, name), known))
                    .min()
                    .filter(|(far, _)| *far <= 2);
                let help = match nearest {
                    Some((_, known)) => format!("did you mean `{known}`?"),
                    None if self.known.is_empty() => "no key is allowed here".into(),
                    None => format!("allowed here: {}", self.known.iter().copied().collect::<Vec<_>>().join(", ")),
                };
                self.problem(key.span(), format!("unknown key `{}`", self.full(name)), help);
            }
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'f Spanned<DeValue<'f>>> {
        self.known.insert(key);
        self.table?.get(key)
    }

    fn as_number(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<At<u64>> {
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(number) = u64::from_str_radix(number.as_str(), number.radix())
        {
            Some(At { value: number, span: value.span() })
        } else {
            self.wrong_type(&value.span(), key, "a whole number that is not negative", value.get_ref());
            None
        }
    }

    /// The key with the name of its section.
    pub fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn wrong_type(&self, span: &Range<usize>, key: &str, wanted: &str, found: &DeValue<'_>) {
        self.problem(
            span.clone(),
            format!("`{}` must be {wanted}, not {} {}", self.full(key), article(found.type_str()), found.type_str()),
            None,
        );
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
