//! What tests of jobs in Slurm have in common: scripts that wait, jobs that are held, and what may be left of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::{Cluster, Delayed};
use super::needs::LaggingDisk;
use super::{World, chown, make_dir, until};

/// Answers SIGTERM with success. Whoever tells all processes of a job to end tells some of them first: a command that has died
/// of it must not end its shell (`set -e` in the runner's form) before that one is told.
///
/// To be run bare where it counts that it hears of its end: a shell that forks for a part of its script, as in the runner's form,
/// can miss a signal meanwhile.
pub const POLITE: &str = "trap 'echo trapped; exit 0' TERM; echo begun; while :; do sleep 0.1 || :; done";

/// How often a script has begun that calls [`COUNT`].
pub fn runs(world: &World) -> usize {
    fs::read_to_string(world.user.home.join("runs")).unwrap_or_default().lines().count()
}

/// In a script: counts that it has begun.
pub const COUNT: &str = "echo \"$SLURM_JOB_ID\" >> \"$HOME/runs\"";

/// In a script: waits for a file of the account, at most so long that a test has failed by then.
pub fn wait_for(name: &str) -> String {
    format!("for i in $(seq 3000); do [ ! -e \"$HOME/{name}\" ] || break; sleep 0.05; done")
}

/// Makes the file that [`wait_for`] waits for.
pub fn let_go(world: &World, name: &str) {
    world.user_file(name, "");
}

/// Nothing is left of any job: not in the queue, not among the processes, not on the disk, and no session.
#[track_caller]
pub fn assert_nothing_left(world: &World, cluster: &Cluster) {
    let jobs: Vec<_> = cluster.jobs_of(&world.user.name);
    // What is on its way out has been cancelled.
    assert!(jobs.iter().all(|job| job.state == "COMPLETING"), "{jobs:?}");
    let names: Vec<String> = world
        .sessions()
        .read_dir()
        .expect("sessions")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, Vec::<String>::new(), "sessions");
    let jobs = world.data_dir().join("jobs");
    let left: Vec<_> = jobs.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "directories of jobs");
    until("no process of the account runs", || world.processes_of_user().is_empty());
}

/// A command of Slurm, as root.
#[track_caller]
pub fn order(cluster: &Cluster, program: &str, args: &[&str]) {
    let output = cluster.command(program).args(args).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `slurm.defaults` with which jobs wait in the queue until [`release`].
pub const IN_QUEUE: [&str; 1] = ["--partition=closed"];

#[track_caller]
pub fn release(cluster: &Cluster, id: u32) {
    order(cluster, "scontrol", &["update", &format!("JobId={id}"), "Partition=debug"]);
}

/// `slurm.defaults` with which jobs wait until the test says [`begin`].
pub const HELD: [&str; 1] = ["--begin=now+1hour"];

/// A job that was [`HELD`] begins.
#[track_caller]
pub fn begin(cluster: &Cluster, id: u32) {
    order(cluster, "scontrol", &["update", &format!("JobId={id}"), "StartTime=now"]);
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

/// Waits until the queue has nothing of a world's, and finds nothing in its directories either.
#[track_caller]
pub fn until_nothing_left(world: &World, cluster: &Cluster) {
    cluster.until_no_jobs_of(&world.user.name);
    let jobs = world.data_dir().join("jobs");
    assert!(!jobs.read_dir().is_ok_and(|mut entries| entries.any(|_| true)), "{}", jobs.display());
    assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
}

/// Seconds since 1970.
pub fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970")
}

/// A world on whose login node the files of its jobs are seen late, and the cluster that writes them.
pub fn lagging(disk: LaggingDisk, seconds: u32) -> (World, Delayed, Cluster) {
    let mut world = World::root(disk).build();
    let data = world.data_dir();
    make_dir(&data, 0o700);
    chown(&data, world.user.uid, world.user.gid);
    let delayed = Delayed::over(disk, &data, seconds);
    let cluster = Cluster::build(disk).nodes(1).nodes_see(delayed.real(), delayed.path()).start();
    world.go_to(&cluster);
    (world, delayed, cluster)
}

/// A world whose nodes see late what the login node writes, and their cluster.
pub fn late_node(disk: LaggingDisk, seconds: u32) -> (World, Delayed, Cluster) {
    let mut world = World::root(disk).build();
    let seen_late = world.user.home.join("shared");
    make_dir(&seen_late, 0o700);
    chown(&seen_late, world.user.uid, world.user.gid);
    let delayed = Delayed::over(disk, &seen_late, seconds);
    world.change(|config| config.jobs(|jobs| jobs.data_dir(delayed.real())));
    let cluster = Cluster::build(disk).nodes(1).nodes_see(delayed.path(), delayed.real()).start();
    world.go_to(&cluster);
    (world, delayed, cluster)
}
