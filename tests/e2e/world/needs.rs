//! What a test can need. Whoever holds one of these values runs where that is there: only the harness makes them, for a case
//! that has asked for one. So what needs root (an account, a world of root's, a cluster) cannot be had without saying so.

use super::cluster;
use super::files::{is_root, limits_can_be_set, unified_groups};

/// This process is root: it can make accounts and become them.
#[derive(Clone, Copy)]
pub struct Root(());

/// Root, and Slurm's daemons for a cluster of the test's own.
#[derive(Clone, Copy)]
pub struct Slurm(());

/// That, and a file system that can be told to lag behind.
#[derive(Clone, Copy)]
pub struct LaggingDisk(());

/// Root, and programs that map an account's subordinate ids into a user namespace.
#[derive(Clone, Copy)]
pub struct SubordinateIds(());

/// A cluster with a database for its accounting.
#[derive(Clone, Copy)]
pub struct Accounting(());

/// Root, and Lmod and Environment Modules as `tests/run.sh` has unpacked them.
#[derive(Clone, Copy)]
pub struct ModuleSystems(());

impl ModuleSystems {
    /// What a login profile reads to get `module`, for each of them.
    pub const PROFILES: [&str; 2] = [
        "/var/cache/motmot-tests/lmod/etc/profile.d/lmod.sh",
        "/var/cache/motmot-tests/environment-modules/etc/profile.d/modules.sh",
    ];
}

/// Root, and control groups that limit processes and memory: of version 1, or of version 2 in a group that is delegated.
#[derive(Clone, Copy)]
pub struct ControlGroups(());

/// Root, and control groups that the kernel ends at one word: of version 2, alone or beside those of version 1.
#[derive(Clone, Copy)]
pub struct UnifiedGroups(());

/// Root, and a kernel that runs as a program.
#[derive(Clone, Copy)]
pub struct UserModeLinux(());

/// Root, and logrotate.
#[derive(Clone, Copy)]
pub struct Logrotate(());

/// Who has the first has the second, too.
macro_rules! implies {
    ($($one:ident => $other:ident),+ $(,)?) => {
        $(
            impl From<$one> for $other {
                fn from(_: $one) -> Self {
                    Self(())
                }
            }
        )+
    };
}

implies!(
    SubordinateIds => Root,
    ModuleSystems => Root,
    ControlGroups => Root,
    UnifiedGroups => Root,
    Logrotate => Root,
    Slurm => Root,
    LaggingDisk => Slurm,
    LaggingDisk => Root,
    Accounting => Slurm,
    Accounting => Root,
);

/// The body of a test, by what it needs.
#[derive(Clone, Copy)]
pub enum Body {
    /// One user's own runner, as whoever runs the tests.
    Nothing(fn()),
    /// See [`Root`].
    Root(fn(Root)),
    /// See [`Slurm`].
    Slurm(fn(Slurm)),
    /// See [`LaggingDisk`].
    LaggingDisk(fn(LaggingDisk)),
    /// See [`SubordinateIds`].
    SubordinateIds(fn(SubordinateIds)),
    /// See [`Accounting`].
    Accounting(fn(Accounting)),
    /// See [`ModuleSystems`].
    ModuleSystems(fn(ModuleSystems)),
    /// See [`ControlGroups`].
    ControlGroups(fn(ControlGroups)),
    /// See [`UnifiedGroups`].
    UnifiedGroups(fn(UnifiedGroups)),
    /// See [`UserModeLinux`].
    UserModeLinux(fn(UserModeLinux)),
    /// See [`Logrotate`].
    Logrotate(fn(Logrotate)),
}

impl Body {
    /// What of its needs is not there.
    pub fn missing(self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !matches!(self, Self::Nothing(_)) && !is_root() {
            missing.push("root");
        }
        if matches!(self, Self::Slurm(_) | Self::LaggingDisk(_) | Self::Accounting(_)) {
            missing.extend(cluster::missing(&cluster::PROGRAMS));
        }
        match self {
            Self::LaggingDisk(_) => missing.extend(cluster::Delayed::impossible()),
            Self::SubordinateIds(_) => missing.extend(cluster::missing(&["newuidmap", "newgidmap", "nsenter"])),
            Self::Accounting(_) => missing.extend(cluster::missing(&cluster::ACCOUNTING_PROGRAMS)),
            Self::ModuleSystems(_) => missing
                .extend(ModuleSystems::PROFILES.into_iter().filter(|profile| !std::path::Path::new(profile).exists())),
            Self::ControlGroups(_) if is_root() && !limits_can_be_set() => missing.push("control groups with limits"),
            Self::UnifiedGroups(_) if is_root() && unified_groups().is_none() => {
                missing.push("control groups of version 2 with cgroup.kill");
            }
            Self::UserModeLinux(_) => missing.extend(cluster::missing(&["linux.uml"])),
            Self::Logrotate(_) => missing.extend(cluster::missing(&["logrotate"])),
            Self::Nothing(_) | Self::Root(_) | Self::Slurm(_) | Self::ControlGroups(_) | Self::UnifiedGroups(_) => {}
        }
        missing
    }

    /// The same in a word.
    pub fn need(self) -> &'static str {
        match self {
            Self::Nothing(_) => "nothing",
            Self::Root(_) => "root",
            Self::SubordinateIds(_) => "subordinate ids",
            Self::ControlGroups(_) | Self::UnifiedGroups(_) => "control groups",
            Self::UserModeLinux(_) => "user-mode Linux",
            Self::Logrotate(_) => "logrotate",
            Self::Slurm(_) | Self::LaggingDisk(_) | Self::Accounting(_) => "Slurm",
            Self::ModuleSystems(_) => "Lmod and Environment Modules",
        }
    }

    /// Runs it.
    #[track_caller]
    pub fn run(self) {
        let missing = self.missing();
        assert!(missing.is_empty(), "this needs what is not there: {}", missing.join(", "));
        match self {
            Self::Nothing(body) => body(),
            Self::Root(body) => body(Root(())),
            Self::Slurm(body) => body(Slurm(())),
            Self::LaggingDisk(body) => body(LaggingDisk(())),
            Self::SubordinateIds(body) => body(SubordinateIds(())),
            Self::Accounting(body) => body(Accounting(())),
            Self::ModuleSystems(body) => body(ModuleSystems(())),
            Self::ControlGroups(body) => body(ControlGroups(())),
            Self::UnifiedGroups(body) => body(UnifiedGroups(())),
            Self::UserModeLinux(body) => body(UserModeLinux(())),
            Self::Logrotate(body) => body(Logrotate(())),
        }
    }
}
