//! Nodes and their daemons die, and so does our own worker.

use nix::sys::signal::Signal;

use crate::world::batch::{COUNT, assert_nothing_left, let_go, runs, wait_for};
use crate::world::stage::{Stage, worker_of};
use crate::world::{Cluster, Single, World, cases};

cases!(
    fn a_job_survives_the_daemon_of_its_node(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        let mut stage =
            Stage::run(&world, &single, &format!("{COUNT}; echo begun; {}; echo last; exit 8", wait_for("end")));
        stage.until_says("begun");
        cluster.kill_node(1);
        let_go(&world, "end");
        stage.until_says("last");
        cluster.start_node(1);
        stage.end().assert_job(8);
        assert_eq!(runs(&world), 1);
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_lost_node_is_a_failure_of_the_site(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(2).start();
        let world = World::root(slurm).at(&cluster).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("{COUNT}; echo begun; {}", wait_for("end")));
        let id = stage.job();
        stage.until_says("begun");
        stage.until_says("runs on n1");
        cluster.lose_node(1);
        cluster.declare_down(1);
        let end = stage.end();
        end.assert_site().assert_log("a node of the job failed").assert_log(&format!("Slurm job {id};"));
        assert_eq!(runs(&world), 1, "not on the other node either");
        single.clean_up();
        assert_nothing_left(&world, &cluster);
    },
    fn a_worker_that_is_killed_fails_the_stage_and_leaves_its_job_to_cleanup(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("echo begun; {}", wait_for("end")));
        stage.until_says("begun");
        let worker = worker_of(&world).expect("a worker");
        let _ = nix::sys::signal::kill(worker, Signal::SIGKILL);
        stage.end().assert_site();
        single.clean_up();
        cluster.until_no_jobs_of(&world.user.name);
        assert_nothing_left(&world, cluster);
    }
);
