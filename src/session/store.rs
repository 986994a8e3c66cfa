//! The directory that holds the sessions: who may look into it, how files in it are written, and its two locks.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use crate::launch::batch::pace::Pace;
use crate::launch::batch::remembered::Remembered;
use crate::report::{FailureKind, Fault};
use crate::sys::atomic::{self, Kind};
use crate::sys::files::{TrustError, account_name, login_name};
use crate::sys::installed::{Prize, believed_directory};

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
    /// Others could put another one in its place.
    #[error("the state directory (jobs.state_dir) is in no safe place: {0}")]
    Exchangeable(#[from] TrustError),
    /// The name leads nowhere.
    #[error(
        "there is no session {0:?}: its config stage did not succeed, or its cleanup has run (which it also has where prepare_exec is motmot-cleanup)"
    )]
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
    /// The payload is of another GitLab's job.
    #[error(
        "the session {name:?} is of a job of {recorded}, but this stage was started for {asked}: --gitlab must be the same in config_args, prepare_args and run_args"
    )]
    OtherGitLab {
        /// The session.
        name: String,
        /// Its GitLab.
        recorded: String,
        /// What `--gitlab` says.
        asked: String,
    },
}

impl Fault for SessionError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

/// The directory itself.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens it, and makes it if it is missing.
    pub(super) fn open(dir: &Path) -> Result<Self, SessionError> {
        let store = Self { dir: dir.to_owned() };
        make_above(dir)?;
        for dir in [store.dir().to_owned(), store.sessions(), store.slots()] {
            make_private(&dir, || MadeBy::looking_into(&store.dir))?;
        }
        Ok(store)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn sessions(&self) -> PathBuf {
        self.dir.join("sessions")
    }

    pub(super) fn slots(&self) -> PathBuf {
        self.dir.join("slots")
    }

    /// The directory of GitLab's keys, made if it is missing.
    pub(super) fn keys(&self) -> Result<PathBuf, SessionError> {
        let dir = self.dir.join(KEYS);
        make_private(&dir, || MadeBy::looking_into(&self.dir))?;
        Ok(dir)
    }

    /// The directory of what GitLab says of groups, made if it is missing.
    pub(super) fn groups(&self) -> Result<PathBuf, SessionError> {
        let dir = self.dir.join(GROUPS);
        make_private(&dir, || MadeBy::looking_into(&self.dir))?;
        Ok(dir)
    }

    /// The directory of one session.
    pub(super) fn session(&self, name: &str) -> PathBuf {
        self.sessions().join(name)
    }

    /// The names of all sessions.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + use<> {
        let entries = fs::read_dir(self.sessions()).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }

    /// The lock of the slots. Waits for it.
    pub(super) fn lock(&self) -> Result<Flock<File>, SessionError> {
        let path = self.dir.join("lock");
        let file = lock_file(&path).map_err(io_error("cannot open", &path))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| io_error("cannot lock", &path)(error.into()))
    }

    /// The lock of a session's stages; `None` if the session is gone, or if somebody else has it and `how` does not wait.
    pub(super) fn stages_lock(&self, name: &str, how: FlockArg) -> Result<Option<Flock<File>>, SessionError> {
        let path = self.session(name).join("stages");
        let file = match lock_file(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("cannot open", &path)(error)),
        };
        match Flock::lock(file, how) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(io_error("cannot lock", &path)(error.into())),
        }
    }
}

/// Makes what is missing above a directory, each step in one that nobody but root and this account can exchange things in:
/// whoever could, in his home say, would be asked by root for the sessions of all others, or have it write where he likes.
fn make_above(dir: &Path) -> Result<(), SessionError> {
    let Some(above) = dir.parent() else { return Ok(()) };
    match believed_directory(above, Prize::of_this_process()) {
        Err(error) if error.is_missing() => {}
        judged => return Ok(judged.map(drop)?),
    }
    make_above(above)?;
    make(above)?;
    Ok(believed_directory(above, Prize::of_this_process()).map(drop)?)
}

/// Judges what is there above a directory, and makes nothing.
pub(super) fn judge_above(dir: &Path, prize: Prize) -> Result<(), SessionError> {
    for above in dir.ancestors().skip(1) {
        match believed_directory(above, prize) {
            Err(error) if error.is_missing() => {}
            judged => return Ok(judged.map(drop)?),
        }
    }
    Ok(())
}

