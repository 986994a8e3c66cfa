//! Where motmot's own programs and its state are. Whoever can exchange a program there decides what the runner executes, and the
//! worker is what every account executes.

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::files::{Owner, Secrecy, Trust, TrustError, read_trusted, trusted_directory};
use super::privilege::can_change_user;

/// What whoever can exchange such a thing gets by it: the more, the less is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prize {
    /// Root, or the accounts of all jobs.
    OtherAccounts,
    /// One account that runs its own jobs and nobody else's. It may share its directories with a group (an umask of 002).
    OneAccount,
}

impl Prize {
    /// That of this process's programs.
    pub fn of_this_process() -> Self {
        if geteuid().is_root() || can_change_user() { Self::OtherAccounts } else { Self::OneAccount }
    }

    /// Who is believed where that is at stake.
    pub fn believed(self) -> Owner {
        match self {
            Self::OtherAccounts => Owner::RootOrSelf,
            Self::OneAccount => Owner::RootOrSelfAndGroups,
        }
    }
}

/// Whose files may decide who runs as whom. Stage binaries with capabilities run as the runner's ordinary account: were that account's
/// own file good enough, whoever takes it over could lift every limit.
pub fn who_decides() -> Owner {
    if can_change_user() { Owner::Root } else { Owner::RootOrSelf }
}

/// Reads a file that decides who runs as whom, of so many bytes at most.
///
/// # Errors
/// As [`read_trusted`].
pub fn read_deciding(path: &Path, max_bytes: usize) -> Result<Vec<u8>, TrustError> {
    read_trusted(path, Trust { owner: who_decides(), secrecy: Secrecy::Public }, max_bytes)
}

/// The real path of a directory of programs, or of the driver's own state, if it can be relied upon with all directories and links
/// that lead there.
///
/// # Errors
/// [`TrustError`] names the first place in which others could put another program, or another directory, in place.
pub fn believed_directory(dir: &Path, prize: Prize) -> Result<PathBuf, TrustError> {
    trusted_directory(dir, prize.believed())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_group_is_believed_where_one_accounts_jobs_run_and_everybody_nowhere() {
        let temp = tempfile::tempdir().expect("dir");
        let dir = temp.path().join("above/programs");
        fs::create_dir_all(&dir).expect("mkdir");
        let judged = |path: &str, mode: u32| {
            let path = temp.path().join(path);
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
            let judged = [Prize::OtherAccounts, Prize::OneAccount].map(|prize| believed_directory(&dir, prize).is_ok());
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
            judged
        };
        // A link that others can aim elsewhere leads nowhere for certain, whatever it leads to.
        let open = temp.path().join("open");
        fs::create_dir(&open).expect("mkdir");
        std::os::unix::fs::symlink(&dir, open.join("link")).expect("linked");
        for (mode, believed) in [(0o755, true), (0o777, false)] {
            fs::set_permissions(&open, PermissionsExt::from_mode(mode)).expect("chmod");
            for prize in [Prize::OtherAccounts, Prize::OneAccount] {
                assert_eq!(believed_directory(&open.join("link"), prize).is_ok(), believed, "{mode:o} {prize:?}");
            }
        }
        let absent = believed_directory(&dir.join("absent"), Prize::OneAccount).expect_err("absent");
        assert!(absent.is_missing(), "whoever makes it is told: {absent}");
        for path in ["above/programs", "above"] {
            assert_eq!(judged(path, 0o755), [true, true], "{path}");
            assert_eq!(judged(path, 0o2775), [false, true], "{path}");
            assert_eq!(judged(path, 0o777), [false, false], "{path}");
            assert_eq!(judged(path, 0o1777), [true, true], "{path}");
        }
    }
}
