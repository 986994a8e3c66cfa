//! The way that a path leads, path_resolution(7), one step after the other, so that each can be judged.
//!
//! Who judges a directory before anything in it is believed races with those alone who may change what was judged.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many symbolic links one path may lead through; the kernel's own limit.
pub const MAX_LINKS: u32 = 40;

/// Where on the way something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// More comes after it.
    OnTheWay,
    /// It is what the path names; a link there is followed all the same.
    AtTheEnd,
}

/// Why a way has no end.
#[derive(Debug)]
pub enum NoWay {
    /// It cannot be looked at.
    Io(io::Error),
    /// Links lead to links.
    TooManyLinks,
}

/// Walks an absolute path. `judge` sees each directory and each link before what comes after it is looked at; what is at the
/// end is returned.
///
/// # Errors
/// What `judge` says, or `lost` of a place and of why there is no way.
pub fn walk<E>(
    path: &Path,
    mut judge: impl FnMut(&Path, &Metadata, Stands) -> Result<(), E>,
    lost: impl Fn(&Path, NoWay) -> E,
) -> Result<(PathBuf, Metadata), E> {
    let (mut here, mut todo, mut links) = (PathBuf::from("/"), steps(path), 0);
    loop {
        let meta = fs::symlink_metadata(&here).map_err(|error| lost(&here, NoWay::Io(error)))?;
        judge(&here, &meta, if todo.is_empty() { Stands::AtTheEnd } else { Stands::OnTheWay })?;
        if meta.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(lost(path, NoWay::TooManyLinks));
            }
            let target = fs::read_link(&here).map_err(|error| lost(&here, NoWay::Io(error)))?;
            here.pop();
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            todo.extend(steps(&target));
        }
        match todo.pop() {
            None if meta.is_symlink() => {} // its target was `/` or `.`: look at that
            None => return Ok((here, meta)),
            Some(name) if name == ".." => {
                here.pop();
            }
            Some(name) => here.push(name),
        }
    }
}

/// The names in a path, last one first.
pub fn steps(path: &Path) -> Vec<OsString> {
    let named = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    named.map(|part| part.as_os_str().to_owned()).rev().collect()
}
