//! A program that is what was read of it, and nothing else: its bytes lie in memory under seals, and are executed from there.
//!
//! A path is another file after the next rename, and the file behind a descriptor can be written to in place, also while it runs:
//! whoever compares the digest of either and executes it afterwards has compared one thing and executed another. What is sealed
//! (memfd_create(2), `F_SEAL_WRITE`) nobody changes any more, root and the program itself included.
//!
//! It runs as an account that has to be told apart from all others, with an environment from nothing, for a limited time, and
//! with a limited number of words. Whatever it has started ends with it.
#![allow(unsafe_code)] // memfd_create, fcntl, and what comes between fork and exec; reasons at each use

use std::ffi::{CString, NulError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::call::Answer;
use super::cgroup::Entrance;
use super::forked::{Forked, fork};
use super::privilege::{Become, drop_to};
use super::process::{self, Ending};
use super::spawn::{above_the_first_three, become_worker, memory_file};
use super::{offspring, threads};

/// How much it may say on either of its two streams. Whoever says more has given no answer, and is ended at once.
pub const MOST: u64 = 64 << 10;
/// How many processes its account may have: those of all that run at the same time together.
const PROCESSES: libc::rlim_t = 512;
/// How long whatever is left may take to end.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// A program, sealed.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    form: Form,
}

/// What the kernel makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is executed itself.
    Binary,
    /// An interpreter is, which opens it again by the number of its descriptor; so that is passed on.
    Script,
}

/// What it is given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Its arguments, the name first.
    pub args: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    /// Its standard input.
    pub input: Vec<u8>,
}

/// The same as the kernel wants it.
struct Strings(Vec<CString>);

impl Strings {
    fn of(texts: impl IntoIterator<Item = String>) -> Result<Self, NulError> {
        Ok(Self(texts.into_iter().map(CString::new).collect::<Result<_, _>>()?))
    }

    /// With a null pointer at the end. Good as long as these strings are.
    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.0.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    }
}

