//! What the earlier stages of a job left for the later ones.
//!
//! A session is a directory that only the driver's account can read. `motmot-config` decides once and records it there;
//! the runner carries nothing but the session's name from stage to stage. All that is needed to end and remove a job is on
//! disk before it is needed, so that cleanup works after a crash, twice, and beside a stage that is still dying.
//!
//! ```text
//! <state_dir>/lock                         held while a slot is taken or given back
//! <state_dir>/sessions/<name>/session.json the record
//! <state_dir>/sessions/<name>/prepared     its prepare stage has gone well
//! <state_dir>/sessions/<name>/closed       cleanup has begun: no stage starts any more
//! <state_dir>/sessions/<name>/trouble      why cleanups of it have failed, and how many
//! <state_dir>/sessions/<name>/stages       locked (shared) by every stage that runs, so that cleanup can wait for them
//! <state_dir>/sessions/<name>/temp-project-dir  where the runner keeps file-type variables
//! <state_dir>/sessions/<name>/number       of the last batch job or run
//! <state_dir>/sessions/<name>/jobs/<name>  a batch job: made before it is submitted, holds its number when that is known
//! <state_dir>/sessions/<name>/workers/<number>  a process that runs as the account, and since when
//! <state_dir>/sessions/<name>/signatures   of tokens that later stages have to mask
//! <state_dir>/slots/<uid>-<project>-<n>    the name of the session that works in directory n
//! <state_dir>/gitlab-keys/<digest>.json    keys that a GitLab signs id tokens with
//! <state_dir>/gitlab-groups/<digest>.json  who is in a group, as GitLab said some minutes ago
//! <state_dir>/pace                         when the scheduler may be asked next
//! <state_dir>/remembered                   what it has said of partitions
//! ```

mod jobs;
mod left_behind;
mod made_under;
mod opened;
mod record;
mod secrets;
mod slots;
mod store;
mod trouble;
mod workers;

pub use jobs::{KnownJob, Script};
pub use made_under::{Configuration, MadeUnder, Whose};
pub use opened::{Claim, Holder, Session};
pub use store::{NAME_ANOTHER, SessionError};

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::record::SessionRecord;
use self::store::{MadeBy, Store, io_error};
use crate::identity::Identity;
use crate::order::directories::Directories;
use crate::policy::Admission;
use crate::report::audit::RequestId;
use crate::scheduler::Cluster;
use crate::sys::installed::Prize;

/// The store of all sessions of this machine's runner.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Store,
    /// Under which configuration they are looked at.
    by: Arc<Configuration>,
}

/// What [`Sessions::left_behind`] has found.
#[derive(Debug)]
pub struct LeftBehind {
    /// Of this configuration, the oldest first.
    pub ours: Vec<Session>,
    /// Of others: nobody here may clean them up.
    pub others: Vec<Session>,
}

impl Sessions {
    /// Opens the store, and makes it if it is missing.
    pub fn open(dir: &Path, by: Configuration) -> Result<Self, SessionError> {
        Ok(Self { store: Store::open(dir)?, by: Arc::new(by) })
    }

    /// Whether a directory is such a store and nothing else, so that it may be told to be changed.
    pub fn are_in(dir: &Path) -> bool {
        MadeBy::looking_into(dir) == MadeBy::Motmot
    }

    /// The names of all that may be in it.
    pub const PARTS: [&str; 7] = store::PARTS;

    /// Whether everything above a directory that is to be such a store is safe; nothing is made.
    pub fn may_be_in(dir: &Path, prize: Prize) -> Result<(), SessionError> {
        store::judge_above(dir, prize)
    }

    /// A directory of the driver's own for keys of GitLab: `evidence` says what is in it.
    pub fn keys_directory(&self) -> Result<PathBuf, SessionError> {
        self.store.keys()
    }

    /// The directory of what GitLab says of groups, made if it is missing.
    pub fn groups_directory(&self) -> Result<PathBuf, SessionError> {
        self.store.groups()
    }

