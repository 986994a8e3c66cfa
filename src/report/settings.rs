//! `[log]`: where the audit log is.

use std::path::PathBuf;

use crate::config::reader::Section;
use crate::config::values;

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The audit log.
    pub file: Option<PathBuf>,
}

/// Reads the section. `default` is the file where it says nothing.
pub fn read_log(mut section: Section<'_>, default: Option<PathBuf>) -> LogSettings {
    let file = section.string("file");
    let file = match file {
        Some(at) if at.value.is_empty() => None,
        Some(at) => section.checked(at, "file", values::absolute_path),
        None => default,
    };
    section.finish();
    LogSettings { file }
}
