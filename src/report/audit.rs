//! The audit log: who ran as whom, by which rule, and every token that was signed.
//!
//! One JSON object a line, in a file that only the driver's account can read, and in the system's journal where one
//! runs. Never a token, never a script, never a secret variable.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use tracing::dispatcher::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

use super::audit_file::{AuditError, AuditFile};

/// Keeps the log open; events of this thread go there while it lives.
pub struct AuditLog {
    _guard: DefaultGuard,
}

impl AuditLog {
    /// Opens the log at `file` (created with mode 0600, always appended to), and the journal if there is one.
    ///
    /// # Errors
    /// If the file can't be opened, together with a log that has the journal only: an audit log that is full must not
    /// stop a site's whole CI, but somebody has to be told. Of a record that cannot be written later the file itself tells.
    pub fn open(file: Option<&Path>) -> (Self, Option<AuditError>) {
        let (file, problem) = match file.map(AuditFile::open) {
            Some(Ok(file)) => (Some(file), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let lines = file.map(|file| {
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_target(false)
                .with_writer(Mutex::new(file))
        });
        let journal = tracing_journald::layer()
            .ok()
            .map(|layer| layer.with_syslog_identifier("motmot".into()).with_field_prefix(Some("MOTMOT".into())));
        let subscriber = tracing_subscriber::registry()
            .with(lines)
            .with(journal)
            .with(tracing_subscriber::filter::LevelFilter::INFO);
        (Self { _guard: tracing::subscriber::set_default(subscriber) }, problem)
    }
}

/// Whether a file is such a log, by how it begins: only what this program has made may be told to be changed.
pub fn is_audit_log(file: &Path) -> bool {
    const BEGINNING: &[u8] = b"{\"timestamp\":\"";
    let mut found = [0; BEGINNING.len()];
    let read = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file);
    read.and_then(|mut file| file.read_exact(&mut found)).is_ok() && found == BEGINNING
}
