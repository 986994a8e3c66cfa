//! What a file system lets others see.

use std::path::Path;

use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, statfs,
};

/// Those of one machine. What is not among them may be shared by many.
const LOCAL: [(FsType, &str); 5] = [
    (EXT4_SUPER_MAGIC, "ext4"),
    (XFS_SUPER_MAGIC, "xfs"),
    (BTRFS_SUPER_MAGIC, "btrfs"),
    (TMPFS_MAGIC, "tmpfs"),
    (OVERLAYFS_SUPER_MAGIC, "overlay"),
];

/// The name of the file system on which a path is, if it is one of this machine's own: it shows each change at once, and no
/// other machine sees it.
pub fn local(path: &Path) -> Option<&'static str> {
    let kind = statfs(path).ok()?.filesystem_type();
    LOCAL.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name)
}
