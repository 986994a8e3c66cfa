//! Slurm, or somebody else, ends a job or holds it up.

use std::time::Duration;

use crate::world::batch::{COUNT, IN_QUEUE, POLITE, assert_nothing_left, order, runs, wait_for};
use crate::world::stage::Stage;
use crate::world::{Cluster, Single, World, cases};

cases!(
    fn a_time_limit_fails_the_job_even_when_its_script_answers_with_success(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world =
            World::root(slurm).at(cluster).slurm(|section| section.defaults(["--partition=short", "--time=1"])).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run_bare(&world, &single, POLITE);
        let id = stage.job();
        stage.until_says("begun");
        let end = stage.end_within(Duration::from_mins(3));
        assert_eq!(end.code, 1, "{}", end.log);
        end.assert_log("trapped").assert_log("ask for more with --time").assert_log(&format!("Slurm job {id};"));
        assert!(end.script.is_some_and(|code| code != "0"));
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_job_that_somebody_cancels_has_failed(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run_bare(&world, &single, POLITE);
        let id = stage.job();
        stage.until_says("begun");
        order(cluster, "scancel", &[&id.to_string()]);
        let end = stage.end();
        assert_eq!(end.code, 1, "{}", end.log);
        end.assert_log("trapped").assert_log("cancelled the job").assert_log(&format!("Slurm job {id};"));
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_job_that_somebody_cancels_in_the_queue_has_failed_though_its_exit_code_is_zero(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, COUNT);
        let id = stage.job();
        order(cluster, "scancel", &[&id.to_string()]);
        let end = stage.end();
        end.assert_job(1).assert_log("cancelled the job").assert_log(&format!("Slurm job {id};"));
        assert_eq!(cluster.job(id)["ExitCode"], "0:0");
        assert_eq!(runs(&world), 0);
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_job_whose_processes_somebody_kills_has_failed(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, "echo begun; while :; do sleep 0.1 || :; done");
        let id = stage.job();
        stage.until_says("begun");
        // All of the job, so that even the wrapper says nothing any more.
        order(cluster, "scancel", &["--full", "--signal=KILL", &id.to_string()]);
        let end = stage.end();
        assert_ne!(end.code, 0, "{}", end.log);
        end.assert_log(&format!("Slurm job {id};"));
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_job_that_must_make_way_is_a_failure_of_the_site(slurm: Slurm) {
        let cluster = Cluster::build(slurm)
            .nodes(1)
            .set("PreemptType", "preempt/partition_prio")
            .set("PreemptMode", "CANCEL")
            .line("PartitionName=poor PriorityTier=1 PreemptMode=CANCEL")
            .line("PartitionName=rich PriorityTier=100")
            .start();
        let world = World::root(slurm)
            .at(&cluster)
            .slurm(|section| section.defaults(["--partition=poor", "--exclusive"]))
            .build();
        let single = Single::new(&world, 5);
        // A script that answers with success has not done its work either.
        let mut stage = Stage::run_bare(&world, &single, POLITE);
        let id = stage.job();
        stage.until_says("begun");
        let other = cluster.submit(&world.user, &["-p", "rich", "--exclusive", "-o", "/dev/null"], "true");
        let end = stage.end();
        end.assert_site().assert_log("make way").assert_log(&format!("Slurm job {id};"));
        cluster.until_job(other, "COMPLETED");
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_job_that_cannot_meet_its_deadline_has_failed(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let cluster = &cluster;
        let world =
            World::root(slurm).at(cluster).slurm(|section| section.defaults(["--exclusive", "--time=1"])).build();
        let other = cluster.submit(&world.user, &["--exclusive", "-o", "/dev/null"], "sleep 1000");
        cluster.until_job(other, "RUNNING");
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, COUNT);
        let id = stage.job();
        // In a minute and a second it can run for a minute; some seconds later it cannot any more.
        order(cluster, "scontrol", &["update", &format!("JobId={id}"), "Deadline=now+62seconds"]);
        let end = stage.end_within(Duration::from_mins(3));
        end.assert_job(1).assert_log("deadline").assert_log(&format!("Slurm job {id};"));
        assert_eq!(runs(&world), 0);
        order(cluster, "scancel", &[&other.to_string()]);
        cluster.until_no_jobs_of(&world.user.name);
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_job_that_is_held_is_waited_for(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(["--partition=closed"])).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("{COUNT}; echo done"));
        let id = stage.job().to_string();
        order(cluster, "scontrol", &["hold", &id]);
        stage.until_says("waiting in the queue: JobHeldAdmin");
        order(cluster, "scontrol", &["update", &format!("JobId={id}"), "Partition=debug"]);
        order(cluster, "scontrol", &["release", &id]);
        stage.end().assert_success().assert_log("done").assert_once("waiting in the queue: JobHeldAdmin");
        assert_eq!(runs(&world), 1);
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_partition_that_is_down_is_waited_for(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        order(&cluster, "scontrol", &["update", "PartitionName=debug", "State=DOWN"]);
        let mut stage = Stage::run(&world, &single, "echo done");
        stage.until_says("waiting in the queue: PartitionDown");
        order(&cluster, "scontrol", &["update", "PartitionName=debug", "State=UP"]);
        stage.end().assert_success().assert_log("done");
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_script_is_not_run_twice_by_a_requeue(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        for (number, trap) in (1..).zip(["exit 1", "exit 0", ""]) {
            let single = Single::new(&world, number);
            let body = format!("{COUNT}; trap '{trap}' TERM; echo begun; while :; do sleep 0.1 || :; done");
            let mut stage = Stage::run_bare(&world, &single, &body);
            let id = stage.job().to_string();
            stage.until_says("begun");
            order(&cluster, "scontrol", &["update", &format!("JobId={id}"), "Requeue=1"]);
            order(&cluster, "scontrol", &["requeue", &id]);
            let end = stage.end();
            end.assert_site().assert_log("a script is not run twice unless slurm.requeue = true");
            cluster.until_no_jobs_of(&world.user.name);
            single.clean_up();
            assert_eq!(runs(&world), usize::try_from(number).expect("a small number"));
            assert_nothing_left(&world, &cluster);
        }
    },
    /// A job for several scripts comes back when one of them is done: that one stays done.
    fn a_job_for_several_stages_that_is_requeued_between_them_repeats_none(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.allocation("job").requeue(true)).build();
        let single = Single::new(&world, 5);
        let mut prepare = Stage::start(&world, single.stage("prepare"));
        let id = prepare.job();
        prepare.end().assert_success();
        Stage::run(&world, &single, &format!("{COUNT}; echo first")).end().assert_success().assert_log("first");
        order(&cluster, "scontrol", &["requeue", &id.to_string()]);
        cluster.until_job(id, "PENDING");
        // Not in the same second: Slurm takes the credential of the second start for that of the first, which it has revoked.
        order(&cluster, "scontrol", &["update", &format!("JobId={id}"), "StartTime=now+2"]);
        cluster.until_job(id, "RUNNING");
        let end = Stage::run_as(&world, &single, "step_two", "echo \"second $SLURM_RESTART_COUNT\"").end();
        end.assert_success().assert_once("second 1");
        assert_eq!(runs(&world), 1);
        single.clean_up();
        cluster.until_no_jobs_of(&world.user.name);
        assert_nothing_left(&world, &cluster);
    },
    /// What prepare has allocated goes away between two stages.
    fn a_job_for_several_stages_that_is_cancelled_between_them_fails_the_next(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.allocation("job")).build();
        let single = Single::new(&world, 5);
        let mut prepare = Stage::start(&world, single.stage("prepare"));
        let id = prepare.job();
        prepare.end().assert_success();
        Stage::run(&world, &single, "echo first").end().assert_success().assert_log("first");
        order(cluster, "scancel", &[&id.to_string()]);
        let end = Stage::run_as(&world, &single, "step_two", COUNT).end();
        assert_ne!(end.code, 0, "{}", end.log);
        end.assert_log("cancelled the job").assert_log(&format!("Slurm job {id};"));
        assert_eq!(runs(&world), 0);
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn with_leave_a_script_is_run_again_after_a_requeue_with_a_fresh_token(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.requeue(true)).build();
        let single = Single::new(&world, 5);
        let body = format!(
            "{COUNT}; cat \"$CI_JOB_JWT_FILE\" >> \"$HOME/tokens\"; echo >> \"$HOME/tokens\"; echo start-$SLURM_RESTART_COUNT.; [ \"${{SLURM_RESTART_COUNT:-0}}\" != 0 ] || {{ {}; }}; echo last",
            wait_for("end")
        );
        let mut stage = Stage::run(&world, &single, &body);
        let id = stage.job();
        stage.until_says("start-.");
        order(&cluster, "scontrol", &["requeue", &id.to_string()]);
        // Slurm lets it wait for two minutes, for whatever was wrong to pass.
        cluster.until_job(id, "PENDING");
        // Not in the same second: Slurm takes the credential of the second start for that of the first, which it has revoked.
        order(&cluster, "scontrol", &["update", &format!("JobId={id}"), "StartTime=now+2"]);
        let end = stage.end_within(Duration::from_mins(3));
        end.assert_success().assert_once("start-.").assert_once("start-1.").assert_once("last");
        end.assert_log("starts the job once more (restart 1)");
        assert_eq!(runs(&world), 2);
        let tokens = std::fs::read_to_string(world.user.home.join("tokens")).expect("tokens");
        let tokens: Vec<&str> = tokens.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(tokens.len(), 2, "each start has one: {tokens:?}");
        assert_ne!(tokens[0], tokens[1]);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    }
);
