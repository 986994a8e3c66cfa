//! A runner's host in a temporary directory, with drivers that record their calls.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use motmot_emulator::{
    Cancel, CancelMode, CancelWhen, Driver, EmulatorError, FailureReason, GitLabServer, JobApi, JobResult, Simulation,
};

pub struct World {
    pub dir: tempfile::TempDir,
    pub simulation: Simulation,
    pub job_api: JobApi,
}

pub struct Played {
    pub result: JobResult,
    pub log: String,
    pub runner_log: String,
}

/// One file for all tests, never written while they run: a file that some process still has open for
/// writing cannot be executed (ETXTBSY), and another test's fork may hold it open.
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/driver.sh");

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for program in ["motmot-config", "motmot-prepare", "motmot-run", "motmot-cleanup"] {
            symlink(DRIVER, root.join(program)).unwrap();
        }
        fs::create_dir(root.join("tmp")).unwrap();
        let mut simulation = Simulation::default();
        simulation.runner.tmpdir = Some(root.join("tmp"));
        simulation.runner.retry_interval = Duration::from_millis(1);
        simulation.runner.stage_retry_interval = Duration::from_millis(1);
        Self { dir, simulation, job_api: JobApi::default() }
    }

    pub fn with(edit: impl FnOnce(&mut Simulation)) -> Self {
        let mut world = Self::new();
        edit(&mut world.simulation);
        world
    }

    pub fn script(command: &str) -> Self {
        Self::with(|simulation| simulation.script = vec![command.to_owned()])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the driver does first in a stage.
    pub fn on(&self, name: &str, commands: &str) {
        fs::write(self.path(&format!("on.{name}")), commands).unwrap();
    }

    pub fn play(&self) -> Played {
        let (mut log, mut runner_log) = (Vec::new(), Vec::new());
        let result = self.run(&self.simulation, &mut log, &mut runner_log).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Played { result, log: text(log), runner_log: text(runner_log) }
    }

    /// Runs a job with a GitLab of its own, whose address is in the file that `--config` names.
    pub fn run(
        &self,
        simulation: &Simulation,
        log: &mut (dyn Write + Send),
        runner_log: &mut (dyn Write + Send),
    ) -> Result<JobResult, EmulatorError> {
        let gitlab = GitLabServer::on_loopback(self.job_api.clone()).unwrap();
        let config = self.path("config.toml");
        fs::write(&config, format!("[gitlab]\nurl = \"{}\"\n", gitlab.url())).unwrap();
        let driver = Driver {
            config_exec: self.path("motmot-config"),
            prepare_exec: self.path("motmot-prepare"),
            run_exec: self.path("motmot-run"),
            cleanup_exec: self.path("motmot-cleanup"),
            args: vec!["--config".into(), config.into()],
        };
        simulation.run(gitlab, &driver, log, runner_log)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Ends the process whose number a driver wrote to `pid`. It must still be alive.
    pub fn kill(&self) {
        let pid = Pid::from_raw(self.read("pid").trim().parse().unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
    }

    pub fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(str::to_owned).collect()
    }

    pub fn env(&self, name: &str) -> BTreeMap<String, String> {
        let bytes = fs::read(self.path(&format!("env.{name}"))).unwrap();
        let entries = bytes.split(|&byte| byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned());
        entries
            .filter_map(|entry| entry.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect()
    }

    /// Nothing of the job is left in the runner's TMPDIR.
    pub fn is_tidy(&self) -> bool {
        fs::read_dir(self.path("tmp")).unwrap().next().is_none()
    }
}

pub fn cancel(simulation: &mut Simulation, mode: CancelMode, text: &str) {
    let when = CancelWhen::OnText(text.to_owned());
    simulation.faults.cancel = Some(Cancel { mode, when });
}

impl Played {
    pub fn has(&self, text: &str) -> bool {
        self.log.contains(text)
    }

    pub fn reason(&self) -> Option<FailureReason> {
        self.result.failure_reason
    }
}

/// Says `now` and sleeps. A process of its own does both: between fork and exec bash's children still have
/// bash's trap, and a SIGTERM that arrives just then is lost.
pub const SLEEPER: &str = "sh -c 'echo no\"\"w; exec sleep 30'";

pub const ORDINARY: [&str; 7] =
    ["config", "prepare", "prepare_script", "get_sources", "build_script", "cleanup_file_variables", "cleanup"];
