//! Removing a tree, whatever its modes, its links and its depth are.
//!
//! A job can make a tree that is deeper than a process may have descriptors, or a stack frames. So only a few levels are
//! held at a time; what is further down is moved up to the top, one directory after the other, and is a tree of its own
//! there. Each step starts from a directory that is held and takes one name, which is opened without following a link: what
//! is put in the place of a name meanwhile is removed, or is in the way, but nothing outside of the tree is reached.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::time::Duration;

use crate::sys::directory::{Directory, Step};

/// How many levels are held.
const HELD: usize = 32;
/// How many names are read of a directory at a time: it may have millions.
const NAMES: usize = 4096;
/// How often a directory is emptied in which something still writes.
const TRIES: u32 = 20;
/// The owner's own rights.
const OWNER: u32 = 0o700;

/// Removes what has this name in a directory.
///
/// # Errors
/// The first one. All that can be removed has been all the same.
pub fn remove_tree(above: &Directory, name: &OsStr) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..TRIES {
        result = remove_once(above, name);
        match &result {
            // Something still writes there; or an NFS client keeps the name of an open file for a moment.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => return result,
        }
    }
    result
}

fn remove_once(above: &Directory, name: &OsStr) -> io::Result<()> {
    let above = usable(above.clone());
    match above.step(name) {
        Ok(Step::Directory(top)) => {
            Emptying::new(usable(top)).run()?;
            gone(fs::remove_dir(above.entry(name)))
        }
        Ok(Step::Link { .. } | Step::Other) => gone(fs::remove_file(above.entry(name))),
        Err(error) => gone(Err(error)),
    }
}

/// With all rights for its owner: `chmod 000` inside, or of the directory that it is in, may be undone by him. For another
/// account's nothing changes, and what follows fails.
fn usable(mut dir: Directory) -> Directory {
    if dir.mode() & OWNER != OWNER {
        let _ = dir.make_private();
    }
    dir
}

/// That something is gone already is what is wanted.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A directory on the way down.
struct Level {
    dir: Directory,
    /// Its name in the one above.
    name: OsString,
    /// What was read of it and is still to be done.
    todo: Vec<(OsString, Kind)>,
    /// What could not be removed.
    stays: HashSet<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    /// Or not known.
    Other,
}

impl Level {
    fn new(dir: Directory, name: OsString) -> Self {
        Self { dir, name, todo: Vec::new(), stays: HashSet::new() }
    }

    /// The next name in it, until nothing is left that was not tried.
    fn next(&mut self) -> io::Result<Option<(OsString, Kind)>> {
        if self.todo.is_empty() {
            for entry in fs::read_dir(self.dir.here())? {
                let entry = entry?;
                if self.todo.len() >= NAMES {
                    break;
                }
                let kind =
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) { Kind::Directory } else { Kind::Other };
                let name = entry.file_name();
                if !self.stays.contains(&name) {
                    self.todo.push((name, kind));
                }
            }
        }
        Ok(self.todo.pop())
    }
}

struct Emptying {
    /// The tree itself first. Never empty while it runs.
    levels: Vec<Level>,
    top: Directory,
    moved: u64,
    trouble: io::Result<()>,
}

impl Emptying {
    fn new(top: Directory) -> Self {
        Self { levels: vec![Level::new(top.clone(), OsString::new())], top, moved: 0, trouble: Ok(()) }
    }

    fn run(mut self) -> io::Result<()> {
        while let Some(level) = self.levels.last_mut() {
            match level.next() {
                Ok(Some((name, kind))) => {
                    if let Err(error) = self.one(&name, kind) {
                        self.stays(name, error);
                    }
                }
                Ok(None) => self.up(),
                Err(error) => {
                    self.note(error);
                    self.up();
                }
            }
        }
        self.trouble
    }

