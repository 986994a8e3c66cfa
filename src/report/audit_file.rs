//! The file of the audit log: how a record gets into it whole, and who is told when it does not.

use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::tell;
use crate::sys::files::{Owner, trusted_directory};

/// How often a record is begun: a disk may fill up in the middle of one, and another process begin a line of its own behind it.
const TRIES: usize = 3;
/// For how long another one may write.
const PATIENCE: Duration = Duration::from_millis(200);

/// The file, open. Several stages append to it at the same time.
#[derive(Debug)]
pub(super) struct AuditFile {
    file: File,
    /// The same, to look at its end; none of a device or a pipe.
    end: Option<File>,
    path: PathBuf,
    /// Whether this process has said that something is missing in it; once is enough.
    told: bool,
}

/// The audit log could not be opened, or not be written to.
#[derive(Debug, thiserror::Error)]
#[error("the audit log {path} cannot be written: {source}")]
pub struct AuditError {
    path: String,
    source: io::Error,
}

impl AuditFile {
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        match open_for_appending(path) {
            Ok(file) => Ok(Self { end: for_reading(&file, path), file, path: path.to_owned(), told: false }),
            Err(source) => Err(error(path, source)),
        }
    }

    /// Appends a record, as a line of its own, in one write: lines of concurrent stages do not mix (`O_APPEND`, POSIX write(2)).
    ///
    /// A disk that fills up takes a part of it. The rest must not follow, since another process may have begun its own line
    /// there: the record is written once more, on a new line.
    fn append(&self, record: &[u8]) -> io::Result<()> {
        // While another one writes, the end of the file can look like half a line. Who holds the lock for long is stopped, or hangs
        // in the file system: the record is written all the same.
        let start = Instant::now();
        while matches!(self.file.try_lock(), Err(TryLockError::WouldBlock)) && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1)); // nothing tells when it is free, but for a wait without end
        }
        let appended = self.append_alone(record);
        let _ = self.file.unlock();
        appended
    }

    fn append_alone(&self, record: &[u8]) -> io::Result<()> {
        for _ in 0..TRIES {
            let mended;
            let line = if self.ends_in_the_middle() {
                mended = [b"\n".as_slice(), record].concat();
                mended.as_slice()
            } else {
                record
            };
            match (&self.file).write(line) {
                Ok(written) if written == line.len() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::WriteZero, "only a part of a record could be written"))
    }

    /// Whether the last line has no end: a full disk, or a crash of the machine, has cut it.
    fn ends_in_the_middle(&self) -> bool {
        let Some(file) = &self.end else { return false };
        let last = file.metadata().ok().and_then(|meta| meta.len().checked_sub(1));
        let mut byte = [b'\n'];
        last.is_some_and(|last| file.read_exact_at(&mut byte, last).is_ok() && byte != [b'\n'])
    }
}

/// Each call of `write` is a record.
impl Write for AuditFile {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if let Err(source) = self.append(record)
            && !self.told
        {
            self.told = true;
            tell(format_args!("warning: {}", error(&self.path, source)));
        }
        // It has been told: to whoever logs, it is done.
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn error(path: &Path, source: io::Error) -> AuditError {
    AuditError { path: path.display().to_string(), source }
}

fn open_for_appending(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent()
        && !dir.exists()
    {
        DirBuilder::new().mode(0o700).create(dir)?;
    }
    if let Some(dir) = path.parent() {
        // In a directory of somebody else the file may be his already, or become it.
        trusted_directory(dir, Owner::RootOrSelf).map_err(io::Error::other)?;
    }
    File::options().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)
}

/// An ordinary file once more. (A pipe that is open for reading, too, would never say that its reader is gone.)
fn for_reading(file: &File, path: &Path) -> Option<File> {
    let meta = file.metadata().ok().filter(Metadata::is_file)?;
    let again = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .ok()?;
    // It may have been renamed meanwhile (logrotate).
    let same = again.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (meta.dev(), meta.ino()));
    same.then_some(again)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_record_behind_half_a_line_begins_a_line_of_its_own() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("audit.log");
        let mut file = AuditFile::open(&path).expect("open");
        for (before, after) in [("", "{2}\n"), ("{1}\n", "{1}\n{2}\n"), ("{1}\n{1", "{1}\n{1\n{2}\n")] {
            fs::write(&path, before).expect("write");
            file.write_all(b"{2}\n").expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), after);
        }
    }

    #[test]
    fn a_device_that_is_full_fails_nobody_who_logs_and_is_an_error_here() {
        let mut full = AuditFile::open(Path::new("/dev/full")).expect("open");
        assert_eq!(full.append(b"{}\n").expect_err("full").raw_os_error(), Some(libc::ENOSPC));
        full.write_all(b"{}\n").expect("it has been told");
        assert!(full.told);
    }
}
