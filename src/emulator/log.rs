//! The job log as GitLab would receive it, and the log of the runner itself.
//!
//! Both go through one bounded queue to a thread of their own, so that a slow reader of our output
//! slows the driver down (as a full pipe does) but never delays a timer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use memchr::memmem::Finder;
use tokio::sync::mpsc;

/// Who wrote a piece of the job log: the two-digit stream of a time stamp and its letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    ExecutorOut,
    ExecutorErr,
    WorkOut,
    WorkErr,
}

impl Stream {
    fn tag(self) -> &'static str {
        match self {
            Self::ExecutorOut => "00O",
            Self::ExecutorErr => "00E",
            Self::WorkOut => "01O",
            Self::WorkErr => "01E",
        }
    }
}

/// What waits to be written.
pub(crate) enum Entry {
    Job(Vec<u8>),
    Runner(Vec<u8>),
}

/// Appearance of the job log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    pub(crate) timestamps: bool,
    pub(crate) sections: bool,
}

/// Called once, when its text has appeared in the job log.
struct Trigger {
    text: Finder<'static>,
    action: Box<dyn Fn() + Send>,
}

#[derive(Default)]
struct LogState {
    /// The last bytes, in which a text may have begun that ends in the next piece.
    tail: Vec<u8>,
    triggers: Vec<Trigger>,
    /// Streams whose last piece had no newline at its end.
    open: [bool; 4],
}

/// Handle to both logs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Logs(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<Entry>,
    style: Style,
    state: Mutex<LogState>,
}

/// Enough to keep the pipe busy, little enough to keep memory constant (entries are at most 64 KiB).
const QUEUE: usize = 16;

impl Logs {
    pub(crate) fn new(style: Style) -> (Self, mpsc::Receiver<Entry>) {
        let (queue, entries) = mpsc::channel(QUEUE);
        (Self(Arc::new(Inner { queue, style, state: Mutex::default() })), entries)
    }

    /// Calls `action` once when `text` has appeared in the job log.
    pub(crate) fn when_seen(&self, text: &str, action: impl Fn() + Send + 'static) {
        let trigger = Trigger { text: Finder::new(text).into_owned(), action: Box::new(action) };
        self.state().triggers.push(trigger);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LogState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows does not continue a line that was begun before.
    pub(crate) fn reopen(&self) {
        self.state().open = [false; 4];
    }

    /// Adds bytes to the job log as they are.
    pub(crate) async fn job(&self, stream: Stream, bytes: Vec<u8>) {
        let mut bytes = bytes;
        if bytes.is_empty() {
            return;
        }
        {
            let mut state = self.state();
            state.notice(&bytes);
            if self.0.style.timestamps {
                bytes = state.stamp(stream, &bytes);
            }
        }
        // The writer only goes away when the simulation is over.
        let _ = self.0.queue.send(Entry::Job(bytes)).await;
    }

    /// A line of the runner without a colour of its own.
    pub(crate) async fn line(&self, text: &str) {
        self.job(Stream::ExecutorOut, format!("\x1b[0K{text}\x1b[0;m\n").into_bytes()).await;
    }

    pub(crate) async fn info(&self, text: &str) {
        self.job(Stream::ExecutorOut, format!("\x1b[32;1m{text}\x1b[0;m\n").into_bytes()).await;
    }

    pub(crate) async fn warning(&self, text: &str) {
        self.job(Stream::ExecutorOut, format!("\x1b[0;33mWARNING: {text}\x1b[0;m\n").into_bytes()).await;
    }

    pub(crate) async fn error(&self, text: &str) {
        self.job(Stream::ExecutorOut, format!("\x1b[31;1mERROR: {text}\x1b[0;m\n").into_bytes()).await;
    }

    /// The invisible marker that lets GitLab fold a part of the log; `edge` is `start` or `end`.
    pub(crate) async fn section(&self, edge: &str, name: &str) {
        if self.0.style.sections {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            self.job(Stream::ExecutorOut, format!("section_{edge}:{now}:{name}\r\x1b[0K").into_bytes()).await;
        }
    }

    /// One line of the runner's own log.
    pub(crate) async fn runner(&self, level: &str, message: &str, fields: &str) {
        let message = serde_json::Value::from(message);
        let line = format!("level={level} msg={message} {fields}");
        let _ = self.0.queue.send(Entry::Runner(format!("{}\n", line.trim_end()).into_bytes())).await;
    }
}

impl LogState {
    fn notice(&mut self, bytes: &[u8]) {
        let Some(longest) = self.triggers.iter().map(|trigger| trigger.text.needle().len()).max() else {
            return;
        };
        let keep = longest.saturating_sub(1);
        // Only the seam needs a copy; the piece itself is searched in place.
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend_from_slice(&bytes[..bytes.len().min(keep)]);
        self.triggers.retain(|trigger| {
            let seen = trigger.text.find(&seam).is_some() || trigger.text.find(bytes).is_some();
            if seen {
                (trigger.action)();
            }
            !seen
        });
        let last = if bytes.len() >= keep { bytes } else { &seam };
        self.tail = last[last.len().saturating_sub(keep)..].to_vec();
    }

    /// Puts a time stamp before each line. A piece without a newline is closed and its continuation
    /// marked with `+`, which is how GitLab knows to join them again.
    fn stamp(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let now = jiff::Timestamp::now();
        let mut stamped = Vec::with_capacity(bytes.len() + 64);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let open = &mut self.open[stream as usize];
            let mark = if *open { '+' } else { ' ' };
            let _ = write!(stamped, "{now:.6} {}{mark}", stream.tag());
            stamped.extend_from_slice(line);
            *open = !line.ends_with(b"\n");
            if *open {
                stamped.push(b'\n');
            }
        }
        stamped
    }
}

/// Writes what comes until nobody is left to send. Goes on reading after a failed write, because
/// a closed terminal must not stop the clean-up; the first failure is returned.
pub(crate) fn write_out(
    mut entries: mpsc::Receiver<Entry>,
    job: &mut dyn Write,
    runner: &mut dyn Write,
) -> io::Result<()> {
    let mut result = Ok(());
    while let Some(entry) = entries.blocking_recv() {
        if result.is_err() {
            continue;
        }
        result = match entry {
            Entry::Job(bytes) => job.write_all(&bytes),
            Entry::Runner(bytes) => runner.write_all(&bytes),
        };
        if entries.is_empty() && result.is_ok() {
            result = job.flush().and_then(|()| runner.flush());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{LogState, Logs, Stream, Style};

    #[test]
    fn a_text_is_noticed_once_even_when_it_arrives_in_pieces() {
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let (logs, _entries) = Logs::new(Style::default());
        logs.when_seen("ready", || {
            SEEN.fetch_add(1, Ordering::Relaxed);
        });
        for piece in ["xxr", "e", "ad", "y ready"] {
            logs.state().notice(piece.as_bytes());
        }
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_piece_without_newline_is_continued_with_a_plus() {
        let mut state = LogState::default();
        let mut text = state.stamp(Stream::WorkOut, b"one\ntw");
        text.extend(state.stamp(Stream::ExecutorOut, b"other\n"));
        text.extend(state.stamp(Stream::WorkOut, b"o\n"));
        let text = String::from_utf8_lossy(&text).into_owned();
        let ends: Vec<&str> = text.lines().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest)).collect();
        assert_eq!(ends, ["01O one", "01O tw", "00O other", "01O+o"]);
    }
}
