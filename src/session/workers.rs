//! The workers of a session: each is written down before it has an order, so that one can be ended whose stage was killed and
//! that its account has stopped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::store::{MadeBy, make_private};
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
        make_private(&self.dir, || MadeBy::Motmot).map_err(|error| io::Error::other(error.to_string()))?;
        // No worker outlives a crash of the machine.
        atomic::replace(&self.dir.join(worker.to_string()), &serde_json::to_vec(worker)?, Kind::Passing)
    }
}
