//! Problems of a configuration file, told with file, line, column, the line itself and a marker.

use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file can't be read, or must not be believed.
    Untrusted(Box<dyn std::error::Error + Send + Sync>),
    /// It is not valid; all problems at once.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// In the order of their places.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The problems with their lines, as an admin wants to see them.
    pub fn render(&self) -> String {
        match self {
            Self::Untrusted(error) => format!("error: {error}"),
            Self::Invalid { path, text, problems } => {
                let renderer = Renderer::plain();
                let path = path.display().to_string();
                problems
                    .iter()
                    .map(|problem| {
                        let snippet = Snippet::source(text.as_str())
                            .path(path.as_str())
                            .annotation(AnnotationKind::Primary.span(problem.span.clone()));
                        let mut group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
                        if let Some(help) = &problem.help {
                            group = group.element(Level::HELP.message(help.as_str()));
                        }
                        renderer.render(&[group])
                    })
                    .collect::<Vec<_>>()
                    .join("\n\n")
            }
        }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Untrusted(error) => write!(f, "{error}"),
            Self::Invalid { path, text, problems } => {
                write!(
                    f,
                    "{} {} in the configuration",
                    problems.len(),
                    if problems.len() == 1 { "problem" } else { "problems" }
                )?;
                for problem in problems {
                    let (line, column) = line_and_column(text, problem.span.start);
                    write!(f, "\n{}:{line}:{column}: {}", path.display(), problem.message)?;
                    if let Some(help) = &problem.help {
                        write!(f, " ({help})")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Line and column of a byte, both counted from 1, the column in characters.
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}
