//! A file with many tables of one kind, taken apart so that each of them is parsed when it is read, and forgotten.
//!
//! `toml` keeps a kilobyte and more for each table, touched once and then dropped: of the time for a file of ten thousand
//! rules that is the larger part. So a run of tables `[[key]]` that follow each other is cut out. What is left, the
//! outline, keeps the header of the first one.
//!
//! This is no parser of TOML. Every byte is still parsed by `toml`, the outline once and each table for itself; where lines
//! are taken for headers that are none (in a text of several lines, in a list), one of the two is not valid or does not
//! [fit](Outline::fits). Then, and for every file with problems, the file is read again as a whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::place::Source;

/// A file's text without the tables that are read one by one.
pub(super) struct Outline<'t> {
    /// What is left.
    pub(super) text: Cow<'t, str>,
    /// Where something is missing in it, and how much up to there.
    cuts: Vec<(usize, usize)>,
    /// What is missing, by the place in the file of the header that stands for it.
    runs: BTreeMap<usize, Vec<Part>>,
}

/// One table of a run.
pub(super) struct Part {
    /// Its header.
    pub(super) header: Range<usize>,
    /// What has to be parsed.
    pub(super) text: Range<usize>,
    /// What that is.
    pub(super) form: Form,
}

/// What the text of a table is.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Its keys: what is behind the header.
    Keys,
    /// Header and all, since tables below it have headers of their own.
    Tables,
}

/// The run that goes on at a line.
struct TableRun<'t> {
    key: &'t str,
    parts: Vec<Part>,
    /// The first line behind its first header.
    from: usize,
}

impl<'t> Outline<'t> {
    /// The file as a whole.
    pub(super) fn whole(source: &'t Source) -> Self {
        Self { text: Cow::Borrowed(source.text()), cuts: Vec::new(), runs: BTreeMap::new() }
    }

    /// The file without its runs.
    pub(super) fn of(source: &'t Source) -> Self {
        let text = source.text();
        let mut outline = Self { text: Cow::Owned(String::new()), cuts: Vec::new(), runs: BTreeMap::new() };
        let mut current: Option<TableRun<'t>> = None;
        for line in source.lines() {
            let line_text = &text.as_bytes()[line.clone()];
            let Some(indent) = line_text.iter().position(|b| *b != b' ' && *b != b'\t') else { continue };
            if line_text[indent] != b'[' {
                continue;
            }
            let start = line.start + indent;
            let header = &text[start..line.end];
            match (&mut current, plain_header(header)) {
                (Some(run), Some(key)) if key == run.key => run.begin(start),
                (Some(run), _) if is_below(header, run.key) => run.deepen(),
                (_, key) => {
                    outline.cut(text, current.take(), start);
                    current = key.map(|key| TableRun::new(key, start, line.end));
                }
            }
        }
        outline.cut(text, current, text.len());
        let rest = outline.in_file(outline.text.len());
        outline.text.to_mut().push_str(&text[rest..]);
        outline
    }

    /// Ends a run.
    fn cut(&mut self, text: &str, run: Option<TableRun<'t>>, end: usize) {
        let Some(mut run) = run else { return };
        run.end(end);
        let copied = self.in_file(self.text.len());
        self.text.to_mut().push_str(&text[copied..run.from]);
        self.cuts.push((self.text.len(), end - self.text.len()));
        self.runs.insert(run.parts[0].header.start, run.parts);
    }

    /// From a place in the outline to the one in the file.
    pub(super) fn in_file(&self, at: usize) -> usize {
        let before = self.cuts.partition_point(|(cut, _)| *cut <= at);
        at + before.checked_sub(1).map_or(0, |last| self.cuts[last].1)
    }

    /// Whether anything is cut out.
    pub(super) fn is_whole(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether each run begins where a table does, and nothing else in the file says something about it. If so, and if
    /// outline and tables are valid, then the file is, and has these tables at these places: each begins where the
    /// one before has ended.
    pub(super) fn fits(&self, source: &Source, outline: &DeTable<'_>) -> bool {
        self.runs.iter().all(|(start, parts)| {
            let key = source.text()[parts[0].header.clone()].trim_matches(['[', ']']);
            let table = outline.get(key).and_then(|value| value.get_ref().as_array()).and_then(|tables| {
                tables
                    .binary_search_by_key(start, |table| self.in_file(table.span().start))
                    .ok()
                    .map(|at| tables[at].get_ref())
            });
            matches!(table, Some(DeValue::Table(table)) if table.is_empty())
        })
    }

    /// The tables that the one with its header at this place stands for.
    pub(super) fn parts_at(&self, start: usize) -> Option<&[Part]> {
        self.runs.get(&start).map(Vec::as_slice)
    }
}

impl<'t> TableRun<'t> {
    fn new(key: &'t str, start: usize, from: usize) -> Self {
        let mut run = Self { key, parts: Vec::new(), from };
        run.begin(start);
        run
    }

    fn begin(&mut self, start: usize) {
        self.end(start);
        let behind = start + "[[]]".len() + self.key.len();
        self.parts.push(Part { header: start..behind, text: behind..behind, form: Form::Keys });
    }

    /// A header below the last table.
    fn deepen(&mut self) {
        if let Some(part) = self.parts.last_mut() {
            part.text.start = part.header.start;
            part.form = Form::Tables;
        }
    }

    fn end(&mut self, end: usize) {
        if let Some(part) = self.parts.last_mut() {
            part.text.end = end;
        }
    }
}

/// The key where the rest of a line is `[[key]]` and no more.
fn plain_header(header: &str) -> Option<&str> {
    let header = header.strip_suffix('\n').unwrap_or(header);
    let header = header.strip_suffix('\r').unwrap_or(header);
    let key = header.trim_end_matches([' ', '\t']).strip_prefix("[[")?.strip_suffix("]]")?;
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    bare.then_some(key)
}

/// Whether it is the header of a table below `key`.
fn is_below(header: &str, key: &str) -> bool {
    header.trim_start_matches('[').strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
}
