//! Starting a worker: the one place where a privileged process makes an unprivileged one.
#![allow(unsafe_code)] // the code between fork and exec

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;

use super::cgroup::Entrance;
use super::forked::{Forked, fork};
use super::installed::{Prize, believed_directory};
use super::offspring::{mark_job, mark_worker};
use super::privilege::{Become, drop_to};
use super::scheduling;

/// How long the start of a worker may take.
const START: Duration = Duration::from_secs(20);

/// The worker's executable, opened and judged. What was judged is what runs: it is started by its descriptor.
#[derive(Debug)]
pub struct WorkerProgram {
    file: File,
    path: PathBuf,
}

/// Why no worker could be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Not beside the stage binary, or unreadable.
    #[error("the worker program {path} cannot be opened: {source}; install all of motmot's binaries in one directory")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("the worker program {path} is not trusted: {why}")]
    Untrusted {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// fork, the drop or exec failed.
    #[error("cannot start the worker {path}: {source}")]
    Start {
        /// What was started.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl WorkerProgram {
    /// Opens `motmot-worker` in the directory of the running program.
    ///
    /// A program of its own, rather than the stage binary again: where the stage binaries carry file capabilities, whoever
    /// executes one of them gets those capabilities, the job's account included.
    pub fn beside_this_program() -> Result<Self, SpawnError> {
        let own =
            std::env::current_exe().map_err(|source| SpawnError::Missing { path: "/proc/self/exe".into(), source })?;
        Self::open(&own.with_file_name("motmot-worker"), Prize::of_this_process())
    }

    /// Opens and judges the program at `path`, with every directory that leads to it.
    pub(crate) fn open(path: &Path, prize: Prize) -> Result<Self, SpawnError> {
        let missing = |source| SpawnError::Missing { path: path.to_owned(), source };
        let untrusted = |why: String| SpawnError::Untrusted { path: path.to_owned(), why };
        // Before it is opened: what is in such a directory now may not be what was put there.
        believed_directory(path.parent().unwrap_or(Path::new("/")), prize)
            .map_err(|error| untrusted(error.to_string()))?;
        // O_PATH: the descriptor is good for fstat and exec only, and crosses the drop whatever directory it came from.
        let file =
            File::options().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path).map_err(missing)?;
        let meta = file.metadata().map_err(missing)?;
        let own = nix::unistd::geteuid().as_raw();
        if meta.uid() != 0 && meta.uid() != own {
            return Err(untrusted(format!("it belongs to uid {}, neither root nor {own}", meta.uid())));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(untrusted("others may write it; run chmod go-w on it".into()));
        }
        if meta.mode() & 0o001 == 0 && (own == 0 || own != meta.uid()) {
            return Err(untrusted(
                "it must be executable by everyone (chmod 0711), since it runs as the job's account".into(),
            ));
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Starts the worker as `target`, in a session of its own, with an empty environment, umask 077, in `/`, with default
    /// signal handling, and with no descriptor but these three; in the groups that `entrance` leads to, as far as the kernel
    /// lets it.
    ///
    /// Not for ever: between the drop and exec the child is the account's already, and somebody with that account can stop
    /// it there.
    ///
    /// # Errors
    /// [`SpawnError::Start`] if the kernel refuses fork, a step of the drop, or exec, or when the time is over.
    pub fn start(&self, target: &Become, entrance: &Entrance, streams: [OwnedFd; 3]) -> Result<Forked, SpawnError> {
        let failed = |source| SpawnError::Start { path: self.path.clone(), source };
        let program = self.file.as_raw_fd();
        let mut scratch = target.scratch();
        let name = c"motmot-worker";
        let argv = [name.as_ptr().cast_mut(), std::ptr::null_mut()];
        let envp = [std::ptr::null_mut::<libc::c_char>()];
        // None of them is among the numbers that they will get, so that no dup2 below overwrites a source.
        let [stdin, stdout, stderr] = streams.map(above_the_first_three);
        let streams = [stdin.map_err(failed)?, stdout.map_err(failed)?, stderr.map_err(failed)?];
        let begin = || {
            for (number, stream) in (0..).zip(&streams) {
                // SAFETY: plain integers. The copy stays open across exec, unlike the original.
                if unsafe { libc::dup2(stream.as_raw_fd(), number) } < 0 {
                    return io::Error::last_os_error();
                }
            }
            if let Err(error) = become_worker(target, entrance, &mut scratch) {
                return error;
            }
            // By descriptor: the path may lead through directories that the account cannot enter, and may have been
            // replaced since it was judged.
            // SAFETY: C strings, and arrays with a null pointer at their end.
            unsafe { libc::execveat(program, c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), libc::AT_EMPTY_PATH) };
            io::Error::last_os_error()
        };
        // SAFETY: it allocates nothing, takes no lock, and calls only functions that are plain system calls.
        unsafe { fork(entrance.birthplace(), START, begin) }.map_err(failed)
    }
}

/// The same, or a copy of it, which is not standard input, output or error.
pub(super) fn above_the_first_three(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    copy_from(&fd, libc::STDERR_FILENO + 1)
}

/// A copy of a descriptor, with the first number from this one on that is free.
fn copy_from(fd: &OwnedFd, first: libc::c_int) -> io::Result<OwnedFd> {
    let raw = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(first))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor, and nobody else owns it.
    Ok(unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(raw) })
}

