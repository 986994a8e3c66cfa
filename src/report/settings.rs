//! `[log]`: where the audit log is.

pub mod manual;

use std::path::PathBuf;

use crate::config::Section;
use crate::config::values;

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The audit log.
    pub file: Option<PathBuf>,
}

/// Reads the section. `default` is the file where it says nothing; an empty name is no file.
pub fn read_log(mut section: Section<'_>, default: Option<PathBuf>) -> LogSettings {
    let file = section.parsed("file", |text| match text {
        "" => Ok(None),
        _ => values::absolute_path(text).map(Some),
    });
    section.finish();
    LogSettings { file: file.unwrap_or(default) }
}
