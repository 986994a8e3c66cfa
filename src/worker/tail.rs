//! Watches the files of a run: passes the output on while it grows, and notices when the script starts and ends.
//!
//! On a file system of this machine the kernel tells of each change. On one that is shared over a network nobody tells; so
//! everything is looked at again twice a second, each time by opening it anew, which is when such a file system asks its
//! server. How much output there is in all says the record that the wrapper writes at the end.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::meeting;
use crate::order::completion::{Completion, Started};
use crate::order::frames::Drained;
use crate::report::printable;
use crate::sys::directory::Directory;
use crate::sys::{file_system, threads};

/// Between two looks where nobody tells of changes.
const TICK: Duration = Duration::from_millis(400);
/// Between two looks where somebody does.
const SLOW_TICK: Duration = Duration::from_secs(1);
/// Bytes passed on in one go.
const PIECE: usize = 256 << 10;
/// How much of the scheduler's own words is told.
const WORDS: usize = 2 << 10;

/// How long a file system of this machine may take.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What the watch sees.
pub enum Seen {
    /// The script begins.
    Started(Started),
    /// The script has ended.
    Recorded(Completion),
    /// The output has been passed on; nothing follows.
    Drained(Drained),
    /// Something that is not as it should be.
    Notice(String),
}

/// The watch.
pub struct Tail {
    /// Set when the scheduler says that the job is over.
    last_look: Arc<AtomicBool>,
}

impl Tail {
    /// Starts it. Behind [`Seen::Drained`] comes more only if the job is started once more. It ends when `tell` says that
    /// nobody listens.
    pub fn start(
        run: &Directory,
        place: &Directory,
        scheduler_output: &str,
        patience: Duration,
        tell: impl Fn(Seen) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let last_look = Arc::new(AtomicBool::new(false));
        let local = file_system::local(&run.here()).is_some();
        // Without it (the limit of watches is used up) the ticks remain.
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
        let watched = inotify.as_ref().is_some_and(|inotify| inotify.add_watch(&run.here(), changes).is_ok());
        let watch = Watch {
            tick: if watched && local { SLOW_TICK } else { TICK },
            run: run.clone(),
            place: place.clone(),
            scheduler_output: scheduler_output.to_owned(),
            output: File::open(run.entry("output"))?,
            offset: 0,
            started: None,
            record: None,
            drained: false,
            replaced: false,
            patience: if local { patience.min(AT_ONCE) } else { patience },
            quiet_since: Instant::now(),
            last_look: Arc::clone(&last_look),
        };
        threads::spawn("tail", move || watch.run(inotify.as_ref(), &tell))?;
        Ok(Self { last_look })
    }

    /// The scheduler says that the job is over: what is not here soon will not come.
    pub fn last_look(&self) {
        self.last_look.store(true, Ordering::Release);
    }
}

struct Watch {
    tick: Duration,
    run: Directory,
    place: Directory,
    /// A name in `place`.
    scheduler_output: String,
    /// Held: should the name be taken away, what the script writes is still read.
    output: File,
    offset: u64,
    started: Option<Started>,
    record: Option<Completion>,
    drained: bool,
    replaced: bool,
    patience: Duration,
    /// When something came last.
    quiet_since: Instant,
    last_look: Arc<AtomicBool>,
}

impl Watch {
    fn run(mut self, inotify: Option<&Inotify>, tell: &dyn Fn(Seen) -> bool) {
        let mut piece = vec![0; PIECE];
        let mut last_look_since = None;
        loop {
            // First the record, then the output: what the record counts was written before it.
            let mut listening = self.look_for_marks(tell);
            match self.pass_on(&mut piece, tell) {
                Ok(heard) => listening = listening && heard,
                // The pump of our own stage: there is nobody left to read.
                Err(_) => return,
            }
            let last_look = self.last_look.load(Ordering::Acquire);
            if last_look != last_look_since.is_some() {
                last_look_since = last_look.then(Instant::now);
                self.quiet_since = Instant::now();
            }
            if !listening {
                return;
            }
            if !self.drained
                && let Some(drained) = self.is_drained(last_look_since.is_some())
            {
                self.drained = true;
                if !tell(Seen::Drained(drained)) {
                    return;
                }
            }
            // Towards the end there is more to notice than changes of files.
            let ending = self.record.is_some() || last_look_since.is_some();
            wait(inotify, if ending { TICK } else { self.tick });
        }
    }

