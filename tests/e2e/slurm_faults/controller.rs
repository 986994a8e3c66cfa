//! The controller is away, at every moment of a job.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::world::batch::{COUNT, IN_QUEUE, POLITE, assert_nothing_left, let_go, order, release, runs, wait_for};
use crate::world::stage::Stage;
use crate::world::{Cluster, Single, World, cases, until};

cases!(
    fn a_controller_that_dies_while_a_job_waits_costs_nothing(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("{COUNT}; echo done"));
        let id = stage.job();
        stage.until_says("waiting in the queue: ");
        cluster.save_state();
        cluster.kill_controller();
        // It is asked when it is due, and then does not answer.
        stage.until_says("the state of the job is not known; it goes on, and is asked for again");
        cluster.start_controller();
        release(&cluster, id);
        let end = stage.end();
        end.assert_success()
            .assert_log("done")
            .assert_once("the state of the job is not known")
            .assert_once("answers again");
        assert_eq!(runs(&world), 1);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_controller_that_dies_while_a_job_runs_costs_nothing(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        let body = format!("{COUNT}; echo begun; {}; echo first; {}; exit 7", wait_for("go"), wait_for("end"));
        let mut stage = Stage::run(&world, &single, &body);
        let id = stage.job();
        stage.until_says("begun");
        cluster.until_job(id, "RUNNING");
        cluster.save_state();
        cluster.kill_controller();
        // Output needs no controller.
        let_go(&world, "go");
        stage.until_says("first");
        cluster.start_controller();
        let_go(&world, "end");
        stage.end().assert_job(7);
        assert_eq!(runs(&world), 1);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_script_that_ends_while_the_controller_is_away_is_judged_when_it_is_back(slurm: Slurm) {
        for code in [0, 3] {
            let cluster = Cluster::build(slurm).nodes(1).start();
            let world = World::root(slurm).at(&cluster).build();
            let single = Single::new(&world, 5);
            let mut stage =
                Stage::run(&world, &single, &format!("echo begun; {}; echo last; exit {code}", wait_for("end")));
            let id = stage.job();
            stage.until_says("begun");
            stage.until_says("runs on n1");
            cluster.until_job(id, "RUNNING");
            cluster.save_state();
            cluster.kill_controller();
            let_go(&world, "end");
            stage.until_says("last");
            stage.until_says("the state of the job is not known");
            let asked = Instant::now();
            while asked.elapsed() < Duration::from_secs(4) {
                assert!(stage.runs(), "a verdict without the scheduler: {}", stage.log());
                std::thread::sleep(Duration::from_millis(100)); // that nothing happens is seen by waiting only
            }
            cluster.start_controller();
            let end = stage.end();
            if code == 0 {
                end.assert_success()
            } else {
                end.assert_job(code)
            };
            end.assert_once("the state of the job is not known").assert_once("answers again");
            single.clean_up();
            assert_nothing_left(&world, &cluster);
        }
    },
    fn a_job_is_submitted_once_when_the_controller_is_down_at_first(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        cluster.end_controller();
        let mut stage = Stage::run(&world, &single, &format!("{COUNT}; echo done"));
        stage.until_says("it is not known whether the job was submitted; looking for it");
        cluster.start_controller();
        stage.end().assert_success().assert_once("done").assert_once("it is not known whether the job was submitted");
        assert_eq!(runs(&world), 1);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    /// sbatch hangs, and gives up or not: one job, one run.
    fn a_job_is_submitted_once_when_the_controller_hangs_meanwhile(slurm: Slurm) {
        for seconds in [3, 12] {
            let cluster = Cluster::build(slurm).nodes(1).start();
            let world = World::root(slurm).at(&cluster).build();
            let single = Single::new(&world, 5);
            cluster.stop_controller();
            let mut stage =
                Stage::run(&world, &single, &format!("{COUNT}; echo begun; {}; echo done", wait_for("end")));
            if seconds > 10 {
                stage.until_says("it is not known whether the job was submitted; looking for it");
            } else {
                until("sbatch runs", || world.processes_of_user().contains(&"sbatch".to_owned()));
            }
            cluster.continue_controller();
            stage.until_says("begun");
            stage.job();
            let_go(&world, "end");
            stage.end().assert_success().assert_once("done");
            assert_eq!(runs(&world), 1);
            single.clean_up();
            assert_nothing_left(&world, &cluster);
        }
    },
    /// The job has come and gone before anybody looks for it.
    fn a_quick_job_runs_once_when_its_submission_got_no_answer(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        // With this the wrapper would not mind to run it twice.
        let world = World::root(slurm).at(&cluster).slurm(|section| section.requeue(true)).no_tokens().build();
        let single = Single::new(&world, 5);
        cluster.stop_controller();
        let mut stage = Stage::run(&world, &single, &format!("{COUNT}; exit 4"));
        stage.until_says("it is not known whether the job was submitted; looking for it");
        stage.signal(Signal::SIGSTOP);
        cluster.continue_controller();
        until("it has run", || runs(&world) > 0);
        cluster.until_no_jobs_of(&world.user.name);
        stage.signal(Signal::SIGCONT);
        stage.end().assert_job(4).assert_once("submitted as Slurm job 1 ");
        assert!(cluster.job(2).is_empty(), "it is not submitted once more");
        assert_eq!(runs(&world), 1);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_job_that_is_cancelled_while_the_controller_is_down_is_gone_when_it_is_back(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, POLITE);
        let id = stage.job();
        stage.until_says("begun");
        cluster.until_job(id, "RUNNING");
        cluster.save_state();
        cluster.kill_controller();
        stage.signal(Signal::SIGTERM);
        stage.until_says("cannot cancel the job now, trying again");
        cluster.start_controller();
        let end = stage.end();
        end.assert_site().assert_log("trapped");
        cluster.until_no_jobs_of(&world.user.name);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_controller_that_stays_away_makes_the_site_fail(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.unknown_timeout("5s")).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("echo begun; {}", wait_for("end")));
        let id = stage.job();
        stage.until_says("begun");
        stage.until_says("runs on n1");
        cluster.until_job(id, "RUNNING");
        cluster.save_state();
        cluster.kill_controller();
        let end = stage.end();
        end.assert_site().assert_log(&format!("Slurm job {id};")).assert_log("(slurm.unknown_timeout)");
        // What a cleanup cannot do now, a later one does.
        cluster.start_controller();
        single.clean_up();
        cluster.until_no_jobs_of(&world.user.name);
        assert_nothing_left(&world, &cluster);
    },
    /// The controller has lost its state, and with it the job, and says so with all confidence.
    fn a_job_that_the_controller_has_forgotten_is_never_a_success(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.unknown_timeout("10s")).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("echo begun; {}", wait_for("end")));
        stage.job();
        stage.until_says("begun");
        stage.until_says("runs on n1");
        cluster.kill_controller();
        for entry in fs::read_dir(cluster.dir().join("state")).expect("state").flatten() {
            if entry.file_name().to_string_lossy().starts_with("job_state") {
                fs::remove_file(entry.path()).expect("remove");
            }
        }
        cluster.start_controller();
        let end = stage.end();
        assert_ne!(end.code, 0, "{}", end.log);
        end.assert_site();
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    /// Hours forward, and hours back, in the eyes of the stage.
    fn a_clock_that_is_set_while_a_job_runs_changes_nothing(slurm: Slurm) {
        let libraries =
            ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib64/faketime"];
        let library = libraries.iter().map(|dir| Path::new(dir).join("libfaketimeMT.so.1")).find(|path| path.exists());
        let Some(library) = library else {
            eprintln!("no libfaketime here: not tested");
            return;
        };
        let cluster = Cluster::build(slurm).nodes(1).start();
        for (number, jump) in (1..).zip(["+5h", "-5h"]) {
            // The lifetime of a token is a matter of the wall clock; that of a job is not.
            let world =
                World::root(slurm).at(&cluster).slurm(|section| section.unknown_timeout("1h")).no_tokens().build();
            let clock = world.dir.join("clock");
            fs::write(&clock, "+0\n").expect("clock");
            let single = Single::new(&world, number);
            let script = single.script(&format!("echo begun; {}; exit 9", wait_for("end")));
            let mut command = single.stage("run");
            command.arg(script).arg("build_script").env("LD_PRELOAD", &library);
            command
                .env("FAKETIME_TIMESTAMP_FILE", &clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("DONT_FAKE_MONOTONIC", "1");
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            let mut stage = Stage::start(&world, command);
            let id = stage.job();
            stage.until_says("begun");
            stage.until_says("runs on n1");
            cluster.until_job(id, "RUNNING");
            cluster.save_state();
            cluster.kill_controller();
            // While it is asked again and again.
            fs::write(&clock, format!("{jump}\n")).expect("clock");
            let_go(&world, "end");
            stage.until_says("the state of the job is not known");
            cluster.start_controller();
            stage.end().assert_job(9).assert_once("answers again");
            let audit = fs::read_to_string(world.audit_file()).expect("audit");
            let ended = audit.lines().find(|line| line.contains("\"ended\"")).expect("an end");
            let accepted = audit.lines().find(|line| line.contains("\"accepted\"")).expect("a beginning");
            let hour = |line: &str| line.split_once('T').expect("a time").1[..2].to_owned();
            assert_ne!(hour(ended), hour(accepted), "the stage has seen it: {ended}");
            single.clean_up();
            assert_nothing_left(&world, &cluster);
        }
    },
    /// It had to end, and nobody knows why: whatever its script made of that, it was no success.
    fn a_job_that_was_ended_and_then_forgotten_is_never_a_success(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).set("MinJobAge", "2").start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.unknown_timeout("5s")).build();
        for (number, (signal, body)) in (1..).zip([("", POLITE), ("--signal=KILL", "echo begun; sleep 1000")]) {
            let single = Single::new(&world, number);
            let mut stage = Stage::run_bare(&world, &single, body);
            let id = stage.job();
            stage.until_says("begun");
            stage.until_says("runs on n1");
            stage.signal(Signal::SIGSTOP);
            let mut args = vec![id.to_string()];
            if !signal.is_empty() {
                args.extend(["--full".to_owned(), signal.to_owned()]);
            }
            order(&cluster, "scancel", &args.iter().map(String::as_str).collect::<Vec<_>>());
            until("the job is forgotten", || cluster.job(id).is_empty());
            stage.signal(Signal::SIGCONT);
            stage.end().assert_site().assert_log(&format!("Slurm job {id};"));
            single.clean_up();
            assert_nothing_left(&world, &cluster);
        }
    },
    fn a_job_that_was_purged_before_anybody_asked_is_judged_by_its_record(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).set("MinJobAge", "2").start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("echo begun; {}; exit 6", wait_for("end")));
        let id = stage.job();
        stage.until_says("begun");
        stage.until_says("runs on n1");
        stage.signal(Signal::SIGSTOP);
        let_go(&world, "end");
        until("the job is forgotten", || cluster.job(id).is_empty());
        stage.signal(Signal::SIGCONT);
        stage.end().assert_job(6);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    }
);
