//! The audit log as datagrams to a service of this machine: the journal (its native protocol), and syslog (RFC 5424).
//!
//! No stage waits for it: whoever keeps such a socket full would stop all jobs, and their cleanup.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::error::AuditError;
use super::record::Record;

/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// How long a socket that is full may take, once in a process.
const PATIENCE: Duration = Duration::from_millis(500);
/// Security messages of their own kind, which may not be for everybody (`authpriv`).
const FACILITY: u8 = 10;

/// A datagram socket that somebody else reads.
#[derive(Debug)]
pub(super) struct LogSocket {
    path: PathBuf,
    protocol: Protocol,
    /// None is left once it was full for that long.
    patience: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Journal,
    Syslog,
}

impl LogSocket {
    pub(super) fn journal() -> Self {
        Self { path: JOURNAL.into(), protocol: Protocol::Journal, patience: PATIENCE }
    }

    pub(super) fn syslog(path: &Path) -> Self {
        Self { path: path.to_owned(), protocol: Protocol::Syslog, patience: PATIENCE }
    }

    /// Whether there is something that may listen.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Sends a record, whose line this is.
    pub(super) fn send(&mut self, record: &Record, line: &str) -> Result<(), AuditError> {
        let datagram = match self.protocol {
            Protocol::Journal => for_journal(record, line),
            Protocol::Syslog => for_syslog(record, line),
        };
        self.deliver(&datagram).map_err(|source| AuditError::new(self.path.display(), source))
    }

    fn deliver(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // Each time anew: the service may have been started again meanwhile.
        socket.connect(&self.path)?;
        let start = Instant::now();
        loop {
            match socket.send(datagram) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = self.patience.saturating_sub(start.elapsed());
                    if left.is_zero() {
                        self.patience = Duration::ZERO;
                        return Err(io::Error::new(ErrorKind::TimedOut, "whoever reads it does not"));
                    }
                    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                    let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], timeout);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// As in syslog(3).
fn severity(record: &Record) -> u8 {
    if record.text("level") == Some("WARN") { 4 } else { 6 }
}

/// <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: `NAME=value`, or, since a line break in a value would begin a field of its own,
/// `NAME`, the length, and the value.
fn for_journal(record: &Record, line: &str) -> Vec<u8> {
    let mut datagram = Vec::new();
    let mut add = |name: &str, value: &str| {
        datagram.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            datagram.push(b'\n');
            datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            datagram.push(b'=');
        }
        datagram.extend_from_slice(value.as_bytes());
        datagram.push(b'\n');
    };
    add("MESSAGE", line);
    add("PRIORITY", &severity(record).to_string());
    add("SYSLOG_IDENTIFIER", "motmot");
    add("SYSLOG_FACILITY", &FACILITY.to_string());
    for (name, value) in record.fields() {
        let name = format!("MOTMOT_{}", name.to_ascii_uppercase());
        match value {
            Value::String(text) => add(&name, text),
            other => add(&name, &other.to_string()),
        }
    }
    datagram
}

/// `<PRI>1 TIMESTAMP HOST APP PROCID MSGID - MESSAGE`: the message is the line, in which JSON has escaped every line break.
fn for_syslog(record: &Record, line: &str) -> Vec<u8> {
    let word = |text: Option<&str>, most: usize| {
        let word: String =
            text.unwrap_or_default().chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).take(most).collect();
        if word.is_empty() { "-".to_owned() } else { word }
    };
    let (time, host, event) =
        (word(record.text("timestamp"), 32), word(record.text("host"), 255), word(record.text("event"), 32));
    let priority = FACILITY * 8 + severity(record);
    format!("<{priority}>1 {time} {host} motmot {} {event} - {line}", std::process::id()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record::default();
        record.add("timestamp", "2027-01-01T00:00:00.000000Z");
        record.add("level", "WARN");
        record.add("event", "cleaned up");
        record.add("host", "login 1");
        record.add("job_id", 7_u64);
        record.add("reason", "a\nMOTMOT_EVENT=accepted");
        record
    }

    fn listening(protocol: Protocol) -> (tempfile::TempDir, UnixDatagram, LogSocket) {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("bound");
        (dir, socket, LogSocket { path, protocol, patience: Duration::from_millis(50) })
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = vec![0; 1 << 16];
        let length = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn the_journal_gets_each_field_under_its_name_and_no_name_from_within_a_value() {
        let (_dir, reader, mut socket) = listening(Protocol::Journal);
        socket.send(&record(), "{}").expect("sent");
        let datagram = received(&reader);
        assert!(
            datagram.starts_with("MESSAGE={}\nPRIORITY=4\nSYSLOG_IDENTIFIER=motmot\nSYSLOG_FACILITY=10\n"),
            "{datagram:?}"
        );
        assert!(datagram.contains("\nMOTMOT_EVENT=cleaned up\n") && datagram.contains("\nMOTMOT_JOB_ID=7\n"));
        assert!(datagram.contains("\nMOTMOT_REASON\n\u{17}\0\0\0\0\0\0\0a\nMOTMOT_EVENT=accepted\n"), "{datagram:?}");
    }

    #[test]
    fn syslog_gets_a_message_with_a_header_of_words() {
        let (_dir, reader, mut socket) = listening(Protocol::Syslog);
        socket.send(&record(), "{\"event\":\"cleaned up\"}").expect("sent");
        let expected = format!(
            "<84>1 2027-01-01T00:00:00.000000Z login-1 motmot {} cleaned-up - {{\"event\":\"cleaned up\"}}",
            std::process::id()
        );
        assert_eq!(received(&reader), expected);
    }

    #[test]
    fn nobody_waits_for_a_socket_that_is_missing_or_that_nobody_reads() {
        let (dir, _reader, mut socket) = listening(Protocol::Syslog);
        let mut full = None;
        for _ in 0..100_000 {
            if let Err(error) = socket.send(&record(), "{}") {
                full = Some(error.source.kind());
                break;
            }
        }
        assert_eq!(full, Some(ErrorKind::TimedOut));
        assert_eq!(socket.patience, Duration::ZERO, "and the second time not even that long");
        socket.send(&record(), "{}").expect_err("still full");
        let mut missing = LogSocket { path: dir.path().join("nobody"), ..socket };
        assert_eq!(missing.send(&record(), "{}").expect_err("missing").source.kind(), ErrorKind::NotFound);
    }
}