/// What is heard of it meanwhile.
enum Heard {
    /// All that it has said on one stream; `None` if that was too much.
    Said(Stream, Option<Vec<u8>>),
    /// It has ended.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Sealed {
    /// Of these bytes.
    ///
    /// # Errors
    /// When the kernel gives no memory for it, or none that may be executed (`vm.memfd_noexec`).
    pub fn of(bytes: &[u8]) -> io::Result<Self> {
        let mut writable = executable_memory()?;
        writable.write_all(bytes)?;
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        // SAFETY: a descriptor of ours, and plain integers.
        if unsafe { libc::fcntl(writable.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // Opened again to read only: nothing is executed that is open for writing (ETXTBSY).
        let file = File::open(format!("/proc/self/fd/{}", writable.as_raw_fd()))?;
        let form = if bytes.starts_with(b"#!") { Form::Script } else { Form::Binary };
        Ok(Self { file, form })
    }

    /// Runs it as that account and waits, at most as long as `limit`. Ends all children of this process: to be called by one
    /// that has no others.
    pub fn run(&self, given: Given, target: &Become, limit: Duration) -> Answer {
        let deadline = Instant::now() + limit;
        let (child, [out, err]) = match self.start(given, target, limit) {
            Ok(started) => started,
            Err(error) => {
                process::end_children(Duration::ZERO, LAST_BREATH);
                return Answer::NotStarted(in_words(&error));
            }
        };
        let (tell, heard) = channel();
        let pid = child.pid();
        let end = tell.clone();
        let awaiting = threads::spawn("end", move || {
            process::await_end(pid.as_raw().cast_unsigned());
            let _ = end.send(Heard::End);
        });
        let listening = awaiting
            .and_then(|()| listen(Stream::Out, out, tell.clone()))
            .and_then(|()| listen(Stream::Err, err, tell.clone()));
        drop(tell);
        let (mut has_ended, mut said) = (false, [None, None]);
        while listening.is_ok() && !has_ended {
            match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Heard::End) => has_ended = true,
                Ok(Heard::Said(stream, words)) => {
                    let too_much = words.is_none();
                    said[stream as usize] = Some(words);
                    if too_much {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        child.kill();
        // What it has left behind holds its pipes, and may do what its account can.
        let mut ended = process::end_children(Duration::ZERO, LAST_BREATH);
        if ended.some_left && target.is_another() {
            end_all_of(target);
            let last = process::end_children(Duration::ZERO, LAST_BREATH);
            ended.endings.extend(last.endings);
            ended.some_left = last.some_left;
        }
        let soon = Instant::now() + LAST_BREATH;
        while listening.is_ok() && said.iter().any(Option::is_none) {
            match heard.recv_timeout(soon.saturating_duration_since(Instant::now())) {
                Ok(Heard::Said(stream, words)) => said[stream as usize] = Some(words),
                Ok(Heard::End) => {}
                Err(_) => break,
            }
        }
        if let Err(error) = listening {
            return Answer::Ended(format!("nobody could listen to it: {error}"));
        }
        if said.iter().any(|words| matches!(words, Some(None))) {
            return Answer::Ended("more words than any answer has".to_owned());
        }
        if !has_ended {
            return Answer::Ended(format!("no answer within {} s", limit.as_secs()));
        }
        if ended.some_left {
            return Answer::Ended("processes that it has started cannot be ended".to_owned());
        }
        let [Some(Some(out)), Some(Some(err))] = said else {
            return Answer::Ended("what it has said does not come to an end".to_owned());
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match ended.endings.iter().find(|(ended, _)| *ended == pid) {
            Some((_, Ending::Exited(status))) => Answer::Exited { status: *status, out: text(out), err: text(err) },
            Some((_, Ending::Signaled(signal))) => Answer::Ended(format!("ended by signal {signal}")),
            None => Answer::Ended("how it has ended is not known".to_owned()),
        }
    }

    /// Starts it, with pipes for its two streams.
    fn start(&self, given: Given, target: &Become, limit: Duration) -> io::Result<(Forked, [OwnedFd; 2])> {
        let nul = |error: NulError| io::Error::new(io::ErrorKind::InvalidInput, error);
        let words = Strings::of(given.args).map_err(nul)?;
        let env = Strings::of(given.environment.into_iter().map(|(name, value)| format!("{name}={value}")));
        let env = env.map_err(nul)?;
        let (argv, envp) = (words.pointers(), env.pointers());
        // A file, and no pipe: one that does not read it keeps nobody waiting.
        let input = memory_file(c"input", &given.input)?;
        let (out, err) = (target.pipe()?, target.pipe()?);
        let [input, out_end, err_end] = [input, out.writing, err.writing].map(above_the_first_three);
        let streams = [input?, out_end?, err_end?];
        // Should it leave something behind, that becomes ours, and ends.
        process::adopt_orphans()?;
        let (program, form, mut scratch) = (self.file.as_raw_fd(), self.form, target.scratch());
        let (seconds, entrance) = (limit.as_secs().max(1), Entrance::default());
        let begin = || {
            for (number, stream) in (0..).zip(&streams) {
                // SAFETY: plain integers. The copy stays open across exec, unlike the original.
                if unsafe { libc::dup2(stream.as_raw_fd(), number) } < 0 {
                    return io::Error::last_os_error();
                }
            }
            let prepared = limit_to(seconds, target)
                .and_then(|()| become_worker(target, &entrance, &mut scratch))
                .and_then(|()| offspring::mark_job())
                .and_then(|()| bind());
            if let Err(error) = prepared {
                return error;
            }
            // SAFETY: a descriptor of ours and plain integers; C strings, and arrays with a null pointer at their end.
            unsafe {
                if form == Form::Script {
                    libc::fcntl(program, libc::F_SETFD, 0);
                }
                libc::syscall(
                    libc::SYS_execveat,
                    program,
                    c"".as_ptr(),
                    argv.as_ptr(),
                    envp.as_ptr(),
                    libc::AT_EMPTY_PATH,
                );
            }
            io::Error::last_os_error()
        };
        // SAFETY: it allocates nothing, takes no lock, and calls only functions that are plain system calls.
        let child = unsafe { fork(None, limit, begin) }?;
        Ok((child, [out.reading, err.reading]))
    }
}

/// An empty file in memory that may be executed.
fn executable_memory() -> io::Result<File> {
    /// `MFD_EXEC` of memfd_create(2), since Linux 6.3. Without it a system can take the right away (`vm.memfd_noexec`).
    const EXECUTABLE: libc::c_uint = 0x10;
    let make = |more: libc::c_uint| {
        // SAFETY: a valid C string; the result is checked and owned at once.
        let raw =
            unsafe { libc::memfd_create(c"program".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | more) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: memfd_create has just made this descriptor.
        Ok(unsafe { File::from_raw_fd(raw) })
    };
    match make(EXECUTABLE) {
        // Older kernels do not know the flag, and need none.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => make(0),
        result => result,
    }
}

/// Bounds what it can use up. Before the change of user, which counts the processes of the account. To be called between fork and
/// exec: plain system calls only.
fn limit_to(seconds: libc::rlim_t, target: &Become) -> io::Result<()> {
    // Of one user's own runner all that the user runs would count.
    if target.is_another() {
        lower(libc::RLIMIT_NPROC, PROCESSES)?;
    }
    // What gets away from whoever ends it does not go on for ever.
    lower(libc::RLIMIT_CPU, seconds + 1)
}

fn lower(resource: libc::__rlimit_resource_t, most: libc::rlim_t) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid pointer to a structure of ours.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let most = most.min(limit.rlim_max);
    limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Ends with the thread that has started it, and gains nothing by set-user-id programs. After the change of user, which would
/// take the first back.
fn bind() -> io::Result<()> {
    // SAFETY: plain integers.
    let bound = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    };
    if bound { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// SIGKILL for all processes of the account at one word, which nothing that forks outruns. Another hook that runs just now ends
/// as well, and its job has no answer; beside something that forks for ever it would hardly have given one.
fn end_all_of(target: &Become) {
    let mut scratch = target.scratch();
    let begin = || {
        if let Err(error) = drop_to(target, &mut scratch) {
            return error;
        }
        // SAFETY: plain integers. All but this very process, and those alone that its account may signal (kill(2)).
        unsafe { libc::syscall(libc::SYS_kill, -1, libc::SIGKILL) };
        io::Error::from_raw_os_error(libc::ECHILD)
    };
    // SAFETY: it allocates nothing, takes no lock, and calls only functions that are plain system calls.
    let _ = unsafe { fork(None, LAST_BREATH, begin) };
}

/// Reads one stream to its end, but not more than [`MOST`].
fn listen(stream: Stream, from: OwnedFd, tell: Sender<Heard>) -> io::Result<()> {
    let name = if stream == Stream::Out { "output" } else { "errors" };
    threads::spawn(name, move || {
        let mut words = Vec::new();
        let read = File::from(from).take(MOST + 1).read_to_end(&mut words);
        let whole = read.is_ok() && u64::try_from(words.len()).is_ok_and(|length| length <= MOST);
        let _ = tell.send(Heard::Said(stream, whole.then_some(words)));
    })
}

/// Why it has not started, for an admin.
fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => "it is no program: neither one for this machine, nor does it begin with #!".to_owned(),
        Some(libc::ENOENT) => "the interpreter in its first line (#!) does not exist, or there is no /proc".to_owned(),
        Some(libc::EACCES) => {
            "its account may not execute it, or the interpreter in its first line (#!); vm.memfd_noexec, SELinux and the like can forbid it, too".to_owned()
        }
        Some(libc::EAGAIN) => format!("its account has {PROCESSES} processes already"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
