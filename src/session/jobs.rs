//! The batch jobs of a session: each is written down before it is submitted, so that no crash can lose one.

use std::fs;
use std::path::{Path, PathBuf};

use super::store::{MadeBy, SessionError, make_private, write_private};
use crate::launch::batch::Ledger;
use crate::scheduler::{JobId, JobName};

/// A batch job of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownJob {
    /// Its name.
    pub name: JobName,
    /// Its number, if the scheduler has told it.
    pub id: Option<JobId>,
    /// Whether there is still something to run in it.
    pub script: Script,
}

/// How far the script of a batch job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// It waits, runs, or will come.
    MayRun,
    /// It has ended.
    Ended,
}

/// In the file of a job, behind its number.
const ENDED: &str = "ended";

/// All of them. A [`Ledger`] on disk.
#[derive(Debug)]
pub struct KnownJobs {
    dir: PathBuf,
}

impl KnownJobs {
    /// Those of the session with this directory.
    pub(super) fn of_session(dir: &Path) -> Self {
        Self { dir: dir.join("jobs") }
    }

    /// The oldest first; with their numbers where those are known.
    pub(super) fn list(&self) -> Vec<KnownJob> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut jobs: Vec<_> = entries
            .filter_map(|entry| {
                let name = JobName::parse(entry.file_name().to_str()?)?;
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                let mut words = text.split_ascii_whitespace();
                let id = words.next().and_then(JobId::parse);
                let script = if words.next() == Some(ENDED) { Script::Ended } else { Script::MayRun };
                let made = fs::metadata(entry.path()).and_then(|meta| meta.modified()).ok();
                Some((made, KnownJob { name, id, script }))
            })
            .collect();
        jobs.sort_by_key(|job| job.0);
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn write(&self, name: &JobName, text: &str) -> Result<(), String> {
        write_private(&self.dir.join(name.as_str()), text.as_bytes()).map_err(|error| error.to_string())
    }
}

impl Ledger for KnownJobs {
    fn submitting(&self, name: &JobName) -> Result<(), String> {
        make_private(&self.dir, || MadeBy::Motmot).map_err(|error| error.to_string())?;
        self.write(name, "")
    }

    fn submitted(&self, name: &JobName, id: &JobId) -> Result<(), String> {
        self.write(name, id.as_str())
    }

    fn not_submitted(&self, name: &JobName) {
        // Should it stay, cleanup looks for a job that is not there.
        let _ = fs::remove_file(self.dir.join(name.as_str()));
    }

    fn ended(&self, name: &JobName, id: &JobId) -> Result<(), String> {
        self.write(name, &format!("{id} {ENDED}"))
    }
}

/// A number that nothing in the session with this directory has had, from 1.
pub(super) fn take_number(dir: &Path) -> Result<u32, SessionError> {
    let path = dir.join("number");
    let last: u32 = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    write_private(&path, (last + 1).to_string().as_bytes())?;
    Ok(last + 1)
}
