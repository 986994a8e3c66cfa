//! A control group for the processes of one job, where the system has them (cgroups(7)): it bounds what they use together,
//! and ends them together.
//!
//! Killing processes one by one is a race against what forks; the kernel ends a whole group at one word (`cgroup.kill`,
//! version 2, Linux 5.14), whatever its members did to their session, parent or environment. Its files are the driver's: a
//! job can neither leave its group nor change a limit.

mod entrance;
mod hierarchy;
mod limits;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

pub use entrance::Entrance;
pub use hierarchy::{Controller, Groups, Obstacle, Version};
pub use limits::{Limits, Resource};
use limits::{MemoryEvents, write_existing};

use super::process::end_if;

/// How long an emptied group may be busy still: processes leave it a little before their end is complete.
const REMOVAL: Duration = Duration::from_millis(200);

/// One group: a directory in each hierarchy that takes part. Only who can change user makes them: below the group that the
/// runner itself is in, so that the limits of its service hold.
#[derive(Debug)]
pub struct JobGroup {
    groups: Groups,
    limits: Limits,
    before: Option<MemoryEvents>,
}

/// What came of [`JobGroup::make`].
#[derive(Debug, Default)]
pub struct Made {
    /// The group. `None` where that is not possible; the other ways to end a job remain.
    pub group: Option<JobGroup>,
    /// Limits that were wanted and do not hold.
    pub unmet: Vec<(Resource, Obstacle)>,
}

/// What the kernel did in a group for lack of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// So many processes of it were ended. None is worth knowing, too: whatever ended them, it was not this.
    pub kills: u64,
    /// What was used up.
    pub exhausted: Exhausted,
}

/// Whose memory was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// That of the group: so many bytes.
    Limit(u64),
    /// That of the machine, or of the service that the group is part of.
    Machine,
}

impl JobGroup {
    /// Where the group of that name would be. To be remembered before it is made: whoever ends it later may be in another.
    pub fn place(name: &str) -> Option<Groups> {
        super::privilege::can_change_user().then(|| Groups::of_this_process().below(name))
    }

    /// Makes the group at that place, or finds it, and sets limits.
    pub fn make(place: Option<&Groups>, limits: &Limits) -> Made {
        let mut made = Made::default();
        let place = place.cloned().unwrap_or_default();
        let above = Groups {
            unified: place.unified.as_deref().and_then(Path::parent).map(Path::to_owned),
            split: place.split.iter().filter_map(|(key, dir)| Some((*key, dir.parent()?.to_owned()))).collect(),
        };
        let mut groups = Groups { unified: place.unified.filter(|dir| make_dir(dir).is_ok()), ..Groups::default() };
        for controller in Controller::ALL {
            let wanted: Vec<Resource> =
                limits.keys().copied().filter(|resource| resource.controller() == controller).collect();
            // Memory is counted without a limit, too: then it is known what ended a process.
            if wanted.is_empty() && controller != Controller::Memory {
                continue;
            }
            let acting = above.enable(controller).and_then(|()| match place.split.get(&controller) {
                Some(dir) => {
                    make_dir(dir).map_err(|error| Obstacle::refused(dir, &error))?;
                    groups.split.insert(controller, dir.clone());
                    Ok((Version::One, dir.as_path()))
                }
                // Version 2: one directory for all.
                None => match (&groups.unified, &above.unified) {
                    (Some(dir), _) => Ok((Version::Two, dir.as_path())),
                    (None, Some(dir)) => Err(Obstacle::refused(dir, &io::ErrorKind::PermissionDenied.into())),
                    (None, None) => Err(Obstacle::NoController(controller)),
                },
            });
            for resource in wanted {
                let done = acting.clone().and_then(|(version, dir)| limits::set(limits, resource, version, dir));
                if let Err(obstacle) = done {
                    made.unmet.push((resource, obstacle));
                }
            }
        }
        if groups != Groups::default() {
            let mut limits = limits.clone();
            limits.retain(|resource, _| made.unmet.iter().all(|(unmet, _)| unmet != resource));
            let before = memory_events(&groups, &limits);
            made.group = Some(Self { groups, limits, before });
        }
        made
    }

    /// The group at that place, if an earlier stage has made it and it is still there.
    pub fn find(place: Option<&Groups>) -> Option<Self> {
        let mut groups = place?.clone();
        groups.unified = groups.unified.filter(|dir| dir.is_dir());
        groups.split.retain(|_, dir| dir.is_dir());
        (groups != Groups::default()).then(|| Self { groups, limits: Limits::new(), before: None })
    }

    /// Whether its members are bounded in anything.
    pub fn is_limited(&self) -> bool {
        !self.limits.is_empty()
    }

