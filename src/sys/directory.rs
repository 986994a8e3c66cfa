//! A directory that is held by descriptor: whatever becomes of its path, what is done here is done in it.
//!
//! For whoever walks a path that others may be able to change: each step starts from a directory that is held already,
//! takes one name, and follows no link. What a name led to is asked of what was opened, not of the name again.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};

/// A directory, held.
#[derive(Clone, Debug)]
pub struct Directory {
    /// `O_PATH`: it takes no right to read the directory, as passing through it takes none.
    held: Arc<OwnedFd>,
    path: PathBuf,
    uid: u32,
    mode: u32,
}

/// What a name led to.
#[derive(Debug)]
pub enum Step {
    /// A directory.
    Directory(Directory),
    /// A symbolic link, which was not followed.
    Link {
        /// What is in it.
        target: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Anything else.
    Other,
}

impl Directory {
    /// `/`
    pub fn root() -> io::Result<Self> {
        Self::hold(open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?, "/".into())
    }

    fn hold(fd: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let FileStat { st_uid, st_mode, .. } = fstat(&fd)?;
        Ok(Self { held: Arc::new(fd), path, uid: st_uid, mode: st_mode & 0o7777 })
    }

    /// Where it was, without any link.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it was when it was opened.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its permission bits when it was opened.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// One step down, or up with `..`.
    pub fn step(&self, name: &OsStr) -> io::Result<Step> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path =
            if name == ".." { self.path.parent().unwrap_or(&self.path).to_owned() } else { self.path.join(name) };
        // O_DIRECTORY first: without it an automounter's directory would be opened and not what it mounts there, open(2).
        match openat(&*self.held, name, flags | OFlag::O_DIRECTORY, Mode::empty()) {
            Ok(fd) => return Ok(Step::Directory(Self::hold(fd, path)?)),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(error) => return Err(error.into()),
        }
        let fd = openat(&*self.held, name, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFLNK => Ok(Step::Link { target: readlinkat(&fd, "")?.into(), uid: stat.st_uid }),
            // It has become one since.
            SFlag::S_IFDIR => Ok(Step::Directory(Self::hold(fd, path)?)),
            _ => Ok(Step::Other),
        }
    }

    /// Makes a directory of mode 0700 in it.
    pub fn make(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&*self.held, name, Mode::S_IRWXU)?)
    }

    /// Makes it 0700, whatever it was.
    pub fn make_private(&mut self) -> io::Result<()> {
        std::fs::set_permissions(self.here(), Permissions::from_mode(0o700))?;
        self.mode = 0o700;
        Ok(())
    }

    /// A path to a name in it that leads through the descriptor, for what takes paths. It is good for as long as this
    /// value lives, in this process.
    pub fn entry(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.here().join(name.as_ref())
    }

    /// The same for itself. What is in /proc/self/fd is no link to a path but the open directory, proc(5).
    pub fn here(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.held.as_raw_fd()))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn down(path: &Path) -> Directory {
        path.iter().skip(1).fold(Directory::root().expect("/"), |here, name| match here.step(name) {
            Ok(Step::Directory(next)) => next,
            other => panic!("{}: {other:?}", path.display()),
        })
    }

    #[test]
    fn a_directory_that_is_held_is_written_to_after_another_was_put_in_its_place() {
        let temp = tempfile::tempdir().expect("dir");
        let path = temp.path().canonicalize().expect("path").join("data");
        fs::create_dir(&path).expect("mkdir");
        let held = down(&path);
        let moved = path.with_file_name("moved");
        fs::rename(&path, &moved).expect("rename");
        fs::create_dir(&path).expect("mkdir");
        fs::write(held.entry("token"), "hush").expect("write");
        held.make(OsStr::new("below")).expect("mkdir");
        assert!(moved.join("below").is_dir());
        assert_eq!(fs::read_to_string(moved.join("token")).expect("read"), "hush");
        assert_eq!(fs::read_dir(&path).expect("dir").count(), 0);
    }

    #[test]
    fn a_step_follows_no_link_and_says_whose_it_is() {
        let temp = tempfile::tempdir().expect("dir");
        let path = temp.path().canonicalize().expect("path");
        symlink("/etc", path.join("link")).expect("link");
        fs::write(path.join("file"), "").expect("write");
        let here = down(&path);
        let own = nix::unistd::geteuid().as_raw();
        assert!(matches!(here.step(OsStr::new("link")), Ok(Step::Link { target, uid })
            if target == Path::new("/etc") && uid == own));
        assert!(matches!(here.step(OsStr::new("file")), Ok(Step::Other)));
        assert_eq!(here.step(OsStr::new("gone")).expect_err("gone").kind(), io::ErrorKind::NotFound);
        let Ok(Step::Directory(above)) = here.step(OsStr::new("..")) else { panic!("no way up") };
        assert_eq!(above.path(), path.parent().expect("a parent"));
    }
}
