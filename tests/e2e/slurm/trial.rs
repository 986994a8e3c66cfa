//! Jobs that Slurm would never start, and how that is known before they are submitted.

use std::time::Duration;

use crate::world::batch::{IN_QUEUE, order};
use crate::world::{Cluster, Running, Simulate, Single, World, cases, make_dir, make_script, until};

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
    /// `sbatch --test-only` promises such a job a start.
    fn a_time_above_the_limit_of_the_partition_is_refused_before_anything_is_submitted(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let wish = |parameters: &str| format!("SCHEDULER_PARAMETERS={parameters}");
        let world = World::root(slurm).at(cluster).build();
        let run = |parameters: &str| world.simulate().option("--variable", wish(parameters)).script("true").run();
        let end = run("--partition=short --time=5");
        end.assert_failed("script_failure").assert_not_in_log("submitted as").assert_log("the job has set --");
        end.assert_log("--time=5 is more than partition short admits (at most 1m; PartitionTimeLimit); a job like this never starts");
        assert!(cluster.jobs_of(&world.user.name).is_empty());
        // Slurm makes it shorter.
        run("--partition=short --time=5 --time-min=1").assert_success();
        run("--partition=short,debug --time=5").assert_success();
        let options = ["--partition=short", "--time=5"];
        let world = World::root(slurm).at(cluster).slurm(|slurm| slurm.defaults(options)).build();
        let end = world.simulate().option("--stage-retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure").assert_log("--time=5 is more than partition short admits");
    },
    fn a_time_that_a_qos_may_admit_above_the_limit_of_the_partition_is_told_and_goes_on(accounting: Accounting) {
        let enforce = ("AccountingStorageEnforce", "limits");
        let cluster = Cluster::build(accounting).accounting().set(enforce.0, enforce.1).nodes(1).start();
        let options = ["--partition=short", "--time=5"];
        let world = World::root(accounting).at(&cluster).slurm(|slurm| slurm.defaults(options)).build();
        cluster.add_user(&world.user);
        let job = || world.simulate().option("--stage-retry-interval", "10ms").script("true");
        let end = job().run();
        end.assert_failed("runner_system_failure")
            .assert_not_in_log("submitted as")
            .assert_log("a job like this never starts");
        cluster.change_accounting(&["add", "qos", "longer", "Flags=PartitionTimeLimit"], "QOS=longer(");
        let running = Running::start(&job());
        running.until_log("unless a plugin of Slurm or a QOS of this site makes an exception; it goes on");
        running.until_log("waiting in the queue: PartitionTimeLimit");
        // This QOS is not the job's.
        let end = running.end();
        end.assert_failed("runner_system_failure").assert_log("the job can never start, and is cancelled; it asks for");
        assert!(cluster.jobs_of(&world.user.name).is_empty());
    },
    /// Slurm gives the reason of the partition that it has looked at last, or of the time that a job would like best.
    fn a_job_that_another_partition_or_a_shorter_time_will_start_is_not_cancelled(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        for options in ["--partition=debug,short --time=5", "--partition=short --time=5 --time-min=1"] {
            // Nobody runs while that one does.
            let mut busy = cluster.command_as(&world.user, "sbatch");
            busy.args(["--parsable", "--exclusive", "--time=1", "--output=/dev/null", "--wrap", "sleep 1000"]);
            let busy = String::from_utf8(busy.output().expect("sbatch").stdout).expect("a number");
            let wish = format!("SCHEDULER_PARAMETERS={options}");
            let running = Running::start(&world.simulate().option("--variable", &wish).script("true"));
            running.until_log("waiting in the queue: ");
            // Longer than it takes to believe that a job never starts.
            let looks = || cluster.rpc_counts().get("REQUEST_JOB_INFO_SINGLE").copied().unwrap_or(0);
            let first = looks();
            until("it has been looked at three times more", || looks() >= first + 3);
            order(&cluster, "scancel", &[busy.trim()]);
            running.end().assert_success();
        }
    },
    /// Of limits that wait for nobody `sbatch --test-only` speaks only where submission refuses them, too.
    fn a_job_above_the_limit_of_one_job_is_refused_or_cancelled_in_the_queue_as_slurm_says(accounting: Accounting) {
        let enforce = ("AccountingStorageEnforce", "limits");
        let cluster = Cluster::build(accounting).accounting().set(enforce.0, enforce.1).nodes(2).start();
        let mut world = World::root(accounting).at(&cluster).build();
        cluster.add_user(&world.user);
        let of_user = format!("name={}", world.user.name);
        cluster.change_accounting(&["modify", "user", &of_user, "set", "MaxNodes=1"], "MaxTRESPJ=node=1");
        let end = on_two_nodes(&world).run();
        end.assert_failed("script_failure").assert_log("waiting in the queue: AssocMaxNodePerJobLimit");
        end.assert_log("the job can never start, and is cancelled: AssocMaxNodePerJobLimit: it asks for more than");
        end.assert_log("the job has set --nodes");
        assert!(cluster.jobs_of(&world.user.name).is_empty());
        // A site that wants it so may change the limit meanwhile.
        world.change(|config| config.slurm(|slurm| slurm.test_only(false)));
        let running = Running::start(&on_two_nodes(&world));
        running.until_log(
            "waiting in the queue: AssocMaxNodePerJobLimit; waiting does not start it: it asks for more than",
        );
        cluster.change_accounting(&["modify", "user", &of_user, "set", "MaxNodes=-1"], "MaxTRESPJ=");
        running.end().assert_success();
        world.change(|config| config.slurm(|slurm| slurm.test_only(true)));
        let deny = ["modify", "qos", "normal", "set", "MaxTRESPerJob=node=1", "Flags=DenyOnLimit"];
        cluster.change_accounting(&deny, "MaxTRESPJ=node=1");
        let end = on_two_nodes(&world).run();
        end.assert_failed("script_failure").assert_not_in_log("submitted as").assert_log("the job has set --nodes");
        end.assert_log("QOSMaxNodePerJobLimit; Job violates accounting/QOS policy");
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
        // A job is prepared once.
        let mut job = 4;
        let bins = world.dir.join("slurm-bin");
        make_dir(&bins, 0o755);
        for name in ["scancel", "scontrol", "squeue", "sinfo"] {
            std::os::unix::fs::symlink(format!("/usr/bin/{name}"), bins.join(name)).expect("a link");
        }
        let mut prepare = |says: &str| {
            job += 1;
            let single = Single::new(&world, job);
            make_script(&bins.join("sbatch"), &format!("#!/bin/bash\n{says}\n"));
            world.write_config_with(|config| config.slurm(|slurm| slurm.bin_dir(bins.as_path())));
            let prepare = single.stage("prepare").output().expect("prepare");
            single.clean_up();
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

fn on_two_nodes(world: &World) -> Simulate<'_> {
    world.simulate().option("--variable", "SCHEDULER_PARAMETERS=--nodes=2").script("true")
}
