//! Directories of a job: made with mode 0700, and judged if they exist.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::order::frames::{Blame, WorkerFailure};

/// Makes what is missing, and refuses what somebody else could have prepared.
pub fn make_and_judge(directories: &[PathBuf]) -> Result<(), WorkerFailure> {
    if let Some(root) = directories.first() {
        for ancestor in root.ancestors().skip(1) {
            judge_ancestor(ancestor)?;
        }
    }
    directories.iter().try_for_each(|dir| make(dir).and_then(|()| judge(dir)))
}

fn make(dir: &Path) -> Result<(), WorkerFailure> {
    // The umask is 077 already; the mode says it for whoever reads this.
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // The nearest directory that exists is the one to look at.
            let there = dir.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
            let words = format!(
                "{} cannot be made: this account may not write to {}; make the directory for it, or change jobs.data_dir in the configuration",
                dir.display(),
                there.display()
            );
            Err(WorkerFailure { blame: Blame::Site, words })
        }
        Err(error) => Err(failure(dir, "cannot be made", &error)),
    }
}

fn judge(dir: &Path) -> Result<(), WorkerFailure> {
    let own = nix::unistd::geteuid().as_raw();
    let unsafe_dir = |why: String| WorkerFailure {
        blame: Blame::Account,
        words: format!("the directory {} is not safe to run a job in: {why}", dir.display()),
    };
    let link = std::fs::symlink_metadata(dir).map_err(|error| failure(dir, "cannot be looked at", &error))?;
    if link.is_symlink() && link.uid() != own && link.uid() != 0 {
        return Err(unsafe_dir(format!("it is a symbolic link that belongs to uid {}; remove it", link.uid())));
    }
    let meta = std::fs::metadata(dir).map_err(|error| failure(dir, "cannot be looked at", &error))?;
    if !meta.is_dir() {
        return Err(unsafe_dir("it is not a directory; move it away".into()));
    }
    if meta.uid() != own {
        return Err(unsafe_dir(format!("it belongs to uid {}, not to uid {own}; move it away", meta.uid())));
    }
    if meta.mode() & 0o022 != 0 {
        // Whoever could write may have planted something already: closing the door now would not help.
        return Err(unsafe_dir(format!(
            "others may write to it (mode {:04o}); its owner looks into it and moves it away, then the next job makes it anew",
            meta.mode() & 0o7777
        )));
    }
    if meta.mode() & 0o7777 != 0o700 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
            .map_err(|error| failure(dir, "cannot be made private", &error))?;
    }
    Ok(())
}

/// A directory above: whoever may write to it can put another in place of ours, unless it is sticky.
fn judge_ancestor(dir: &Path) -> Result<(), WorkerFailure> {
    let Ok(meta) = std::fs::metadata(dir) else { return Ok(()) };
    if open_to_all(&meta) && meta.uid() != nix::unistd::geteuid().as_raw() {
        let words = format!(
            "the directory {} is not safe to have jobs below it: everybody may write to it, and it is not sticky (mode {:04o})",
            dir.display(),
            meta.mode() & 0o7777
        );
        return Err(WorkerFailure { blame: Blame::Account, words });
    }
    Ok(())
}

fn open_to_all(meta: &Metadata) -> bool {
    meta.mode() & 0o002 != 0 && meta.mode() & 0o1000 == 0
}

/// A failure of the file system; a used-up quota is the account's own affair.
pub fn failure(path: &Path, what: &str, error: &io::Error) -> WorkerFailure {
    let (blame, advice) = match error.kind() {
        io::ErrorKind::QuotaExceeded => (Blame::Account, "; remove what is no longer needed there"),
        io::ErrorKind::StorageFull => (Blame::Site, "; its file system is full"),
        _ => (Blame::Site, ""),
    };
    WorkerFailure { blame, words: format!("{} {what}: {error}{advice}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("exists").mode() & 0o7777
    }

    #[test]
    fn missing_directories_are_made_private_and_open_ones_are_closed() {
        let temp = tempfile::tempdir().expect("dir");
        let root = temp.path().join("a/data");
        let below = root.join("builds");
        make_and_judge(&[root.clone(), below.clone()]).expect("made");
        assert_eq!((mode(&root), mode(&below)), (0o700, 0o700));
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        make_and_judge(std::slice::from_ref(&root)).expect("closed");
        assert_eq!(mode(&root), 0o700);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_and_so_is_a_file() {
        let temp = tempfile::tempdir().expect("dir");
        let root = temp.path().join("data");
        std::fs::create_dir(&root).expect("mkdir");
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        let refused = make_and_judge(std::slice::from_ref(&root)).expect_err("refused");
        assert_eq!(refused.blame, Blame::Account);
        assert_eq!(mode(&root), 0o777, "and left as it is");
        let file = temp.path().join("file");
        std::fs::write(&file, "").expect("write");
        assert!(make_and_judge(&[file]).is_err());
    }

    #[test]
    fn a_link_of_the_accounts_own_is_followed() {
        let temp = tempfile::tempdir().expect("dir");
        let real = temp.path().join("scratch");
        std::fs::create_dir(&real).expect("mkdir");
        let link = temp.path().join("data");
        std::os::unix::fs::symlink(&real, &link).expect("link");
        make_and_judge(&[link.clone(), link.join("builds")]).expect("fine");
        assert!(real.join("builds").is_dir());
    }
}
