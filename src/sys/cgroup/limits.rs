//! Limits of a control group, in the words of both versions.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::hierarchy::{Controller, Obstacle, Version};

/// What a job can have so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Processes and threads.
    Pids,
    /// Bytes of memory.
    Memory,
    /// Bytes of swap besides.
    Swap,
    /// Processors.
    Cpu,
}

impl Resource {
    /// What limits it.
    pub fn controller(self) -> Controller {
        match self {
            Self::Pids => Controller::Pids,
            Self::Memory | Self::Swap => Controller::Memory,
            Self::Cpu => Controller::Cpu,
        }
    }
}

/// How much of each; what is not in it has no limit. In the order of [`Resource`]: swap is counted on top of memory.
pub type Limits = BTreeMap<Resource, u64>;

/// Microseconds in which the time of processors is counted out: the kernel's own default.
const PERIOD: u64 = 100_000;

/// The last pages below a limit: what is asked for does not always fit to the byte.
const NEARLY: u64 = 1 << 20;

/// Sets one of the limits.
pub(super) fn set(limits: &Limits, resource: Resource, version: Version, dir: &Path) -> Result<(), Obstacle> {
    let Some(&most) = limits.get(&resource) else { return Ok(()) };
    let write = |file: &str, value: String| {
        let path = dir.join(file);
        write_existing(&path, &value).map_err(|error| Obstacle::refused(&path, &error))
    };
    match (resource, version) {
        (Resource::Pids, _) => write("pids.max", most.to_string()),
        (Resource::Memory, Version::Two) => write("memory.max", most.to_string()),
        (Resource::Memory, Version::One) => {
            // Both together can never be less: an earlier stage may have set it, before the configuration changed.
            let _ = write("memory.memsw.limit_in_bytes", "-1".to_owned());
            write("memory.limit_in_bytes", most.to_string())
        }
        (Resource::Swap, Version::Two) => write("memory.swap.max", most.to_string()),
        (Resource::Swap, Version::One) => {
            let memory = limits.get(&Resource::Memory).copied().unwrap_or_default();
            write("memory.memsw.limit_in_bytes", memory.saturating_add(most).to_string())
        }
        (Resource::Cpu, Version::Two) => write("cpu.max", format!("{} {PERIOD}", most.saturating_mul(PERIOD))),
        (Resource::Cpu, Version::One) => {
            write("cpu.cfs_period_us", PERIOD.to_string())?;
            write("cpu.cfs_quota_us", most.saturating_mul(PERIOD).to_string())
        }
    }
}

/// Writes a file of a group. Not [`fs::write`], for which a kernel without that file has no other answer than that it may not
/// be made.
pub(super) fn write_existing(path: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// What the kernel has counted of a group's want of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryEvents {
    /// Processes that were ended for it, whoever was out of memory.
    pub(super) kills: u64,
    /// How often the group itself had no more to give. Of a group without a limit that is not counted.
    pub(super) own: u64,
}

impl MemoryEvents {
    /// Read from a group with these limits, if it counts them.
    pub(super) fn read(version: Version, dir: &Path, limits: &Limits) -> Option<Self> {
        let is_limited = limits.contains_key(&Resource::Memory);
        let read = |file: &str| fs::read_to_string(dir.join(file)).ok();
        match version {
            Version::Two => {
                let events = read("memory.events")?;
                Some(Self { kills: counter(&events, "oom_kill")?, own: counter(&events, "oom")? })
            }
            Version::One => {
                let number = |file: &str| read(file).and_then(|text| text.trim().parse::<u64>().ok());
                // Since 6.13 the kernel counts no failures there; what it remembers of the highest use is as good.
                let used_up = |name: &str| {
                    let (most, limit) =
                        (number(&format!("{name}.max_usage_in_bytes"))?, number(&format!("{name}.limit_in_bytes"))?);
                    Some(u64::from(most.saturating_add(NEARLY) >= limit))
                };
                let counted = ["memory", "memory.memsw"].into_iter().filter(|_| is_limited).map(|name| {
                    number(&format!("{name}.failcnt")).unwrap_or(0).saturating_add(used_up(name).unwrap_or(0))
                });
                // Kernels before 4.13 do not count what they end.
                let kills = counter(&read("memory.oom_control")?, "oom_kill")?;
                Some(Self { kills, own: counted.fold(0, u64::saturating_add) })
            }
        }
    }
}

fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, text: &str) {
        fs::write(dir.join(name), text).expect("written");
    }

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!((counter(events, "oom"), counter(events, "oom_kill")), (Some(3), Some(2)));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", "oom_kill"), Some(5));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\n", "oom_kill"), None);
    }

    #[test]
    fn a_group_that_does_not_count_says_nothing_rather_than_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let limited = Limits::from([(Resource::Memory, 100_663_296)]);
        let read = |version| MemoryEvents::read(version, dir.path(), &limited);
        assert_eq!(read(Version::Two), None);
        file(dir.path(), "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n");
        assert_eq!(read(Version::One), None);
        file(dir.path(), "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        file(dir.path(), "memory.limit_in_bytes", "100663296\n");
        file(dir.path(), "memory.max_usage_in_bytes", "1000000\n");
        assert_eq!(read(Version::One), Some(MemoryEvents { kills: 2, own: 0 }));
        file(dir.path(), "memory.max_usage_in_bytes", "100659200\n");
        assert_eq!(read(Version::One), Some(MemoryEvents { kills: 2, own: 1 }));
        let unlimited = MemoryEvents::read(Version::One, dir.path(), &Limits::new());
        assert_eq!(unlimited, Some(MemoryEvents { kills: 2, own: 0 }));
    }

    #[test]
    fn limits_are_said_in_the_words_of_each_version() {
        let limits =
            Limits::from([(Resource::Pids, 9), (Resource::Memory, 4096), (Resource::Swap, 1024), (Resource::Cpu, 3)]);
        for (version, expected) in [
            (
                Version::One,
                [
                    ("pids.max", "9"),
                    ("memory.limit_in_bytes", "4096"),
                    ("memory.memsw.limit_in_bytes", "5120"),
                    ("cpu.cfs_quota_us", "300000"),
                ],
            ),
            (
                Version::Two,
                [("pids.max", "9"), ("memory.max", "4096"), ("memory.swap.max", "1024"), ("cpu.max", "300000 100000")],
            ),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let refused = set(&limits, Resource::Pids, version, dir.path()).expect_err("no such file").to_string();
            assert!(refused.contains("pids.max: No such file"), "{refused}");
            for name in expected.iter().map(|(name, _)| *name).chain(["cpu.cfs_period_us"]) {
                file(dir.path(), name, "");
            }
            for resource in limits.keys() {
                set(&limits, *resource, version, dir.path()).expect("set");
            }
            for (name, value) in expected {
                assert_eq!(fs::read_to_string(dir.path().join(name)).expect(name), value, "{name}");
            }
        }
    }
}
