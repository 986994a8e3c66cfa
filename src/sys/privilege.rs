//! What this process may do, and how it gives that up for good.
#![allow(unsafe_code)] // capget, capset and raw credential calls in a forked child; reasons at each use

use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::Gid;

use super::accounts::PasswdEntry;

/// `_LINUX_CAPABILITY_VERSION_3` of capget(2).
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
pub(super) const CAP_KILL: u32 = 5;
pub(super) const CAP_SETGID: u32 = 6;
pub(super) const CAP_SETUID: u32 = 7;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Who a worker becomes. It cannot say uid 0, nor any number that the name service has not given for an account.
///
/// Made in one place, where policy has admitted the account (clippy.toml says so, and which function that is).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Become(Target);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// Another account: supplementary groups, group, user, in that order, and no way back.
    Account {
        /// Zero, which is root, has no spelling here.
        uid: NonZeroU32,
        gid: Gid,
        /// All its groups, computed before the fork: initgroups(3) talks to the name service, which a forked child must not.
        groups: Vec<Gid>,
    },
    /// Nobody else.
    Same,
}

/// Somebody has asked for a worker that becomes root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no process becomes root (uid 0)")]
pub struct NeverRoot;

impl Become {
    /// Another account, with all its groups.
    pub fn account(entry: &PasswdEntry, groups: Vec<Gid>) -> Result<Self, NeverRoot> {
        let uid = NonZeroU32::new(entry.uid().as_raw()).ok_or(NeverRoot)?;
        Ok(Self(Target::Account { uid, gid: entry.gid(), groups }))
    }

    /// Nobody else: one user's own runner, where the account of the jobs is this very process's.
    pub fn same() -> Self {
        Self(Target::Same)
    }

    /// A pipe that belongs to the account, for the output of its job: a job opens its streams again by their names
    /// (`echo warning > /dev/stderr`), and then the kernel looks at whose the pipe is.
    ///
    /// Of this process's credentials only those of this thread for files change, and only meanwhile (setfsuid(2)): nobody can
    /// signal or trace it for that. A process with capabilities can do this as well as root; it could not give the pipe away.
    ///
    /// # Errors
    /// When the kernel refuses the pipe or the change.
    pub fn pipe(&self) -> io::Result<Pipe> {
        let _back = match &self.0 {
            Target::Account { uid, .. } => Some(FilesOf::account(*uid)?),
            Target::Same => None,
        };
        let (reading, writing) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        Ok(Pipe { reading, writing })
    }

    /// Whether it is another account than this process's.
    pub(super) fn is_another(&self) -> bool {
        matches!(self.0, Target::Account { .. })
    }

    /// How much room [`drop_to`] needs to read the groups back.
    pub(super) fn scratch(&self) -> Vec<libc::gid_t> {
        match &self.0 {
            Target::Account { groups, .. } => vec![0; groups.len()],
            Target::Same => Vec::new(),
        }
    }
}

/// The two ends of a pipe.
pub struct Pipe {
    /// What is written comes out here.
    pub reading: OwnedFd,
    /// The other end.
    pub writing: OwnedFd,
}

/// What this thread makes belongs to another account until this ends.
struct FilesOf {
    before: u32,
}

