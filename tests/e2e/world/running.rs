//! A CI job that goes on while a test looks at it.

use std::path::PathBuf;
use std::process::{Child, Command};

use super::patience::until_or_tell;
use super::{JobEnd, Simulate};

/// A CI job that goes on while the test looks at it.
pub struct Running {
    child: Option<Child>,
    log: PathBuf,
    runner_log: PathBuf,
}

impl Running {
    pub fn start(simulate: &Simulate<'_>) -> Self {
        let (mut command, log, runner_log) = simulate.command();
        Self { child: Some(command.spawn().expect("motmot simulate")), log, runner_log }
    }

    /// The job log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until this is in the job log.
    #[track_caller]
    pub fn until_log(&self, part: &str) {
        until_or_tell(&format!("{part:?} is in the log"), || self.log().contains(part), || self.log());
    }

    /// Asks it to end, as somebody who stops a runner's job.
    pub fn terminate(&self) {
        let child = self.child.as_ref().expect("a child");
        assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill").success());
    }

    /// Waits until the job is submitted, and says its number.
    #[track_caller]
    pub fn until_submitted(&self) -> u32 {
        self.until_log("submitted as Slurm job ");
        self.until_log(" (name motmot-");
        job_numbers(&self.log())[0]
    }

    /// How it ended.
    #[track_caller]
    pub fn end(mut self) -> JobEnd {
        let output = self.child.take().expect("a child").wait_with_output().expect("motmot simulate");
        JobEnd::read(&output, &self.log, &self.runner_log)
    }
}

impl Drop for Running {
    /// After a failed test: the emulator goes; its stages notice that their jobs end with the account.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The numbers of all Slurm jobs that a job log tells of.
pub fn job_numbers(log: &str) -> Vec<u32> {
    let after = log.split("submitted as Slurm job ").skip(1);
    after.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}
