//! The directory of approvals: a file for each subject, found by its digest, with all approvals of it one behind the other.
//!
//! Nothing is searched. Only trusted accounts can write there, as into the configuration: not because an approval had to be
//! believed, but since no privileged program opens what others can exchange.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::document::{Approval, MAX_BYTES, MOST};
use super::signature::named_key;
use super::statement::Subject;
use crate::sys::atomic::{Kind, replace};
use crate::sys::files::{Owner, Secrecy, Trust, TrustError, read_trusted, trusted_directory};

/// Most files that are listed.
const LISTED: usize = 10_000;

/// The directory could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be believed.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// The operating system refused.
    #[error("{}: {why}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// So many approvers of one commit nobody needs.
    #[error(
        "there are {MOST} approvals of this commit for this account already; take them back first: motmot approve --revoke {0}"
    )]
    Full(String),
    /// Not the name of a file here.
    #[error("{0:?} is not the name of an approval: motmot approve --list shows them")]
    Name(String),
    /// Nothing of that name.
    #[error("there is no approval {0}")]
    Missing(String),
}

/// All approvals of a subject, as text. What is not text is none.
pub fn read(dir: &Path, subject: &Subject, owner: Owner) -> Result<Option<String>, TrustError> {
    read_named(dir, &subject.digest(), owner)
}

fn read_named(dir: &Path, name: &str, owner: Owner) -> Result<Option<String>, TrustError> {
    match read_trusted(&dir.join(name), Trust { owner, secrecy: Secrecy::Public }, MAX_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds an approval that has been verified. Those that have expired by now go, and so does what its key has signed before: else one
/// approver could fill all places, and keep out the one whom a rule asks for.
pub fn install(dir: &Path, approval: &Approval, owner: Owner, now: Timestamp) -> Result<PathBuf, StoreError> {
    let dir = trusted_directory(dir, owner)?;
    let _lock = lock(&dir)?;
    let name = approval.statement().subject().digest();
    let kept = read_named(&dir, &name, owner)?;
    let kept = kept.and_then(|text| Approval::parse_all(&text).ok()).unwrap_or_default();
    let key = named_key(approval.armor());
    let mut all: Vec<Approval> =
        kept.into_iter().filter(|old| old.statement().not_after() >= now && named_key(old.armor()) != key).collect();
    if all.len() >= MOST {
        return Err(StoreError::Full(name));
    }
    all.push(approval.clone());
    let text: String = all.iter().map(Approval::text).collect();
    let path = dir.join(name);
    replace(&path, text.as_bytes(), Kind::LastingPublic).map_err(|why| StoreError::Io { path: path.clone(), why })?;
    Ok(path)
}

/// Takes all approvals in one file back.
pub fn revoke(dir: &Path, name: &str, owner: Owner) -> Result<PathBuf, StoreError> {
    if !is_name(name) {
        return Err(StoreError::Name(name.to_owned()));
    }
    let dir = trusted_directory(dir, owner)?;
    let _lock = lock(&dir)?;
    let path = dir.join(name);
    match fs::remove_file(&path) {
        Ok(()) => Ok(path),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(name.to_owned())),
        Err(why) => Err(StoreError::Io { path, why }),
    }
}

/// All files with their approvals; none are in a file that cannot be read as such.
pub fn list(dir: &Path, owner: Owner) -> Result<Vec<(String, Vec<Approval>)>, StoreError> {
    let dir = trusted_directory(dir, owner)?;
    let entries = fs::read_dir(&dir).map_err(|why| StoreError::Io { path: dir.clone(), why })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_name(name)).take(LISTED).collect();
    names.sort();
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let text = read_named(&dir, &name, owner)?.unwrap_or_default();
        all.push((name, Approval::parse_all(&text).unwrap_or_default()));
    }
    Ok(all)
}

fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// One writer at a time: each writes what it has read.
fn lock(dir: &Path) -> Result<Flock<File>, StoreError> {
    let io = |why| StoreError::Io { path: dir.to_owned(), why };
    let file = File::open(dir).map_err(io)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, why)| io(why.into()))
}
