//! Directories of a job: made with mode 0700, judged if they exist, and held from then on. What was judged is used by its
//! descriptor: another tree that is put in its place later gets no token and loses no file.

use std::io;
use std::path::{Path, PathBuf};

use super::WorkerFailure;
use super::walk::{Missing, Walk, failure, judge_own};
use crate::sys::directory::Directory;

/// Directories of a job, held.
#[derive(Debug)]
pub struct Held<'o> {
    directories: Vec<(PathBuf, Directory)>,
    walk: Walk<'o>,
}

impl<'o> Held<'o> {
    /// Makes what is missing below `site_dir`, parents first, and refuses what somebody else could have prepared, or could
    /// exchange.
    pub fn make_and_judge(
        directories: &[PathBuf],
        group_writable: &'o [PathBuf],
        site_dir: &'o Path,
    ) -> Result<Self, WorkerFailure> {
        let walk = Walk { group_writable, site_dir, missing: Missing::Make };
        let mut held = Self { directories: Vec::new(), walk };
        directories.iter().try_for_each(|dir| held.one_more(dir).map(drop))?;
        Ok(held)
    }

    /// Makes and judges one more.
    pub fn one_more(&mut self, dir: &Path) -> Result<Directory, WorkerFailure> {
        let found = match (dir.parent().and_then(|parent| self.get(parent)), dir.file_name()) {
            (Some(parent), Some(name)) => self.walk.below(parent, name.to_owned())?,
            _ => self.walk.to(dir)?,
        };
        let gone = || failure(dir, "is gone", &io::ErrorKind::NotFound.into());
        let directory = judge_own(found.ok_or_else(gone)?)?;
        self.directories.push((dir.to_owned(), directory.clone()));
        Ok(directory)
    }

    /// The one of this path.
    pub fn get(&self, path: &Path) -> Option<&Directory> {
        self.directories.iter().find_map(|(known, directory)| (known == path).then_some(directory))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::order::frames::Blame;

    fn make_and_judge(directories: &[PathBuf]) -> Result<(), WorkerFailure> {
        Held::make_and_judge(directories, &[], Path::new("/")).map(drop)
    }

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
    fn a_job_makes_nothing_that_other_accounts_need_and_says_what_the_site_makes() {
        let temp = tempfile::tempdir().expect("dir");
        let site_dir = temp.path().join("climate/ci");
        let own = site_dir.join("ford");
        let make = || Held::make_and_judge(std::slice::from_ref(&own), &[], &site_dir).map(drop);
        let refused = make().expect_err("refused");
        assert_eq!(refused.blame, Blame::Site);
        let shown = site_dir.display();
        for part in [&format!("{shown} does not exist") as &str, "mode 1777", "mode 3770", "owner root"] {
            assert!(refused.words.contains(part), "{part}: {}", refused.words);
        }
        assert!(!temp.path().join("climate").exists(), "nothing is made");
        std::fs::create_dir_all(&site_dir).expect("mkdir");
        make().expect("below it all is made");
        assert_eq!(mode(&own), 0o700);
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
