//! The directory of signing keys.
//!
//! | file | what |
//! |---|---|
//! | `<kid>.pem` | a private key, PKCS#8, mode 0400; its name is its thumbprint |
//! | `ring.json` | which keys there are, the public half of each, and its state |
//!
//! `ring.json` is the one thing that says which key signs, so that a change of state (a rotation) is the replacement of
//! one file: there is no moment with two active keys or none. The public halves are in it because a retired key is still
//! published when its private half is gone, and so that a stage reads one private key, not all of them. It is bound to
//! the keys by their thumbprints. A directory with a single key and no `ring.json` is complete: that key is active.
//! So a site can bring its own key, and an `init` that was cut short leaves nothing to repair.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jose::{Jwks, Kid, PublicJwk, SigningKey};
use p256::SecretKey;
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::pem::{self, PemError, RESTORE};
use crate::sys::atomic;
use crate::sys::files::{self, Owner, Secrecy, Trust, TrustError};

const RING: &str = "ring.json";
const RING_LIMIT: usize = 64 * 1024;
const PEM_LIMIT: usize = 16 * 1024;
const MODE: u32 = 0o400;

/// What a key is used for. No verb makes `next` or `retired` yet; a ring that has them is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, so that verifiers know it when its turn comes; does not sign yet.
    Next,
    /// Signs. There is exactly one.
    Active,
    /// Published, so that its last tokens can be verified; signs no more.
    Retired,
}

/// A key of the ring, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its public half, and by that its name.
    pub public: PublicJwk,
    /// What it is used for.
    pub state: KeyState,
    /// Since when; unknown for a key that a site brought along.
    pub since: Option<Timestamp>,
}

/// The keys of a site: one that signs, and all that are published.
#[derive(Debug)]
pub struct KeyRing {
    active: SigningKey,
    entries: Vec<KeyEntry>,
}

/// A key that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Its name.
    pub kid: Kid,
    /// Its file.
    pub path: PathBuf,
}

/// Why there are no keys to work with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No directory, or no key in it.
    #[error("{}: there is no signing key here: run `motmot keys init --dir {}`, as the account that the runner runs as", .0.display(), .0.display())]
    Empty(PathBuf),
    /// There is a key already. A second one could not be told from an attempt to replace the first.
    #[error("{}: there are keys here already, nothing was changed; a new key needs a new directory: motmot keys init --dir NEW, and token.keys names it when services know the key", .0.display())]
    Exists(PathBuf),
    /// Several keys and no `ring.json`.
    #[error("{}: several keys and no {RING} that says which one signs: leave one of them here", .0.display())]
    Ambiguous(PathBuf),
    /// The file system says that others may have had their hands on it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The key that signs, by `ring.json`, is not there.
    #[error("{}: does not exist, and {RING} says that this key signs: {RESTORE}", .0.display())]
    Lost(PathBuf),
    /// Not a usable private key.
    #[error("{}: {problem}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: PemError,
    },
    /// The name of a key file is not the key's.
    #[error("{}: the key in this file is {kid}: name the file {kid}.pem", path.display())]
    KidMismatch {
        /// The file.
        path: PathBuf,
        /// The thumbprint of the key in it.
        kid: Kid,
    },
    /// `ring.json` is not what this program writes.
    #[error("{}: {problem}", path.display())]
    Ring {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: RingProblem,
    },
    /// The new key cannot be encoded.
    #[error("the new key cannot be encoded")]
    Encode,
    /// The file system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// What is wrong with `ring.json`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingProblem {
    /// Not JSON, a member too many or too few.
    #[error("not a list of keys ({0}): {RESTORE}")]
    Json(serde_json::Error),
    /// Written by a later version of this program.
    #[error("version {0} is not known to this program")]
    Version(u32),
    /// A name that is not the thumbprint of the public key beside it.
    #[error("the entry {0:?} does not have the id of its public key")]
    Kid(String),
    /// A key twice.
    #[error("the key {0} is listed twice")]
    Twice(Kid),
    /// Not exactly one active key.
    #[error("{0} keys are active, it must be one")]
    Active(usize),
}

/// `ring.json`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    version: u32,
    keys: Vec<RingLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingLine {
    kid: String,
    state: KeyState,
    since: Option<Timestamp>,
    x: String,
    y: String,
}

impl RingFile {
    const VERSION: u32 = 1;

    fn entries(self) -> Result<Vec<KeyEntry>, RingProblem> {
        if self.version != Self::VERSION {
            return Err(RingProblem::Version(self.version));
        }
        let mut entries: Vec<KeyEntry> = Vec::new();
        for RingLine { kid, state, since, x, y } in self.keys {
            let public = PublicJwk::from_coordinates(&x, &y);
            let public = public.filter(|public| public.kid().as_str() == kid).ok_or(RingProblem::Kid(kid))?;
            if entries.iter().any(|entry| entry.public.kid() == public.kid()) {
                return Err(RingProblem::Twice(public.kid().clone()));
            }
            entries.push(KeyEntry { public, state, since });
        }
        match entries.iter().filter(|entry| entry.state == KeyState::Active).count() {
            1 => Ok(entries),
            count => Err(RingProblem::Active(count)),
        }
    }
}