    /// Records a decision under a new name. `cluster` is where its batch jobs will go, if it has some. `lay_out` says where a job works that has this slot and this name.
    pub fn create(
        &self,
        identity: &Identity,
        admission: &Admission,
        cluster: Option<Cluster>,
        attempt: &Path,
        request: &RequestId,
        lay_out: impl FnOnce(u32, &str) -> Directories,
    ) -> Result<Session, SessionError> {
        let facts = identity.facts();
        // Short, since it is part of TMPDIR, and sockets there have at most 108 bytes for their whole path.
        // The request joins all that the audit log says of this run of the job.
        let name = format!("{}-{}", facts.job_id(), request.as_str());
        let dir = self.store.session(&name);
        DirBuilder::new().mode(0o700).create(&dir).map_err(io_error("cannot make the session", &dir))?;
        let slot = slots::take(&self.store, admission.account().uid().as_raw(), facts.project_id(), &name)?;
        let made_under = self.by.record(cluster);
        let record = SessionRecord::new(identity, admission, made_under, &name, attempt, lay_out(slot, &name));
        record.write(&dir)?;
        Ok(Session::new(&self.store, &self.by, name, record))
    }

    /// The session of that name, for a stage of the job `job_id`.
    pub fn resume(&self, name: &str, job_id: u64) -> Result<Session, SessionError> {
        let mut session = self.find(name)?;
        session.begin_stage()?;
        let recorded = session.facts().job_id();
        if recorded != job_id {
            return Err(SessionError::OtherJob { name: name.to_owned(), recorded, payload: job_id });
        }
        // Jobs of two GitLabs can have the same number.
        let recorded = session.made_under().and_then(MadeUnder::gitlab);
        if recorded != self.by.gitlab() {
            let shown = |name: Option<&str>| name.unwrap_or("the only GitLab").to_owned();
            let (recorded, asked) = (shown(recorded), shown(self.by.gitlab()));
            return Err(SessionError::OtherGitLab { name: name.to_owned(), recorded, asked });
        }
        Ok(session)
    }

    /// The session of that name, for cleanup.
    pub fn find(&self, name: &str) -> Result<Session, SessionError> {
        let unknown = || SessionError::Unknown(name.chars().take(80).collect());
        // It becomes part of a path.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(unknown());
        }
        let record = SessionRecord::read(&self.store.session(name))?.ok_or_else(unknown)?;
        Ok(Session::new(&self.store, &self.by, name.to_owned(), record))
    }

    /// The sessions of one attempt of a job, for a cleanup that was not told a name: `job_env` is lost when config fails
    /// or is killed after it has recorded its decision.
    pub fn of_attempt(&self, job_id: u64, attempt: &Path) -> Vec<Session> {
        let prefix = format!("{job_id}-");
        let mut found = Vec::new();
        for name in self.store.names().filter(|name| name.starts_with(&prefix)) {
            match self.find(&name) {
                Ok(session) if session.is_of_attempt(attempt) => found.push(session),
                // Killed between the directory and the record: nothing was done yet.
                Err(SessionError::Unknown(_)) => opened::forget(&self.store, &name),
                _ => {}
            }
        }
        found
    }

    /// Sessions that seem to be over and were not cleaned up. To be asked once more when they are claimed.
    pub fn left_behind(&self) -> LeftBehind {
        let found = self.all().filter(Session::is_left_behind);
        let (mut ours, others): (Vec<_>, Vec<_>) = found.partition(|session| session.whose() == Whose::Ours);
        ours.sort_by_key(Session::last_used);
        LeftBehind { ours, others }
    }

    /// All that are another configuration's, or have batch jobs in another cluster, whatever they do.
    pub fn of_others(&self) -> Vec<Session> {
        let of_others = |session: &Session| !matches!(session.whose(), Whose::Ours | Whose::NotSaid);
        self.all().filter(of_others).collect()
    }

    /// Sessions of this machine, whosever, in which no stage and no cleanup runs, but of which it is not known whether they are over.
    pub fn idle(&self) -> Vec<Session> {
        let idle = |session: &Session| matches!(session.claim(), Ok(Claim::Mine(_)));
        self.all().filter(|session| session.may_have_a_runner() && !session.is_left_behind() && idle(session)).collect()
    }

    fn all(&self) -> impl Iterator<Item = Session> + '_ {
        self.store.names().filter_map(|name| self.find(&name).ok())
    }
}

#[cfg(test)]
mod tests;
