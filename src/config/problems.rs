//! Problems of a configuration file, told with file, line, column, the line itself and a marker.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::place::Source;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes of the file that it is about.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

/// A file that is not valid: all its problems, in the order of their places.
#[derive(Debug)]
pub struct ConfigError {
    source: Arc<Source>,
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(source: &Arc<Source>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self { source: Arc::clone(source), problems }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// How many problems there are.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// The problems with their lines, as an admin wants to see them.
    pub fn render(&self) -> String {
        let path = self.source.path().display().to_string();
        let rendered: Vec<String> = self.problems.iter().map(|problem| self.render_one(&path, problem)).collect();
        rendered.join("\n\n")
    }

    fn render_one(&self, path: &str, problem: &Problem) -> String {
        let snippet = Snippet::source(self.source.text())
            .path(path)
            .annotation(AnnotationKind::Primary.span(problem.span.clone()));
        let mut group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        write!(f, "{count} {} in the configuration", if count == 1 { "problem" } else { "problems" })?;
        for Problem { span, message, help } in &self.problems {
            let (line, column) = self.source.line_and_column(span.start);
            write!(f, "\n{}:{line}:{column}: {message}", self.source.path().display())?;
            if let Some(help) = help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
