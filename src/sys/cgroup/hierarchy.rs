//! Where control groups are (cgroups(7)): the hierarchies of this machine, the group of a process in each of them, and what
//! can be limited below it.
#![allow(unsafe_code)] // getxattr(2), which neither std nor nix wraps

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Where the processes of a delegated group go, so that groups of jobs can be beside them.
const RUNNERS: &str = "motmot-runner";
/// The processes of a runner fork while they are moved.
const MOVES: usize = 50;

/// What limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// Processes and threads.
    Pids,
    /// Memory and swap.
    Memory,
    /// Time of processors.
    Cpu,
}

impl Controller {
    /// All of them, in the order in which they are to be enabled: only that of memory is refused by the kernel while there are
    /// processes in the group. The others would be taken, for threads alone, and then no process could enter a group below.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pids => "pids",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

/// Which of the kernel's two interfaces a directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// Why there is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The kernel has no such controller, or its hierarchy is not mounted here.
    #[error("this machine has no {} controller (see /proc/cgroups, and what is mounted below /sys/fs/cgroup)", .0.name())]
    NoController(Controller),
    /// Version 2: the groups above have it, and do not pass it on.
    #[error(
        "the control group {} does not have the {} controller; the unit of gitlab-runner needs Delegate=yes",
        base.display(), controller.name()
    )]
    NotPassedOn {
        /// Where groups of jobs would be.
        base: PathBuf,
        /// What is missing.
        controller: Controller,
    },
    /// Version 2: a group with processes limits nothing below it, and these are not ours to move.
    #[error(
        "the processes of the runner are in the control group {} itself, which is not delegated to it; the unit of gitlab-runner needs Delegate=yes",
        .0.display()
    )]
    NotDelegated(PathBuf),
    /// The system says no.
    #[error("{}: {why}", path.display())]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// Its words.
        why: String,
    },
}

impl Obstacle {
    pub(super) fn refused(path: &Path, error: &io::Error) -> Self {
        Self::Refused { path: path.to_owned(), why: error.to_string() }
    }
}

/// The directories that belong together: the groups of a process, or those of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// In the hierarchy of version 2.
    pub(super) unified: Option<PathBuf>,
    /// In those of version 1.
    pub(super) split: BTreeMap<Controller, PathBuf>,
}

impl Groups {
    /// Those below which this process makes groups for jobs.
    pub fn of_this_process() -> Self {
        Self::of("self")
    }

    /// The same for another process.
    pub fn of_process(pid: Pid) -> Self {
        Self::of(&pid.to_string())
    }

    fn of(process: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        // Paths hold for our own mounts.
        let found = Self::parse(&read(&format!("/proc/{process}/cgroup")), &read("/proc/self/mountinfo"));
        Self { unified: found.unified.map(base), ..found }
    }

    fn parse(own: &str, mounts: &str) -> Self {
        let mut groups = Self::default();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let below = |mount: &Path| mount.join(path.trim_start_matches('/'));
            if controllers.is_empty() {
                groups.unified = mount_point(mounts, "cgroup2", None).map(below);
            }
            for controller in Controller::ALL {
                if controllers.split(',').any(|name| name == controller.name())
                    && let Some(mount) = mount_point(mounts, "cgroup", Some(controller.name()))
                {
                    groups.split.insert(controller, below(mount));
                }
            }
        }
        groups
    }

    /// Groups of this name below them.
    pub fn below(&self, name: &str) -> Self {
        let split = self.split.iter().map(|(controller, dir)| (*controller, dir.join(name))).collect();
        Self { unified: self.unified.as_ref().map(|dir| dir.join(name)), split }
    }

    /// The directory that a controller acts in, if it does.
    pub fn of_controller(&self, controller: Controller) -> Option<(Version, &Path)> {
        if let Some(dir) = self.split.get(&controller) {
            return Some((Version::One, dir));
        }
        Some((Version::Two, self.unified.as_deref()?))
    }

    /// Whether a controller will act in groups below these. Looks only.
    pub fn outlook(&self, controller: Controller) -> Result<Version, Obstacle> {
        let (version, base) = self.of_controller(controller).ok_or(Obstacle::NoController(controller))?;
        if version == Version::Two && !names(base, "cgroup.subtree_control", controller) {
            passed_on(controller, base)?;
            if !is_top(base) && holds_processes(base) && !is_delegated(base) {
                return Err(Obstacle::NotDelegated(base.to_owned()));
            }
        }
        Ok(version)
    }

    /// Sees to it that a controller acts in groups below these.
    pub(super) fn enable(&self, controller: Controller) -> Result<(), Obstacle> {
        let (version, base) = self.of_controller(controller).ok_or(Obstacle::NoController(controller))?;
        if version == Version::One || names(base, "cgroup.subtree_control", controller) {
            return Ok(());
        }
        passed_on(controller, base)?;
        let file = base.join("cgroup.subtree_control");
        for _ in 0..MOVES {
            if !is_top(base) && holds_processes(base) {
                if !is_delegated(base) {
                    break;
                }
                // The rule of version 2: processes, or groups with controllers, but not both. A service that is delegated may
                // arrange itself as it likes; DelegateSubgroup= does the same, from systemd 254 on.
                move_aside(base).map_err(|error| Obstacle::refused(&base.join(RUNNERS), &error))?;
                continue;
            }
            match fs::write(&file, format!("+{}", controller.name())) {
                Ok(()) => return Ok(()),
                // One has come meanwhile.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                Err(error) => return Err(Obstacle::refused(&file, &error)),
            }
        }
        Err(Obstacle::NotDelegated(base.to_owned()))
    }
}