impl FilesOf {
    fn account(uid: NonZeroU32) -> io::Result<Self> {
        let before = files_of(uid.get());
        let changed = Self { before };
        if now_files_of() == uid.get() { Ok(changed) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl Drop for FilesOf {
    fn drop(&mut self) {
        files_of(self.before);
        if now_files_of() != self.before {
            std::process::abort();
        }
        // The kernel has forgotten that this process is hidden, where `fs.suid_dumpable` is 1.
        let _ = nix::sys::prctl::set_dumpable(false);
    }
}

/// Returns who it was before. The kernel reports no failure.
fn files_of(uid: u32) -> u32 {
    // SAFETY: a plain integer. The system call is that of this thread alone.
    (unsafe { libc::setfsuid(uid) }).cast_unsigned()
}

fn now_files_of() -> u32 {
    // No uid, so nothing changes.
    files_of(u32::MAX)
}

/// Whether this process can become another account and end its processes: root, or an ordinary account whose binary
/// carries `cap_setuid`, `cap_setgid` and `cap_kill`.
pub fn can_change_user() -> bool {
    capabilities().is_ok_and(|[low, _]| {
        let wanted = (1 << CAP_SETUID) | (1 << CAP_SETGID) | (1 << CAP_KILL);
        low.effective & wanted == wanted
    })
}

/// Keeps this process's memory, environment and descriptors from every other process of the same account, and from
/// core dumps (prctl(2), `PR_SET_DUMPABLE`; setrlimit(2), `RLIMIT_CORE`).
pub fn hide_this_process() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    no_core_dumps()
}

/// Core dumps off, for this process and what it starts, unless somebody asks for them (the hard limit stays).
pub fn no_core_dumps() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard)?;
    Ok(())
}

fn capabilities() -> io::Result<[CapData; 2]> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 of capget(2) fills two data structures, and `data` has room for two.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    if result == 0 { Ok(data) } else { Err(io::Error::last_os_error()) }
}

/// Becomes the account in the calling process, and proves that nothing is left of the old one.
///
/// To be called in a forked child, between fork and exec: it allocates nothing and takes no lock. The credential calls go
/// to the kernel directly, since glibc's wrappers signal other threads, of which a forked child has none.
///
/// # Errors
/// When the kernel refuses a step; the child must then exit. If the proof fails, it aborts: whoever comes here after a
/// drop that did not hold must not reach another instruction.
///
/// `scratch` has room for as many groups as the target has: the proof reads them back into it.
pub(super) fn drop_to(target: &Become, scratch: &mut [libc::gid_t]) -> io::Result<()> {
    let Target::Account { uid, gid, groups } = &target.0 else { return Ok(()) };
    let (uid, gid) = (uid.get(), gid.as_raw());
    leave_keyring()?;
    // SAFETY: `Gid` is a transparent wrapper of gid_t, so the slice is a valid array of `groups.len()` gid_t.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // The saved id last: while it is the driver's, the account may stop this process, but not trace or read it (ptrace(2)), and
    // where `fs.suid_dumpable` is 1 the change of user makes it readable. It still has the driver's memory, a key perhaps. A
    // change of the saved id alone leaves that flag as it is.
    let same = libc::uid_t::MAX;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, same) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, same, same, uid) })?;
    // A change from one ordinary uid to another keeps capabilities (capabilities(7)): with file capabilities on this
    // binary the child would still be able to become anybody.
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let none = [CapData::default(); 2];
    // SAFETY: version 3 of capset(2) reads two data structures.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) })?;
    if dropped_for_good(uid, gid, groups, scratch) {
        join_own_keyring();
        Ok(())
    } else {
        // SAFETY: abort(3) is async-signal-safe.
        unsafe { libc::abort() }
    }
}

/// `KEYCTL_JOIN_SESSION_KEYRING` of keyctl(2).
const JOIN_SESSION_KEYRING: libc::c_int = 1;
/// `KEYCTL_SETPERM` of keyctl(2).
const SET_PERMISSIONS: libc::c_int = 5;
/// Whoever possesses it may view, read and search it (`KEY_POS_VIEW`, `_READ`, `_SEARCH`), and nobody anything else.
const ONLY_TO_BE_SEARCHED: libc::c_ulong = 0x0b00_0000;

/// A session keyring of its own. With the one that it inherits a job would possess whatever the runner, or the
/// administrator who started it, keeps there (Kerberos tickets, keys of encrypted file systems), and so would all jobs of
/// all accounts in common (session-keyring(7)).
fn leave_keyring() -> io::Result<()> {
    // SAFETY: plain integers and a null pointer, which asks for a keyring without name.
    let keyring = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
    // Before the change of user, so that the driver's quota pays: with a full one of its own an account could keep every
    // later worker from starting, that of its cleanup included.
    if keyring < 0 {
        // Kernels without keyrings, and sandboxes that forbid the call, have none to inherit.
        return match Errno::last() {
            Errno::ENOSYS | Errno::EPERM => Ok(()),
            error => Err(error.into()),
        };
    }
    // And so the job must be able neither to fill it nor to keep it by a link of its own, for as long as it likes: then the quota
    // would be used up, and no job of anybody would start.
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, SET_PERMISSIONS, keyring, ONLY_TO_BE_SEARCHED) })
}

