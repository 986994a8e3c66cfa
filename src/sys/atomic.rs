//! Files that are complete or not there at all: written under another name beside their own, then renamed.
//!
//! What all kinds have in common:
//! * The file is made anew (`O_CREAT | O_EXCL`), which follows no link at the last step and takes no file that somebody has
//!   put there; and a rename replaces a link of the final name, and never writes through it.
//! * It has its mode from the first moment: there is no instant in which another account could open it.
//! * Of the directories above nothing is asked here. Who writes into a directory has judged it ([`super::files`] for the
//!   driver), and where others could exchange it holds it: then the path leads through the descriptor ([`super::directory`],
//!   the worker). In a directory of anybody else nothing may be written at all.
//! * After a failure no temporary file stays. After SIGKILL one may.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

/// What is written, and so how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// State of the driver about what goes on after a crash of the machine, such as batch jobs: content and name are on the
    /// disk when the call returns. In a directory of the driver's own; mode 0600; a random temporary name, since several
    /// stages may write the same file.
    Lasting,
    /// For somebody who reads it now, and who would not want it after a crash: nothing waits for a disk. Mode 0600, a random
    /// temporary name.
    Passing,
    /// As [`Kind::Passing`], but nobody may write to it, its owner included (mode 0400): a token.
    PassingSecret,
    /// For another machine, on a file system that both see, in a directory of the account that writes: a quota or a full
    /// disk of a file server may be told only when the content is written through, so it is, unless there is none. Mode 0600.
    /// The temporary name is always the same (`.NAME.tmp`): what a worker that was killed has left is replaced by the next,
    /// instead of adding up in somebody's home directory. One process at a time writes there.
    Shared,
    /// As [`Kind::Lasting`], for everybody to read (mode 0644, whatever the umask is): what an administrator's command puts where
    /// the driver looks for it.
    LastingPublic,
}

/// Writes a file, in place of the one of that name if there is one.
///
/// # Errors
/// Those of the file system. The old file is then still there, unless all but bringing its name to the disk
/// ([`Kind::Lasting`]) has succeeded.
pub fn replace(path: &Path, content: &[u8], kind: Kind) -> io::Result<()> {
    let dir = parent(path)?;
    match kind {
        Kind::Shared => replace_shared(path, content),
        Kind::Lasting | Kind::LastingPublic => {
            let temporary = written(dir, content, 0o600)?;
            if kind == Kind::LastingPublic {
                temporary.as_file().set_permissions(Permissions::from_mode(0o644))?;
            }
            temporary.as_file().sync_data()?;
            temporary.persist(path)?;
            File::open(dir)?.sync_all()
        }
        Kind::Passing => persisted(written(dir, content, 0o600)?, path),
        Kind::PassingSecret => persisted(written(dir, content, 0o400)?, path),
    }
}

/// Creates a file that nobody but its owner can read, with this mode, and never in place of another: a signing key, which
/// nobody could bring back. Content and name are on the disk when the call returns; the name is given by a rename that
/// refuses to replace, renameat2(2).
///
/// # Errors
/// `AlreadyExists` if something of that name is there; any other error of the file system.
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let dir = parent(path)?;
    let temporary = written(dir, content, mode & 0o700)?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path)?;
    // The name is durable only once its directory is.
    File::open(dir)?.sync_all()
}

