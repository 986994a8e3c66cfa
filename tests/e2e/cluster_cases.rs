//! The cluster of the tests by itself: what other tests believe about it.

use std::fs;

use crate::cluster::look::{cmdlines_contain, environments_contain};
use crate::cluster::{Cluster, Delayed};
use crate::world::{World, make_dir, until};
use crate::{Case, slurm, slurm_accounting, slurm_delayed};

pub const CASES: &[Case] = &[
    slurm("a_private_cluster_runs_a_job_and_survives_the_death_of_its_controller", survives),
    slurm("what_a_job_leaves_with_slurm_is_found", leaves),
    slurm("a_node_is_lost_with_all_its_processes", loses),
    slurm("a_world_for_slurm_names_its_cluster", names),
    slurm_delayed("the_nodes_write_what_others_see_late", late),
    slurm_accounting("what_accounting_keeps_of_a_job_is_found", accounted),
];

fn survives() {
    let world = World::new();
    let cluster = Cluster::build().start();
    cluster.reset_rpc_counts();
    let out = world.user.home.join("out");
    let job = cluster.submit(&world.user, &["-J", "two words", "-o", "out"], "date +%s.%N\nexec sleep 600");
    until("the job writes", || fs::metadata(&out).is_ok_and(|meta| meta.len() > 0));
    cluster.until_job(job, "RUNNING");
    assert_eq!(cluster.job(job)["JobName"], "two words");
    assert_eq!(cluster.rpc_counts()["REQUEST_SUBMIT_BATCH_JOB"], 1);
    assert!(cluster.rpc_counts_by_user()[&world.user.name] >= 1);
    let queued = cluster.jobs_of(&world.user.name);
    assert_eq!(queued.iter().map(|job| (job.id, job.name.as_str())).collect::<Vec<_>>(), [(job, "two words")]);

    // What was not yet saved is lost with the controller, as it is anywhere.
    assert!(!cluster.spool_contains(b"two words").is_empty());
    cluster.save_state();
    cluster.kill_controller();
    assert!(!cluster.answers() && cluster.job(job).is_empty());
    cluster.start_controller();
    cluster.until_job(job, "RUNNING");
    assert!(cluster.command("scancel").arg(job.to_string()).status().expect("scancel").success());
    cluster.until_job(job, "CANCELLED");
    cluster.until_no_jobs_of(&world.user.name);
}

fn leaves() {
    let world = World::new();
    let cluster = Cluster::shared();
    let job = cluster.submit(
        &world.user,
        &["-o", "/dev/null"],
        "export SEEN=in-environ; sleep 600 in-cmdline || exec sleep 600",
    );
    until("its command line is there", || !environments_contain(b"SEEN=in-environ").is_empty());
    assert!(
        cluster.spool_contains(b"SEEN=in-environ").iter().any(|path| path.starts_with(cluster.dir().join("state")))
    );
    assert!(cluster.spool_contains(b"never said").is_empty() && cmdlines_contain(b"never said").is_empty());
    assert!(cluster.command("scancel").arg(job.to_string()).status().expect("scancel").success());
    cluster.until_no_jobs_of(&world.user.name);
}

fn loses() {
    let world = World::new();
    let cluster = Cluster::build().nodes(2).start();
    let script = "setsid sleep 601 &\nsleep 602";
    let job = cluster.submit(&world.user, &["--no-requeue", "-w", "n2", "-o", "/dev/null"], script);
    until("all of it runs", || world.processes_of_user().iter().filter(|name| *name == "sleep").count() == 2);
    cluster.kill_node(2);
    assert!(world.processes_of_user().contains(&"sleep".to_owned()));
    cluster.lose_node(2);
    assert_eq!(world.processes_of_user(), Vec::<String>::new());
    cluster.declare_down(2);
    cluster.until_job(job, "NODE_FAIL");
    cluster.start_node(2);
    let job = cluster.submit(&world.user, &["-w", "n2", "-o", "/dev/null"], "true");
    cluster.until_job(job, "COMPLETED");

    // A controller that ends in order forgets nothing.
    cluster.end_controller();
    cluster.start_controller();
    assert_eq!(cluster.job(job)["JobState"], "COMPLETED");
    cluster.stop_controller();
    cluster.continue_controller();
}

fn names() {
    let mut world = World::new();
    let cluster = Cluster::shared();
    world.use_slurm(cluster);
    world.slurm.push_str("unknown_timeout = \"5s\"\n");
    world.write_config();
    let config = fs::read_to_string(world.config_file()).expect("config");
    assert!(config.contains("executor = \"slurm\""), "{config}");
    assert!(config.contains(&format!("[slurm]\nconf = {:?}\nunknown_timeout = \"5s\"\n", cluster.conf())), "{config}");
}

fn late() {
    let world = World::new();
    let data = world.user.home.join("data");
    make_dir(&data, 0o755);
    crate::world::chown(&data, world.user.uid, world.user.gid);
    let delayed = Delayed::over(&data, 3600);
    let cluster = Cluster::build().nodes(1).nodes_see(delayed.real(), delayed.path()).start();
    let out = data.join("out");
    assert!(!out.exists());
    let job = cluster.submit(&world.user, &["-o", out.to_str().expect("UTF-8")], "echo said");
    cluster.until_job(job, "COMPLETED");
    assert_eq!(fs::read_to_string(delayed.real().join("out")).expect("out"), "said\n");
    assert!(!out.exists(), "that there is none is believed for an hour");
}

fn accounted() {
    let world = World::new();
    let cluster = Cluster::shared_with_accounting();
    cluster.add_user(&world.user);
    let args = ["--comment", "in-comment", "--export=KEPT=in-environment", "-o", "/dev/null"];
    let job = cluster.submit(&world.user, &args, "sleep 600 # in-script");
    // The controller sends them in lots, every few seconds.
    for kept in ["in-comment", "in-environment", "in-script"] {
        until(kept, || !cluster.database_contains(kept.as_bytes()).is_empty());
    }
    assert!(cluster.database_contains(b"never said").is_empty());
    assert!(cluster.command("scancel").arg(job.to_string()).status().expect("scancel").success());
    until("the end is in the database", || cluster.sacct(job, "State") == [["CANCELLED by 0"]]);
}
