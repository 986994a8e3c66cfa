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

/// Where control groups of version 2 are, alone or beside those of version 1, if this process can make some below its own that
/// the kernel ends at one word (`cgroup.kill`).
pub fn unified_groups() -> Option<&'static Path> {
    static GROUPS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let groups = GROUPS.get_or_init(|| {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let (own, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mount =
            mounts.lines().filter(|line| line.contains(" - cgroup2 ")).find_map(|line| line.split(' ').nth(4))?;
        let probe = Path::new(mount).join(own).join(format!("motmot-test-{}", std::process::id()));
        let made = fs::create_dir(&probe).is_ok();
        let can = made && probe.join("cgroup.kill").exists();
        let _ = fs::remove_dir(&probe);
        can.then(|| mount.into())
    });
    groups.as_deref()
}

/// Whether root can limit what processes below its own group use: `sys::cgroup` says how.
pub fn limits_can_be_set() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
        let own = read(Path::new("/proc/self/cgroup"));
        let of =
            |name: &str| own.lines().find_map(|line| Some(line.split_once(name)?.1.trim_start_matches('/').to_owned()));
        let split = ["pids", "memory"].iter().all(|name| {
            of(&format!(":{name}:")).is_some_and(|own| {
                let probe = Path::new("/sys/fs/cgroup")
                    .join(name)
                    .join(own)
                    .join(format!("motmot-test-{}", std::process::id()));
                fs::create_dir(&probe).is_ok() && fs::remove_dir(&probe).is_ok()
            })
        });
        let delegated = of("0::").is_some_and(|own| {
            let dir = Path::new("/sys/fs/cgroup").join(own);
            let controllers = read(&dir.join("cgroup.controllers"));
            // getxattr(2), on x86_64
            let asked = std::process::Command::new("perl")
                .args(["-e", "exit(syscall(191, my $d = shift, my $n = 'trusted.delegate', my $v = ' ', 1) != 1)"])
                .arg(&dir)
                .status();
            let given =
                ["pids", "memory"].iter().all(|name| controllers.split_whitespace().any(|found| found == *name));
            given && asked.is_ok_and(|status| status.success())
        });
        split || delegated
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
