//! Reads a TOML table key by key and collects what is wrong, instead of stopping at the first problem.

mod lists;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::outline::{Form, Outline, Part};
use super::place::{Place, Placed, Source};
use super::problems::{ConfigError, Problem};

/// Reads a file. `root` asks for what is in it, perhaps twice, and gives nothing if it noted a problem.
pub fn read<T>(source: &Arc<Source>, root: impl Fn(Section<'_>) -> Option<T>) -> Result<T, ConfigError> {
    let outline = Outline::of(source);
    if !outline.is_whole()
        && let Ok(value) = attempt(source, &outline, &root)
    {
        return Ok(value);
    }
    attempt(source, &Outline::whole(source), &root).map_err(|problems| ConfigError::new(source, problems))
}

pub(super) fn attempt<T>(
    source: &Arc<Source>,
    outline: &Outline<'_>,
    root: impl Fn(Section<'_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let reading = Reading { source, outline, problems: RefCell::default() };
    let (table, errors) = DeTable::parse_recoverable(&outline.text);
    for error in &errors {
        let (span, message) = (error.span().unwrap_or(0..0), error.message().trim_end().to_owned());
        let first = if message.starts_with("duplicate key") { first_of_two(&outline.text, &span) } else { None };
        let help = first.map(|at| {
            let (line, _) = source.line_and_column(outline.in_file(at));
            format!("the first one is in line {line}; leave one of them")
        });
        reading.add(span, message, help);
    }
    let value = if errors.is_empty() && outline.fits(source, table.get_ref()) {
        root(Section::new(&reading, Rc::default(), 0..0, Some(table.get_ref())))
    } else {
        None
    };
    let problems = reading.problems.into_inner();
    value.filter(|_| problems.is_empty()).ok_or(problems)
}

/// A span of time that could be any.
fn without_unit(number: &str) -> String {
    format!("needs a unit: write \"{number}s\" for seconds, \"{number}m\" for minutes")
}

/// Where the key or header stands that the one at `second` repeats: nothing, if it is not as plain as it mostly is.
fn first_of_two(text: &str, second: &Range<usize>) -> Option<usize> {
    let begin = text.get(..second.start)?.rfind('\n').map_or(0, |end| end + 1);
    let key = text.get(second.clone())?.trim();
    let line = text.get(begin..)?.lines().next()?.trim();
    let is_header = line.starts_with('[');
    let mut found = None;
    let mut at = 0;
    for earlier in text.get(..begin)?.split_inclusive('\n') {
        let (start, word) = (at + earlier.len() - earlier.trim_start().len(), earlier.trim());
        at += earlier.len();
        if is_header {
            found = found.or((word == line).then_some(start));
        } else if word.starts_with('[') {
            found = None; // of another table
        } else if word.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')) {
            found = found.or(Some(start));
        }
    }
    found
}

/// What all sections of a file have in common.
struct Reading<'f> {
    source: &'f Arc<Source>,
    outline: &'f Outline<'f>,
    problems: RefCell<Vec<Problem>>,
}

impl Reading<'_> {
    fn add(&self, span: Range<usize>, message: String, help: Option<String>) {
        self.problems.borrow_mut().push(Problem { span, message, help });
    }
}

/// One table of the file. Every key has to be asked for: what nobody asked for is unknown, and unknown is a problem.
pub struct Section<'f> {
    reading: &'f Reading<'f>,
    name: Rc<[&'static str]>,
    span: Range<usize>,
    table: Option<&'f DeTable<'f>>,
    /// Where the text begins in which the table has its places; none: in the outline.
    base: Option<usize>,
    known: Vec<&'static str>,
    /// How many of the known keys the table has.
    found: usize,
}

