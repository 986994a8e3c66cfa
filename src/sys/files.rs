//! Files that decide over privileges: the configuration and the signing keys.
//!
//! Whoever can change such a file, or make the program read another one in its place, decides which account a job gets
//! or what its token says. So no path is believed: each directory on the way is judged before the next step is taken,
//! the file is opened without following a link, and everything said about it is asked of the open descriptor.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use thiserror::Error;

use super::exchange::{Believed, Exchanger, exchanger};
use super::passage::{self, NoWay, Stands};

const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Permission bits for group and others. With a POSIX ACL the group bits are its mask, acl(5), so they cover that too.
const ANY_FOR_OTHERS: u32 = 0o077;

/// Whose files are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root's alone.
    Root,
    /// Root's, and those of the account this process acts as (its effective user).
    RootOrSelf,
    /// The same, in directories that their groups may write to: where an account runs its own jobs alone, it is its own affair with
    /// whom it shares a directory (an umask of 002).
    RootOrSelfAndGroups,
}

impl Owner {
    fn accepts(self, uid: u32) -> bool {
        uid == 0 || (self != Self::Root && uid == nix::unistd::geteuid().as_raw())
    }

    /// The same of directories.
    fn believed(self) -> Believed {
        match self {
            Self::Root => Believed::Root,
            Self::RootOrSelf => Believed::RootAnd(nix::unistd::geteuid().as_raw()),
            Self::RootOrSelfAndGroups => Believed::RootAndGroups(nix::unistd::geteuid().as_raw()),
        }
    }

    /// The account a file should be given to, by name.
    fn wanted(self) -> String {
        match self {
            Self::Root => "root".to_owned(),
            Self::RootOrSelf | Self::RootOrSelfAndGroups => account_name(nix::unistd::geteuid().as_raw()),
        }
    }
}

/// Who else may see the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Nobody: no permission bit for group or others, and no second hard link.
    Private,
    /// Everybody may read, nobody else may write.
    Public,
}

/// What a file must fulfil to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Whose it must be, with all directories above it.
    pub owner: Owner,
    /// Who else may see it.
    pub secrecy: Secrecy,
}

/// A path that cannot be believed: which one, why, and what to do about it.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct TrustError {
    /// The file or directory that is at fault; possibly a directory above the one asked for.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Distrust,
}

/// Why a path cannot be believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Distrust {
    /// Nothing is there.
    #[error("does not exist")]
    Missing,
    /// The last component is a symbolic link, whose owner could aim it anywhere.
    #[error("is a symbolic link; give the path of the file itself")]
    Symlink,
    /// A device, pipe, socket or directory where a file is needed.
    #[error("is not a regular file")]
    NotRegular,
    /// A file where a directory is needed.
    #[error("is not a directory")]
    NotDirectory,
    /// Somebody else's.
    #[error("belongs to {found}, must belong to {wanted}: chown {wanted} {}", path.display())]
    Owner {
        /// The owner's name.
        found: String,
        /// The name it should be.
        wanted: String,
        /// For the advice.
        path: PathBuf,
    },
    /// A secret with permission bits for group or others.
    #[error("has mode {mode:04o} (owner {owner}), others than the owner can reach this secret: chmod 0400 {}", path.display())]
    NotPrivate {
        /// Permission bits.
        mode: u32,
        /// The owner's name.
        owner: String,
        /// For the advice.
        path: PathBuf,
    },
    /// A directory of somebody else on the way. No command is proposed, here and below: it may be anybody's (a home, `/tmp`),
    /// and to give it to root would take it away from whoever works in it.
    #[error(
        "is a directory of {found}, who can exchange what is in it; use a place that only {wanted} can change, with all directories above it"
    )]
    DirectoryOwner {
        /// The owner's name.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// A directory on the way that group or others may write.
    #[error(
        "is a directory with mode {mode:04o} (owner {owner}), others can exchange what is in it; use a place that only {wanted} can change, with all directories above it"
    )]
    DirectoryWritable {
        /// Permission bits.
        mode: u32,
        /// The owner's name.
        owner: String,
        /// Who alone should be able to.
        wanted: String,
    },
    /// A symbolic link of somebody else on the way. (`chown` would change what it leads to.)
    #[error("is a symbolic link of {found}, who can aim it anywhere; use the path that it leads to")]
    LinkOwner {
        /// The owner's name.
        found: String,
    },
    /// Group or others may write a file.
    #[error("has mode {mode:04o} (owner {owner}), others than the owner can change it: chmod go-w {}", path.display())]
    Writable {
        /// Permission bits.
        mode: u32,
        /// The owner's name.
        owner: String,
        /// For the advice.
        path: PathBuf,
    },
    /// A secret under a second name.
    #[error(
        "has {count} hard links, a secret must have one: copy it to a new file, then remove all names of the old one"
    )]
    HardLinks {
        /// How many.
        count: u64,
    },
    /// Larger than any honest file of its kind.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More links than the kernel would follow.
    #[error("leads through too many symbolic links")]
    TooManyLinks,
    /// The operating system refused.
    #[error("{0}")]
    Io(io::Error),
}

