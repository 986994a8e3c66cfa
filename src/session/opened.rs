//! One session: what its record says, and what its stages add to it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use super::jobs::{self, KnownJob, KnownJobs};
use super::made_under::{self, Configuration, Jobs, MadeUnder, Whose};
use super::record::SessionRecord;
use super::store::{SessionError, Store, io_error, write_private};
use super::trouble::TroubleFile;
use super::workers::KnownWorkers;
use super::{left_behind, secrets, slots};
use crate::evidence::JobFacts;
use crate::identity::Identity;
use crate::order::directories::Directories;
use crate::policy::Decision;
use crate::sys::atomic::{self, Kind};
use crate::sys::cgroup::Groups;
use crate::sys::process::ProcessMark;

/// In its directory: see [`Session::remember_prepared`].
const PREPARED: &str = "prepared";

/// One session, open.
#[derive(Debug)]
pub struct Session {
    store: Store,
    by: Arc<Configuration>,
    name: String,
    record: SessionRecord,
    jobs: KnownJobs,
    workers: KnownWorkers,
    /// Held by a stage while it runs.
    running: Option<Flock<File>>,
}

/// What came of [`Session::claim`].
#[derive(Debug)]
pub enum Claim {
    /// It is the caller's.
    Mine(Flock<File>),
    /// Somebody else's.
    Busy(Holder),
    /// It has been cleaned up.
    Gone,
}

/// Who holds a session that cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Stages of it run.
    Stages,
    /// Another cleanup.
    Cleanup,
}

impl Session {
    pub(super) fn new(store: &Store, by: &Arc<Configuration>, name: String, record: SessionRecord) -> Self {
        let jobs = KnownJobs::of_session(&store.session(&name));
        let workers = KnownWorkers::of_session(&store.session(&name));
        Self { store: store.clone(), by: Arc::clone(by), name, record, jobs, workers, running: None }
    }

    /// A stage of it begins, and has begun until this value is dropped.
    pub(super) fn begin_stage(&mut self) -> Result<(), SessionError> {
        let closed = || SessionError::Closed(self.name.clone());
        // First the lock, then the look: a cleanup that begins now either is seen here or waits for us.
        let lock = self.store.stages_lock(&self.name, FlockArg::LockShared)?.ok_or_else(closed)?;
        let _ = lock.set_modified(SystemTime::now());
        let dir = self.dir();
        if dir.join("closed").exists() || !SessionRecord::exists(&dir) {
            return Err(closed());
        }
        self.running = Some(lock);
        Ok(())
    }

    /// Its name, for `job_env`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who the job is.
    pub fn identity(&self) -> &Identity {
        &self.record.identity
    }

    /// The facts about it.
    pub fn facts(&self) -> &JobFacts {
        self.record.identity.facts()
    }

    /// As whom it runs, and by which rule.
    pub fn decision(&self) -> &Decision {
        &self.record.decision
    }

    /// Where it works.
    pub fn directories(&self) -> &Directories {
        &self.record.directories
    }

    /// Where its control group is, if it gets one.
    pub fn groups(&self) -> Option<&Groups> {
        self.record.groups.as_ref()
    }

    /// Whose it is. To be asked once more when it is claimed: the first batch job may come meanwhile.
    pub fn whose(&self) -> Whose {
        let jobs = if self.jobs().is_empty() { Jobs::None } else { Jobs::Some };
        made_under::whose(self.record.made_under.as_ref(), jobs, &self.by)
    }

    /// What it says of that, unless another version made it.
    pub fn made_under(&self) -> Option<&MadeUnder> {
        self.record.made_under.as_ref()
    }

    /// The configuration of this process.
    pub fn configuration(&self) -> &Configuration {
        &self.by
    }

    /// The directory of the store that it is in.
    pub fn store(&self) -> &Path {
        self.store.dir()
    }

    fn dir(&self) -> PathBuf {
        self.store.session(&self.name)
    }

