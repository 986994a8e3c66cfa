//! A private cluster for tests: a real controller and real nodes of Slurm, all of them on this machine.

mod accounting;
mod conf;
mod daemons;
mod delayed;
pub mod look;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;

pub use accounting::PROGRAMS as ACCOUNTING_PROGRAMS;
pub use conf::Builder;
pub use daemons::missing;
pub use delayed::Delayed;

use crate::world::{Accounting, Slurm, TestAccount, base, make_dir, until};
use conf::Place;
use daemons::{PATH, clean, daemon, free_ports, signal};

/// The programs without which there is no cluster.
pub const PROGRAMS: [&str; 6] = ["slurmctld", "slurmd", "munged", "munge", "sbatch", "scontrol"];

/// A running cluster. Its end takes all daemons and jobs with it.
pub struct Cluster {
    /// Unlike that of any other cluster on this machine: all processes of its jobs have it in their environment.
    name: String,
    dir: PathBuf,
    count: u32,
    views: Vec<(PathBuf, PathBuf)>,
    daemons: Mutex<Daemons>,
}

#[derive(Default)]
struct Daemons {
    /// The database and slurmdbd, where there is accounting.
    accounting: Vec<Child>,
    controller: Option<Child>,
    nodes: BTreeMap<u32, Child>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);
static SHARED: OnceLock<Cluster> = OnceLock::new();
static SHARED_WITH_ACCOUNTING: OnceLock<Cluster> = OnceLock::new();

impl Cluster {
    /// A cluster for one test. [`Builder::start`] starts it.
    pub fn build(_: impl Into<Slurm>) -> Builder {
        Builder::new()
    }

