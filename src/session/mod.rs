//! What the earlier stages of a job left for the later ones.
//!
//! A session is a directory that only the driver's account can read. `motmot-config` decides once and records it there;
//! the runner carries nothing but the session's name from stage to stage. All that is needed to end and remove a job is on
//! disk before it is needed, so that cleanup works after a crash, twice, and beside a stage that is still dying.
//!
//! ```text
//! <state_dir>/lock                         held while a slot is taken or given back
//! <state_dir>/sessions/<name>/session.json the record
//! <state_dir>/sessions/<name>/closed       cleanup has begun: no stage starts any more
//! <state_dir>/sessions/<name>/stages       locked (shared) by every stage that runs, so that cleanup can wait for them
//! <state_dir>/sessions/<name>/temp-project-dir  where the runner keeps file-type variables
//! <state_dir>/sessions/<name>/number       of the last batch job or run
//! <state_dir>/sessions/<name>/jobs/<name>  a batch job: made before it is submitted, holds its number when that is known
//! <state_dir>/sessions/<name>/signatures   of tokens that later stages have to mask
//! <state_dir>/slots/<uid>-<project>-<n>    the name of the session that works in directory n
//! ```

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::evidence::JobFacts;
use crate::identity::{Assurance, Identity};
use crate::launch::batch::Ledger;
use crate::order::directories::Directories;
use crate::policy::Verdict;
use crate::report::{FailureKind, Fault};
use crate::scheduler::slurm::SlurmOptions;
use crate::scheduler::{JobId, JobName};
use crate::sys::cgroup::JobGroup;
use crate::sys::process::ProcessMark;

/// After the begin of a cleanup: how long until another one takes up its session, should nobody be at it any more.
const A_WHILE: Duration = Duration::from_mins(5);
/// How long a session may lie idle whose runner's directory cannot be seen from here.
const A_DAY: Duration = Duration::from_hours(24);

/// What is known of a job after its config stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The facts about the job.
    pub facts: JobFacts,
    /// Who vouches for them.
    pub assurance: Assurance,
    /// The account's name. Later stages ask policy again before they become it.
    pub account: String,
    /// Its number at that time.
    pub uid: u32,
    /// The rule that decided.
    pub rule: String,
    /// What that rule fixes for Slurm jobs.
    #[serde(default)]
    pub slurm: SlurmOptions,
    /// Where the job works.
    pub directories: Directories,
    /// The machine. One user's own runner keeps its state in a home directory, which several machines may share.
    pub host: String,
    /// Which file system tree the runner sees, and since when: a directory that is not there in another one says nothing.
    pub tree: String,
    /// The runner's process, where it could be told: a session of a runner that has ended is left behind.
    #[serde(default)]
    pub runner: Option<ProcessMark>,
    /// Where the job's control group is, if it gets one.
    pub group: Option<PathBuf>,
    /// The runner's directory of this attempt (where `JOB_RESPONSE_FILE` is): it tells attempts of one job apart.
    pub attempt: PathBuf,
}

/// The store of all sessions of this machine's runner.
#[derive(Clone, Debug)]
pub struct Sessions {
    dir: PathBuf,
}

/// One session, open.
#[derive(Debug)]
pub struct Session {
    sessions: Sessions,
    name: String,
    record: Record,
    /// Held by a stage while it runs.
    running: Option<Flock<File>>,
}

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

/// What came of [`Session::claim`].
#[derive(Debug)]
pub enum Claim {
    /// It is the caller's.
    Mine(Flock<File>),
    /// A stage runs, or another cleanup.
    Busy,
    /// It has been cleaned up.
    Gone,
}

/// Something is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file system.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could read or change it.
    #[error("the state directory {path} (jobs.state_dir) is not private: {why}")]
    NotPrivate {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The name leads nowhere.
    #[error("there is no session {0:?}: its config stage did not succeed, or its cleanup has run")]
    Unknown(String),
    /// Cleanup has begun.
    #[error("the session {0:?} is being cleaned up; no further stage of this job starts")]
    Closed(String),
    /// The payload is about another job.
    #[error("the session {name:?} belongs to job {recorded}, but the payload is that of job {payload}")]
    OtherJob {
        /// The session.
        name: String,
        /// Its job.
        recorded: u64,
        /// The payload's.
        payload: u64,
    },
}

impl Fault for SessionError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

