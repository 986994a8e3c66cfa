//! A job is cancelled, or its stage dies, at any instant.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};

use crate::world::batch::{IN_QUEUE, POLITE, assert_nothing_left, runs, wait_for};
use crate::world::stage::{Stage, worker_of};
use crate::world::{Cluster, Single, World, cases, until};

cases!(
    fn a_stage_that_is_terminated_at_any_instant_leaves_no_job(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for (way, defaults) in (1..).zip(WAYS) {
            let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(defaults)).build();
            for (number, delay) in (way * 100..).zip(INSTANTS) {
                let single = Single::new(&world, number);
                let stage = Stage::run_bare(&world, &single, POLITE);
                std::thread::sleep(Duration::from_millis(delay)); // the instant is what is tested
                stage.signal(Signal::SIGTERM);
                let end = stage.end();
                assert_ne!(end.code, 0, "after {delay} ms: {}", end.log);
                assert_eq!(
                    end.log.contains("begun"),
                    end.log.contains("trapped"),
                    "a script that runs is told, and its last words are shown, after {delay} ms: {}",
                    end.log
                );
                // The stage itself has seen to it, before cleanup.
                let jobs = cluster.jobs_of(&world.user.name);
                assert!(jobs.iter().all(|job| job.state == "COMPLETING"), "after {delay} ms: {jobs:?}\n{}", end.log);
                single.clean_up();
                assert_nothing_left(&world, cluster);
            }
            settle(cluster, &world);
        }
    },
    fn a_stage_that_is_terminated_while_its_submission_hangs_leaves_no_job(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        for number in 1..3 {
            let single = Single::new(&world, number);
            cluster.stop_controller();
            let mut stage = Stage::run_bare(&world, &single, POLITE);
            until("sbatch runs", || world.processes_of_user().contains(&"sbatch".to_owned()));
            stage.signal(Signal::SIGTERM);
            if number == 2 {
                stage.until_says("whether the job is gone is not known");
            }
            cluster.continue_controller();
            let end = stage.end();
            assert_ne!(end.code, 0, "{}", end.log);
            assert_eq!(end.log.contains("begun"), end.log.contains("trapped"), "{}", end.log);
            let jobs = cluster.jobs_of(&world.user.name);
            assert!(jobs.iter().all(|job| job.state == "COMPLETING"), "{jobs:?}\n{}", end.log);
            single.clean_up();
            assert_nothing_left(&world, &cluster);
            settle(&cluster, &world);
        }
    },
    fn a_stage_that_is_terminated_while_it_waits_for_its_turn_submits_nothing(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 1);
        // As if a thousand others had come before.
        let turn =
            clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).expect("a clock") + Duration::from_secs(10);
        std::fs::write(
            world.sessions().with_file_name("pace"),
            vec![format!("{:020}", turn.as_nanos()); 4].join(" ") + "\n",
        )
        .expect("turns");
        let stage = Stage::run_bare(&world, &single, POLITE);
        let jobs = world.sessions().join(&single.session).join("jobs");
        let is_remembered = || {
            let mut entries = jobs.read_dir().into_iter().flatten().flatten();
            entries.any(|entry| entry.file_name().to_string_lossy().starts_with("motmot-"))
        };
        until("the submission waits for its turn", is_remembered);
        stage.signal(Signal::SIGTERM);
        let end = stage.end();
        assert_ne!(end.code, 0, "{}", end.log);
        assert!(end.log.contains("ended on request"), "{}", end.log);
        assert!(!end.log.contains("submitted as"), "{}", end.log);
        assert!(!is_remembered(), "there is nothing that cleanup would have to look for");
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_stage_that_is_terminated_in_a_job_of_several_ends_its_script_only(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        // A first word that comes before the script has begun is not heard by it; the second one is.
        let world = World::root(slurm)
            .at(cluster)
            .slurm(|section| section.allocation("job"))
            .jobs(|jobs| jobs.kill_timeout("5s"))
            .build();
        let single = Single::new(&world, 1);
        let mut prepare = Stage::start(&world, single.stage("prepare"));
        let id = prepare.job();
        prepare.end().assert_success();
        cluster.until_job(id, "RUNNING");
        for delay in [0, 20, 80, 150, 300, 600, 1200, 2500] {
            let stage = Stage::run_bare(&world, &single, POLITE);
            std::thread::sleep(Duration::from_millis(delay)); // the instant is what is tested
            stage.signal(Signal::SIGTERM);
            let end = stage.end();
            assert_ne!(end.code, 0, "after {delay} ms: {}", end.log);
            assert_eq!(end.log.contains("begun"), end.log.contains("trapped"), "after {delay} ms: {}", end.log);
        }
        // The runner may have more to run in it.
        Stage::run(&world, &single, "echo goes on").end().assert_success().assert_log("goes on");
        assert_eq!(cluster.job(id)["JobState"], "RUNNING");
        single.clean_up();
        cluster.until_no_jobs_of(&world.user.name);
        assert_nothing_left(&world, cluster);
    },
    fn a_stage_that_is_terminated_while_the_job_of_several_waits_ends_soon(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world =
            World::root(slurm).at(cluster).slurm(|section| section.allocation("job").defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 1);
        let mut prepare = Stage::start(&world, single.stage("prepare"));
        let id = prepare.job();
        prepare.end().assert_success();
        let mut stage = Stage::run(&world, &single, POLITE);
        stage.until_says("waiting in the queue");
        stage.signal(Signal::SIGTERM);
        let end = stage.end_within(Duration::from_secs(30));
        assert_ne!(end.code, 0, "{}", end.log);
        single.clean_up();
        assert_eq!(cluster.job(id)["JobState"], "CANCELLED");
        assert_nothing_left(&world, cluster);
    },
    fn a_stage_that_is_killed_at_any_instant_leaves_no_job(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for (way, defaults) in (1..).zip(WAYS) {
            let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(defaults)).build();
            for (number, delay) in (way * 100..).zip(INSTANTS) {
                let single = Single::new(&world, number);
                let stage = Stage::run(&world, &single, POLITE);
                std::thread::sleep(Duration::from_millis(delay)); // the instant is what is tested
                stage.signal(Signal::SIGKILL);
                stage.end();
                // The worker sees to it alone: nobody may ever call cleanup.
                if number % 2 == 0 {
                    until("the worker is gone", || worker_of(&world).is_none());
                    let jobs = cluster.jobs_of(&world.user.name);
                    assert!(jobs.iter().all(|job| job.state == "COMPLETING"), "after {delay} ms: {jobs:?}");
                }
                single.clean_up();
                assert_nothing_left(&world, cluster);
            }
            settle(cluster, &world);
        }
    },
    fn a_stage_that_is_killed_together_with_its_worker_leaves_no_job_behind_cleanup(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for (way, defaults) in (1..).zip(WAYS) {
            let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(defaults)).build();
            for (number, delay) in (way * 100..).zip(INSTANTS) {
                let single = Single::new(&world, number);
                let stage = Stage::run(&world, &single, POLITE);
                std::thread::sleep(Duration::from_millis(delay)); // the instant is what is tested
                let worker = worker_of(&world);
                // The worker first: it would act on the end of the stage.
                if let Some(worker) = worker {
                    let _ = kill(worker, Signal::SIGKILL);
                }
                stage.signal(Signal::SIGKILL);
                stage.end();
                single.clean_up();
                assert_nothing_left(&world, cluster);
            }
            settle(cluster, &world);
        }
    },
    /// The controller has the submission in its ears, but says nothing; everybody who knows of it is killed.
    fn a_killed_submission_that_the_controller_still_takes_is_found_by_cleanup(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 5);
        cluster.stop_controller();
        let stage = Stage::run(&world, &single, POLITE);
        until("sbatch runs", || world.processes_of_user().contains(&"sbatch".to_owned()));
        let asked = || {
            let output = Command::new("pgrep").args(["-U", &world.user.uid.to_string(), "-x", "sbatch"]).output();
            let pid = String::from_utf8_lossy(&output.expect("pgrep").stdout).trim().to_owned();
            std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|wait| wait.contains("poll"))
        };
        until("sbatch waits for an answer", asked);
        let worker = worker_of(&world).expect("a worker");
        let _ = kill(worker, Signal::SIGKILL);
        stage.signal(Signal::SIGKILL);
        stage.end();
        let cleaning = Stage::start(&world, single.stage("cleanup"));
        until("sbatch is ended", || !world.processes_of_user().contains(&"sbatch".to_owned()));
        cluster.continue_controller();
        let end = cleaning.end();
        assert_eq!(end.code, 0, "{}", end.log);
        settle(&cluster, &world);
        // It was taken, long after all who wanted it were gone.
        assert_eq!(cluster.job(1)["JobState"], "CANCELLED");
        assert_nothing_left(&world, &cluster);
        assert_eq!(runs(&world), 0);
    },
    fn cleanups_of_a_batch_job_can_run_twice_and_beside_each_other(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for (number, defaults) in (1..).zip(WAYS) {
            let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(defaults)).build();
            let single = Single::new(&world, number);
            let mut stage = Stage::run(&world, &single, POLITE);
            let id = stage.job();
            if defaults.is_empty() {
                stage.until_says("begun");
            }
            if let Some(worker) = worker_of(&world) {
                let _ = kill(worker, Signal::SIGKILL);
            }
            stage.signal(Signal::SIGKILL);
            stage.end();
            let start =
                || single.stage("cleanup").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("cleanup");
            let beside: Vec<_> = (0..3).map(|_| start()).collect();
            for child in beside {
                let output = child.wait_with_output().expect("cleanup");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            single.clean_up();
            assert_nothing_left(&world, cluster);
            if !defaults.is_empty() {
                assert_eq!(cluster.job(id)["JobState"], "CANCELLED");
            }
            cluster.until_no_jobs_of(&world.user.name);
        }
    },
    fn a_prepare_stage_that_is_killed_at_any_instant_leaves_no_allocation(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for (way, defaults) in (1..).zip(WAYS) {
            let world =
                World::root(slurm).at(cluster).slurm(|section| section.allocation("job").defaults(defaults)).build();
            for (number, delay) in (way * 100..).zip(INSTANTS) {
                let single = Single::new(&world, number);
                let stage = Stage::start(&world, single.stage("prepare"));
                std::thread::sleep(Duration::from_millis(delay)); // the instant is what is tested
                stage.signal(Signal::SIGKILL);
                stage.end();
                single.clean_up();
                assert_nothing_left(&world, cluster);
            }
            settle(cluster, &world);
        }
    },
    fn a_cleanup_that_cannot_reach_the_controller_leaves_the_job_to_the_next_one(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, POLITE);
        let id = stage.job();
        if let Some(worker) = worker_of(&world) {
            let _ = kill(worker, Signal::SIGKILL);
        }
        stage.signal(Signal::SIGKILL);
        stage.end();
        cluster.save_state();
        cluster.kill_controller();
        let mut cleaning = Stage::start(&world, single.stage("cleanup"));
        cleaning.until_says("whether the job is gone is not known");
        // The runner does not wait for ever.
        cleaning.signal(Signal::SIGTERM);
        let end = cleaning.end();
        assert_ne!(end.code, 0, "{}", end.log);
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 1, "what is left to do is still known");
        cluster.start_controller();
        single.clean_up();
        assert_eq!(cluster.job(id)["JobState"], "CANCELLED");
        assert_nothing_left(&world, &cluster);
    },
    fn the_next_cleanup_cancels_the_batch_job_of_a_crashed_host(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &wait_for("end"));
        let id = stage.job();
        if let Some(worker) = worker_of(&world) {
            let _ = kill(worker, Signal::SIGKILL);
        }
        stage.signal(Signal::SIGKILL);
        stage.end();
        // The machine has started anew since.
        let record = world.sessions().join(&single.session).join("session.json");
        let text = std::fs::read_to_string(&record).expect("record");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["tree"] = "mnt:[1] 00000000-0000-0000-0000-000000000000".into();
        std::fs::write(&record, json.to_string()).expect("write");
        assert_eq!(cluster.jobs_of(&world.user.name).len(), 1);
        let next = Single::new(&world, 6);
        next.clean_up();
        cluster.until_no_jobs_of(&world.user.name);
        assert_eq!(cluster.job(id)["JobState"], "CANCELLED");
        assert_nothing_left(&world, cluster);
    }
);

/// From before a stage has read its configuration until its script runs.
const INSTANTS: [u64; 11] = [0, 5, 10, 20, 40, 80, 150, 300, 600, 1200, 2500];
/// Jobs that start, and jobs that wait for ever.
const WAYS: [&[&str]; 2] = [&[], &IN_QUEUE];

/// Jobs of a cluster start in an instant, so what still comes has come when this one is through.
fn settle(cluster: &Cluster, world: &World) {
    let job = cluster.submit(&world.user, &["-o", "/dev/null"], "true");
    cluster.until_job(job, "COMPLETED");
    cluster.until_no_jobs_of(&world.user.name);
}
