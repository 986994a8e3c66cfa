//! Directories that never answer: a file system whose daemon takes no request.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{TestAccount, make_dir};

/// Opens the device, mounts, and is silent from then on: not even the first request (`FUSE_INIT`) is answered, so whoever
/// takes a step into the directory sleeps in state D.
const DAEMON: &str = "
owner=$1; shift
for dir in \"$@\"; do
    exec {fd}<>/dev/fuse || exit 1
    mount -i -n -t fuse -o \"fd=$fd,rootmode=40000,$owner\" nobody \"$dir\" || exit 1
done
echo mounted
exec sleep infinity
";

/// File systems of one account that hang, as long as this value lives.
pub struct Poison {
    daemon: Child,
    dirs: Vec<PathBuf>,
}

impl Poison {
    /// In these directories of the account, which are made. `None` on a machine without FUSE.
    pub fn of(account: &TestAccount, dirs: Vec<PathBuf>) -> Option<Self> {
        for dir in &dirs {
            let new: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
            for dir in new.into_iter().rev() {
                make_dir(dir, 0o700);
                super::chown(dir, account.uid, account.gid);
            }
        }
        let owner = format!("user_id={},group_id={}", account.uid, account.gid);
        let mut daemon = Command::new("bash");
        daemon.args(["-c", DAEMON, "poison", &owner]).args(&dirs).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut daemon = daemon.spawn().expect("bash");
        let mut said = String::new();
        BufReader::new(daemon.stdout.take().expect("a pipe")).read_line(&mut said).expect("its words");
        let poison = Self { daemon, dirs };
        if said == "mounted\n" {
            return Some(poison);
        }
        eprintln!("nothing can be mounted with FUSE here: not tested");
        None
    }
}

impl Drop for Poison {
    fn drop(&mut self) {
        // With the last descriptor of the device all who sleep are woken.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = Command::new("umount").arg("-l").args(&self.dirs).stderr(Stdio::null()).status();
    }
}
