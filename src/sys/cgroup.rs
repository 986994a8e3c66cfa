//! A control group for the processes of one job, where the system has them (cgroups(7), version 2).
//!
//! Killing processes one by one is a race against what forks; the kernel ends a whole group at one word
//! (`cgroup.kill`, Linux 5.14), whatever its members did to their session, parent or environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// One group. Only root makes them: below the group that the runner itself is in, so that the limits of its service hold.
#[derive(Debug)]
pub struct JobGroup {
    dir: PathBuf,
}

impl JobGroup {
    /// Where the group of that name would be. To be remembered before it is made: whoever ends it later may be in another.
    pub fn place(name: &str) -> Option<PathBuf> {
        if nix::unistd::geteuid().is_root() { Some(own_group()?.join(name)) } else { None }
    }

    /// Makes the group at that place, or finds it. `None` where that is not possible; the other ways to end a job remain.
    pub fn make(place: Option<&Path>) -> Option<Self> {
        let dir = place?.to_owned();
        match fs::create_dir(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
        let group = Self { dir };
        // Older kernels have groups, but no such word.
        if group.dir.join("cgroup.kill").exists() {
            Some(group)
        } else {
            group.remove();
            None
        }
    }

    /// The group at that place, if an earlier stage has made it and it is still there.
    pub fn find(place: Option<&Path>) -> Option<Self> {
        let dir = place?.to_owned();
        dir.is_dir().then_some(Self { dir })
    }

    /// Puts a process in; what it starts from now on is in, too.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// Ends all processes of the group. Whether none is left when `limit` has passed.
    pub fn end(&self, limit: Duration) -> bool {
        let start = Instant::now();
        loop {
            if self.is_empty() {
                return true;
            }
            // Again and again: a process may have been put in meanwhile.
            let _ = fs::write(self.dir.join("cgroup.kill"), "1");
            if start.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2)); // cgroup.events can be polled, but not for zombies
        }
    }

    fn is_empty(&self) -> bool {
        match fs::read_to_string(self.dir.join("cgroup.events")) {
            Ok(events) => events.lines().any(|line| line == "populated 0"),
            // Removed, by another cleanup. Any other failure says nothing.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the group, if it is empty.
    pub fn remove(&self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Whether a process is certainly in another group than this one.
pub fn is_elsewhere(pid: Pid) -> bool {
    let (own, other) = (group_of("self"), group_of(&pid.to_string()));
    own.zip(other).is_some_and(|(own, other)| own != other)
}

fn group_of(process: &str) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// The directory of the group that this process is in.
fn own_group() -> Option<PathBuf> {
    let path = group_of("self")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    Some(mount_point(&mounts)?.join(path.trim_start_matches('/')))
}

/// Where version 2 is mounted (proc(5), mountinfo: fields before and after " - ").
fn mount_point(mounts: &str) -> Option<&Path> {
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        // A container may see a part of the hierarchy only, under a root that the paths of /proc/self/cgroup do not have.
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then(|| Path::new(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_found_among_others() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(mounts), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("31 24 0:27 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), None);
        assert_eq!(mount_point(""), None);
    }
}
