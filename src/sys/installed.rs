//! Where motmot's own programs are. Whoever can exchange them there decides what the runner executes, and the worker is what
//! every account executes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::exchange::{Believed, exchanger};
use super::files::{Distrust, Owner, TrustError, account_name, from_io, trusted_directory};
use super::privilege::can_change_user;

/// What whoever can exchange a program gets by it.
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
}

/// The real path of a directory of programs, if it can be relied upon with all that are above it.
///
/// # Errors
/// [`TrustError`] names the first directory in which others could put another program, or another directory, in place.
pub fn believed_directory(dir: &Path, prize: Prize) -> Result<PathBuf, TrustError> {
    match prize {
        Prize::OtherAccounts => trusted_directory(dir, Owner::RootOrSelf),
        Prize::OneAccount => not_everybodys(dir),
    }
}

fn not_everybodys(dir: &Path) -> Result<PathBuf, TrustError> {
    let fault = |path: &Path, fault| TrustError { path: path.to_owned(), fault };
    let real = fs::canonicalize(dir).map_err(|error| fault(dir, from_io(error)))?;
    for above in real.ancestors() {
        let meta = fs::symlink_metadata(above).map_err(|error| fault(above, from_io(error)))?;
        let (owner, wanted) = (account_name(meta.uid()), account_name(geteuid().as_raw()));
        if ![0, geteuid().as_raw()].contains(&meta.uid()) {
            return Err(fault(above, Distrust::DirectoryOwner { found: owner, wanted }));
        }
        if exchanger(meta.uid(), meta.mode(), Believed::OwnersAndGroups).is_some() {
            return Err(fault(above, Distrust::DirectoryWritable { mode: meta.mode() & 0o7777, owner, wanted }));
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
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