/// Whether a group of version 2 has a controller that it can give to those below it.
fn passed_on(controller: Controller, base: &Path) -> Result<(), Obstacle> {
    if names(base, "cgroup.controllers", controller) {
        return Ok(());
    }
    // A controller that a hierarchy of version 1 has, mounted or not, is not in version 2 at all.
    let above = base.ancestors().take_while(|dir| dir.join("cgroup.controllers").exists()).last();
    if above.is_none_or(|top| !names(top, "cgroup.controllers", controller)) {
        return Err(Obstacle::NoController(controller));
    }
    Err(Obstacle::NotPassedOn { base: base.to_owned(), controller })
}

/// Where a hierarchy is mounted (proc(5), mountinfo: fields before and after " - ").
fn mount_point<'m>(mounts: &'m str, kind: &str, controller: Option<&str>) -> Option<&'m Path> {
    mounts.lines().find_map(|line| {
        let (fields, behind) = line.split_once(" - ")?;
        let mut behind = behind.split(' ');
        let (found, options) = (behind.next()?, behind.nth(1)?);
        // A container may see a part of the hierarchy only, under a root that the paths of /proc/self/cgroup do not have.
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let fits = controller.is_none_or(|name| options.split(',').any(|option| option == name));
        (found == kind && root == "/" && fits).then(|| Path::new(point))
    })
}

/// Where groups of jobs go, for a runner in this group of version 2: below its service, whose limits then hold for them.
fn base(own: PathBuf) -> PathBuf {
    match own.parent() {
        // It was moved aside, or its unit has DelegateSubgroup=.
        Some(parent) if own.ends_with(RUNNERS) || is_delegated(parent) && !is_delegated(&own) => parent.to_owned(),
        _ => own,
    }
}

/// Whether systemd says that whoever runs in this group may arrange what is below it. Only root reads the first of the two
/// marks, and systemd before 251 does not set the second; but it gives the directory to the account of the service.
fn is_delegated(dir: &Path) -> bool {
    let own = nix::unistd::geteuid();
    [c"trusted.delegate", c"user.delegate"].iter().any(|name| has_one(dir, name))
        || !own.is_root() && fs::metadata(dir).is_ok_and(|meta| meta.uid() == own.as_raw())
}

fn has_one(dir: &Path, name: &CStr) -> bool {
    let Ok(path) = CString::new(dir.as_os_str().as_bytes()) else { return false };
    let mut value = [0_u8; 4];
    // SAFETY: two C strings, and a buffer of the length that is given with it.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    length == 1 && value[0] == b'1'
}

/// Whether a list of controllers has this one.
fn names(dir: &Path, file: &str, controller: Controller) -> bool {
    let list = fs::read_to_string(dir.join(file)).unwrap_or_default();
    list.split_ascii_whitespace().any(|name| name == controller.name())
}

/// The top of the hierarchy may have both, processes and groups with controllers. No other group lacks this file.
fn is_top(dir: &Path) -> bool {
    !dir.join("cgroup.events").exists()
}

fn holds_processes(dir: &Path) -> bool {
    fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|list| !list.is_empty())
}

/// Moves the processes that are in a group into one below it.
fn move_aside(base: &Path) -> io::Result<()> {
    let aside = base.join(RUNNERS);
    match fs::create_dir(&aside) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for pid in fs::read_to_string(base.join("cgroup.procs"))?.lines() {
        match fs::write(aside.join("cgroup.procs"), pid) {
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "29 24 0:25 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn the_group_of_a_process_is_found_in_each_hierarchy() {
        let own = "8:pids:/a.service\n3:cpu,cpuacct:/\n4:memory:/m\n1:name=systemd:/s\n0::/a.service\n";
        let groups = Groups::parse(own, MOUNTS);
        assert_eq!(groups.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified/a.service")));
        let cpu = groups.of_controller(Controller::Cpu);
        assert_eq!(cpu, Some((Version::One, Path::new("/sys/fs/cgroup/cpu,cpuacct/"))));
        let pids = groups.of_controller(Controller::Pids);
        assert_eq!(pids, Some((Version::One, Path::new("/sys/fs/cgroup/pids/a.service"))));
        // Not mounted, so where version 2 is, should it be there.
        let memory = groups.of_controller(Controller::Memory);
        assert_eq!(memory.map(|(version, _)| version), Some(Version::Two));
        assert_eq!(groups.below("x").unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified/a.service/x")));
    }

    #[test]
    fn a_part_of_a_hierarchy_is_none() {
        let mount = "31 24 0:27 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(Groups::parse("0::/\n", mount), Groups::default());
        assert_eq!(Groups::parse("", ""), Groups::default());
    }

    #[test]
    fn a_directory_that_is_no_group_has_no_controller() {
        let dir = tempfile::tempdir().expect("a directory");
        let groups = Groups { unified: Some(dir.path().to_owned()), split: BTreeMap::new() };
        assert_eq!(groups.outlook(Controller::Pids), Err(Obstacle::NoController(Controller::Pids)));
        assert_eq!(groups.enable(Controller::Pids), Err(Obstacle::NoController(Controller::Pids)));
    }
}