    /// From now on no stage of it starts.
    pub fn close(&self) -> Result<(), SessionError> {
        match write_private(&self.dir().join("closed"), b"") {
            // A second cleanup has been quicker.
            Err(SessionError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Remembers signatures of tokens that may be valid after their stage, so that later stages mask them, too. The
    /// signature alone is of use to nobody.
    pub fn remember_signature(&self, signature: &str, masked_until: i64) -> Result<(), SessionError> {
        secrets::remember_signature(&self.dir(), signature, masked_until)
    }

    /// What [`Session::remember_signature`] was told, without what is over by `now`.
    pub fn signatures(&self, now: i64) -> Vec<(String, i64)> {
        secrets::signatures(&self.dir(), now)
    }

    /// Remembers where the runner keeps file-type variables: it may not be there any more to say so when they have to go.
    pub fn remember_temp_project_dir(&self, dir: &Path) -> Result<(), SessionError> {
        secrets::remember_temp_project_dir(&self.dir(), dir)
    }

    /// What [`Session::remember_temp_project_dir`] was told.
    pub fn temp_project_dir(&self) -> Option<PathBuf> {
        secrets::temp_project_dir(&self.dir())
    }

    /// Remembers that its prepare stage has gone well.
    pub fn remember_prepared(&self) -> Result<(), SessionError> {
        let path = self.dir().join(PREPARED);
        // No stage of it outlives a crash of the machine.
        atomic::replace(&path, b"", Kind::Passing).map_err(io_error("cannot write", &path))
    }

    /// Whether that was so.
    pub fn is_prepared(&self) -> bool {
        self.dir().join(PREPARED).exists()
    }

    /// A number that nothing in this session has had, from 1.
    pub fn take_number(&self) -> Result<u32, SessionError> {
        jobs::take_number(&self.dir())
    }

    /// The batch jobs that this session may have, the oldest first; with their numbers where those are known.
    pub fn jobs(&self) -> Vec<KnownJob> {
        self.jobs.list()
    }

    /// Where they are written down.
    pub fn ledger(&self) -> &KnownJobs {
        &self.jobs
    }

    /// Where its workers are written down.
    pub fn roster(&self) -> &KnownWorkers {
        &self.workers
    }

    /// Its workers that live. Of another boot none does.
    pub fn workers(&self) -> Vec<ProcessMark> {
        let here = left_behind::is_of_this_boot(&self.record);
        let uid = self.decision().uid();
        if here { self.workers.list().into_iter().filter(|worker| worker.lives_as(uid)).collect() } else { Vec::new() }
    }

    /// Whether nobody else will clean it up: its cleanup began a while ago; or the runner has removed the directory of this
    /// attempt, which it does last of all; or the runner or the whole machine has been started anew.
    pub fn is_left_behind(&self) -> bool {
        left_behind::is_left_behind(&self.record, &self.dir())
    }

    /// Whether its runner may live: on this machine, and as a process that is not known. Of one that is known it is known
    /// whether it lives.
    pub(super) fn may_have_a_runner(&self) -> bool {
        left_behind::is_of_this_machine(&self.record) && self.record.runner.is_none()
    }

    /// When a stage of it began last.
    pub(super) fn last_used(&self) -> SystemTime {
        left_behind::last_used(&self.dir())
    }

    /// Whether it is of this attempt of its job.
    pub(super) fn is_of_attempt(&self, attempt: &Path) -> bool {
        self.record.attempt == attempt
    }

    /// Claims it for cleaning up: alone among stages and cleanups, until the claim is dropped.
    pub fn claim(&self) -> Result<Claim, SessionError> {
        let lock = self.store.stages_lock(&self.name, FlockArg::LockExclusiveNonblock)?;
        // Looked at under the lock: another cleanup may have been quicker, and the directory may be another job's by now.
        let exists = SessionRecord::exists(&self.dir());
        Ok(match lock {
            _ if !exists => Claim::Gone,
            Some(lock) => Claim::Mine(lock),
            // Stages share the lock among each other, a cleanup with nobody.
            None => match self.store.stages_lock(&self.name, FlockArg::LockSharedNonblock)? {
                Some(_) => Claim::Busy(Holder::Stages),
                None => Claim::Busy(Holder::Cleanup),
            },
        })
    }

    /// How long it has been there.
    pub fn age(&self) -> Option<Duration> {
        SessionRecord::written(&self.dir())?.elapsed().ok()
    }

    /// Where it is written down that a cleanup of it has failed.
    pub fn trouble(&self) -> TroubleFile {
        TroubleFile::of_session(&self.dir())
    }

    /// Whether its runner has certainly ended: as a process that is known, or with the whole machine.
    pub fn runner_is_gone(&self) -> bool {
        left_behind::runner_is_gone(&self.record)
    }

    /// The runner's directory of this attempt. It holds the payload and the token of the job.
    pub fn attempt(&self) -> &Path {
        &self.record.attempt
    }

    /// Removes it.
    pub fn remove(self) {
        forget(&self.store, &self.name);
    }
}

/// Removes all trace of a session. Nothing happens the second time.
pub(super) fn forget(store: &Store, name: &str) {
    slots::give_back(store, name);
    // Again if somebody has put something in meanwhile: a cleanup beside this one, that notes its worker.
    for _ in 0..10 {
        match fs::remove_dir_all(store.session(name)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            _ => break,
        }
    }
}
