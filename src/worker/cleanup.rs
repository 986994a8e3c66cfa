//! What is left of a job goes: processes first, then files, so that nothing is made anew.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::mounts::unmount_below;
use super::remove::remove_tree;
use super::walk::{Blocked, Missing, Walk, failure, judge_own};
use crate::order::CleanUpOrder;
use crate::order::frames::{Blame, WorkerFailure};
use crate::runner::SESSION_VARIABLE;
use crate::sys::offspring::Seeker;
use crate::sys::process;
use crate::sys::subordinate;

/// How long processes may take to die of SIGKILL.
const LIMIT: Duration = Duration::from_secs(10);

/// Carries the order out; the first trouble is told when all has been tried.
pub fn clean_up(order: &CleanUpOrder) -> Result<(), WorkerFailure> {
    // What has hidden from its mark in the environment has lost its stage by now, whichever job of this account's it was.
    let seeker = Seeker::in_worker();
    let is_left = |pid| process::carries(pid, SESSION_VARIABLE, &order.session) || seeker.is_orphan(pid);
    let left = process::end_all(LIMIT, is_left);
    let mut trouble = None;
    if left > 0 {
        trouble = Some(WorkerFailure {
            blame: Blame::Site,
            words: format!("{left} processes of the job could not be ended"),
        });
    }
    for dir in &order.remove {
        if let Err(failure) = remove(dir, order) {
            trouble.get_or_insert(failure);
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Removes what a job has left. The directory that it is in is found and judged as it was when the job began, and held
/// meanwhile: what somebody has put in its place since is not touched, and no link of his is followed out of it.
fn remove(dir: &Path, order: &CleanUpOrder) -> Result<(), WorkerFailure> {
    let walk = Walk { group_writable: &order.group_writable, site_dir: Path::new("/"), missing: Missing::Leave };
    let found = || {
        let Some(data) = walk.to(&order.data)? else { return Ok(None) };
        let data = judge_own(data)?;
        let below = dir.parent().and_then(|parent| parent.strip_prefix(&order.data).ok());
        below.map_or(Ok(None), |below| walk.within(&data, below))
    };
    let (above, name) = match (found(), dir.file_name()) {
        (Ok(Some(above)), Some(name)) => (above, name),
        (Ok(_), _) => return Ok(()),
        // Until its owner has made it safe again; whoever knows better gives the session up (`motmot reap --forget`).
        (Err(Blocked::Unsafe(why)), _) => {
            return Err(WorkerFailure {
                blame: Blame::Site,
                words: format!("{} is not removed: {why}", dir.display()),
            });
        }
        (Err(Blocked::Io(failure)), _) => return Err(failure),
    };
    unmount_below(&above.path().join(name))?;
    let Err(error) = remove_tree(&above, name) else { return Ok(()) };
    let mut failed = failure(dir, "cannot be removed", &error);
    if error.kind() == io::ErrorKind::PermissionDenied && subordinate::are_lent() {
        let Err(why) = subordinate::remove(&above, name) else { return Ok(()) };
        failed.words = format!("{}; nor as files of subordinate ids of the account: {why}", failed.words);
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn order(data: &Path, remove: &str) -> CleanUpOrder {
        let data = data.canonicalize().expect("path");
        CleanUpOrder { session: "0-0".into(), remove: vec![data.join(remove)], data, group_writable: Vec::new() }
    }

    #[test]
    fn a_tree_goes_whatever_its_modes_and_links() {
        let temp = tempfile::tempdir().expect("dir");
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        let outside = temp.path().join("outside");
        std::fs::create_dir(&outside).expect("mkdir");
        std::fs::write(outside.join("file"), "x").expect("write");
        let tree = temp.path().join("way/tree");
        std::fs::create_dir_all(tree.join("a/b")).expect("mkdir");
        std::fs::write(tree.join("a/b/file"), "x").expect("write");
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).expect("link");
        mode(&tree.join("a/b"), 0o0);
        mode(&tree.join("a"), 0o500);
        // What the job opens to others below the data directory does not keep it.
        mode(&temp.path().join("way"), 0o777);
        let order = order(temp.path(), "way/tree");
        remove(&order.remove[0], &order).expect("removed");
        assert!(!tree.exists());
        assert!(outside.join("file").exists(), "links are removed, not followed");
        remove(&order.remove[0], &order).expect("nothing to do the second time");
        std::fs::create_dir(&tree).expect("mkdir");
        mode(&temp.path().join("way"), 0o000);
        remove(&order.remove[0], &order).expect("removed");
        assert!(!tree.exists());
    }

    #[test]
    fn nothing_is_removed_where_others_could_have_led_us() {
        let temp = tempfile::tempdir().expect("dir");
        let open = temp.path().join("open");
        std::fs::create_dir_all(open.join("data/jobs/5-a")).expect("mkdir");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o775)).expect("chmod");
        let mut order = order(&open.join("data"), "jobs/5-a");
        assert!(remove(&order.remove[0], &order).is_err_and(|failure| failure.words.contains("is not removed: ")));
        assert!(order.remove[0].exists());
        order.group_writable = vec![open.canonicalize().expect("path")];
        remove(&order.remove[0], &order).expect("removed");
        assert!(!order.remove[0].exists());
        // A link of the account's own below its data directory that leads to where others may write.
        std::fs::create_dir_all(open.join("elsewhere/5-b")).expect("mkdir");
        std::fs::remove_dir(open.join("data/jobs")).expect("rmdir");
        std::os::unix::fs::symlink(open.join("elsewhere"), open.join("data/jobs")).expect("link");
        order.group_writable.clear();
        remove(&order.data.join("jobs/5-b"), &order).expect_err("it leads out");
        assert!(open.join("elsewhere/5-b").exists());
    }
}
