//! Directories that never answer: a file system whose daemon takes no request.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{TestAccount, make_dir};

/// Opens the device, mounts, and takes no request that is worth an answer.
const DAEMON: &str = "
owner=$1 silence=$2; shift 2
for dir in \"$@\"; do
    exec {fd}<>/dev/fuse || exit 1
    mount -i -n -t fuse -o \"fd=$fd,rootmode=40000,$owner\" nobody \"$dir\" || exit 1
    fds+=($fd)
done
echo mounted
case $silence in
    FromTheBeginning) exec sleep infinity ;;
    AfterGreeting) exec perl -e \"$GREETING\" \"${fds[@]}\" ;;
esac
";

/// Answers the first request (`FUSE_INIT`, linux/fuse.h), reads all others, and says nothing more.
const GREETING: &str = r#"
    my %files = map { open(my $file, "+<&=", $_) or die; ($_ => $file) } @ARGV;
    my (%greeted, $ready);
    while (1) {
        my $all = "";
        vec($all, $_, 1) = 1 for keys %files;
        select($ready = $all, undef, undef, undef);
        for my $fd (grep { vec($ready, $_, 1) } keys %files) {
            sysread($files{$fd}, my $request, 1 << 20) or exit;
            if ($greeted{$fd}++) {
                syswrite(STDOUT, "asked\n");
                next;
            }
            my (undef, undef, $unique) = unpack("L L Q", $request);
            syswrite($files{$fd}, pack("L l Q L L L L S S L L S S L8", 80, 0, $unique, 7, 31, 65536, 0, 8, 6, 65536, 1, 16, 0, (0) x 8));
        }
    }
"#;

/// When a daemon falls silent.
#[derive(Clone, Copy, Debug)]
pub enum Silence {
    /// Whoever takes a step into the directory sleeps in state D, and SIGKILL ends it.
    FromTheBeginning,
    /// The same, but nothing ends it: its request has been read, so the kernel waits for the answer.
    AfterGreeting,
}

/// File systems of one account that hang, as long as this value lives.
pub struct Poison {
    daemon: Child,
    words: BufReader<ChildStdout>,
    dirs: Vec<PathBuf>,
}

impl Poison {
    /// In these directories of the account, which are made. `None` on a machine without FUSE.
    pub fn of(account: &TestAccount, silence: Silence, dirs: Vec<PathBuf>) -> Option<Self> {
        // Not the account's own mount, which it could unmount: as a home directory on a server that is down.
        Self::mount(account, silence, "user_id=0,group_id=0,allow_other", dirs)
    }

    /// The same, but mounted by the account itself.
    pub fn of_its_own(account: &TestAccount, dirs: Vec<PathBuf>) -> Option<Self> {
        let owner = format!("user_id={},group_id={}", account.uid, account.gid);
        Self::mount(account, Silence::AfterGreeting, &owner, dirs)
    }

    fn mount(account: &TestAccount, silence: Silence, owner: &str, dirs: Vec<PathBuf>) -> Option<Self> {
        for dir in &dirs {
            let new: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
            for dir in new.into_iter().rev() {
                make_dir(dir, 0o700);
                super::chown(dir, account.uid, account.gid);
            }
        }
        let mut daemon = Command::new("bash");
        daemon.args(["-c", DAEMON, "poison", owner, &format!("{silence:?}")]).args(&dirs).env("GREETING", GREETING);
        daemon.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut daemon = daemon.spawn().expect("bash");
        let words = BufReader::new(daemon.stdout.take().expect("a pipe"));
        let mut poison = Self { daemon, words, dirs };
        if poison.says() == "mounted\n" {
            return Some(poison);
        }
        eprintln!("nothing can be mounted with FUSE here: not tested");
        None
    }

    /// The program of the file systems ends, and they stay.
    pub fn die(&mut self) {
        self.daemon.kill().expect("killed");
        self.daemon.wait().expect("ended");
    }

    /// Waits until somebody has asked a daemon that has greeted, and sleeps for good.
    pub fn until_asked(&mut self) {
        assert_eq!(self.says(), "asked\n");
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        self.words.read_line(&mut line).expect("its words");
        line
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
