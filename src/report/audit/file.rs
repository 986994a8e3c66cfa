//! The file of the audit log: how a record gets into it whole, behind the one before it, and stays there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::chain::{self, Chained, Head, Link};
use super::error::AuditError;
use super::record::Record;
use crate::sys::files::{Owner, trusted_directory};

/// How often a record is begun: a disk may fill up in the middle of one.
const TRIES: usize = 3;
/// For how long other stages may write before this one gives up. One that is stopped, or hangs in the file system, holds the lock.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How many files of a directory are looked at for the one that was renamed.
const MOST_FILES: usize = 10_000;

/// A file. Several stages append to it at the same time.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    patience: Duration,
    /// Whether it was in vain. Who holds the lock then hangs, and no stage waits for him a second time.
    gave_up: AtomicBool,
}

/// Where the head of a log's chain is.
pub fn head_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

impl AuditFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), patience: PATIENCE, gave_up: AtomicBool::new(false) }
    }

    /// Appends a record as a line of its own, and returns that line when it is on the disk.
    pub(super) fn append(&self, record: &Record) -> Result<String, AuditError> {
        self.append_line(record).map_err(|source| AuditError::new(self.path.display(), source))
    }

    fn append_line(&self, record: &Record) -> io::Result<String> {
        make_directory(&self.path)?;
        let file = open_for_appending(&self.path)?;
        if !file.metadata()?.is_file() {
            // A device or a pipe: nothing can be looked up in it, so nothing hangs together.
            let line = record.opened_object() + "}";
            append_whole(&file, format!("{line}\n").as_bytes(), || false)?;
            return Ok(line);
        }
        let head_file = open_head(&head_of(&self.path))?;
        let patience = if self.gave_up.load(Ordering::Relaxed) { Duration::ZERO } else { self.patience };
        let free = when_free(&head_file, patience, File::try_lock);
        self.gave_up.store(free.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut), Ordering::Relaxed);
        free?;
        // Opened under the lock: logrotate may have renamed the one of before, and what followed it there would be in two files at
        // once.
        let file = open_for_appending(&self.path)?;
        let line = append_chained(&self.path, &file, &head_file, record);
        let _ = head_file.unlock();
        let line = line?;
        // Not under the lock: stages that come at the same time wait for the disk together, and not one for the other.
        file.sync_data()?;
        Ok(line)
    }
}

/// Takes the lock of a log, which is that of its head, by one of its two ways.
///
/// # Errors
/// That somebody has it for longer than that, or what the operating system says.
pub fn when_free(head: &File, patience: Duration, take: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match take(head) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() > patience => {
                return Err(io::Error::new(ErrorKind::TimedOut, "another process holds its lock"));
            }
            // Nothing tells when it is free, but for a wait without end.
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn append_chained(path: &Path, file: &File, head_file: &File, record: &Record) -> io::Result<String> {
    let reading = open(File::options().read(true), path)?;
    let head = Head::read(head_file);
    let renamed = head.as_ref().filter(|head| !head.is_of(&reading)).and_then(|head| renamed(path, head));
    let place: Chained = chain::next(head.as_ref(), &reading, renamed.as_ref());
    let line = format!("{}{}}}", record.opened_object(), place.as_fields());
    append_whole(file, format!("{line}\n").as_bytes(), || ends_in_the_middle(&reading))?;
    // The line first: a head without it would say for ever that something is missing. Where this process is killed in between, the
    // next one finds the line.
    Head::of(Link { seq: place.seq, hash: chain::hash(line.as_bytes()) }, &reading)?.write(head_file)?;
    Ok(line)
}

/// In one write: lines of programs that know nothing of the lock do not mix either (`O_APPEND`, POSIX write(2)).
///
/// A disk that fills up takes a part of it: the record is written once more, on a new line. Where it took all but the line break, the
/// record is there, and a second one of the same number would never be forgiven.
fn append_whole(mut file: impl Write, line: &[u8], in_the_middle: impl Fn() -> bool) -> io::Result<()> {
    let mut is_there = false;
    for _ in 0..TRIES {
        let mended;
        let bytes = if is_there {
            b"\n".as_slice()
        } else if in_the_middle() {
            mended = [b"\n".as_slice(), line].concat();
            mended.as_slice()
        } else {
            line
        };
        match file.write(bytes) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => is_there |= written + 1 == bytes.len(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::WriteZero, "only a part of a record could be written"))
}

/// Whether the last line has no end: a full disk, or a crash of the machine, has cut it.
fn ends_in_the_middle(file: &File) -> bool {
    let last = file.metadata().ok().and_then(|meta| meta.len().checked_sub(1));
    let mut byte = [b'\n'];
    last.is_some_and(|last| file.read_exact_at(&mut byte, last).is_ok() && byte != [b'\n'])
}

/// The file that a head is about, under another name in the same directory.
fn renamed(path: &Path, head: &Head) -> Option<File> {
    let entries = fs::read_dir(path.parent()?).ok()?.take(MOST_FILES).flatten();
    let name = path.file_name()?.as_encoded_bytes();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(name))
        .filter_map(|entry| open(File::options().read(true), &entry.path()).ok())
        .find(|file| head.is_of(file))
}

fn make_directory(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    if !dir.exists() {
        match DirBuilder::new().mode(0o700).create(dir) {
            // Another stage was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => {
                if let Some(above) = dir.parent() {
                    File::open(above)?.sync_all()?;
                }
            }
        }
    }
    // In a directory of somebody else the file may be his already, or become it.
    trusted_directory(dir, Owner::RootOrSelf).map(drop).map_err(io::Error::other)
}

fn open_for_appending(path: &Path) -> io::Result<File> {
    open_or_make(File::options().append(true), path)
}

fn open_head(path: &Path) -> io::Result<File> {
    open_or_make(File::options().read(true).write(true), path)
}

/// A file that a crash of the machine removed again would be a log without its first lines, or without a head to miss them: so the
/// directory goes to the disk with it.
fn open_or_make(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    match open(options, path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    match open(options.create_new(true), path) {
        // Another stage was quicker.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open(options.create_new(false), path),
        Err(error) => Err(error),
        Ok(file) => {
            if let Some(dir) = path.parent() {
                File::open(dir)?.sync_all()?;
            }
            Ok(file)
        }
    }
}

/// Without waiting for whoever reads a pipe.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)
}

#[cfg(test)]
mod tests;
