//! Processes below this one: finding them, ending them, and knowing that none is left.
#![allow(unsafe_code)] // prctl

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid};

use super::pidfd::{PidFd, await_any};
use super::threads;

/// Between two looks at processes that no event is had of.
const BREATH: Duration = Duration::from_millis(5);

/// Makes orphans below this process its own children, whatever session or group they moved to
/// (`PR_SET_CHILD_SUBREAPER`, prctl(2)). A daemon cannot leave by forking twice.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Which boot of the machine this is (random(4)): numbers of processes and times since boot are those of one.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The child that is not ended with the others; 0 for none.
static SPARED: AtomicI32 = AtomicI32::new(0);

/// Spares one child when children are ended: it has work of its own as root, and ends when it is told to.
pub fn spare(child: Option<Pid>) {
    SPARED.store(child.map_or(0, Pid::as_raw), Ordering::Release);
}

/// The direct children of this process but for one that is [spared](spare). It is their parent and has not waited for them: their numbers cannot be taken by
/// somebody else meanwhile.
pub fn children() -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect::<Vec<_>>()
        })
        .filter(|pid| pid.as_raw() != SPARED.load(Ordering::Acquire))
        .collect()
}

/// The short name of a process (`/proc/PID/comm`), for messages. Anything that could disturb a log line is replaced.
pub fn name_of(pid: Pid) -> String {
    let raw = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name: String = raw.trim_end().chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    if name.is_empty() { "?".into() } else { name }
}

/// A process of this name that this account runs. Anybody can name a process so, but only the account can start one that is
/// its own.
pub fn find(name: &str, uid: Uid) -> Option<Pid> {
    use std::os::unix::fs::MetadataExt;
    all_processes().find(|pid| {
        name_of(*pid) == name && std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == uid.as_raw())
    })
}

/// The service of systemd that a process is in (`/proc/PID/cgroup`).
pub fn service_of(pid: Pid) -> Option<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.lines().flat_map(|line| line.split('/')).find(|part| part.ends_with(".service")).map(str::to_owned)
}

/// A process that cannot be mistaken for a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessMark {
    pid: i32,
    /// Clock ticks after the boot (`starttime` of proc(5)).
    started: u64,
}

impl fmt::Display for ProcessMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.started)
    }
}

impl ProcessMark {
    /// Of the process that has this number now. `None` if it cannot be seen: where /proc hides the processes of other accounts.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        parent_and_start(pid).map(|(_, started)| Self { pid, started })
    }

    /// The name of its parent.
    pub fn name_of_parent(&self) -> Option<String> {
        parent_and_start(self.pid).map(|(parent, _)| name_of(Pid::from_raw(parent)))
    }

    /// Whether it lives, as a process of this account.
    pub fn lives_as(&self, uid: Uid) -> bool {
        self.lives() && real_uid(Pid::from_raw(self.pid)) == Some(uid)
    }

    /// SIGKILL, if it lives as a process of this account. Whether it is gone before `limit` has passed.
    pub fn end_as(&self, uid: Uid, limit: Duration) -> bool {
        end_if(Pid::from_raw(self.pid), || self.lives_as(uid));
        self.ends_within(limit)
    }

    /// Whether it is gone before `limit` has passed.
    pub fn ends_within(&self, limit: Duration) -> bool {
        let start = Instant::now();
        while self.lives() {
            if start.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(BREATH); // it is no child of ours
        }
        true
    }

    /// The nearest process above this one that has a name.
    pub fn of_ancestor(name: &str) -> Option<Self> {
        let mut pid = nix::unistd::getppid().as_raw();
        while pid > 1 {
            let (parent, started) = parent_and_start(pid)?;
            if name_of(Pid::from_raw(pid)) == name {
                return Some(Self { pid, started });
            }
            pid = parent;
        }
        None
    }

    /// Whether it lives. Of the same boot only.
    pub fn lives(&self) -> bool {
        parent_and_start(self.pid).is_some_and(|(_, started)| started == self.started)
    }
}

/// Whether this process has ended. To be asked by whoever knows that nobody has collected its status yet.
pub fn has_ended(pid: Pid) -> bool {
    parent_and_start(pid.as_raw()).is_none()
}

/// Whether somebody has stopped a process, or traces it (`T` and `t` of proc(5)).
pub(super) fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with(['T', 't']))
}

/// From `/proc/PID/stat`, fields 4, 20 and 22; the name before them may contain anything.
pub(super) fn parent_and_start(pid: i32) -> Option<(i32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    let threads: u64 = fields.nth(15)?.parse().ok()?;
    // A zombie has ended; that nobody has waited for it does not bring it back. But a process whose first thread has ended
    // looks like one while its other threads go on.
    if (state == "Z" && threads < 2) || state == "X" {
        return None;
    }
    Some((parent, fields.nth(1)?.parse().ok()?))
}

