//! The way into a group for a process that is about to be forked.
//!
//! To move a process that runs makes the kernel wait until all processors have passed a quiet moment, since nobody may fork
//! or end meanwhile: ten milliseconds, for every stage of every job. Two ways are free of that. In version 2 a process is
//! born in its group (clone3(2), `CLONE_INTO_CGROUP`, Linux 5.7). In version 1 a thread that moves itself alone makes
//! nobody wait (`0` written to `tasks`, Linux 5.5), and of a process with one thread that is all. Both come before the change
//! of user, so nothing that the account could do in its process comes before them.
#![allow(unsafe_code)] // a write between fork and exec

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::hierarchy::Groups;

/// What has to be open before the fork. Where one of them cannot be had, [`add`](super::JobGroup::add) is left.
#[derive(Debug, Default)]
pub struct Entrance {
    birthplace: Option<OwnedFd>,
    tasks: Vec<OwnedFd>,
}

impl Entrance {
    /// Of these.
    pub(super) fn of(groups: &Groups) -> Self {
        let birthplace = groups.unified.as_deref().and_then(|dir| {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
            fs::File::options().read(true).custom_flags(flags).open(dir).ok()
        });
        let tasks =
            groups.split.values().filter_map(|dir| fs::File::options().write(true).open(dir.join("tasks")).ok());
        Self { birthplace: birthplace.map(OwnedFd::from), tasks: tasks.map(OwnedFd::from).collect() }
    }

    /// The same for a process that has a group of version 2 already, which is to stay.
    pub fn without_version_two(self) -> Self {
        Self { birthplace: None, ..self }
    }

    /// The directory of the group of version 2.
    pub(in crate::sys) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.birthplace.as_ref().map(AsFd::as_fd)
    }

    /// Enters the groups of version 1. To be called between fork and exec: plain system calls only. Where the kernel refuses,
    /// this process stays where it is, and whoever has started it looks where that is.
    pub(in crate::sys) fn enter(&self) {
        for file in &self.tasks {
            // SAFETY: a descriptor of ours, and a string with its length.
            unsafe { libc::write(file.as_raw_fd(), c"0".as_ptr().cast(), 1) };
        }
    }
}