    /// What of it is left for a worker that somebody else has put into another group of version 2. Only the limit of processes may
    /// get lost there, which every group of an account's own has as well; `None` if nothing is left.
    ///
    /// # Errors
    /// Another limit that would get lost. The group is removed.
    pub fn without_version_two(mut self) -> Result<Option<Self>, Resource> {
        let Some(dir) = self.groups.unified.take() else { return Ok(Some(self)) };
        let _ = fs::remove_dir(&dir);
        let Self { groups, limits, .. } = &mut self;
        let before = std::mem::take(limits);
        let (held, lost): (Limits, Limits) =
            before.into_iter().partition(|(resource, _)| groups.split.contains_key(&resource.controller()));
        *limits = held;
        if let Some(resource) = lost.into_keys().find(|resource| resource.controller() != Controller::Pids) {
            self.remove();
            return Err(resource);
        }
        Ok((!self.groups.split.is_empty()).then_some(self))
    }

    /// The way in for a process that is about to be forked.
    pub fn entrance(&self) -> Entrance {
        Entrance::of(&self.groups)
    }

    /// Whether somebody else has put a process that was to begin here into another group of version 2. Certainly so, not
    /// where that cannot be told.
    pub fn is_elsewhere(&self, pid: Pid) -> bool {
        is_elsewhere(pid) && !self.groups.unified.as_deref().is_some_and(|dir| members(dir).contains(&pid))
    }

    /// Puts a process in that is not [in by itself](Entrance); what it starts from now on is in, too.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        let mut left = self.dirs().filter(|dir| !members(dir).contains(&pid));
        left.try_for_each(|dir| write_existing(&dir.join("cgroup.procs"), &pid.to_string()))
    }

    /// Whether a process is in all of it.
    #[cfg(test)]
    pub(super) fn holds(&self, pid: Pid) -> bool {
        self.dirs().all(|dir| members(dir).contains(&pid))
    }

    /// Ends all processes of the group. Whether none is left when `limit` has passed.
    pub fn end(&self, limit: Duration) -> bool {
        let start = Instant::now();
        loop {
            if self.dirs().all(is_empty) {
                return true;
            }
            // Again and again: a process may have been put in meanwhile.
            self.dirs().for_each(|dir| self.kill(dir));
            if start.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2)); // cgroup.events can be polled, but not for zombies
        }
    }

    fn kill(&self, dir: &Path) {
        if write_existing(&dir.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Version 1, and older kernels, have no such word. Nothing that is in forks while they end one by one.
        if let Some((_, dir)) = self.groups.of_controller(Controller::Pids) {
            let _ = write_existing(&dir.join("pids.max"), "0");
        }
        for pid in members(dir) {
            end_if(pid, || members(dir).contains(&pid));
        }
    }

    /// What the kernel has done in it for lack of memory since it was made; `None` where that is not counted.
    pub fn out_of_memory(&self) -> Option<OutOfMemory> {
        let (before, now) = (self.before?, memory_events(&self.groups, &self.limits)?);
        let exhausted = match self.limits.get(&Resource::Memory) {
            Some(most) if now.own > before.own => Exhausted::Limit(*most),
            _ => Exhausted::Machine,
        };
        Some(OutOfMemory { kills: now.kills.saturating_sub(before.kills), exhausted })
    }

    /// Removes the group, if it is empty.
    pub fn remove(&self) {
        let start = Instant::now();
        for dir in self.dirs() {
            while let Err(error) = fs::remove_dir(dir)
                && error.kind() == io::ErrorKind::ResourceBusy
                && is_empty(dir)
                && start.elapsed() < REMOVAL
            {
                std::thread::sleep(Duration::from_millis(1)); // nothing tells when the last of it is gone
            }
        }
    }

    fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.groups.unified.iter().chain(self.groups.split.values()).map(PathBuf::as_path)
    }
}

/// Whether a process is certainly in another group of version 2 than this one.
pub fn is_elsewhere(pid: Pid) -> bool {
    let (own, other) = (group_of("self"), group_of(&pid.to_string()));
    own.zip(other).is_some_and(|(own, other)| own != other)
}

fn group_of(process: &str) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

fn memory_events(groups: &Groups, limits: &Limits) -> Option<MemoryEvents> {
    let (version, dir) = groups.of_controller(Controller::Memory)?;
    MemoryEvents::read(version, dir, limits)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn members(dir: &Path) -> Vec<Pid> {
    let list = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    list.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect()
}

fn is_empty(dir: &Path) -> bool {
    // Removed, by another cleanup. Any other failure says nothing.
    let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound && !dir.exists();
    match fs::read_to_string(dir.join("cgroup.events")) {
        Ok(events) => events.lines().any(|line| line == "populated 0"),
        // Version 1 has no such file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::read_to_string(dir.join("cgroup.procs")).map_or_else(gone, |list| list.is_empty())
        }
        Err(_) => false,
    }
}
