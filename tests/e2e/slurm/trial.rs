//! Jobs that Slurm would never start, and how that is known before they are submitted.

use std::time::Duration;

use crate::world::batch::{IN_QUEUE, order};
use crate::world::{Cluster, Running, Single, World, cases, make_dir, make_script};

cases!(
    fn a_job_for_more_nodes_than_there_are_is_refused_before_its_sources_are_fetched(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let end = world.simulate().option("--variable", "SCHEDULER_PARAMETERS=--nodes=9").script("true").run();
        end.assert_failed("script_failure").assert_not_in_log("submitted as");
        end.assert_log("Requested node configuration is not available; a job like this never starts here")
            .assert_log("the job has set --nodes");
        assert!(cluster.jobs_of(&world.user.name).is_empty());
        let world = World::root(slurm).at(cluster).slurm(|slurm| slurm.defaults(["--constraint=nosuch"])).build();
        let end = world.simulate().option("--stage-retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure").assert_log("Invalid feature specification");
    },
    fn a_job_for_nodes_that_are_down_today_waits_for_them(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(2).start();
        let world = World::root(slurm).at(&cluster).slurm(|slurm| slurm.defaults(["--nodes=2"])).build();
        cluster.declare_down(2);
        let running = Running::start(&world.simulate().script("true"));
        running.until_log("and perhaps never: Requested node configuration is not available; it goes on");
        running.until_submitted();
        order(&cluster, "scontrol", &["update", "NodeName=n2", "State=RESUME"]);
        running.end().assert_success();
    },
    fn an_account_that_slurm_does_not_know_is_told_in_prepare(accounting: Accounting) {
        let enforce = ("AccountingStorageEnforce", "associations");
        let cluster = Cluster::build(accounting).accounting().set(enforce.0, enforce.1).nodes(1).start();
        let world = World::root(accounting).at(&cluster).build();
        let job = || world.simulate().option("--stage-retry-interval", "10ms").script("true").run();
        let end = job();
        end.assert_failed("runner_system_failure").assert_not_in_log("submitted as");
        end.assert_log("Invalid account or account/partition combination specified; a job like this never starts");
        cluster.add_user(&world.user);
        job().assert_success();
    },
    fn a_site_that_does_not_want_jobs_to_be_tried_submits_them_as_they_are(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster);
        let world = world.slurm(|slurm| slurm.test_only(false).defaults(["--nodes=9"])).build();
        let running = Running::start(&world.simulate().script("true"));
        let job = running.until_submitted();
        running.until_log("waiting in the queue: ");
        order(cluster, "scancel", &[&job.to_string()]);
        running.end().assert_failed("script_failure");
    },
    fn a_forged_answer_about_a_job_is_plain_text_of_some_length(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 5);
        let bins = world.dir.join("slurm-bin");
        make_dir(&bins, 0o755);
        for name in ["scancel", "scontrol", "squeue", "sinfo"] {
            std::os::unix::fs::symlink(format!("/usr/bin/{name}"), bins.join(name)).expect("a link");
        }
        let prepare = |says: &str| {
            make_script(&bins.join("sbatch"), &format!("#!/bin/bash\n{says}\n"));
            world.write_config_with(|config| config.slurm(|slurm| slurm.bin_dir(bins.as_path())));
            let prepare = single.stage("prepare").output().expect("prepare");
            (prepare.status.code(), String::from_utf8_lossy(&prepare.stderr).into_owned())
        };
        let forged = r"printf 'Invalid qos specification\rmotmot: all is well \e[2J%s' $(head -c 100000 /dev/zero | tr '\0' x) >&2; exit 1";
        let (code, said) = prepare(forged);
        assert!(code == Some(2) && said.contains("a job like this never starts here"), "{code:?} {said}");
        assert!(said.len() < 2000 && !said.contains(['\r', '\u{1b}']), "{} {said:?}", said.len());
        let (code, said) = prepare("echo 'Job 1 to start at 99999999999999999999 using' >&2");
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = prepare("yes");
        assert!(code == Some(0) && said.contains("it goes on"), "{said}");
        single.clean_up();
    },
    fn a_job_is_not_refused_by_a_controller_that_does_not_answer(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|slurm| slurm.defaults(IN_QUEUE)).build();
        let single = Single::new(&world, 5);
        cluster.stop_controller();
        let start = std::time::Instant::now();
        let prepare = single.stage("prepare").output().expect("prepare");
        let said = String::from_utf8_lossy(&prepare.stderr).into_owned();
        assert!(prepare.status.success() && said.contains("whether it can start a job like this one"), "{said}");
        assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
        cluster.continue_controller();
        single.clean_up();
    }
);
