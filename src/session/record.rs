//! What is written down of a job, and where that happened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::made_under::MadeUnder;
use super::store::{SessionError, io_error, write_private};
use crate::identity::Identity;
use crate::order::directories::Directories;
use crate::policy::{Admission, Decision};
use crate::sys::cgroup::{Groups, JobGroup};
use crate::sys::process::{ProcessMark, boot_id};

/// In the directory of a session.
const FILE: &str = "session.json";

/// What is known of a job after its config stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    /// Who it is.
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// As whom it runs. Later stages ask policy again before they become that account.
    #[serde(flatten)]
    pub(super) decision: Decision,
    /// Where the job works.
    pub(super) directories: Directories,
    /// Whose it is. Older versions did not say.
    #[serde(default)]
    pub(super) made_under: Option<MadeUnder>,
    /// The machine. One user's own runner keeps its state in a home directory, which several machines may share.
    pub(super) host: String,
    /// Which file system tree the runner sees, and since when: a directory that is not there in another one says nothing.
    pub(super) tree: String,
    /// The runner's process, where it could be told: a session of a runner that has ended is left behind.
    #[serde(default)]
    pub(super) runner: Option<ProcessMark>,
    /// Where the job's control group is, if it gets one.
    #[serde(default)]
    pub(super) groups: Option<Groups>,
    /// The runner's directory of this attempt (where `JOB_RESPONSE_FILE` is): it tells attempts of one job apart.
    pub(super) attempt: PathBuf,
}

impl SessionRecord {
    /// The record of a job that begins here and now.
    pub(super) fn new(
        identity: &Identity,
        admission: &Admission,
        made_under: MadeUnder,
        session: &str,
        attempt: &Path,
        directories: Directories,
    ) -> Self {
        Self {
            identity: identity.clone(),
            decision: admission.decision().clone(),
            directories,
            made_under: Some(made_under),
            host: machine(),
            tree: tree(),
            runner: ProcessMark::of_ancestor("gitlab-runner"),
            groups: JobGroup::place(&format!("motmot-{session}")),
            attempt: attempt.to_owned(),
        }
    }

    /// Writes it into the directory of a session.
    pub(super) fn write(&self, dir: &Path) -> Result<(), SessionError> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| io_error("cannot write the session", dir)(error.into()))?;
        write_private(&path, &text)
    }

    /// Reads it back; `None` if there is none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, SessionError> {
        let path = dir.join(FILE);
        let failed = io_error("cannot read the session", &path);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// When it was written: in the config stage.
    pub(super) fn written(dir: &Path) -> Option<SystemTime> {
        fs::metadata(dir.join(FILE)).and_then(|meta| meta.modified()).ok()
    }

    /// Whether there is one.
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }
}

/// This machine, told from all others: two may share a home directory, and the first part of their names.
pub(super) fn machine() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    format!("{} {}", name.to_string_lossy(), id.trim())
}

/// The mount namespace of this process, and the boot that it belongs to.
pub(super) fn tree() -> String {
    let namespace = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    format!("{} {}", namespace.display(), boot_id())
}

/// The boot in what [`tree`] says.
pub(super) fn boot_of(tree: &str) -> &str {
    tree.rsplit(' ').next().unwrap_or_default()
}