/// Everything between fork and exec of a worker, in this order.
pub(super) fn become_worker(target: &Become, entrance: &Entrance, scratch: &mut [libc::gid_t]) -> io::Result<()> {
    // A session of its own: no terminal, and out of reach of signals to the runner's process group.
    // SAFETY: plain system calls without pointers.
    unsafe {
        libc::setsid();
        libc::umask(0o077);
    }
    // Before the change of user: from then on the account can stop this process.
    mark_worker()?;
    // Before the drop: what is better than it should be anybody can give up, what is worse only root.
    if target.is_another() {
        scheduling::as_any_process();
    }
    // Before the drop: groups are the driver's. After the above: some kernels let no process into a group that has a class of
    // scheduling of its own.
    entrance.enter();
    // A signal between the change of user and the word that no core may be dumped would have the kernel write the driver's memory
    // down for the account (core(5)). SIGKILL and SIGSTOP, which cannot be held back, dump nothing.
    hold_signals();
    drop_to(target, scratch)?;
    default_signals();
    // SAFETY: a string literal.
    if unsafe { libc::chdir(c"/".as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    close_on_exec_from(3)
}

/// Holds back whatever can be held back.
fn hold_signals() {
    // SAFETY: a set on this stack, filled before it is used.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Gives every signal its default action and lets it through. A runner started by nohup ignores SIGHUP, stage and worker
/// block what they wait for, and both survive exec.
pub(super) fn default_signals() {
    for signal in 1..=31 {
        // SAFETY: SIG_DFL for a valid number; SIGKILL and SIGSTOP answer EINVAL, which is fine.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: a set on this stack, made empty before it is used.
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Marks every descriptor from `first` on as close-on-exec: whatever the runner, a library or a mistake left open does not
/// reach the next program. Marked rather than closed, since a failed exec is reported through a pipe.
pub(super) fn close_on_exec_from(first: libc::c_uint) -> io::Result<()> {
    /// `CLOSE_RANGE_CLOEXEC` of close_range(2).
    const CLOEXEC: libc::c_uint = 4;
    // SAFETY: plain integers.
    if unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOEXEC) } == 0 {
        return Ok(());
    }
    // Kernels before 5.11 (EL8 has 4.18) do not know it: one by one, up to the limit. That may be an account's by now, and
    // lower than the number of what was opened before (pam_limits(8)).
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid pointer to a structure of ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for fd in first..libc::c_uint::try_from(limit.rlim_cur).unwrap_or(1 << 20).clamp(1 << 12, 1 << 20) {
        // SAFETY: plain integers; a descriptor that is not open answers EBADF.
        unsafe { libc::fcntl(fd.cast_signed(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// What a worker starts as the job's shell.
#[derive(Debug)]
pub struct ShellProgram {
    /// Path of bash.
    pub path: PathBuf,
    /// Its arguments, without the name.
    pub args: Vec<CString>,
    /// Its whole environment.
    pub env: Vec<(CString, CString)>,
    /// Its working directory.
    pub dir: PathBuf,
    /// What becomes of what it says before the script.
    pub profile_output: ProfileOutput,
    /// Whether programs with the set-user-id bit keep their effect.
    pub new_privileges: NewPrivileges,
}

/// What becomes of the words of a login profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileOutput {
    /// They go to standard error: once, in the prepare stage, where people look for them.
    Show,
    /// Nobody sees them: a message of the day in every sub-stage is noise.
    Hide,
}

/// Whether the job may gain privileges through set-user-id programs (`PR_SET_NO_NEW_PRIVS`, prctl(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewPrivileges {
    /// As after logging in: sudo, apptainer and the like work as the site set them up.
    Allowed,
    /// None.
    Denied,
}

/// The first descriptor that [`start_shell`] hands on. Well above what a worker ever opens by itself, so that putting
/// descriptors there overwrites none of the standard library's own (it reports a failed exec through one).
pub const FIRST_INHERITED: i32 = 40;

/// Starts the job's shell in a session of its own. `inherited` become its descriptors [`FIRST_INHERITED`] and following,
/// in order; nothing else is open in it but standard input (`/dev/null`), output and error (see [`ProfileOutput`]).
pub fn start_shell(shell: &ShellProgram, inherited: &[&OwnedFd]) -> io::Result<Child> {
    use std::os::unix::ffi::OsStrExt;
    let mut command = Command::new(&shell.path);
    command.env_clear().current_dir(&shell.dir).stdin(Stdio::null());
    match shell.profile_output {
        ProfileOutput::Show => command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?)),
        ProfileOutput::Hide => command.stdout(Stdio::null()).stderr(Stdio::null()),
    };
    for arg in &shell.args {
        command.arg(std::ffi::OsStr::from_bytes(arg.to_bytes()));
    }
    for (key, value) in &shell.env {
        command.env(std::ffi::OsStr::from_bytes(key.to_bytes()), std::ffi::OsStr::from_bytes(value.to_bytes()));
    }
    // Copies far above the numbers that they will get, so that no dup2 below overwrites a source.
    let mut sources = Vec::new();
    for fd in inherited {
        sources.push(copy_from(fd, 64).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            // All that fcntl(2) says of a number that the limit does not admit.
            Some(Errno::EINVAL | Errno::EMFILE) => io::Error::other(
                "this account may not have enough files open (ulimit -n): a limit of 256 or more is needed; it is set by the service of the runner (LimitNOFILE=), by limits.conf(5), or in the system's own configuration",
            ),
            _ => error,
        })?);
    }
    let raw: Vec<libc::c_int> = sources.iter().map(AsRawFd::as_raw_fd).collect();
    let deny = shell.new_privileges == NewPrivileges::Denied;
    // SAFETY: as for the worker: plain system calls only.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            mark_job()?;
            default_signals();
            close_on_exec_from(3)?;
            if deny && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            for (number, &source) in (FIRST_INHERITED..).zip(&raw) {
                // dup2 leaves the copy open across exec, unlike the original.
                if libc::dup2(source, number) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn()
}

/// An unnamed file in memory, at its beginning: the script goes from here to bash without touching a disk.
pub fn memory_file(name: &CStr, content: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, SeekFrom, Write};
    // SAFETY: a valid C string; the result is checked and owned at once.
    let raw = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: memfd_create has just made this descriptor.
    let mut file = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(raw) };
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file.into())
}
