//! A file with many tables of one kind, taken apart so that each of them is parsed when it is read, and forgotten.
//!
//! `toml` keeps a kilobyte and more for each table, touched once and then dropped: of the time for a file of ten thousand
//! rules that is the larger part. So a run of tables `[[key]]` that follow each other is cut out. What is left, the
//! outline, keeps the header of the first one, and blanks behind it, so that all places stay what they are.
//!
//! This is no parser of TOML. Every byte is still parsed by `toml`, the outline once and each table for itself; where lines
//! are taken for headers that are none (in a text of several lines, in a list), one of the two is not valid or does not
//! [fit](Outline::fits). Then, and for every file with problems, the file is read again as a whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A file's text without the tables that are read one by one.
pub(super) struct Outline<'t> {
    /// As long as the whole text.
    pub(super) text: Cow<'t, str>,
    /// What is missing in it, by the place of the header that stands for it.
    runs: BTreeMap<usize, TableRun<'t>>,
}

/// Tables of one kind, one behind the other.
struct TableRun<'t> {
    key: &'t str,
    /// Each from its header to the next.
    tables: Vec<Range<usize>>,
}

impl<'t> Outline<'t> {
    /// The file as a whole.
    pub(super) fn whole(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), runs: BTreeMap::new() }
    }

    /// The file without its runs.
    pub(super) fn of(text: &'t str) -> Self {
        let mut outline = Self { text: Cow::Owned(String::with_capacity(text.len())), runs: BTreeMap::new() };
        // The run that goes on here, and where the first line behind its first header is.
        let mut current: Option<(TableRun<'t>, usize)> = None;
        let (mut at, mut copied) = (0, 0);
        for line in text.split_inclusive('\n') {
            at += line.len();
            let header = line.trim_start_matches([' ', '\t']);
            if !header.starts_with('[') {
                continue;
            }
            let start = at - header.len();
            let key = plain_header(header);
            match &mut current {
                Some((run, _)) if key == Some(run.key) => run.begin(start),
                // `[key.below]` belongs to the last table.
                Some((run, _)) if is_below(header, run.key) => {}
                _ => {
                    copied = outline.cut(text, current.take(), copied, start);
                    current = key.map(|key| (TableRun { key, tables: Vec::from([start..start]) }, at));
                }
            }
        }
        copied = outline.cut(text, current, copied, at);
        outline.text.to_mut().push_str(&text[copied..]);
        outline
    }

    /// Ends a run; tells up to where the text is copied.
    fn cut(&mut self, text: &str, run: Option<(TableRun<'t>, usize)>, copied: usize, end: usize) -> usize {
        let Some((mut run, from)) = run else { return copied };
        run.end(end);
        let kept = self.text.to_mut();
        kept.push_str(&text[copied..from]);
        kept.push_str(&" ".repeat(end - from));
        self.runs.insert(run.tables[0].start, run);
        end
    }

    /// Whether anything is cut out.
    pub(super) fn is_whole(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether each run begins where a table does, and nothing else in the file says something about it. If so, and if
    /// outline and tables are valid, then the file is, and has these tables at these places: each begins where the
    /// one before has ended.
    pub(super) fn fits(&self, outline: &DeTable<'_>) -> bool {
        self.runs.iter().all(|(start, run)| {
            let header = outline.get(run.key).and_then(|value| value.get_ref().as_array()).and_then(|tables| {
                tables.binary_search_by_key(start, |table| table.span().start).ok().map(|at| tables[at].get_ref())
            });
            matches!(header, Some(DeValue::Table(table)) if table.is_empty())
        })
    }

    /// The tables that the one with its header at this place stands for.
    pub(super) fn tables_at(&self, start: usize) -> Option<&[Range<usize>]> {
        self.runs.get(&start).map(|run| run.tables.as_slice())
    }
}

impl TableRun<'_> {
    fn begin(&mut self, start: usize) {
        self.end(start);
        self.tables.push(start..start);
    }

    fn end(&mut self, end: usize) {
        if let Some(last) = self.tables.last_mut() {
            last.end = end;
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
