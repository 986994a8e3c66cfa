//! Small files that all stages of this machine share, each held by one stage at a time.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Between two tries to get hold of a file; from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// Opens the file, made if need be, when no other stage holds it. The kernel takes it from a process that is killed; from one
/// that was stopped, or that hangs in a disk, nobody does: so `None` after `patience`, as after any other failure.
pub(super) fn hold(path: &Path, patience: Duration) -> Option<Flock<File>> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
    let until = Instant::now() + patience;
    let (mut pause, longest) = PAUSES;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Some(held),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < until => file = back,
            Err(_) => return None,
        }
        std::thread::sleep(pause); // nothing tells when a file becomes free, but a call that nobody could end
        pause = (pause * 2).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_another_process_never_lets_go_is_given_up_and_one_that_it_lets_go_is_held() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("file");
        // A descriptor of its own is to flock(2) what another process is.
        let other = hold(&path, Duration::ZERO).expect("free");
        assert!(hold(&path, Duration::from_millis(5)).is_none());
        let (path, waits) = (path.clone(), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                waits.wait();
                drop(other);
            });
            waits.wait();
            assert!(hold(&path, Duration::from_mins(1)).is_some());
        });
    }

    #[test]
    fn where_no_file_can_be_made_nothing_is_held() {
        assert!(hold(Path::new("/proc/nowhere/file"), Duration::from_mins(1)).is_none());
    }
}
