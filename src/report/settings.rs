//! `[log]`: where the audit log is.

pub mod manual;

use std::path::PathBuf;

use crate::config::Section;
use crate::config::values;

/// Where programs write that log with syslog(3).
const SYSLOG: &str = "/dev/log";

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The file of the audit log.
    pub file: Option<PathBuf>,
    /// Whether the journal has it, too.
    pub journal: Option<Need>,
    /// Whether syslog has it, too.
    pub syslog: Option<Need>,
    /// The socket of syslog.
    pub syslog_socket: PathBuf,
    /// What becomes of jobs that begin while it cannot be written.
    pub on_failure: OnFailure,
}

/// Whether a record may be missing in one of the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The site has named it.
    Required,
    /// It is a copy for convenience, where there happens to be something that takes it.
    Welcome,
}

/// What becomes of jobs that begin while the audit log cannot be written. Those that run go on, and cleanup does in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// They fail, as the site's failure.
    Refuse,
    /// They run, and say so in their logs.
    Warn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Journald,
    Syslog,
}

const PLACES: [(&str, Place); 3] = [("file", Place::File), ("journald", Place::Journald), ("syslog", Place::Syslog)];

/// Reads the section. `default` is the file where it says nothing; an empty name is no file.
pub fn read_log(mut section: Section<'_>, default: Option<PathBuf>) -> LogSettings {
    let place = section.place();
    let written = section.has("file");
    let file = section.parsed("file", |text| match text {
        "" => Ok(None),
        _ => values::absolute_path(text).map(Some),
    });
    let mut file = file.unwrap_or(default);
    let places = section.one_or_more("audit", |text| {
        let found = PLACES.iter().find(|(word, _)| *word == text).map(|(_, place)| *place);
        found.ok_or_else(|| format!("is {text:?}, but must be \"file\", \"journald\" or \"syslog\""))
    });
    let syslog_socket = section.parsed("syslog_socket", values::absolute_path).unwrap_or_else(|| SYSLOG.into());
    let on_failure = section.choice("on_failure", &[("refuse", OnFailure::Refuse), ("warn", OnFailure::Warn)]);
    let (mut journal, mut syslog) = (Some(Need::Welcome), None);
    if let Some(places) = &places {
        let has = |place| places.contains(&place);
        match (has(Place::File), &file) {
            (true, None) => section.problem(&place, "`log.audit` names \"file\", and `log.file` none"),
            (false, Some(_)) if written => {
                section.problem(&place, "`log.file` is written, and `log.audit` does not name \"file\"");
            }
            (false, _) => file = None,
            (true, Some(_)) => {}
        }
        journal = has(Place::Journald).then_some(Need::Required);
        syslog = has(Place::Syslog).then_some(Need::Required);
    }
    section.finish();
    let on_failure = on_failure.unwrap_or(OnFailure::Refuse);
    LogSettings { file, journal, syslog, syslog_socket, on_failure }
}
