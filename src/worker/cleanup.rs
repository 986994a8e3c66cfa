//! What is left of a job goes: processes first, then files, so that nothing is made anew.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::directories::failure;
use crate::order::CleanUpOrder;
use crate::order::frames::{Blame, WorkerFailure};
use crate::runner::SESSION_VARIABLE;
use crate::sys::process;

/// How long processes may take to die of SIGKILL.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a directory is emptied in which something still writes.
const TRIES: u32 = 20;

/// Carries the order out; the first trouble is told when all has been tried.
pub fn clean_up(order: &CleanUpOrder) -> Result<(), WorkerFailure> {
    // Removing a tree takes a descriptor for each level of it, and a job may have made a thousand on purpose.
    let _ = process::allow_many_files();
    let left = process::end_marked(SESSION_VARIABLE, &order.session, LIMIT);
    let mut trouble = None;
    if left > 0 {
        trouble = Some(WorkerFailure {
            blame: Blame::Site,
            words: format!("{left} processes of the job could not be ended"),
        });
    }
    for dir in &order.remove {
        if let Err(error) = remove_tree(dir) {
            trouble.get_or_insert(failure(dir, "cannot be removed", &error));
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Removes a tree, whatever modes its directories have. Follows no symbolic link.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..TRIES {
        result = match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => std::fs::remove_file(dir),
            other => other,
        };
        match &result {
            Ok(()) => return Ok(()),
            // `chmod 000` inside, or on the way there: the owner may undo that.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if !unlock_way_to(dir) {
                    // Somebody else's directory bars the way, so nothing of this account's was ever made behind it.
                    return Ok(());
                }
                unlock(dir);
            }
            // Something still writes there; or an NFS client keeps the name of an open file for a moment.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(_) => return result,
        }
    }
    result
}

/// Makes sure that `dir` can be reached. False if what bars the way is not this account's.
fn unlock_way_to(dir: &Path) -> bool {
    // Up to the first name that can be seen: its directory lets us in, it itself may not.
    for ancestor in dir.ancestors().skip(1) {
        if let Ok(meta) = std::fs::symlink_metadata(ancestor) {
            let own = meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw();
            return own && std::fs::set_permissions(ancestor, std::fs::Permissions::from_mode(0o700)).is_ok();
        }
    }
    false
}

/// Gives the owner all rights to every directory of a tree.
fn unlock(dir: &Path) {
    let Ok(meta) = std::fs::symlink_metadata(dir) else { return };
    if !meta.is_dir() {
        return;
    }
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        unlock(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_goes_whatever_its_modes_and_links() {
        let temp = tempfile::tempdir().expect("dir");
        let outside = temp.path().join("outside");
        std::fs::create_dir(&outside).expect("mkdir");
        std::fs::write(outside.join("file"), "x").expect("write");
        let tree = temp.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).expect("mkdir");
        std::fs::write(tree.join("a/b/file"), "x").expect("write");
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).expect("link");
        std::fs::set_permissions(tree.join("a/b"), std::fs::Permissions::from_mode(0o0)).expect("chmod");
        std::fs::set_permissions(tree.join("a"), std::fs::Permissions::from_mode(0o500)).expect("chmod");
        remove_tree(&tree).expect("removed");
        assert!(!tree.exists());
        assert!(outside.join("file").exists(), "links are removed, not followed");
        remove_tree(&tree).expect("nothing to do the second time");
        let way = temp.path().join("way");
        std::fs::create_dir_all(way.join("tree")).expect("mkdir");
        std::fs::set_permissions(&way, std::fs::Permissions::from_mode(0o000)).expect("chmod");
        remove_tree(&way.join("tree")).expect("removed");
        assert!(!way.join("tree").exists());
    }
}
