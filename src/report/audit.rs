//! The audit log: who ran as whom, by which rule, and every token that was signed.
//!
//! One JSON object a line, in a file that only the driver's account can read, in the system's journal where one runs, and
//! wherever else `log.audit` says. Never a token, never a script, never a secret variable.

pub mod chain;
mod context;
mod error;
mod file;
mod record;
mod sockets;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::dispatcher::{DefaultGuard, get_default};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

pub use self::context::{Context, JobContext, RequestId};
pub use self::error::AuditError;
use self::file::AuditFile;
pub use self::file::{PATIENCE, head_of, when_free};
use self::record::Record;
use self::sockets::LogSocket;
use super::settings::{LogSettings, Need, OnFailure};

/// Keeps the log open; events of this thread go there while it lives.
pub struct AuditLog {
    _guard: DefaultGuard,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Written {
    /// It is wherever it has to be; or no log is open here.
    Everywhere,
    /// It is not, and nobody has been told yet in this process.
    NotYetTold(AuditError, OnFailure),
    /// It is not, and somebody has been told of an earlier one.
    Told(AuditError, OnFailure),
}

impl AuditLog {
    /// Opens what the settings name. A file is made with the first record.
    pub fn open(settings: &LogSettings, context: Context) -> Self {
        let journal = settings.journal.map(|need| (Sink::Socket(LogSocket::journal()), need));
        let syslog = settings.syslog.map(|need| (Sink::Socket(LogSocket::syslog(&settings.syslog_socket)), need));
        let file = settings.file.as_deref().map(|path| (Sink::File(AuditFile::new(path)), Need::Required));
        Self::to(file.into_iter().chain(journal).chain(syslog).collect(), settings.on_failure, context)
    }

    /// Into a file alone.
    #[cfg(test)]
    pub fn in_file(path: &Path, context: Context) -> Self {
        Self::to(vec![(Sink::File(AuditFile::new(path)), Need::Required)], OnFailure::Refuse, context)
    }

    fn to(sinks: Vec<(Sink, Need)>, on_failure: OnFailure, context: Context) -> Self {
        let state = State { sinks, context, on_failure, told: false, problem: None };
        Self { _guard: tracing::dispatcher::set_default(&Dispatch::new(Ledger(Mutex::new(state)))) }
    }
}

#[derive(Debug)]
enum Sink {
    File(AuditFile),
    Socket(LogSocket),
}

#[derive(Debug)]
struct State {
    /// The file first: its line is what the others get, with its place in the chain.
    sinks: Vec<(Sink, Need)>,
    context: Context,
    on_failure: OnFailure,
    /// Whether somebody was told that a record is missing; once is enough.
    told: bool,
    /// Of the last record.
    problem: Option<AuditError>,
}

/// Takes the events of this crate. tracing's own layers write somewhere and say to nobody whether they could, and wait for a
/// journal that does not read.
struct Ledger(Mutex<State>);

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Ledger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What a library has to say is no event of ours.
        metadata.is_event() && *metadata.level() <= Level::INFO && metadata.target().starts_with("motmot")
    }

    fn event(&self, event: &Event<'_>) {
        let mut record = Record::default();
        // As many digits for every record.
        record.add("timestamp", format!("{:.6}", jiff::Timestamp::now()));
        record.add("level", event.metadata().level().as_str());
        event.record(&mut record);
        self.state().write(record);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl State {
    fn write(&mut self, mut record: Record) {
        self.context.complete(&mut record);
        self.problem = None;
        let mut line = None;
        for (sink, need) in &mut self.sinks {
            let written = match sink {
                Sink::File(file) => file.append(&record).map(|written| line = Some(written)),
                Sink::Socket(socket) => {
                    let line = line.clone().unwrap_or_else(|| record.opened_object() + "}");
                    socket.send(&record, &line)
                }
            };
            if let (Err(error), Need::Required) = (written, *need) {
                self.problem.get_or_insert(error);
            }
        }
    }
}

/// What became of the last record of this thread.
pub(super) fn last_written() -> Written {
    with_ledger(|state| match state.problem.take() {
        None => Written::Everywhere,
        Some(problem) if std::mem::replace(&mut state.told, true) => Written::Told(problem, state.on_failure),
        Some(problem) => Written::NotYetTold(problem, state.on_failure),
    })
    .unwrap_or(Written::Everywhere)
}

/// Changes what the records to come of this thread have in common; does nothing while no log is open.
pub fn amend(change: impl FnOnce(&mut Context)) {
    with_ledger(|state| change(&mut state.context));
}

/// What an admin finds the records of this run by; nothing where none are kept.
pub fn reference() -> Option<RequestId> {
    with_ledger(|state| {
        let kept = state.sinks.iter().any(|(sink, need)| match (sink, need) {
            (_, Need::Required) | (Sink::File(_), Need::Welcome) => true,
            (Sink::Socket(socket), Need::Welcome) => socket.is_there(),
        });
        kept.then(|| state.context.request.clone())
    })
    .flatten()
}

fn with_ledger<T>(act: impl FnOnce(&mut State) -> T) -> Option<T> {
    let mut act = Some(act);
    get_default(|dispatch| {
        let ledger = dispatch.downcast_ref::<Ledger>()?;
        act.take().map(|act| act(&mut ledger.state()))
    })
}

/// How each line begins.
pub const BEGINNING: &[u8] = b"{\"timestamp\":\"";

/// Whether a file is such a log, by how it begins: only what this program has made may be told to be changed.
pub fn is_audit_log(file: &Path) -> bool {
    let mut found = [0; BEGINNING.len()];
    let read = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file);
    read.and_then(|mut file| file.read_exact(&mut found)).is_ok() && found == BEGINNING
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_line_has_a_place_in_the_chain_where_it_is_in_the_file_and_else_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, socket) = (dir.path().join("log"), dir.path().join("socket"));
        let reader = UnixDatagram::bind(&socket).expect("bound");
        let sent = |file: Option<&Path>| {
            let file = file.map(|path| (Sink::File(AuditFile::new(path)), Need::Required));
            let socket = (Sink::Socket(LogSocket::syslog(&socket)), Need::Required);
            let context = Context {
                request: RequestId::new(),
                stage: "config",
                host: "login1".into(),
                gitlab: "https://gitlab.example.com".into(),
                simulated: false,
                job: None,
                session: None,
                facts: None,
                untested: false,
            };
            let _open = AuditLog::to(file.into_iter().chain([socket]).collect(), OnFailure::Warn, context);
            tracing::info!(event = "accepted");
            let mut bytes = vec![0; 1 << 16];
            let length = reader.recv(&mut bytes).expect("a datagram");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let both = sent(Some(&log));
        assert!(both.contains(",\"seq\":1,\"prev\":\"0000"), "{both}");
        let failed = sent(Some(&log.join("below a file")));
        for alone in [sent(None), failed] {
            assert!(!alone.contains("\"seq\"") && alone.ends_with("\"stage\":\"config\"}"), "{alone}");
        }
    }
}
