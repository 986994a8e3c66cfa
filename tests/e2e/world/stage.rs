//! One stage of a CI job, to be looked at while it runs.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Single, TestAccount, World};

/// A stage that runs.
pub struct Stage {
    child: Child,
    log: PathBuf,
    code_file: PathBuf,
}

/// How a stage ended.
#[derive(Debug)]
pub struct End {
    /// Its exit code; 128 and more for a signal.
    pub code: i32,
    /// What it has told GitLab that the script exited with.
    pub script: Option<String>,
    pub log: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Stage {
    /// `motmot-run` with a script of its own.
    pub fn run(world: &World, single: &Single<'_>, body: &str) -> Self {
        Self::run_as(world, single, "build_script", body)
    }

    /// A script that is nothing but this: in the runner's form SIGTERM always leads to exit code 1.
    pub fn run_bare(world: &World, single: &Single<'_>, body: &str) -> Self {
        let script = single.script("");
        fs::write(&script, format!("#!/usr/bin/env bash\n{body}\n")).expect("script");
        let mut command = single.stage("run");
        command.arg(script).arg("build_script");
        Self::start(world, command)
    }

    pub fn run_as(world: &World, single: &Single<'_>, sub_stage: &str, body: &str) -> Self {
        let script = single.script(body);
        let mut command = single.stage("run");
        command.arg(script).arg(sub_stage);
        Self::start(world, command)
    }

    pub fn start(world: &World, mut command: Command) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temp = world.dir.join("tmp");
        let log = temp.join(format!("stage-{number}"));
        let code_file = temp.join("build_exit_code");
        let file = File::create(&log).expect("a log");
        command.stdout(file.try_clone().expect("dup")).stderr(file);
        Self { child: command.spawn().expect("a stage"), log, code_file }
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// Waits until the log says something.
    #[track_caller]
    pub fn until_says(&mut self, words: &str) {
        let start = Instant::now();
        loop {
            // In this order: its last words are there when it has ended.
            let ended = self.child.try_wait().expect("wait");
            let log = self.log();
            if log.contains(words) {
                return;
            }
            let waits = start.elapsed().as_secs() < 120 && ended.is_none();
            assert!(waits, "{words:?} was not said ({ended:?}):\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it still runs, so that no verdict has fallen.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// The number of the Slurm job, as the author of the job reads it.
    #[track_caller]
    pub fn job(&mut self) -> u32 {
        self.until_says("submitted as Slurm job ");
        self.until_says(" (name motmot-");
        let log = self.log();
        let (_, rest) = log.split_once("submitted as Slurm job ").expect("said");
        rest.split(' ').next().expect("a number").parse().expect("a number")
    }

    #[track_caller]
    pub fn end(self) -> End {
        self.end_within(Duration::from_mins(2))
    }

    #[track_caller]
    pub fn end_within(mut self, limit: Duration) -> End {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                let script = fs::read_to_string(&self.code_file).ok().map(|text| text.trim_end().to_owned());
                return End { code, script, log: self.log() };
            }
            if start.elapsed() > limit {
                let _ = self.child.kill();
                panic!("the stage did not end:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl End {
    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.log);
        self
    }

    /// A failure of the job's own, with this exit code.
    #[track_caller]
    pub fn assert_job(&self, code: u8) -> &Self {
        assert_eq!((self.code, self.script.as_deref()), (1, Some(code.to_string().as_str())), "{}", self.log);
        self
    }

    /// A failure of the site.
    #[track_caller]
    pub fn assert_site(&self) -> &Self {
        assert_eq!((self.code, self.script.as_deref()), (2, None), "{}", self.log);
        self
    }

    #[track_caller]
    pub fn assert_log(&self, words: &str) -> &Self {
        assert!(self.log.contains(words), "{words:?} is not in the log:\n{}", self.log);
        self
    }

    #[track_caller]
    pub fn assert_once(&self, words: &str) -> &Self {
        assert_eq!(self.log.matches(words).count(), 1, "{words:?} once in the log:\n{}", self.log);
        self
    }
}

/// The worker of this world's only stage. It hides its files in /proc.
pub fn worker_of(world: &World) -> Option<Pid> {
    worker_as(&world.user)
}

/// The oldest: a program that a worker starts has the worker's name until it is executed, and a worker that cannot be told
/// from it would count as gone.
fn worker_as(account: &TestAccount) -> Option<Pid> {
    let uid = account.uid.to_string();
    let output = Command::new("pgrep").args(["--oldest", "-U", &uid, "motmot-worker"]).output().expect("pgrep");
    String::from_utf8_lossy(&output.stdout).trim().parse().ok().map(Pid::from_raw)
}

/// SIGKILL for a stage and its worker, as if at one moment. kill(1) takes one after the other, and a worker that outlives its
/// stage by that much ends the job or cancels it, which is what it is for: so it is frozen first.
#[track_caller]
pub fn kill_with_its_worker(stage: &Child, account: &TestAccount) {
    let worker = worker_as(account).expect("a worker");
    let stage = Pid::from_raw(stage.id().try_into().expect("a pid"));
    for (signal, pid) in [(Signal::SIGSTOP, worker), (Signal::SIGKILL, stage), (Signal::SIGKILL, worker)] {
        kill(pid, signal).expect("it is there");
    }
}