impl TrustError {
    /// Whether the path simply is not there, as opposed to being there and bad.
    pub fn is_missing(&self) -> bool {
        matches!(self.fault, Distrust::Missing)
    }
}

/// Reads a file that decides over privileges.
///
/// The file must be regular, owned as `trust` says, and at most `max_bytes` long; so must every directory be that leads
/// to it, through whichever links. Judged on the open descriptor, so that nobody can exchange it between check and use.
///
/// # Errors
/// [`TrustError`] names the first path at fault.
pub fn read_trusted(path: &Path, trust: Trust, max_bytes: usize) -> Result<Vec<u8>, TrustError> {
    let (path, before) = resolve(path, trust.owner, Last::AsItIs)?;
    // Judged once by name before it is opened: opening a device or a pipe can have effects of its own.
    judge_file(&path, &before, trust)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits())
        .open(&path)
        .map_err(|error| fault(&path, from_io(error)))?;
    let meta = file.metadata().map_err(|error| fault(&path, Distrust::Io(error)))?;
    judge_file(&path, &meta, trust)?;
    let size = usize::try_from(meta.len()).unwrap_or(usize::MAX);
    if size > max_bytes {
        return Err(fault(&path, Distrust::TooLarge { limit: max_bytes }));
    }
    // Room for all of it at once: a vector that grows would leave pieces of a key behind in freed memory.
    let mut bytes = Vec::with_capacity(max_bytes.min(size.saturating_add(1)));
    // The limit holds again while reading, the file may have grown since.
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    (&file).take(limit).read_to_end(&mut bytes).map_err(|error| fault(&path, Distrust::Io(error)))?;
    if bytes.len() > max_bytes {
        return Err(fault(&path, Distrust::TooLarge { limit: max_bytes }));
    }
    Ok(bytes)
}

/// The real path of a directory that only trusted accounts can change, with everything above it.
///
/// # Errors
/// [`TrustError`] names the first path at fault.
pub fn trusted_directory(path: &Path, owner: Owner) -> Result<PathBuf, TrustError> {
    let (path, meta) = resolve(path, owner, Last::FollowLink)?;
    if meta.is_dir() { Ok(path) } else { Err(fault(&path, Distrust::NotDirectory)) }
}

/// Makes a directory for secrets (mode 0700), and those above it (mode 0755) where they are missing, then judges it like
/// [`trusted_directory`]. One that is there already is left as it is.
///
/// # Errors
/// [`TrustError`] if it cannot be made or cannot be trusted.
pub fn make_private_directory(path: &Path, owner: Owner) -> Result<PathBuf, TrustError> {
    let made = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(fault(path, Distrust::Io(error))),
        _ => Ok(()),
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        made(DirBuilder::new().recursive(true).mode(0o755).create(parent))?;
    }
    made(DirBuilder::new().mode(0o700).create(path))?;
    trusted_directory(path, owner)
}

/// The login name of `uid`, if it has one; for people to read, never to decide by.
pub fn login_name(uid: u32) -> Option<String> {
    users::get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into_owned())
}