impl Sessions {
    /// Opens the store, and makes it if it is missing.
    pub fn open(dir: &Path) -> Result<Self, SessionError> {
        for dir in [dir.to_owned(), dir.join("sessions"), dir.join("slots")] {
            make_private(&dir)?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Records a decision under a new name. `lay_out` says where a job works that has this slot and this name.
    pub fn create(
        &self,
        identity: &Identity,
        verdict: &Verdict,
        attempt: &Path,
        lay_out: impl FnOnce(u32, &str) -> Directories,
    ) -> Result<Session, SessionError> {
        let facts = identity.facts().clone();
        // Short, since it is part of TMPDIR, and sockets there have at most 108 bytes for their whole path.
        let name = format!("{}-{:012x}", facts.job_id, uuid::Uuid::now_v7().as_u128() & 0xffff_ffff_ffff);
        let path = self.path(&name);
        DirBuilder::new().mode(0o700).create(&path).map_err(io_error("cannot make the session", &path))?;
        let uid = verdict.account.uid().as_raw();
        let slot = self.take_slot(uid, facts.project_id, &name)?;
        let record = Record {
            assurance: identity.assurance(),
            account: verdict.account.name().to_owned(),
            uid,
            rule: verdict.rule.clone(),
            slurm: verdict.slurm.clone(),
            directories: lay_out(slot, &name),
            host: machine(),
            tree: tree(),
            runner: ProcessMark::of_ancestor("gitlab-runner"),
            group: JobGroup::place(&format!("motmot-{name}")),
            attempt: attempt.to_owned(),
            facts,
        };
        write_private(
            &path.join("session.json"),
            &serde_json::to_vec(&record).map_err(|error| io_error("cannot write the session", &path)(error.into()))?,
        )?;
        Ok(Session { sessions: self.clone(), name, record, running: None })
    }

    /// The session of that name, for a stage of the job `job_id`.
    pub fn resume(&self, name: &str, job_id: u64) -> Result<Session, SessionError> {
        let mut session = self.find(name)?;
        // First the lock, then the look: a cleanup that begins now either is seen here or waits for us.
        let closed = || SessionError::Closed(name.to_owned());
        let lock = self.stages_lock(name, FlockArg::LockShared)?.ok_or_else(closed)?;
        let _ = lock.set_modified(SystemTime::now());
        session.running = Some(lock);
        let path = self.path(name);
        if path.join("closed").exists() || !path.join("session.json").exists() {
            return Err(SessionError::Closed(name.to_owned()));
        }
        if session.record.facts.job_id != job_id {
            return Err(SessionError::OtherJob {
                name: name.to_owned(),
                recorded: session.record.facts.job_id,
                payload: job_id,
            });
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
        let path = self.path(name).join("session.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown()),
            Err(error) => return Err(io_error("cannot read the session", &path)(error)),
        };
        let record =
            serde_json::from_slice(&text).map_err(|error| io_error("cannot read the session", &path)(error.into()))?;
        Ok(Session { sessions: self.clone(), name: name.to_owned(), record, running: None })
    }

    /// The sessions of one attempt of a job, for a cleanup that was not told a name: `job_env` is lost when config fails
    /// or is killed after it has recorded its decision.
    pub fn of_attempt(&self, job_id: u64, attempt: &Path) -> Vec<Session> {
        let prefix = format!("{job_id}-");
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir.join("sessions")).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.starts_with(&prefix) {
                continue;
            }
            match self.find(&name) {
                Ok(session) if session.record.attempt == attempt => found.push(session),
                // Killed between the directory and the record: nothing was done yet.
                Err(SessionError::Unknown(_)) => self.forget(&name),
                _ => {}
            }
        }
        found
    }

    /// Sessions that seem to be over and were not cleaned up, the oldest first. To be asked once more when they are claimed.
    pub fn left_behind(&self) -> Vec<Session> {
        let mut found: Vec<Session> = self.all().filter(Session::is_left_behind).collect();
        found.sort_by_key(Session::last_used);
        found
    }

    /// Sessions of this machine in which no stage and no cleanup runs, but of which it is not known whether they are over.
    pub fn idle(&self) -> Vec<Session> {
        let idle = |session: &Session| matches!(session.claim(), Ok(Claim::Mine(_)));
        // Of a runner that is known it is known whether it lives.
        let unknown = |session: &Session| session.record.host == machine() && session.record.runner.is_none();
        self.all().filter(|session| unknown(session) && !session.is_left_behind() && idle(session)).collect()
    }

    fn all(&self) -> impl Iterator<Item = Session> + '_ {
        let entries = fs::read_dir(self.dir.join("sessions")).into_iter().flatten().flatten();
        entries.filter_map(|entry| self.find(entry.file_name().to_str()?).ok())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join("sessions").join(name)
    }

