//! The processes of a cluster: how they start, and how all of them die.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{base, chown, make_dir, until};

/// The search path of the daemons, and of the commands that talk to them.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which of these programs this machine lacks.
pub fn missing(programs: &[&'static str]) -> Vec<&'static str> {
    programs.iter().copied().filter(|name| !PATH.split(':').any(|dir| Path::new(dir).join(name).exists())).collect()
}

/// A program with nothing of this process's environment but the search path.
pub(super) fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").stdin(Stdio::null());
    command
}

/// A daemon in the foreground, as our own child.
pub(super) fn daemon(mut command: Command) -> Child {
    let name = command.get_program().to_owned();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", name.display()))
}

/// Ports that nobody listens on. All are held until all are known, so that they differ.
pub(super) fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}

pub(super) fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// All processes: number and parent.
fn processes() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses can hold anything, so count from its end.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

/// What runs for a job: the step daemons that write to this log, all below them, and all that has one of these in its
/// environment. A step daemon overwrites its own environment with its title, so its log is how it is known.
fn of_jobs(logs: &[PathBuf], marks: &[String]) -> BTreeSet<u32> {
    let all = processes();
    let mut found: BTreeSet<u32> =
        all.keys().copied().filter(|pid| is_step(*pid, logs) || has_marks(*pid, marks)).collect();
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn is_step(pid: u32, logs: &[PathBuf]) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    fs::read(proc.join("cmdline")).is_ok_and(|line| line.starts_with(b"slurmstepd"))
        && fs::read_dir(proc.join("fd")).is_ok_and(|mut fds| {
            fds.any(|fd| fd.is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|to| logs.contains(&to))))
        })
}

fn has_marks(pid: u32, marks: &[String]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
    !marks.is_empty() && marks.iter().all(|mark| variables.contains(&mark.as_bytes()))
}

/// Kills whatever runs for the jobs of these nodes, until nothing is left that could make more of it.
pub(super) fn kill_jobs(logs: &[PathBuf], marks: &[String]) {
    for _ in 0..2000 {
        let found = of_jobs(logs, marks);
        let running: Vec<u32> = found.into_iter().filter(|pid| !is_zombie(*pid)).collect();
        if running.is_empty() {
            return;
        }
        for pid in running {
            signal(pid, Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// The munged of this process. It is nobody else's: tests that run beside these ones, and the machine itself, keep theirs.
static MUNGED: OnceLock<Munged> = OnceLock::new();

struct Munged {
    socket: PathBuf,
    child: Mutex<Option<Child>>,
}

/// The socket of a munged of our own, started when it is asked for first.
pub(super) fn munge_socket() -> &'static Path {
    &MUNGED.get_or_init(start_munged).socket
}

fn start_munged() -> Munged {
    use std::io::Read as _;
    let user = nix::unistd::User::from_name("munge").expect("lookup").expect("the account munge");
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let dir = base().join("munge");
    // It refuses a directory of others for its key and its log; and everybody has to reach its socket.
    for (part, mode) in [("", 0o755), ("own", 0o700)] {
        make_dir(&dir.join(part), mode);
        chown(&dir.join(part), uid, gid);
    }
    let own = dir.join("own");
    let key = own.join("key");
    let mut bytes = [0; 128];
    fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).expect("/dev/urandom");
    fs::write(&key, bytes).expect("a key");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    chown(&key, uid, gid);
    let socket = dir.join("socket");
    let mut command = clean("setpriv");
    command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--", "munged"]);
    command.args(["--foreground", "--force"]).arg("--socket").arg(&socket).arg("--key-file").arg(key);
    for (option, file) in [("--pid-file", "pid"), ("--log-file", "log"), ("--seed-file", "seed")] {
        command.arg(option).arg(own.join(file));
    }
    let child = Mutex::new(Some(daemon(command)));
    let answers = || {
        let mut munge = clean("munge");
        munge.arg("--socket").arg(&socket).arg("-n").stdout(Stdio::null()).stderr(Stdio::null());
        munge.status().is_ok_and(|status| status.success())
    };
    until("munged answers", answers);
    Munged { socket, child }
}

/// Ends it.
pub(super) fn end_munged() {
    let Some(munged) = MUNGED.get() else { return };
    if let Some(mut child) = munged.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
        // It has nothing to lose. From a benchmark, which waits for SIGTERM itself, it has it blocked.
        let _ = child.kill();
        let _ = child.wait();
    }
}
