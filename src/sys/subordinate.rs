//! Files of subordinate ids (subuid(5)): what rootless containers leave belongs to numbers that were lent to the account, and
//! the account itself cannot remove it. In a user namespace that the numbers are mapped into it can.
#![allow(unsafe_code)] // a descriptor, and unshare(2), between fork and exec

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{getgid, getuid};

use super::accounts::{AccountDb, Nss};
use super::call::tool_in_worker;
use super::directory::Directory;
use super::offspring::mark_job;

/// A worker that cleans up has fewer.
const MOST_DESCRIPTORS: i32 = 1024;
/// The descriptor of the directory in the program that removes.
const DIRECTORY: i32 = 40;
/// How long mapping numbers may take.
const MAPPING: Duration = Duration::from_secs(20);
/// The programs that map them, set-user-id root: package `uidmap`, or `shadow-utils`.
const PROGRAMS: [&str; 2] = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"];

/// Numbers that were lent to an account: the first, and how many.
type Range = (u32, u32);

/// Whether any were lent to this process's account.
pub fn are_lent() -> bool {
    lent("/etc/subuid").is_ok_and(|ranges| !ranges.is_empty())
}

/// Removes what has this name in a directory, with all below it, as the owner of the account's files and of those of its
/// subordinate ids.
///
/// # Errors
/// In words: why that is not possible here, or what is still in the way.
pub fn remove(above: &Directory, name: &OsStr) -> Result<(), String> {
    for program in PROGRAMS {
        if !Path::new(program).exists() {
            return Err(format!("there is no {program} on this machine (package uidmap or shadow-utils)"));
        }
    }
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let (uids, gids) = (lent("/etc/subuid")?, lent("/etc/subgid")?);
    let (ready, says_ready) = pipe().map_err(|error| words(&error))?;
    let (hears_go, go) = pipe().map_err(|error| words(&error))?;
    let mut command = Command::new("/bin/rm");
    let mut path = OsString::from(format!("/proc/self/fd/{DIRECTORY}/"));
    path.push(name);
    // It follows no link, holds few descriptors, and stays in this file system.
    command.args(["-rf", "--one-file-system", "--"]).arg(path);
    command.env_clear().env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let fds = [says_ready.as_raw_fd(), hears_go.as_raw_fd(), go.as_raw_fd(), above.as_fd().as_raw_fd()];
    // SAFETY: plain system calls only, with descriptors that are open until the child was started.
    unsafe { command.pre_exec(move || enter_namespace(fds)) };
    let child = std::thread::scope(|scope| {
        let starting = scope.spawn(move || {
            let child = command.spawn();
            // With these a child that has failed ends the reading below.
            drop((says_ready, hears_go));
            child
        });
        let mapped = map(fs::File::from(ready), fs::File::from(go), &uids, &gids);
        let child = starting.join().map_err(|_| "no process could be started".to_owned())?;
        match (mapped, child) {
            (_, Ok(child)) => Ok(child),
            (Err(Some(why)), Err(_)) => Err(why),
            (_, Err(error)) => Err(format!("no user namespace can be made for them: {error}")),
        }
    })?;
    let output = child.wait_with_output().map_err(|error| words(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("rm failed without a word").chars().take(300).collect())
}

fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
}

/// Between fork and exec. By exec this process, whose number is mapped to root's by then, gets all capabilities of its namespace.
fn enter_namespace([says_ready, hears_go, go, directory]: [i32; 4]) -> io::Result<()> {
    let check = |result: libc::c_int| if result < 0 { Err(io::Error::from(Errno::last())) } else { Ok(()) };
    // SAFETY: plain integers, and buffers of the lengths that are given with them.
    unsafe {
        // Its end is the end of waiting.
        libc::close(go);
        mark_job()?;
        check(libc::unshare(libc::CLONE_NEWUSER))?;
        // Who maps looks at the owner of this process's files in /proc: root, unless they are open to the account. Then its
        // other processes may take descriptors from here, and with the worker's socket could speak to the stage.
        close_sockets();
        check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
        let pid = libc::getpid().to_ne_bytes();
        if libc::write(says_ready, pid.as_ptr().cast(), pid.len()) != 4 {
            return Err(Errno::last().into());
        }
        let mut word = 0_u8;
        if libc::read(hears_go, (&raw mut word).cast(), 1) != 1 {
            return Err(Errno::ECANCELED.into());
        }
        check(libc::dup2(directory, DIRECTORY))
    }
}

/// Between fork and exec. (What std reports a failure of exec through is a pipe.)
fn close_sockets() {
    for fd in 3..MOST_DESCRIPTORS {
        // SAFETY: a structure of ours, made of zeros before the call fills it; a descriptor that is not open answers EBADF.
        unsafe {
            let mut stat = std::mem::zeroed::<libc::stat>();
            if libc::fstat(fd, &raw mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK {
                libc::close(fd);
            }
        }
    }
}

/// Maps the numbers for whoever says that it is ready, and lets it go. `None` where nobody is.
fn map(mut ready: fs::File, mut go: fs::File, uids: &[Range], gids: &[Range]) -> Result<(), Option<String>> {
    let mut pid = [0; 4];
    ready.read_exact(&mut pid).map_err(|_| None)?;
    let pid = i32::from_ne_bytes(pid).to_string();
    for (program, own, ranges) in [(PROGRAMS[0], getuid().as_raw(), uids), (PROGRAMS[1], getgid().as_raw(), gids)] {
        let args: Vec<OsString> =
            std::iter::once(pid.clone()).chain(mapping(own, ranges)).map(OsString::from).collect();
        tool_in_worker(Path::new(program), &args, MAPPING).map_err(|why| Some(format!("{program}: {why}")))?;
    }
    go.write_all(b".").map_err(|error| Some(error.to_string()))
}

/// The account is root in there; what was lent to it follows.
fn mapping(own: u32, ranges: &[Range]) -> Vec<String> {
    let mut words = vec![0, own, 1];
    let mut inside = 1_u32;
    for (first, count) in ranges {
        words.extend([inside, *first, *count]);
        inside = inside.saturating_add(*count);
    }
    words.into_iter().map(|number| number.to_string()).collect()
}

fn lent(file: &str) -> Result<Vec<Range>, String> {
    let own = getuid();
    let name = Nss.by_uid(own).ok().flatten().map(|entry| entry.name().to_owned()).unwrap_or_default();
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    Ok(lent_in(&text, &name, own.as_raw()))
}

/// Lines of `owner:first:count`; the owner by name or by number.
fn lent_in(text: &str, name: &str, uid: u32) -> Vec<Range> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let ours = (owner == name && !name.is_empty()) || owner == uid.to_string();
        (ours && count > 0).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_is_found_by_name_and_by_number_and_mapped_behind_root() {
        let text = "ada:100000:65536\nbob:165536:65536\n1001:300000:10\nada2:1:1\nada:x:1\nada:9:0\n";
        let lent = lent_in(text, "ada", 1001);
        assert_eq!(lent, [(100_000, 65_536), (300_000, 10)]);
        let words = mapping(1001, &lent).join(" ");
        assert_eq!(words, "0 1001 1 1 100000 65536 65537 300000 10");
        assert_eq!(lent_in(":5:5\n", "", 7), []);
    }
}