    /// The lock of a session's stages; `None` if the session is gone, or if somebody else has it and `how` does not wait.
    fn stages_lock(&self, name: &str, how: FlockArg) -> Result<Option<Flock<File>>, SessionError> {
        let path = self.path(name).join("stages");
        let file = match File::options().write(true).create(true).truncate(false).mode(0o600).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("cannot open", &path)(error)),
        };
        match Flock::lock(file, how) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(io_error("cannot lock", &path)(error.into())),
        }
    }

    fn lock(&self) -> Result<Flock<File>, SessionError> {
        let path = self.dir.join("lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("cannot open", &path))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| io_error("cannot lock", &path)(error.into()))
    }

    /// The lowest number that no living session of this account and project has: two jobs never share a directory, and
    /// a directory is used again, with its clone in it, as soon as it is free.
    fn take_slot(&self, uid: u32, project_id: u64, name: &str) -> Result<u32, SessionError> {
        let _lock = self.lock()?;
        for slot in 0.. {
            let path = self.dir.join("slots").join(format!("{uid}-{project_id}-{slot}"));
            let free = match fs::read_to_string(&path) {
                Ok(holder) => !self.path(&holder).exists(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => return Err(io_error("cannot read", &path)(error)),
            };
            if free {
                write_private(&path, name.as_bytes())?;
                return Ok(slot);
            }
        }
        unreachable!("there are more numbers than sessions")
    }

    /// Removes all trace of a session. Nothing happens the second time.
    fn forget(&self, name: &str) {
        if let Ok(_lock) = self.lock() {
            for entry in fs::read_dir(self.dir.join("slots")).into_iter().flatten().flatten() {
                if fs::read_to_string(entry.path()).is_ok_and(|holder| holder == name) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        let _ = fs::remove_dir_all(self.path(name));
    }
}

impl Session {
    /// Its name, for `job_env`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was decided.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The directory of the store that it is in.
    pub fn store(&self) -> &Path {
        &self.sessions.dir
    }

    /// From now on no stage of it starts.
    pub fn close(&self) -> Result<(), SessionError> {
        let path = self.sessions.path(&self.name).join("closed");
        match write_private(&path, b"") {
            // A second cleanup has been quicker.
            Err(SessionError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Remembers signatures of tokens that may be valid after their stage, so that later stages mask them, too. The
    /// signature alone is of use to nobody.
    pub fn remember_signature(&self, signature: &str, masked_until: i64) -> Result<(), SessionError> {
        let path = self.sessions.path(&self.name).join("signatures");
        let file = File::options().append(true).create(true).mode(0o600).open(&path);
        // One write: stages of one session do not run at the same time, but a cleanup may read meanwhile.
        file.and_then(|mut file| file.write_all(format!("{masked_until} {signature}\n").as_bytes()))
            .map_err(io_error("cannot write", &path))
    }

    /// What [`Session::remember_signature`] was told, without what is over by `now`.
    pub fn signatures(&self, now: i64) -> Vec<(String, i64)> {
        let text = fs::read_to_string(self.sessions.path(&self.name).join("signatures")).unwrap_or_default();
        let entries = text.lines().filter_map(|line| line.split_once(' '));
        entries
            .filter_map(|(until, signature)| Some((signature.to_owned(), until.parse().ok()?)))
            .filter(|(_, until)| *until >= now)
            .collect()
    }

    /// Remembers where the runner keeps file-type variables: it may not be there any more to say so when they have to go.
    pub fn remember_temp_project_dir(&self, dir: &Path) -> Result<(), SessionError> {
        write_private(&self.sessions.path(&self.name).join("temp-project-dir"), dir.as_os_str().as_bytes())
    }

    /// What [`Session::remember_temp_project_dir`] was told.
    pub fn temp_project_dir(&self) -> Option<PathBuf> {
        let bytes = fs::read(self.sessions.path(&self.name).join("temp-project-dir")).ok()?;
        Some(PathBuf::from(OsString::from_vec(bytes)))
    }

    /// A number that nothing in this session has had, from 1.
    pub fn take_number(&self) -> Result<u32, SessionError> {
        let path = self.sessions.path(&self.name).join("number");
        let last: u32 = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        write_private(&path, (last + 1).to_string().as_bytes())?;
        Ok(last + 1)
    }

    /// The batch jobs that this session may have, the oldest first; with their numbers where those are known.
    pub fn jobs(&self) -> Vec<KnownJob> {
        let entries = fs::read_dir(self.jobs_dir()).into_iter().flatten().flatten();
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

    fn jobs_dir(&self) -> PathBuf {
        self.sessions.path(&self.name).join("jobs")
    }

    /// Whether nobody else will clean it up: its cleanup began a while ago; or the runner has removed the directory of this
    /// attempt, which it does last of all; or the runner or the whole machine has been started anew.
    pub fn is_left_behind(&self) -> bool {
        // Another machine's directories and processes are not seen from here.
        if self.record.host != machine() {
            return false;
        }
        // This machine was started anew since, and no runner has survived that.
        if boot_of(&self.record.tree) != boot_of(&tree()) {
            return true;
        }
        let since = |time: io::Result<SystemTime>| time.ok().and_then(|time| time.elapsed().ok());
        let closed = fs::metadata(self.sessions.path(&self.name).join("closed"));
        if let Ok(meta) = closed {
            return since(meta.modified()).is_some_and(|age| age >= A_WHILE);
        }
        // Nor does one outlive its own end. (Another namespace of processes has other numbers.)
        if self.record.tree == tree() && self.record.runner.is_some_and(|runner| !runner.lives()) {
            return true;
        }
        if self.record.tree == tree() {
            let attempt = fs::symlink_metadata(&self.record.attempt);
            return matches!(attempt, Err(error) if error.kind() == io::ErrorKind::NotFound);
        }
        // A runner with a /tmp of its own (PrivateTmp), which may live, or may have been started anew.
        since(Ok(self.last_used())).is_some_and(|age| age >= A_DAY)
    }

    /// When a stage of it began last.
    fn last_used(&self) -> SystemTime {
        let dir = self.sessions.path(&self.name);
        let time = |file: &str| fs::metadata(dir.join(file)).and_then(|meta| meta.modified());
        time("stages").or_else(|_| time("session.json")).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Claims it for cleaning up: alone among stages and cleanups, until the claim is dropped.
    pub fn claim(&self) -> Result<Claim, SessionError> {
        let lock = self.sessions.stages_lock(&self.name, FlockArg::LockExclusiveNonblock)?;
        // Looked at under the lock: another cleanup may have been quicker, and the directory may be another job's by now.
        let exists = self.sessions.path(&self.name).join("session.json").exists();
        Ok(match lock {
            _ if !exists => Claim::Gone,
            Some(lock) => Claim::Mine(lock),
            None => Claim::Busy,
        })
    }

    /// Removes it.
    pub fn remove(self) {
        self.sessions.forget(&self.name);
    }
}

impl Ledger for Session {
    fn submitting(&self, name: &JobName) -> Result<(), String> {
        let dir = self.jobs_dir();
        make_private(&dir).map_err(|error| error.to_string())?;
        write_private(&dir.join(name.as_str()), b"").map_err(|error| error.to_string())
    }

    fn submitted(&self, name: &JobName, id: &JobId) -> Result<(), String> {
        write_private(&self.jobs_dir().join(name.as_str()), id.as_str().as_bytes()).map_err(|error| error.to_string())
    }

    fn not_submitted(&self, name: &JobName) {
        // Should it stay, cleanup looks for a job that is not there.
        let _ = fs::remove_file(self.jobs_dir().join(name.as_str()));
    }

    fn ended(&self, name: &JobName, id: &JobId) -> Result<(), String> {
        let text = format!("{id} {ENDED}");
        write_private(&self.jobs_dir().join(name.as_str()), text.as_bytes()).map_err(|error| error.to_string())
    }
}

fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> SessionError {
    let path = path.to_owned();
    move |source| SessionError::Io { what, path: path.clone(), source }
}

/// This machine, told from all others: two may share a home directory, and the first part of their names.
fn machine() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    format!("{} {}", name.to_string_lossy(), id.trim())
}

/// The boot in what [`tree`] says.
fn boot_of(tree: &str) -> &str {
    tree.rsplit(' ').next().unwrap_or_default()
}

/// The mount namespace of this process, and the boot that it belongs to.
fn tree() -> String {
    let namespace = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{} {}", namespace.display(), boot.trim())
}

/// Makes a directory of mode 0700 if it is missing, and judges it: it must be ours, and nobody else's to look into.
fn make_private(dir: &Path) -> Result<(), SessionError> {
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(dir)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(io_error("cannot make the state directory (jobs.state_dir)", dir)(error));
    }
    let meta = fs::symlink_metadata(dir).map_err(io_error("cannot look at", dir))?;
    let not_private = |why: String| SessionError::NotPrivate { path: dir.to_owned(), why };
    let own = nix::unistd::geteuid().as_raw();
    if !meta.is_dir() {
        return Err(not_private("it is not a directory".into()));
    }
    if meta.uid() != own {
        return Err(not_private(format!(
            "it belongs to uid {}, but this driver runs as uid {own}; chown it",
            meta.uid()
        )));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(not_private(format!("its mode is {:04o}; chmod 0700 it", meta.mode() & 0o7777)));
    }
    Ok(())
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), SessionError> {
    let failed = io_error("cannot write", path);
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut temp = tempfile::NamedTempFile::new_in(dir).map_err(&failed)?;
    temp.write_all(content).map_err(&failed)?;
    // With batch jobs the store is on a disk, and what is remembered of them has to survive a crash of the machine: the
    // jobs do. (Without them it is in memory, where this costs nothing.)
    temp.as_file().sync_data().map_err(&failed)?;
    temp.persist(path).map_err(|error| failed(error.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(&failed)
}

#[cfg(test)]
mod tests;