    fn look_for_marks(&mut self, tell: &dyn Fn(Seen) -> bool) -> bool {
        let mut listening = true;
        // Once more for a job that was started once more.
        if let Some(started) = meeting::read(&self.run.entry("started")).and_then(|bytes| Started::parse(&bytes))
            && self.started.as_ref() != Some(&started)
        {
            if self.record.as_ref().is_some_and(|record| record.restarts < started.restarts) {
                self.record = None;
                self.drained = false;
                self.last_look.store(false, Ordering::Release);
            }
            self.started = Some(started.clone());
            listening = tell(Seen::Started(started));
        }
        let restarts = self.started.as_ref().map_or(0, |started| started.restarts);
        if self.record.is_none()
            && let Some(record) = meeting::read(&self.run.entry("record")).and_then(|bytes| Completion::parse(&bytes))
            // Not that of the start before.
            && record.restarts >= restarts
        {
            self.record = Some(record.clone());
            self.quiet_since = Instant::now();
            if record.spilled {
                let words = "warning: some of the output of this job could not be written on its node, and is missing here; is a quota used up?";
                listening = tell(Seen::Notice(words.to_owned())) && listening;
            }
            listening = tell(Seen::Recorded(record)) && listening;
        }
        listening
    }

    /// Passes on what is new. The error is that of our own standard output.
    fn pass_on(&mut self, piece: &mut [u8], tell: &dyn Fn(Seen) -> bool) -> io::Result<bool> {
        let mut listening = true;
        if let Some(words) = self.open_anew() {
            listening = tell(Seen::Notice(words));
        }
        let size = self.output.metadata().map_or(self.offset, |meta| meta.len());
        if size < self.offset {
            let words = format!(
                "warning: the output file of this job was cut from {} to {size} bytes while it ran; what was there meanwhile may be missing here",
                self.offset
            );
            self.offset = size;
            listening = tell(Seen::Notice(words)) && listening;
        }
        loop {
            // What a process writes that the script has left behind comes after the end, and does not count.
            let most = match &self.record {
                Some(record) => usize::try_from(record.bytes.saturating_sub(self.offset)).unwrap_or(PIECE).min(PIECE),
                None => PIECE,
            };
            match self.output.read_at(&mut piece[..most], self.offset) {
                Ok(0) => return Ok(listening),
                Ok(length) => {
                    let mut out = io::stdout().lock();
                    out.write_all(&piece[..length])?;
                    out.flush()?;
                    self.offset += length as u64;
                    self.quiet_since = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ESTALE and the like: the next look opens it anew.
                Err(_) => return Ok(listening),
            }
        }
    }

    /// Opens the output anew, which is when a network file system looks how long it is. Words, once, if it is another
    /// file, or gone.
    fn open_anew(&mut self) -> Option<String> {
        let fresh = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(self.run.entry("output"))
            .and_then(|file| Ok((file.metadata()?, file)));
        let same = |meta: &Metadata| {
            self.output.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (meta.dev(), meta.ino()))
        };
        match fresh {
            Ok((meta, file)) if same(&meta) => {
                self.output = file;
                None
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound && error.raw_os_error() != Some(libc::ELOOP) => None,
            _ if self.replaced => None,
            _ => {
                self.replaced = true;
                Some("warning: the output file of this job was removed or replaced while it ran; what the script writes to the old one is still shown, as far as the file system lets us".into())
            }
        }
    }

    /// Whether everything is here that will come.
    fn is_drained(&self, last_look: bool) -> Option<Drained> {
        let impatient = self.quiet_since.elapsed() >= self.patience;
        let missing = match &self.record {
            Some(record) => record.bytes.saturating_sub(self.offset),
            None if last_look && impatient => 0,
            None => return None,
        };
        (missing == 0 || impatient).then(|| Drained { missing, scheduler_words: self.scheduler_words() })
    }

    /// The end of what the scheduler itself has written.
    fn scheduler_words(&self) -> String {
        let Some(bytes) = meeting::read(&self.place.entry(&self.scheduler_output)) else { return String::new() };
        let text = String::from_utf8_lossy(&bytes);
        let start = text.char_indices().rev().nth(WORDS).map_or(0, |(at, _)| at);
        printable(text[start..].trim())
    }
}

/// Until something changes, but not long.
fn wait(inotify: Option<&Inotify>, tick: Duration) {
    let timeout = PollTimeout::try_from(tick).unwrap_or(PollTimeout::ZERO);
    match inotify {
        Some(inotify) => {
            let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, timeout);
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
        None => std::thread::sleep(tick), // nobody tells of changes here
    }
}
