//! Small files in the place where the worker and the wrapper on the node meet.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::WorkerFailure;
use super::walk::failure;
use crate::order::completion;
use crate::sys::atomic::{self, Kind};
use crate::sys::directory::Directory;

/// Writes a file of ours: what the account may have put at this name is replaced, never written to.
pub(super) fn replace(dir: &Directory, name: &str, content: &[u8]) -> Result<(), WorkerFailure> {
    atomic::replace(&dir.entry(name), content, Kind::Shared)
        .map_err(|error| failure(&dir.path().join(name), "cannot be written", &error))
}

/// Reads a small file that the wrapper replaces; `None` if it is not there, or not a plain file.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    // O_NONBLOCK: a FIFO of that name must not hold us. The open is also what makes a network file system look.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(completion::MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
