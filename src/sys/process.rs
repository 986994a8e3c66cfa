//! Processes below this one: finding them, ending them, and knowing that none is left.
#![allow(unsafe_code)] // prctl

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::pidfd::{PidFd, await_any};
use super::threads;

/// Makes orphans below this process its own children, whatever session or group they moved to
/// (`PR_SET_CHILD_SUBREAPER`, prctl(2)). A daemon cannot leave by forking twice.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// The direct children of this process. It is their parent and has not waited for them: their numbers cannot be taken by
/// somebody else meanwhile.
pub fn children() -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect::<Vec<_>>()
        })
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
pub fn find(name: &str, uid: nix::unistd::Uid) -> Option<Pid> {
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

impl ProcessMark {
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

/// From `/proc/PID/stat`, fields 4 and 22; the name before them may contain anything.
fn parent_and_start(pid: i32) -> Option<(i32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    // A zombie has ended; that nobody has waited for it does not bring it back.
    if state == "Z" || state == "X" {
        return None;
    }
    Some((parent, fields.nth(17)?.parse().ok()?))
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

/// Collects every child that has ended; does not wait. Returns those that are worth telling, with how they ended.
pub fn reap_ended() -> Vec<(Pid, Ending)> {
    let mut ended = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => {
                ended.push((pid, Ending::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX))));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => ended.push((pid, Ending::Signaled(signal as i32))),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ended,
        }
    }
}

/// As many open files as the system lets this process have (setrlimit(2), `RLIMIT_NOFILE`).
pub fn allow_many_files() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// SIGKILL for every direct child. They are not waited for.
pub fn kill_children() {
    for pid in children() {
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
    const BREATH: Duration = Duration::from_millis(5);
    const MANY: usize = 100;
    let start = Instant::now();
    let mut ended = EndedChildren::default();
    let mut seen = std::collections::HashSet::new();
    loop {
        ended.endings.extend(reap_ended());
        // Fresh at every turn: children of what has just died are ours now.
        let alive = children();
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

/// Ends all processes of this account that carry `name=value` in the environment they were started with, except this
/// one, with SIGKILL; returns how many are left when `limit` has passed.
///
/// A process can be found so by its own account only (proc(5), `/proc/PID/environ`): to be run as the account whose
/// processes shall end, and then it can hit nobody else's, whatever it finds.
pub fn end_marked(name: &str, value: &str, limit: Duration) -> usize {
    let mark = format!("{name}={value}");
    let start = Instant::now();
    loop {
        let marked: Vec<Pid> = all_processes().filter(|pid| carries(*pid, mark.as_bytes())).collect();
        if marked.is_empty() || start.elapsed() >= limit {
            return marked.len();
        }
        for pid in marked {
            end_if(pid, || carries(pid, mark.as_bytes()));
        }
        std::thread::sleep(Duration::from_millis(5)); // they are not our children: no event tells when they are gone
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

fn carries(pid: Pid, mark: &[u8]) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark))
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
