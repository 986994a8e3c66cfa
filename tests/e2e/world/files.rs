//! Directories, owners, and the place where all worlds are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Whether this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory for all worlds of this run, which every account can enter.
pub fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("motmot-test-").tempdir().expect("a directory").keep();
        chmod(&dir, 0o755);
        dir
    })
}

pub fn make_dir(path: &Path, mode: u32) {
    fs::create_dir_all(path).expect("a directory");
    chmod(path, mode);
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Gives a file away. Nothing happens unless this is root: then all that there is has one owner.
pub fn chown(path: &Path, uid: u32, gid: u32) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).expect("chown");
    }
}
