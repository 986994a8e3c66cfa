//! Keys with several values.

use std::collections::BTreeMap;
use std::fmt::Display;

use toml::Spanned;
use toml::de::DeValue;

use super::{Placed, Section};

const STRINGS: &str = "a list of strings";

impl<'f> Section<'f> {
    /// A list of strings.
    pub fn strings(&mut self, key: &'static str) -> Option<Placed<Vec<Placed<String>>>> {
        let value = self.get(key)?;
        let strings = self.array(key, STRINGS, value, Self::as_text)?;
        Some(self.placed(strings, self.span_of(value)))
    }

    /// A list of strings, each turned into something else by `parse`.
    pub fn parsed_each<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let list = self.strings(key)?.value.into_iter();
        Some(list.filter_map(|at| self.checked(key, &at.value, at.place.span(), &parse)).collect())
    }

    /// A table of free names with strings for values.
    pub fn string_map(&mut self, key: &'static str) -> BTreeMap<String, Placed<String>> {
        let section = self.section(key);
        let mut map = BTreeMap::new();
        for (name, value) in section.table.into_iter().flatten() {
            let name = name.get_ref();
            match section.as_text(value) {
                Some(text) => drop(map.insert(name.to_string(), text)),
                None => section.wrong_type(name, "a string", value),
            }
        }
        map
    }

    /// A table of free names with whole numbers for values. None if the file does not have it.
    pub fn number_map(&mut self, key: &'static str) -> Option<Placed<BTreeMap<String, u64>>> {
        let section = self.section(key);
        let numbers = section.table?.iter().filter_map(|(name, value)| {
            let number = section.as_number(name.get_ref(), value)?;
            Some((name.get_ref().to_string(), number.value))
        });
        let numbers = numbers.collect();
        Some(Placed { value: numbers, place: section.place() })
    }

    /// One string or a list of them, each turned into something else by `parse`. A list of none is a problem: whether it means
    /// everything or nothing, the next reader of the file would have to guess.
    pub fn one_or_more<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let texts = self.elements(key, "a string or a list of strings", Self::as_text)?;
        Some(texts.into_iter().filter_map(|at| self.checked(key, &at.value, at.place.span(), &parse)).collect())
    }

    /// The same of whole numbers.
    pub fn one_or_more_numbers(&mut self, key: &'static str) -> Option<Vec<u64>> {
        self.elements(key, "a whole number or a list of whole numbers", |section, value| match value.get_ref() {
            DeValue::Integer(_) => section.as_number(key, value).map(Placed::into_value),
            _ => None,
        })
    }

    /// A table of free names with lists of strings for values, each string turned into as many others by `parse`; to be asked
    /// instead of its keys.
    pub fn string_lists<E: Display>(
        mut self,
        parse: impl Fn(&str) -> Result<Vec<String>, E>,
    ) -> BTreeMap<String, Vec<String>> {
        let mut lists = BTreeMap::new();
        for (name, value) in self.table.into_iter().flatten() {
            let name = name.get_ref();
            let Some(texts) = self.array(name, STRINGS, value, Self::as_text) else { continue };
            let parsed = texts.into_iter().filter_map(|at| self.checked(name, &at.value, at.place.span(), &parse));
            lists.insert(name.to_string(), parsed.flatten().collect());
        }
        self.found = lists.len();
        lists
    }

    fn elements<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&Self, &'f Spanned<DeValue<'f>>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                let message = format!("`{}` is a list of none; leave the key out, or name something", self.full(key));
                self.reading.add(self.span_of(value), message, None);
                Some(Vec::new())
            }
            DeValue::Array(_) => self.array(key, wanted, value, read),
            _ => {
                let one = read(self, value);
                if one.is_none() {
                    self.wrong_type(key, wanted, value);
                }
                Some(vec![one?])
            }
        }
    }

    /// All elements of a list that are of that type, and a problem for each that is not.
    fn array<T>(
        &self,
        key: &str,
        wanted: &str,
        value: &'f Spanned<DeValue<'f>>,
        read: impl Fn(&Self, &'f Spanned<DeValue<'f>>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, wanted, value);
            return None;
        };
        let mut elements = Vec::with_capacity(array.len());
        for element in array {
            match read(self, element) {
                Some(one) => elements.push(one),
                None => self.wrong_type(key, wanted, element),
            }
        }
        Some(elements)
    }

    fn as_text(&self, value: &'f Spanned<DeValue<'f>>) -> Option<Placed<String>> {
        let DeValue::String(text) = value.get_ref() else { return None };
        Some(self.placed(text.to_string(), self.span_of(value)))
    }
}
