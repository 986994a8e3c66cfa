//! Where a value stands. It knows as long as somebody may have to be told.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A file: its path, its text, and where its lines begin.
pub struct Source {
    path: PathBuf,
    text: String,
    /// Counted once, and only if somebody asks: most stages tell nobody a line. Counting up to each value anew takes a time
    /// that grows with the square of their number.
    line_starts: OnceLock<Vec<usize>>,
}

impl Source {
    /// A text and the path that messages name.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into(), line_starts: OnceLock::new() })
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its lines, each with the end of it.
    pub(super) fn lines(&self) -> impl Iterator<Item = Range<usize>> {
        let ends = memchr::memchr_iter(b'\n', self.text.as_bytes()).map(|end| end + 1).chain([self.text.len()]);
        ends.scan(0, |start, end| Some(std::mem::replace(start, end)..end))
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(super) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let starts = self.line_starts.get_or_init(|| self.lines().map(|line| line.start).collect());
        let at = self.text.floor_char_boundary(at.min(self.text.len()));
        let line = starts.partition_point(|start| *start <= at);
        let column = self.text[starts[line - 1]..at].chars().count() + 1;
        (line, column)
    }
}

/// More lines than a configuration has.
const MOST_LINES: usize = 1 << 20;

/// A part of a file.
#[derive(Clone)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// A place of which no more is known than its line, counted from 1.
    pub fn of_line(path: &Path, line: usize) -> Self {
        // No file has more lines than this has bytes: who has written this down has read one.
        let before = line.saturating_sub(1).min(MOST_LINES);
        Self { source: Source::new(path, "\n".repeat(before)), span: before..before }
    }

    pub(super) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self { source: Arc::clone(source), span }
    }

    /// Bytes of the file.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The line where it begins, from 1.
    pub fn line(&self) -> usize {
        self.source.line_and_column(self.span.start).0
    }

    /// The file, as it was named; for administrators.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// The file's name without its directory, which is nothing that authors of pipelines need to know.
    pub fn file_name(&self) -> String {
        self.source.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Not the text: each value with a place would show all of it.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.path).finish()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.source.path.display(), self.span)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.span == other.span
    }
}

impl Eq for Place {}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> Placed<T> {
    /// Where nobody has to be told any more.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Something made of the value, at its place.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Placed<U> {
        Placed { value: make(self.value), place: self.place }
    }
}