impl<'f> Section<'f> {
    fn new(
        reading: &'f Reading<'f>,
        name: Rc<[&'static str]>,
        span: Range<usize>,
        table: Option<&'f DeTable<'f>>,
    ) -> Self {
        Self { reading, name, span, table, base: None, known: Vec::new(), found: 0 }
    }

    /// Where the section stands; if the file does not have it, the one above, or the beginning of the file.
    pub fn place(&self) -> Place {
        Place::new(self.reading.source, self.span.clone())
    }

    /// Whether the file has this section.
    pub fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether it has this key. Nobody has asked for its value by that.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether the value of this key is a list, as that of [[key]] is. Nobody has asked for it by that.
    pub fn is_list(&self, key: &str) -> bool {
        self.table.and_then(|table| table.get(key)).is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// Whether there is a value in it, or in a table below it: headers alone say nothing.
    pub fn says_something(&self) -> bool {
        self.table.is_some_and(says_something)
    }

    /// The key with the name of its section, for messages.
    pub fn full(&self, key: &str) -> String {
        self.name.iter().copied().chain([key]).collect::<Vec<_>>().join(".")
    }

    /// Notes a problem. Whoever reads a value may go on with any other in its stead.
    pub fn problem(&self, place: &Place, message: impl Into<String>) {
        self.reading.add(place.span(), message.into(), None);
    }

    /// Notes a problem, and what to do about it.
    pub fn problem_with_help(&self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.reading.add(place.span(), message.into(), Some(help.into()));
    }

    /// A table below this one. If it is absent, all its keys are.
    pub fn section(&mut self, key: &'static str) -> Section<'f> {
        let (mut table, mut span) = (None, self.span.clone());
        if let Some(value) = self.get(key) {
            span = self.span_of(value);
            match value.get_ref() {
                DeValue::Table(found) => table = Some(found),
                _ => self.wrong_type(key, "a table", value),
            }
        }
        let name = self.name.iter().copied().chain([key]).collect();
        Section { base: self.base, ..Section::new(self.reading, name, span, table) }
    }

    /// An array of tables (`[[key]]`), read one by one.
    pub fn tables<T>(&mut self, key: &'static str, mut read: impl FnMut(Section<'_>) -> T) -> Vec<T> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{}` must be an array of tables ([[{key}]]), not a table", self.full(key));
            if matches!(value.get_ref(), DeValue::Table(_)) {
                let help =
                    format!("write [[{key}]], in two brackets, at the head of each of them: there may be several");
                self.reading.add(self.span_of(value), message, Some(help));
            } else {
                self.wrong_type(key, &format!("an array of tables ([[{key}]])"), value);
            }
            return Vec::new();
        };
        let name: Rc<[_]> = self.name.iter().copied().chain([key]).collect();
        let mut all = Vec::with_capacity(array.len());
        for element in array {
            let span = self.span_of(element);
            if let Some(parts) = self.reading.outline.parts_at(span.start) {
                all.reserve(parts.len());
                all.extend(parts.iter().filter_map(|part| self.part(part, &name, key, &mut read)));
            } else if let DeValue::Table(table) = element.get_ref() {
                let section = Section::new(self.reading, Rc::clone(&name), span, Some(table));
                all.push(read(Section { base: self.base, ..section }));
            } else {
                self.wrong_type(key, "a table", element);
            }
        }
        all
    }

    /// A table that the outline does not have.
    fn part<T>(
        &self,
        part: &Part,
        name: &Rc<[&'static str]>,
        key: &str,
        read: impl FnOnce(Section<'_>) -> T,
    ) -> Option<T> {
        let Part { header, text, form } = part;
        let (root, errors) = DeTable::parse_recoverable(&self.reading.source.text()[text.clone()]);
        let table = match form {
            Form::Keys => Some(root.get_ref()),
            Form::Tables => root.get_ref().get(key).and_then(|value| {
                let tables = value.get_ref().as_array()?;
                tables.first()?.get_ref().as_table()
            }),
        };
        if table.is_none() || !errors.is_empty() {
            // Then the whole file is read again, and says it better.
            self.reading.add(header.clone(), String::new(), None);
            return None;
        }
        let section = Section::new(self.reading, Rc::clone(name), header.clone(), table);
        Some(read(Section { base: Some(text.start), ..section }))
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        let (text, span) = self.text(key)?;
        Some(self.placed(text.to_owned(), span))
    }

    /// A string turned into something else by `parse`; its error becomes a problem at the string's place.
    pub fn parsed<T, E: Display>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let (text, span) = self.text(key)?;
        self.checked(key, text, span, parse)
    }

    /// The same, with its place.
    pub fn parsed_placed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Placed<T>> {
        let (text, span) = self.text(key)?;
        Some(self.placed(self.checked(key, text, span.clone(), parse)?, span))
    }

    /// The same for a key that must be there, if the section is.
    pub fn required<T, E: Display>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key);
        if text.is_none() && self.table.is_some_and(|table| !table.contains_key(key)) {
            let help = format!("for example: {key} = {example}");
            self.problem_with_help(&self.place(), format!("`{}` is missing", self.full(key)), help);
        }
        let (text, span) = text?;
        self.checked(key, text, span, parse)
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

    /// true or false.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            Some(*flag)
        } else {
            self.wrong_type(key, "true or false", value);
            None
        }
    }

    /// A whole number that is not negative.
    pub fn number(&mut self, key: &'static str) -> Option<Placed<u64>> {
        let value = self.get(key)?;
        self.as_number(key, value)
    }

    /// A span of time, written "90s", "5m", "1h 30m"; never none at all.
    pub fn duration(&mut self, key: &'static str) -> Option<Placed<Duration>> {
        if let Some(value) = self.get(key)
            && let DeValue::Integer(number) = value.get_ref()
        {
            let message = format!("`{}` {}", self.full(key), without_unit(number.as_str()));
            self.reading.add(self.span_of(value), message, None);
            return None;
        }
        self.parsed_placed(key, |text| {
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(without_unit(text));
            }
            text.parse::<jiff::SignedDuration>()
                .ok()
                .and_then(|time| Duration::try_from(time).ok())
                .filter(|time| !time.is_zero())
                .ok_or_else(|| format!("is not a span of time: {text:?}; write \"90s\", \"5m\" or \"1h 30m\""))
        })
    }

    /// A span of time of so many minutes at most; `why` no more.
    pub fn duration_up_to(&mut self, key: &'static str, minutes: u64, why: &str) -> Option<Duration> {
        let Placed { value, place } = self.duration(key)?;
        if value > Duration::from_mins(minutes) {
            self.problem(&place, format!("`{}` must be {minutes}m or less: {why}", self.full(key)));
        }
        Some(value)
    }

    /// Whether it has keys that nobody has asked for yet.
    pub fn has_more(&self) -> bool {
        self.table.is_some_and(|table| table.len() > self.found)
    }

    /// Says which keys nobody knows. To be called when all keys have been asked for.
    pub fn finish(self) {
        if !self.has_more() {
            return;
        }
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let known: BTreeSet<&str> = self.known.iter().copied().collect();
            let help = match nearest(name, known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if known.is_empty() => "no key is allowed here".to_owned(),
                None => format!("allowed here: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.reading.add(self.moved(key.span()), format!("unknown key `{}`", self.full(name)), Some(help));
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'f Spanned<DeValue<'f>>> {
        let is_new = !self.known.contains(&key);
        if is_new {
            self.known.push(key);
        }
        let value = self.table?.get(key)?;
        self.found += usize::from(is_new);
        Some(value)
    }

    fn text(&mut self, key: &'static str) -> Option<(&'f str, Range<usize>)> {
        let value = self.get(key)?;
        if let DeValue::String(text) = value.get_ref() {
            Some((text, self.span_of(value)))
        } else {
            self.wrong_type(key, "a string", value);
            None
        }
    }

    fn as_number(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Placed<u64>> {
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(number) = u64::from_str_radix(number.as_str(), number.radix())
        {
            Some(self.placed(number, self.span_of(value)))
        } else {
            self.not_a_number(key, value);
            None
        }
    }

    /// `-1` is a number, if not one of those.
    fn not_a_number(&self, key: &str, value: &Spanned<DeValue<'_>>) {
        let wanted = "a whole number that is not negative";
        match value.get_ref() {
            DeValue::Integer(number) => {
                let why = if number.as_str().starts_with('-') { "" } else { ", and this one is too large" };
                let message = format!("`{}` must be {wanted}, not {}{why}", self.full(key), number.as_str());
                self.reading.add(self.span_of(value), message, None);
            }
            _ => self.wrong_type(key, wanted, value),
        }
    }

    fn checked<T, E: Display>(
        &self,
        key: &str,
        text: &str,
        span: Range<usize>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text).map_err(|error| self.reading.add(span, format!("`{}` {error}", self.full(key)), None)).ok()
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Spanned<DeValue<'_>>) {
        let kind = found.get_ref().type_str();
        let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let message = format!("`{}` must be {wanted}, not {article} {kind}", self.full(key));
        self.reading.add(self.span_of(found), message, None);
    }

    fn placed<T>(&self, value: T, span: Range<usize>) -> Placed<T> {
        Placed { value, place: Place::new(self.reading.source, span) }
    }

    fn span_of(&self, value: &Spanned<DeValue<'_>>) -> Range<usize> {
        self.moved(value.span())
    }

    fn moved(&self, span: Range<usize>) -> Range<usize> {
        let start = match self.base {
            Some(base) => span.start + base,
            None => self.reading.outline.in_file(span.start),
        };
        start..start + span.len()
    }
}

fn says_something(table: &DeTable<'_>) -> bool {
    table.values().any(|value| match value.get_ref() {
        DeValue::Table(below) => says_something(below),
        _ => true,
    })
}
