//! Jobs in Slurm, from the emulator of GitLab Runner through the real stages to a real cluster and back.

pub mod ends;
pub mod options;
pub mod output;
pub mod queue;
pub mod secrets;
pub mod stages;
pub mod tokens;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::world::{JobEnd, Simulate, World, until};

/// A world whose jobs go to the cluster of all tests.
pub fn world() -> World {
    let mut world = World::new();
    world.use_slurm(Cluster::shared());
    world
}

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
        until(&format!("{part:?} is in the log"), || self.log().contains(part));
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

/// Jobs wait until the test says [`release`].
pub const HELD: &str = "defaults = [\"--begin=now+1hour\"]\n";

/// A job that was [`HELD`] begins.
#[track_caller]
pub fn release(cluster: &Cluster, job: u32) {
    scontrol(cluster, &["update", &format!("JobId={job}"), "StartTime=now"]);
}

#[track_caller]
pub fn scontrol(cluster: &Cluster, args: &[&str]) {
    let output = cluster.command("scontrol").args(args).output().expect("scontrol");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The directory in which wrapper and worker of the only Slurm job of a world meet.
pub fn meeting_place(world: &World) -> PathBuf {
    let only = |dir: &Path| {
        let mut entries: Vec<PathBuf> =
            dir.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.pop().filter(|_| entries.is_empty())
    };
    let job = only(&world.data_dir().join("jobs")).expect("one session");
    only(&job.join("batch")).expect("one Slurm job")
}

/// Nothing of the jobs of a world is left with Slurm or in its directories.
#[track_caller]
pub fn assert_nothing_left(world: &World, cluster: &Cluster) {
    cluster.until_no_jobs_of(&world.user.name);
    let jobs = world.data_dir().join("jobs");
    assert!(!jobs.read_dir().is_ok_and(|mut entries| entries.any(|_| true)), "{}", jobs.display());
    assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
}

/// Seconds since 1970.
pub fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970")
}