/// One that the account pays for and can use, if its quota has room for it. Otherwise that of [`leave_keyring`] stays, which is
/// as good as none.
fn join_own_keyring() {
    // SAFETY: plain integers and a null pointer, which asks for a keyring without name.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}

/// Looks at all three ids, the groups and the capabilities, and tries to climb back.
fn dropped_for_good(uid: u32, gid: u32, groups: &[Gid], scratch: &mut [libc::gid_t]) -> bool {
    let (mut r, mut e, mut s) = (u32::MAX, u32::MAX, u32::MAX);
    // SAFETY: three valid pointers to uid_t.
    if unsafe { libc::syscall(libc::SYS_getresuid, &raw mut r, &raw mut e, &raw mut s) } != 0 || [r, e, s] != [uid; 3] {
        return false;
    }
    // SAFETY: three valid pointers to gid_t.
    if unsafe { libc::syscall(libc::SYS_getresgid, &raw mut r, &raw mut e, &raw mut s) } != 0 || [r, e, s] != [gid; 3] {
        return false;
    }
    // SAFETY: `scratch` has room for `scratch.len()` gid_t; the kernel fails with EINVAL if there are more groups.
    let count = unsafe { libc::syscall(libc::SYS_getgroups, scratch.len(), scratch.as_mut_ptr()) };
    if usize::try_from(count) != Ok(groups.len()) || !groups.iter().all(|gid| scratch.contains(&gid.as_raw())) {
        return false;
    }
    match capabilities() {
        Ok(sets) if sets.iter().all(|set| set.effective | set.permitted | set.inheritable == 0) => {}
        _ => return false,
    }
    let keep = u32::MAX;
    // Each of these must fail. The target itself is never uid 0: its type has no zero.
    // SAFETY: plain integers, in a process that aborts if one of the calls succeeds.
    unsafe {
        libc::syscall(libc::SYS_setresuid, keep, 0, keep) != 0
            && libc::syscall(libc::SYS_setresuid, 0, 0, 0) != 0
            && (gid == 0 || libc::syscall(libc::SYS_setresgid, keep, 0, keep) != 0)
            && libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) != 0
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from(Errno::last())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing becomes this")]
    fn nobody_can_ask_for_a_worker_that_is_root() {
        let entry = |uid| PasswdEntry::for_test("toor", uid, 100, "/bin/bash");
        assert_eq!(Become::account(&entry(0), vec![Gid::from_raw(100)]), Err(NeverRoot));
        assert!(Become::account(&entry(1), vec![Gid::from_raw(100)]).is_ok());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing becomes this")]
    fn a_pipe_belongs_to_the_account_and_nothing_else_that_is_made_does() {
        let owner = |fd: &OwnedFd| nix::sys::stat::fstat(fd).expect("fstat").st_uid;
        let own = nix::unistd::geteuid().as_raw();
        let target = Become::account(&PasswdEntry::for_test("nobody", 65_534, 65_534, "/bin/sh"), Vec::new());
        match target.expect("not root").pipe() {
            Ok(pipe) => assert_eq!((owner(&pipe.reading), owner(&pipe.writing)), (65_534, 65_534)),
            Err(error) => assert!(own != 0 && error.kind() == io::ErrorKind::PermissionDenied, "{error}"),
        }
        assert_eq!(now_files_of(), own);
        let pipe = Become::same().pipe().expect("a pipe");
        assert_eq!((owner(&pipe.reading), owner(&pipe.writing)), (own, own));
    }
}