impl KeyRing {
    /// Reads the ring of a directory: `ring.json` and the active private key, no more, since each stage of each job does.
    ///
    /// Directory and files must be `owner`'s and closed to everybody else; see [`files::read_trusted`].
    pub fn load(dir: &Path, owner: Owner) -> Result<Self, KeyError> {
        let real = files::trusted_directory(dir, owner)
            .map_err(|error| if error.is_missing() { KeyError::Empty(dir.to_owned()) } else { error.into() })?;
        let Some(entries) = read_ring(&real, owner)? else {
            return Self::load_single(dir, &real, owner);
        };
        // Exactly one is active, as the reader has made sure.
        let active =
            entries.iter().find(|entry| entry.state == KeyState::Active).ok_or(KeyError::Empty(real.clone()))?;
        let path = real.join(format!("{}.pem", active.public.kid()));
        match read_key(&path, owner) {
            Err(KeyError::Trust(error)) if error.is_missing() => Err(KeyError::Lost(path)),
            key => Ok(Self { active: key?, entries }),
        }
    }

    /// The ring of a directory without `ring.json`.
    fn load_single(dir: &Path, real: &Path, owner: Owner) -> Result<Self, KeyError> {
        let mut files = key_files(real)?;
        let path = files.pop().ok_or_else(|| KeyError::Empty(dir.to_owned()))?;
        if !files.is_empty() {
            return Err(KeyError::Ambiguous(dir.to_owned()));
        }
        let active = read_key(&path, owner)?;
        let entry = KeyEntry { public: active.public_jwk().clone(), state: KeyState::Active, since: None };
        Ok(Self { active, entries: vec![entry] })
    }

    /// The key that signs.
    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// All keys, without anything secret.
    pub fn entries(&self) -> &[KeyEntry] {
        &self.entries
    }

    /// The document for verifiers: the public halves of all keys.
    pub fn jwks(&self) -> Jwks {
        Jwks::new(self.entries.iter().map(|entry| entry.public.clone()).collect())
    }
}

/// Whether the directory says which key signs, and since when.
pub fn has_ring(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(RING)).is_ok()
}

/// Whether there are keys in a directory and nothing else, so that it may be told to be changed.
pub fn is_for_keys(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    let names: Vec<_> =
        entries.map(|entry| PathBuf::from(entry.map(|entry| entry.file_name()).unwrap_or_default())).collect();
    let ours = |name: &PathBuf| name == Path::new(RING) || name.extension().is_some_and(|extension| extension == "pem");
    !names.is_empty() && names.iter().all(ours)
}

/// Makes the first key of a directory, and the directory itself (mode 0700) if it is missing.
///
/// Nothing is ever overwritten: with any key or `ring.json` present it refuses. Of two that run at once one wins.
pub fn init(dir: &Path, owner: Owner, now: Timestamp) -> Result<NewKey, KeyError> {
    let real = files::make_private_directory(dir, owner)?;
    let ring = real.join(RING);
    if !key_files(&real)?.is_empty() || fs::symlink_metadata(&ring).is_ok() {
        return Err(KeyError::Exists(dir.to_owned()));
    }
    let secret = SecretKey::random(&mut OsRng);
    let text: Zeroizing<String> = secret.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Encode)?;
    let public = PublicJwk::new(&secret.public_key());
    let path = real.join(format!("{}.pem", public.kid()));
    create(&path, text.as_bytes())?;
    let (x, y) = public.coordinates();
    let line = RingLine {
        kid: public.kid().as_str().to_owned(),
        state: KeyState::Active,
        since: Some(now),
        x: x.to_owned(),
        y: y.to_owned(),
    };
    let content = RingFile { version: RingFile::VERSION, keys: vec![line] };
    let content = serde_json::to_vec_pretty(&content).map_err(|_| KeyError::Encode)?;
    if let Err(error) = create(&ring, &content) {
        // Another `init` was faster, or the disk is full. Our key is in no list and has signed nothing.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(NewKey { kid: public.kid().clone(), path })
}

fn create(path: &Path, content: &[u8]) -> Result<(), KeyError> {
    atomic::create(path, content, MODE).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => KeyError::Io { path: path.to_owned(), error },
    })
}

/// The entries of `ring.json`, or nothing where there is no such file.
fn read_ring(dir: &Path, owner: Owner) -> Result<Option<Vec<KeyEntry>>, KeyError> {
    let path = dir.join(RING);
    let content = match files::read_trusted(&path, Trust { owner, secrecy: Secrecy::Private }, RING_LIMIT) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let ring = serde_json::from_slice::<RingFile>(&content).map_err(RingProblem::Json);
    match ring.and_then(RingFile::entries) {
        Ok(entries) => Ok(Some(entries)),
        Err(problem) => Err(KeyError::Ring { path, problem }),
    }
}

fn read_key(path: &Path, owner: Owner) -> Result<SigningKey, KeyError> {
    let content = files::read_trusted(path, Trust { owner, secrecy: Secrecy::Private }, PEM_LIMIT)?;
    let content = Zeroizing::new(content);
    let key = pem::signing_key(&content).map_err(|problem| KeyError::Pem { path: path.to_owned(), problem })?;
    if path.file_stem().is_some_and(|stem| stem == key.kid().as_str()) {
        Ok(key)
    } else {
        Err(KeyError::KidMismatch { path: path.to_owned(), kid: key.kid().clone() })
    }
}

/// Everything called `*.pem`, links and directories included: those are refused by name when they are read.
fn key_files(dir: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let failed = |error| KeyError::Io { path: dir.to_owned(), error };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests;