/// Writes a file of this owner, group and mode, in place of the one of that name if there is one. Content and name are on the disk
/// when the call returns. It has its mode only when it has its owner: nobody else could open it before.
///
/// # Errors
/// Those of the file system. The old file is then still there, unless all but bringing its name to the disk has succeeded.
pub fn replace_owned(path: &Path, content: &[u8], (uid, gid): (Uid, Gid), mode: u32) -> io::Result<()> {
    let dir = parent(path)?;
    let temporary = written(dir, content, 0o600)?;
    let file = temporary.as_file();
    nix::unistd::fchown(file, Some(uid), Some(gid))?;
    file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
    file.sync_all()?;
    temporary.persist(path)?;
    File::open(dir)?.sync_all()
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A file of a random name, with its content.
fn written(dir: &Path, content: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    // That library adds a path to its errors, and its number is lost then: but where this is, the caller says, who knows the
    // directory by a name and not by a descriptor.
    let mut failed = None;
    let temporary = tempfile::Builder::new().prefix(".new-").make_in(dir, |path| {
        let opened = File::options().write(true).create_new(true).mode(mode).open(path);
        opened.inspect_err(|error| failed = error.raw_os_error())
    });
    let mut temporary = temporary.map_err(|error| failed.map_or(error, io::Error::from_raw_os_error))?;
    temporary.as_file_mut().write_all(content)?;
    Ok(temporary)
}

fn persisted(temporary: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    temporary.persist(path)?;
    Ok(())
}

fn replace_shared(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(".tmp");
    let temporary: PathBuf = path.with_file_name(name);
    let written = (|| {
        let _ = std::fs::remove_file(&temporary);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        if !content.is_empty() {
            file.sync_data()?;
        }
        std::fs::rename(&temporary, path)
    })();
    written.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::sys::files::{Owner, Secrecy, Trust, read_trusted};

    const KINDS: [(Kind, u32); 5] = [
        (Kind::Lasting, 0o600),
        (Kind::Passing, 0o600),
        (Kind::PassingSecret, 0o400),
        (Kind::Shared, 0o600),
        (Kind::LastingPublic, 0o644),
    ];

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("metadata").mode()
    }

    #[test]
    fn an_error_has_its_number_and_no_name_of_a_temporary_file() {
        let dir = tempfile::tempdir().expect("a directory");
        for (kind, _) in KINDS {
            let error = replace(&dir.path().join("none/file"), b"one", kind).expect_err("no directory");
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{kind:?}");
            assert!(!error.to_string().contains("none"), "{kind:?}: {error}");
        }
        let error = create(&dir.path().join("none/file"), b"one", 0o400).expect_err("no directory");
        assert!(error.raw_os_error() == Some(libc::ENOENT) && !error.to_string().contains("none"), "{error}");
    }

    #[test]
    fn every_kind_replaces_links_and_files_and_writes_through_none() {
        for (kind, expected) in KINDS {
            let dir = tempfile::tempdir().expect("a directory");
            let (victim, path) = (dir.path().join("victim"), dir.path().join("file"));
            fs::write(&victim, "precious").expect("write");
            for link in [symlink::<&Path, &Path> as fn(_, _) -> _, |from, to| fs::hard_link::<&Path, &Path>(from, to)] {
                link(&victim, &path).expect("link");
                replace(&path, b"one", kind).expect("replaced");
                replace(&path, b"two", kind).expect("replaced again");
                assert_eq!(fs::read(&path).expect("read"), b"two");
                assert_eq!(mode(&path), libc::S_IFREG | expected, "{kind:?}");
                fs::remove_file(&path).expect("removed");
            }
            assert_eq!(fs::read(&victim).expect("read"), b"precious");
            assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1, "{kind:?}: no temporary file stays");
        }
    }

    #[test]
    fn a_link_at_the_temporary_name_that_can_be_guessed_is_not_written_through() {
        let dir = tempfile::tempdir().expect("a directory");
        let (victim, path) = (dir.path().join("victim"), dir.path().join("next"));
        fs::write(&victim, "precious").expect("write");
        symlink(&victim, dir.path().join(".next.tmp")).expect("link");
        replace(&path, b"run-1\n", Kind::Shared).expect("replaced");
        assert_eq!(fs::read(&victim).expect("read"), b"precious");
        assert_eq!(fs::read(&path).expect("read"), b"run-1\n");
    }

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        for (kind, _) in KINDS {
            let dir = tempfile::tempdir().expect("a directory");
            // A directory in its place cannot be replaced by a file.
            let path = dir.path().join("file");
            fs::create_dir(&path).expect("mkdir");
            replace(&path, b"one", kind).expect_err("a directory is there");
            assert!(path.is_dir());
            assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1, "{kind:?}");
            replace(&dir.path().join("gone/file"), b"one", kind).expect_err("no directory");
        }
    }

    #[test]
    fn a_new_private_file_has_its_mode_and_never_replaces_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        create(&path, b"one", 0o400).expect("created");
        assert_eq!(mode(&path) & 0o7777, 0o400);
        assert_eq!(create(&path, b"two", 0o400).expect_err("is there").kind(), io::ErrorKind::AlreadyExists);
        // What is made here is what a reader of secrets believes.
        let trust = Trust { owner: Owner::RootOrSelf, secrecy: Secrecy::Private };
        let dir_of_ours = dir.path().canonicalize().expect("a path");
        assert_eq!(read_trusted(&dir_of_ours.join("key"), trust, 100).expect("trusted"), b"one");
        assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1, "no temporary file stays behind");
    }
}