/// The same, or the number where it has none.
pub fn account_name(uid: u32) -> String {
    login_name(uid).unwrap_or_else(|| format!("uid {uid}"))
}

fn fault(path: &Path, fault: Distrust) -> TrustError {
    TrustError { path: path.to_owned(), fault }
}

fn from_io(error: io::Error) -> Distrust {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Distrust::Missing,
        Some(libc::ELOOP) => Distrust::Symlink,
        _ => Distrust::Io(error),
    }
}

fn judge_owner(path: &Path, meta: &Metadata, owner: Owner) -> Result<(), TrustError> {
    if owner.accepts(meta.uid()) {
        return Ok(());
    }
    let (found, wanted) = (account_name(meta.uid()), owner.wanted());
    Err(fault(path, Distrust::Owner { found, wanted, path: path.to_owned() }))
}

fn judge_file(path: &Path, meta: &Metadata, trust: Trust) -> Result<(), TrustError> {
    if !meta.is_file() {
        return Err(fault(path, Distrust::NotRegular));
    }
    judge_owner(path, meta, trust.owner)?;
    let mode = meta.mode() & 0o7777;
    let (owner, own_path) = (|| account_name(meta.uid()), path.to_owned());
    match trust.secrecy {
        Secrecy::Private if mode & ANY_FOR_OTHERS != 0 => {
            Err(fault(path, Distrust::NotPrivate { mode, owner: owner(), path: own_path }))
        }
        // A second name may lie in a directory with other rules, or in a backup.
        Secrecy::Private if meta.nlink() != 1 => Err(fault(path, Distrust::HardLinks { count: meta.nlink() })),
        Secrecy::Public if mode & WRITABLE_BY_OTHERS != 0 => {
            Err(fault(path, Distrust::Writable { mode, owner: owner(), path: own_path }))
        }
        Secrecy::Private | Secrecy::Public => Ok(()),
    }
}

fn judge_directory(path: &Path, meta: &Metadata, owner: Owner) -> Result<(), TrustError> {
    let mode = meta.mode() & 0o7777;
    let Some(exchanger) = exchanger(meta.uid(), mode, owner.believed()) else { return Ok(()) };
    let (found, wanted) = (account_name(meta.uid()), owner.wanted());
    let why = match exchanger {
        Exchanger::Owner => Distrust::DirectoryOwner { found, wanted },
        Exchanger::Everybody | Exchanger::Group => Distrust::DirectoryWritable { mode, owner: found, wanted },
    };
    Err(fault(path, why))
}

/// What to do with a symbolic link at the very end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    FollowLink,
    AsItIs,
}

/// Walks a path like the kernel would, path_resolution(7), but judges every directory and every link passed.
///
/// A plain `canonicalize` would judge only where the path ends up, and miss a link on the way that somebody else can
/// turn. As each directory is judged before anything in it is believed, only trusted accounts can race with the walk.
fn resolve(path: &Path, owner: Owner, last: Last) -> Result<(PathBuf, Metadata), TrustError> {
    let absolute = std::path::absolute(path).map_err(|error| fault(path, Distrust::Io(error)))?;
    let judge = |here: &Path, meta: &Metadata, stands| {
        if meta.is_symlink() {
            if stands == Stands::AtTheEnd && last == Last::AsItIs {
                return Err(fault(here, Distrust::Symlink));
            }
            if !owner.accepts(meta.uid()) {
                return Err(fault(here, Distrust::LinkOwner { found: account_name(meta.uid()) }));
            }
        } else if meta.is_dir() {
            judge_directory(here, meta, owner)?;
        } else if stands == Stands::OnTheWay {
            return Err(fault(here, Distrust::NotDirectory));
        }
        Ok(())
    };
    passage::walk(&absolute, judge, |here, why| match why {
        NoWay::Io(error) => fault(here, from_io(error)),
        NoWay::TooManyLinks => fault(path, Distrust::TooManyLinks),
    })
}

#[cfg(test)]
mod tests;
