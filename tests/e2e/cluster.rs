//! The cluster of the tests by itself: what other tests believe about it.

use std::fs;

use crate::world::cluster::look::{cmdlines_contain, environments_contain};
use crate::world::{Cluster, Delayed, World, cases, chown, make_dir, until};

cases!(
    fn a_private_cluster_runs_a_job_and_survives_the_death_of_its_controller(slurm: Slurm) {
        let world = World::root(slurm).build();
        let cluster = Cluster::build(slurm).start();
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
    },
    fn what_a_job_leaves_with_slurm_is_found(slurm: Slurm) {
        let world = World::root(slurm).build();
        let cluster = Cluster::shared(slurm);
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
    },
    fn a_node_is_lost_with_all_its_processes(slurm: Slurm) {
        let world = World::root(slurm).build();
        let cluster = Cluster::build(slurm).nodes(2).start();
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
    },
    fn a_world_for_slurm_names_its_cluster(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.unknown_timeout("5s")).build();
        let config = fs::read_to_string(world.config_file()).expect("config");
        assert!(config.contains("executor = \"slurm\""), "{config}");
        assert!(
            config.contains(&format!("[slurm]\nconf = {:?}\nunknown_timeout = \"5s\"\n", cluster.conf())),
            "{config}"
        );
    },
    fn the_nodes_write_what_others_see_late(disk: LaggingDisk) {
        let world = World::root(disk).build();
        let data = world.user.home.join("data");
        make_dir(&data, 0o755);
        chown(&data, world.user.uid, world.user.gid);
        let delayed = Delayed::over(disk, &data, 3600);
        let cluster = Cluster::build(disk).nodes(1).nodes_see(delayed.real(), delayed.path()).start();
        let out = data.join("out");
        assert!(!out.exists());
        let job = cluster.submit(&world.user, &["-o", out.to_str().expect("UTF-8")], "echo said");
        cluster.until_job(job, "COMPLETED");
        assert_eq!(fs::read_to_string(delayed.real().join("out")).expect("out"), "said\n");
        assert!(!out.exists(), "that there is none is believed for an hour");
    },
    fn what_accounting_keeps_of_a_job_is_found(accounting: Accounting) {
        let world = World::root(accounting).build();
        let cluster = Cluster::shared_with_accounting(accounting);
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
);