/// Who has started a process. Not the owner of its files in /proc, which is root where it hides its memory.
pub(super) fn real_uid(pid: Pid) -> Option<Uid> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(Uid::from_raw(ids.split_ascii_whitespace().next()?.parse().ok()?))
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It exited with this status.
    Exited(u8),
    /// It was ended by this signal.
    Signaled(i32),
}

impl Ending {
    fn exited(status: i32) -> Self {
        Self::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX))
    }
}

/// How a child has ended whose status nobody has collected; it stays to be collected. `None` while it lives, and while
/// somebody traces it.
pub(super) fn ending_of_child(pid: Pid) -> Option<Ending> {
    use nix::sys::wait::{Id, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(pid), flags).ok()? {
        WaitStatus::Exited(_, status) => Some(Ending::exited(status)),
        WaitStatus::Signaled(_, signal, _) => Some(Ending::Signaled(signal as i32)),
        _ => None,
    }
}

/// Collects every child that has ended; does not wait. Returns those that are worth telling, with how they ended.
pub fn reap_ended() -> Vec<(Pid, Ending)> {
    reap().0
}

/// Whether a process has children, ended or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Children {
    None,
    Some,
}

/// The same as [`reap_ended`], and whether there is any child left.
fn reap() -> (Vec<(Pid, Ending)>, Children) {
    let mut ended = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => {
                ended.push((pid, Ending::exited(status)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => ended.push((pid, Ending::Signaled(signal as i32))),
            Err(Errno::ECHILD) => return (ended, Children::None),
            Ok(WaitStatus::StillAlive) => return (ended, Children::Some),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return (ended, Children::Some),
        }
    }
}

/// SIGKILL for every direct child, and for whatever is in a process group that it leads. They are not waited for.
pub fn kill_children() {
    for pid in children() {
        // While nobody has waited for it no other group has its number.
        let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Waits until a child has ended, and leaves its status to be collected: until then its number is its own.
pub fn await_end(pid: u32) {
    use nix::sys::wait::{Id, waitid};
    let Ok(pid) = i32::try_from(pid) else { return };
    while let Err(Errno::EINTR) = waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {}
}

/// What [`end_children`] found.
#[derive(Debug, Default)]
pub struct EndedChildren {
    /// Names and numbers of the processes that were still there, at most a few, for a message.
    pub names: Vec<String>,
    /// How many processes were signalled.
    pub count: usize,
    /// Endings of children collected on the way.
    pub endings: Vec<(Pid, Ending)>,
    /// Whether some could not be ended in time (state D on a dead file system, or not ours to signal).
    pub some_left: bool,
}

/// Ends all processes below this one and returns when there is none: SIGTERM, then SIGKILL after `grace`.
///
/// Works level by level: killing a child makes its children ours (see [`adopt_orphans`]). That the kernel answers
/// `ECHILD` is the proof that nothing is left; `limit` bounds the effort against what forks faster than it dies.
pub fn end_children(grace: Duration, limit: Duration) -> EndedChildren {
    const NAMES: usize = 5;
    const MANY: usize = 100;
    let start = Instant::now();
    let mut ended = EndedChildren::default();
    let mut seen = std::collections::HashSet::new();
    loop {
        let (endings, left) = reap();
        ended.endings.extend(endings);
        // Fresh at every turn: children of what has just died are ours now. But not looked for where there are none: what is
        // looked at in /proc, thread by thread, the kernel clears away when this process ends.
        let alive = if left == Children::None { Vec::new() } else { children() };
        if alive.is_empty() {
            return ended;
        }
        let gentle = start.elapsed() < grace;
        for pid in alive {
            let new = seen.insert(pid);
            if new {
                ended.count += 1;
                if ended.names.len() < NAMES {
                    ended.names.push(format!("{} ({pid})", name_of(pid)));
                }
            }
            if !gentle {
                let _ = kill(pid, Signal::SIGKILL);
            } else if new {
                let _ = kill(pid, Signal::SIGTERM);
                // A stopped process does not see SIGTERM before it goes on.
                let _ = kill(pid, Signal::SIGCONT);
            }
        }
        if start.elapsed() >= limit {
            ended.some_left = true;
            return ended;
        }
        if !gentle && ended.count > MANY {
            // Something forks as fast as it can, and a pause is what it needs.
            std::thread::yield_now();
            continue;
        }
        std::thread::sleep(BREATH); // no event tells that an adopted process died without also stealing its status
    }
}

/// Ends all processes but this one that `meant` is true for, with SIGKILL; returns how many are left when `limit` has passed.
/// It is asked anew at every turn, and once more before each blow: they fork, and numbers are given to others.
pub fn end_all(limit: Duration, meant: impl Fn(Pid) -> bool) -> usize {
    let start = Instant::now();
    loop {
        let found: Vec<Pid> = all_processes().filter(|pid| meant(*pid)).collect();
        if found.is_empty() || start.elapsed() >= limit {
            return found.len();
        }
        for pid in found {
            end_if(pid, || meant(pid));
        }
        std::thread::sleep(BREATH); // they are not our children: no event tells when they are gone
    }
}

fn all_processes() -> impl Iterator<Item = Pid> {
    let own = nix::unistd::getpid();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(move |pid| *pid != own)
}

/// Whether a process has `name=value` in the environment that it was started with.
///
/// Its own account alone can tell (proc(5), `/proc/PID/environ`): to be asked as the account whose processes are meant.
pub fn carries(pid: Pid, name: &str, value: &str) -> bool {
    let mark = format!("{name}={value}");
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
}

/// SIGKILL for the process, if it still is the one that was meant: its number could belong to another by now. The
/// descriptor pins the process, the second look judges it (pidfd_open(2)).
pub(super) fn end_if(pid: Pid, still: impl Fn() -> bool) {
    match PidFd::open(pid) {
        Ok(pidfd) if still() => pidfd.kill(),
        // Kernels before 5.3 have no such call.
        Err(Errno::ENOSYS) if still() => {
            let _ = kill(pid, Signal::SIGKILL);
        }
        _ => {}
    }
}

/// Calls this when nobody waits for this process any more: the process that started it has ended, or the nearest one above
/// it that has this name.
///
/// Not `PR_SET_PDEATHSIG`: it speaks of the parent's thread, and a Go program ends threads as it likes; and the kernel drops
/// it when credentials change.
pub fn when_abandoned(name: &str, tell: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let parent = nix::unistd::getppid();
    let ancestor = ProcessMark::of_ancestor(name);
    let watched: Result<Vec<_>, _> =
        [Some(parent), ancestor.map(|mark| Pid::from_raw(mark.pid))].into_iter().flatten().map(PidFd::open).collect();
    // Asked again: now the descriptors hold those that were meant, or these were gone before.
    let alive = move || nix::unistd::getppid() == parent && ancestor.is_none_or(|mark| mark.lives());
    threads::spawn("abandoned", move || {
        match watched {
            Ok(watched) if alive() => await_any(&watched),
            // A parent outside of this namespace has no number here, and old kernels have no descriptors.
            Err(Errno::ENOSYS | Errno::EINVAL) => {
                while alive() {
                    std::thread::sleep(Duration::from_secs(1)); // nothing tells when a process ends that is no child
                }
            }
            // Out of descriptors, or the like: better unwatched than ended.
            Err(error) if error != Errno::ESRCH => return,
            _ => {}
        }
        tell();
    })
}

/// The name that tools like ps(1) show for this process; it was started by descriptor and has none.
pub fn set_own_name(name: &std::ffi::CStr) {
    // SAFETY: a valid C string, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use nix::unistd::{ForkResult, fork};

    use super::*;
    use crate::sys::alone::alone;

    #[test]
    fn a_process_whose_first_thread_has_ended_lives() {
        alone(module_path!(), "a_process_whose_first_thread_has_ended_lives", || {
            // SAFETY: the child starts a thread, and nothing else of this process is needed in it.
            let child = match unsafe { fork() }.expect("fork") {
                ForkResult::Parent { child } => child,
                ForkResult::Child => {
                    let _ = std::thread::spawn(|| std::thread::sleep(Duration::from_mins(10)));
                    // SAFETY: ends this thread alone.
                    unsafe { libc::syscall(libc::SYS_exit, 0) };
                    unreachable!("it has ended")
                }
            };
            let state = || {
                let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).expect("it is not waited for");
                stat.rsplit_once(") ").expect("a name").1.starts_with('Z')
            };
            while !state() {
                std::thread::yield_now();
            }
            let mark = ProcessMark::of(child.as_raw().cast_unsigned()).expect("it lives");
            assert!(mark.end_as(nix::unistd::getuid(), Duration::from_secs(10)), "and SIGKILL ends it");
            assert_eq!(reap_ended(), [(child, Ending::Signaled(libc::SIGKILL))]);
            assert_eq!(ProcessMark::of(child.as_raw().cast_unsigned()), None);
        });
    }
}