fn make(dir: &Path) -> Result<(), SessionError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_error("cannot make the state directory (jobs.state_dir)", dir)(error))
        }
        _ => Ok(()),
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}

pub(super) fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> SessionError + use<> {
    let path = path.to_owned();
    move |source| SessionError::Io { what, path: path.clone(), source }
}

/// Whose work a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MadeBy {
    Motmot,
    Anybody,
    /// Only root can look.
    Unseen,
}

/// All that the driver writes into its directory. Who writes another file there adds it here: a directory that is not known
/// again is told to be given up, with the batch jobs of all its sessions.
pub(super) const PARTS: [&str; 7] = ["sessions", "slots", "lock", KEYS, Pace::FILE, Remembered::FILE, GROUPS];
/// GitLab's keys, between two jobs.
const KEYS: &str = "gitlab-keys";
/// What it has said of who is in groups, for some minutes.
const GROUPS: &str = "gitlab-groups";
/// What a process that was killed while it wrote one of them may leave ([`atomic`]).
const UNFINISHED: &str = ".new-";

impl MadeBy {
    /// Motmot's is what holds a store and nothing else. Only what this program has made may be told to be changed: where
    /// jobs.state_dir names `/tmp`, a `chmod 0700` would take it away from everybody.
    pub(super) fn looking_into(dir: &Path) -> Self {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Self::Unseen,
            Err(_) => return Self::Anybody,
        };
        let names: Vec<_> = entries.map(|entry| entry.map(|entry| entry.file_name()).unwrap_or_default()).collect();
        let ours = |name: &std::ffi::OsString| {
            PARTS.iter().any(|own| name == own) || name.to_string_lossy().starts_with(UNFINISHED)
        };
        if dir.join("sessions").is_dir() && names.iter().all(ours) { Self::Motmot } else { Self::Anybody }
    }
}

/// What to do where the directory may be anybody's.
pub const NAME_ANOTHER: &str =
    "motmot has not made it: name a directory in jobs.state_dir that is not there yet, and motmot makes it";

/// Makes a directory of mode 0700 if it is missing, and judges it: it must be ours, and nobody else's to look into.
///
/// Who has made it is asked only if something is wrong.
pub(super) fn make_private(dir: &Path, made_by: impl Fn() -> MadeBy) -> Result<(), SessionError> {
    make(dir)?;
    let meta = fs::symlink_metadata(dir).map_err(io_error("cannot look at", dir))?;
    let not_private = |why: String| SessionError::NotPrivate { path: dir.to_owned(), why };
    let remedy = |command: &str| match made_by() {
        MadeBy::Motmot => command.to_owned(),
        MadeBy::Anybody => NAME_ANOTHER.to_owned(),
        MadeBy::Unseen => "what to do says motmot check, which root runs".to_owned(),
    };
    let own = geteuid();
    if !meta.is_dir() {
        return Err(not_private("it is not a directory".into()));
    }
    if meta.uid() != own.as_raw() {
        let (owner, me) = (account_name(meta.uid()), account_name(own.as_raw()));
        // As chown(1) takes it.
        let owner_to_be = login_name(own.as_raw()).unwrap_or_else(|| own.to_string());
        let remedy = remedy(&format!("chown -R {owner_to_be} {}", dir.display()));
        // Root may only be trying what the runner will do. Who has no name runs nothing here.
        let advice = match login_name(meta.uid()) {
            Some(name) if own.is_root() => format!(
                "if the runner runs as {name}, say so: motmot simulate --runner-account {name}, motmot check --runner-account {name}; if it runs as root: {remedy}"
            ),
            _ => remedy,
        };
        return Err(not_private(format!("it belongs to {owner}, but this driver runs as {me}; {advice}")));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(not_private(format!(
            "its mode is {:04o}; {}",
            meta.mode() & 0o7777,
            remedy(&format!("chmod 0700 {}", dir.display()))
        )));
    }
    Ok(())
}

pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), SessionError> {
    // With batch jobs the store is on a disk, and what is remembered of them has to survive a crash of the machine: the
    // jobs do. (Without them it is in memory, where this costs nothing.)
    atomic::replace(path, content, Kind::Lasting).map_err(io_error("cannot write", path))
}
