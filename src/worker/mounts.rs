//! File systems that a job has mounted in its own directory (FUSE), and that stand in the way when their program has ended.
//!
//! What an account has mounted it may unmount, with `fusermount`. That comes before anything is removed: behind a mount that
//! lives may be files that have nothing to do with the job.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::site;
use crate::order::frames::WorkerFailure;
use crate::sys::call::tool_in_worker;

const PROGRAMS: [&str; 4] = ["/usr/bin/fusermount3", "/usr/bin/fusermount", "/bin/fusermount3", "/bin/fusermount"];
/// How long one call may take; the program may be asked for each mount twice.
const LIMIT: Duration = Duration::from_secs(10);

/// Unmounts what this account has mounted at or below a directory.
pub fn unmount_below(dir: &Path) -> Result<(), WorkerFailure> {
    let uid = nix::unistd::getuid().as_raw();
    let found = || own_mounts(&fs::read("/proc/self/mountinfo").unwrap_or_default(), dir, uid);
    let mounts = found();
    if mounts.is_empty() {
        return Ok(());
    }
    let program = PROGRAMS.iter().map(Path::new).find(|program| program.exists());
    let mut why = "there is no fusermount on this machine (package fuse3 or fuse)".to_owned();
    // What lies upon another goes first.
    for mount in mounts.iter().rev() {
        let Some(program) = program else { break };
        let unmount = |options: &[&str]| {
            let mut args: Vec<OsString> = options.iter().map(OsString::from).collect();
            args.push(mount.into());
            tool_in_worker(program, &args, LIMIT)
        };
        // Lazily where something still uses it: then it is out of sight.
        if let Err(words) = unmount(&["-u"]).or_else(|_| unmount(&["-u", "-z"])) {
            why = words;
        }
    }
    match found().first() {
        None => Ok(()),
        Some(mount) => Err(site(format!("what the job has mounted at {} cannot be unmounted: {why}", mount.display()))),
    }
}

/// The points at or below `dir` where this account has mounted something, in their order (proc(5), mountinfo).
fn own_mounts(mountinfo: &[u8], dir: &Path, uid: u32) -> Vec<PathBuf> {
    let owner = format!("user_id={uid}");
    let own = |line: &[u8]| {
        let at = line.windows(3).position(|window| window == b" - ")?;
        let point = unescaped(line[..at].split(|byte| *byte == b' ').nth(4)?);
        let mut rest = line[at + 3..].split(|byte| *byte == b' ');
        let (kind, options) = (rest.next()?, rest.nth(1)?);
        let is_fuse = kind == b"fuse" || kind.starts_with(b"fuse.");
        let is_own = options.split(|byte| *byte == b',').any(|option| option == owner.as_bytes());
        (is_fuse && is_own && point.starts_with(dir)).then_some(point)
    };
    mountinfo.split(|byte| *byte == b'\n').filter_map(own).collect()
}

/// The kernel writes blanks and the like as `\040`.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| *first == b'\\');
        let code = octal.and_then(|digits| u8::from_str_radix(OsStr::from_bytes(digits).to_str()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[3..] } else { behind };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_account_itself_has_mounted_in_the_directory_is_unmounted() {
        let mountinfo = b"41 31 0:38 / /d/jobs/5-a/tmp rw - tmpfs tmpfs rw\n\
            42 31 0:39 / /d/jobs/5-a/tmp/a\\040b\\134\xff rw,nosuid shared:7 - fuse.sshfs x rw,user_id=1001,group_id=9\n\
            43 31 0:40 / /d/jobs/5-a rw - fuse x rw,user_id=1001,group_id=9\n\
            44 31 0:41 / /d/jobs/5-a/other rw - fuse x rw,user_id=10011,group_id=9\n\
            45 31 0:42 / /d/jobs/5-ab rw - fuse x rw,user_id=1001\n\
            46 31 0:43 / /d/jobs/5-a/ctl rw - fusectl x rw,user_id=1001\nnonsense\n";
        let found = own_mounts(mountinfo, Path::new("/d/jobs/5-a"), 1001);
        let odd = Path::new("/d/jobs/5-a/tmp").join(OsStr::from_bytes(b"a b\\\xff"));
        assert_eq!(found, [odd, "/d/jobs/5-a".into()]);
    }
}