    /// Removes a name of the lowest level, or goes down into it.
    fn one(&mut self, name: &OsStr, kind: Kind) -> io::Result<()> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        if kind == Kind::Other {
            match gone(fs::remove_file(level.dir.entry(name))) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                other => return other,
            }
        }
        let below = match level.dir.step(name) {
            Ok(Step::Directory(below)) => usable(below),
            Ok(Step::Link { .. } | Step::Other) => return gone(fs::remove_file(level.dir.entry(name))),
            Err(error) => return gone(Err(error)),
        };
        if depth < HELD {
            self.levels.push(Level::new(below, name.to_owned()));
            return Ok(());
        }
        let from = level.dir.entry(name);
        self.move_up(&from)
    }

    /// Moves a directory to the top, under a name that nothing there has.
    fn move_up(&mut self, from: &std::path::Path) -> io::Result<()> {
        loop {
            self.moved += 1;
            let to = self.top.entry(format!(".motmot-{}", self.moved));
            // Where an empty directory has the name, it is replaced, which is as good.
            match fs::rename(from, to) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
                    ) => {}
                other => return gone(other),
            }
        }
    }

    /// The lowest level is done.
    fn up(&mut self) {
        let Some(done) = self.levels.pop() else { return };
        let Some(above) = self.levels.last() else { return };
        let removed = gone(fs::remove_dir(above.dir.entry(&done.name)));
        if let Err(error) = removed {
            self.stays(done.name, error);
        }
    }

    /// A name of the lowest level cannot be removed.
    fn stays(&mut self, name: OsString, error: io::Error) {
        self.levels.iter_mut().next_back().map(|level| level.stays.insert(name));
        self.note(error);
    }

    /// The first reason counts: what is above something that stays cannot go either.
    fn note(&mut self, error: io::Error) {
        if self.trouble.is_ok() {
            self.trouble = Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn held(path: &Path) -> Directory {
        let path = path.canonicalize().expect("path");
        path.iter().skip(1).fold(Directory::root().expect("/"), |here, name| match here.step(name) {
            Ok(Step::Directory(next)) => next,
            other => panic!("{}: {other:?}", path.display()),
        })
    }

    /// Levels below a directory, each with a file in it.
    fn dig(dir: &Path, levels: usize) {
        let mut here = held(dir);
        for _ in 0..levels {
            fs::write(here.entry("file"), "x").expect("write");
            here.make(OsStr::new("d")).expect("mkdir");
            let Ok(Step::Directory(next)) = here.step(OsStr::new("d")) else { panic!("no step") };
            here = next;
        }
        fs::set_permissions(here.here(), fs::Permissions::from_mode(0o500)).expect("chmod");
    }

    #[test]
    fn a_tree_goes_that_is_deeper_than_its_levels_can_be_held() {
        let temp = tempfile::tempdir().expect("dir");
        let tree = temp.path().join("tree");
        fs::create_dir_all(tree.join("wide/a")).expect("mkdir");
        // Names that are taken already.
        fs::create_dir_all(tree.join(".motmot-1/full")).expect("mkdir");
        fs::write(tree.join(".motmot-2"), "").expect("write");
        dig(&tree.join("wide/a"), 3 * HELD);
        dig(&tree, 2 * HELD + 1);
        remove_tree(&held(temp.path()), OsStr::new("tree")).expect("removed");
        assert!(!tree.exists());
        remove_tree(&held(temp.path()), OsStr::new("tree")).expect("nothing to do");
    }

    #[test]
    fn a_directory_with_more_names_than_are_read_at_a_time_goes() {
        let temp = tempfile::tempdir().expect("dir");
        let tree = temp.path().join("tree");
        fs::create_dir(&tree).expect("mkdir");
        (0..=NAMES).for_each(|number| fs::write(tree.join(number.to_string()), "").expect("write"));
        remove_tree(&held(temp.path()), OsStr::new("tree")).expect("removed");
        assert!(!tree.exists());
    }

    #[test]
    fn a_name_that_becomes_a_link_while_the_tree_is_removed_leads_nowhere() {
        let temp = tempfile::tempdir().expect("dir");
        let (outside, tree) = (temp.path().join("outside"), temp.path().join("tree"));
        fs::create_dir_all(outside.join("d")).expect("mkdir");
        fs::write(outside.join("d/file"), "x").expect("write");
        fs::set_permissions(outside.join("d"), fs::Permissions::from_mode(0o555)).expect("chmod");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (swapped, aside) = (tree.join("swapped"), temp.path().join("aside"));
                while !over.load(Ordering::Relaxed) {
                    let _ = fs::create_dir_all(swapped.join("d"));
                    let _ = fs::rename(&swapped, &aside);
                    let _ = symlink(&outside, &swapped);
                    let _ = fs::remove_dir_all(&aside);
                    let _ = fs::remove_file(&swapped);
                }
            });
            for _ in 0..200 {
                let _ = fs::create_dir(&tree);
                let _ = remove_once(&held(temp.path()), OsStr::new("tree"));
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(outside.join("d/file").exists());
        let mode = fs::metadata(outside.join("d")).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o555, "not even its mode has changed");
    }
}