    /// The cluster of all tests that do not break it.
    pub fn shared(_: impl Into<Slurm>) -> &'static Self {
        SHARED.get_or_init(|| Builder::new().start())
    }

    /// The same, with accounting.
    pub fn shared_with_accounting(_: Accounting) -> &'static Self {
        SHARED_WITH_ACCOUNTING.get_or_init(|| Builder::new().accounting().start())
    }

    fn start(builder: &Builder) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cluster = Self {
            name: format!("mm{}c{number}", std::process::id()),
            dir: base().join(format!("cluster-{number}")),
            count: builder.nodes,
            views: builder.views.clone(),
            daemons: Mutex::default(),
        };
        // Between the choice of a port and its use somebody else can take it.
        for _ in 0..5 {
            if cluster.try_start(builder) {
                return cluster;
            }
            cluster.stop();
        }
        panic!("no cluster: see {}", cluster.dir.join("log").display());
    }

    fn try_start(&self, builder: &Builder) -> bool {
        let _ = fs::remove_dir_all(&self.dir);
        // Everybody reads the configuration, and executes the copy of the own script in a node's spool.
        for (name, mode) in [("", 0o755), ("run", 0o755), ("log", 0o700), ("state", 0o700), ("spool", 0o755)] {
            make_dir(&self.dir.join(name), mode);
        }
        for node in 1..=self.count {
            make_dir(&self.dir.join(format!("spool/n{node}")), 0o755);
        }
        let ports = free_ports(2 + self.count as usize);
        let place =
            Place { name: &self.name, dir: &self.dir, accounting: ports[0], controller: ports[1], nodes: &ports[2..] };
        fs::write(self.conf(), builder.text(&place)).expect("slurm.conf");
        fs::set_permissions(self.conf(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
        builder.make_gpus(&self.dir);
        if builder.accounting {
            let database = accounting::start_database(&self.dir);
            self.daemons().accounting.push(database);
            let daemon = accounting::start_daemon(&self.dir, ports[0]);
            self.daemons().accounting.push(daemon);
            if !self.comes_up(|| self.register()) {
                return false;
            }
        }
        self.spawn_controller(true);
        for node in 1..=self.count {
            self.spawn_node(node);
        }
        self.comes_up(|| self.answers() && self.nodes().values().all(|state| state == "idle"))
    }

    /// Whether it came true before a daemon died or the time was over.
    fn comes_up(&self, mut condition: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed().as_secs() < 60 {
            if condition() {
                return true;
            }
            let mut daemons = self.daemons();
            let dead = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
            let Daemons { accounting, controller, nodes } = &mut *daemons;
            if accounting.iter_mut().chain(controller).chain(nodes.values_mut()).any(dead) {
                return false;
            }
            drop(daemons);
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn daemons(&self) -> MutexGuard<'_, Daemons> {
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its slurm.conf.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("slurm.conf")
    }

    /// Its name, as the environment of its jobs has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where all its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program as root, for this cluster and with nothing else in its environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = clean(program);
        command.env("SLURM_CONF", self.conf());
        command
    }

    /// A program as an account, for this cluster.
    pub fn command_as(&self, account: &TestAccount, program: &str) -> Command {
        let mut command = account.command(Path::new(program));
        command.env("SLURM_CONF", self.conf()).env("PATH", PATH).current_dir(&account.home);
        command
    }

    fn spawn_controller(&self, clean: bool) {
        let mut command = self.command("slurmctld");
        command.arg("-D").current_dir(&self.dir);
        if clean {
            command.arg("-c");
        }
        self.daemons().controller = Some(daemon(command));
    }

    /// Starts the controller with the state it left, and returns when it answers.
    pub fn start_controller(&self) {
        self.spawn_controller(false);
        assert!(self.comes_up(|| self.answers()), "the controller does not answer: {}", self.dir.display());
    }

    /// The controller is gone at once, as when its machine loses power. It saves its state some seconds late: what has
    /// happened since, such as the start of a job, it does not know afterwards. See [`Cluster::save_state`].
    pub fn kill_controller(&self) {
        if let Some(mut child) = self.daemons().controller.take() {
            signal(child.id(), Signal::SIGKILL);
            let _ = child.wait();
        }
    }

    /// Returns when the controller has saved what it knows now, which takes it up to five seconds.
    pub fn save_state(&self) {
        let now = SystemTime::now();
        let output = self.command("scontrol").arg("reconfigure").output().expect("scontrol");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = self.dir.join("state/job_state");
        until("the state is saved", || {
            fs::metadata(&file).and_then(|meta| meta.modified()).is_ok_and(|time| time > now)
        });
    }

    /// The controller ends in order, with all its state saved.
    pub fn end_controller(&self) {
        if let Some(mut child) = self.daemons().controller.take() {
            signal(child.id(), Signal::SIGTERM);
            let _ = child.wait();
        }
    }

    /// The controller takes connections but says nothing.
    pub fn stop_controller(&self) {
        self.signal_controller(Signal::SIGSTOP);
    }

    /// The controller goes on after [`Cluster::stop_controller`].
    pub fn continue_controller(&self) {
        self.signal_controller(Signal::SIGCONT);
        assert!(self.comes_up(|| self.answers()), "the controller does not answer: {}", self.dir.display());
    }

    fn signal_controller(&self, which: Signal) {
        signal(self.daemons().controller.as_ref().expect("a controller").id(), which);
    }

    fn spawn_node(&self, node: u32) {
        let mut command = if self.views.is_empty() {
            self.command("slurmd")
        } else {
            // A mount namespace of its own, which all jobs of the node get from it.
            let mut command = self.command("unshare");
            command.args(["--mount", "--", "sh", "-c"]);
            command.arg(
                r#"while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done; shift; exec slurmd "$@""#,
            );
            command.arg("sh").args(self.views.iter().flat_map(|(real, at)| [real, at])).arg("--");
            command
        };
        command.args(["-D", "-N", &format!("n{node}")]).current_dir(&self.dir);
        self.daemons().nodes.insert(node, daemon(command));
    }

    /// Starts a node's daemon again, and returns when the controller knows that.
    pub fn start_node(&self, node: u32) {
        self.spawn_node(node);
        let name = format!("n{node}");
        let up = |state: &String| !state.ends_with('*') && !state.starts_with("down");
        assert!(self.comes_up(|| self.nodes().get(&name).is_some_and(up)), "{name} does not come up");
    }

    /// The daemon of a node is gone; its jobs go on.
    pub fn kill_node(&self, node: u32) {
        if let Some(mut child) = self.daemons().nodes.remove(&node) {
            signal(child.id(), Signal::SIGKILL);
            let _ = child.wait();
        }
    }

    /// A node is gone with all that ran on it.
    pub fn lose_node(&self, node: u32) {
        self.kill_node(node);
        let marks = [format!("SLURM_CLUSTER_NAME={}", self.name), format!("SLURMD_NODENAME=n{node}")];
        daemons::kill_jobs(&[self.node_log(node)], &marks);
    }

    /// The controller is told that a node is gone, which it finds out by itself only after many seconds.
    pub fn declare_down(&self, node: u32) {
        let mut command = self.command("scontrol");
        command.args(["update", &format!("NodeName=n{node}"), "State=DOWN", "Reason=test"]);
        let output = command.output().expect("scontrol");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn node_log(&self, node: u32) -> PathBuf {
        self.dir.join(format!("log/n{node}.log"))
    }

    /// Kills everything that belongs to it.
    fn stop(&self) {
        for node in 1..=self.count {
            self.kill_node(node);
        }
        self.kill_controller();
        for mut child in self.daemons().accounting.drain(..).rev() {
            signal(child.id(), Signal::SIGKILL);
            let _ = child.wait();
        }
        let logs: Vec<_> = (1..=self.count).map(|node| self.node_log(node)).collect();
        daemons::kill_jobs(&logs, &[format!("SLURM_CLUSTER_NAME={}", self.name)]);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("the files of this test's cluster stay at {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Ends what tests shared. What explains a failure stays.
pub fn tear_down(failed: bool) {
    for cluster in [SHARED.get(), SHARED_WITH_ACCOUNTING.get()].into_iter().flatten() {
        cluster.stop();
        if failed {
            eprintln!("the files of a shared cluster stay at {}", cluster.dir.display());
        } else {
            let _ = fs::remove_dir_all(&cluster.dir);
        }
    }
    daemons::end_munged();
}
