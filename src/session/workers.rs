//! The workers of a session: each is written down before it has an order, so that one can be ended whose stage was killed and
//! that its account has stopped.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::launch::workplace::Roster;
use crate::sys::atomic::{self, Kind};
use crate::sys::process::ProcessMark;

/// All of them. A [`Roster`] on disk.
#[derive(Debug)]
pub struct KnownWorkers {
    dir: PathBuf,
}

impl KnownWorkers {
    /// Those of the session with this directory.
    pub(super) fn of_session(dir: &Path) -> Self {
        Self { dir: dir.join("workers") }
    }

    /// Those that are written down; most of them have ended long ago.
    pub(super) fn list(&self) -> Vec<ProcessMark> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()).collect()
    }
}

impl Roster for KnownWorkers {
    fn started(&self, worker: &ProcessMark) -> io::Result<()> {
        // Never the directory of the session: another cleanup may have removed that, and then nobody asks any more.
        let noted = match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            // No worker outlives a crash of the machine.
            _ => atomic::replace(&self.dir.join(worker.to_string()), &serde_json::to_vec(worker)?, Kind::Passing),
        };
        noted.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_noted_in_a_session_that_is_there_and_brings_none_back_that_is_gone() {
        let dir = tempfile::tempdir().expect("dir");
        let session = dir.path().join("1-a");
        let workers = KnownWorkers::of_session(&session);
        let mark = ProcessMark::of(std::process::id()).expect("this process");
        workers.started(&mark).expect("nobody asks for it");
        assert!(!session.exists());
        fs::create_dir(&session).expect("session");
        workers.started(&mark).expect("noted");
        assert_eq!(workers.list(), [mark]);
    }
}
