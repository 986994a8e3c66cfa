//! What a job costs the controller, and what its author is told while it waits.

use std::collections::BTreeMap;

use super::world;
use crate::world::batch::{HELD, order, until_nothing_left};
use crate::world::{Cluster, Running, World, cases, chown, make_dir, until};

cases!(
    fn a_job_of_a_minute_costs_the_controller_a_handful_of_questions(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        // What the cluster was asked until it was up does not count.
        cluster.reset_rpc_counts();
        let script = "echo says-$(echo something); while [ ! -e \"$HOME/go\" ]; do sleep 0.5; done";
        let running = Running::start(&world.simulate().script(script));
        running.until_log("says-something");
        let start = std::time::Instant::now();
        // The one test that lets time pass, since that is what it is about.
        std::thread::sleep(std::time::Duration::from_mins(1));
        world.user_file("go", "");
        let end = running.end();
        end.assert_success();
        let ours = ours(&cluster);
        eprintln!("a job of {} s: {ours:?}", start.elapsed().as_secs());
        assert!(ours.values().sum::<u64>() <= 8, "{ours:?}");
        assert_eq!((ours["REQUEST_SUBMIT_BATCH_JOB"], ours["REQUEST_JOB_WILL_RUN"]), (1, 1), "{ours:?}");
        cluster.until_no_jobs_of(&world.user.name);
    },
    fn a_job_that_waits_tells_each_reason_once(slurm: Slurm) {
        let mut world = world(slurm);
        let cluster = Cluster::shared(slurm);
        // Another account's job, for which this one has to wait.
        let other = World::root(slurm).build();
        let first = cluster.submit(&other.user, &["-o", "/dev/null"], "sleep 600");
        let dependency = format!("--dependency=afterany:{first}");
        world.change(|config| config.slurm(|section| section.defaults([dependency])));
        let running = Running::start(&world.simulate().script("true"));
        let job = running.until_submitted();
        running.until_log("waiting in the queue: Dependency");
        let asked = std::time::Instant::now();
        // The next questions, after 5 and 10 seconds, have the same answer.
        until("it was asked again", || asked.elapsed().as_secs() >= 12);
        order(cluster, "scontrol", &["hold", &job.to_string()]);
        running.until_log("waiting in the queue: JobHeld");
        order(cluster, "scontrol", &["release", &job.to_string()]);
        assert!(cluster.command("scancel").arg(first.to_string()).status().expect("scancel").success());
        let end = running.end();
        end.assert_success();
        let lines: Vec<&str> = end.log.lines().filter(|line| line.contains("waiting in the queue")).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        until_nothing_left(&world, cluster);
        cluster.until_no_jobs_of(&other.user.name);
    },
    fn a_full_cluster_is_told_and_when_the_job_may_start(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).cpus(1).start();
        let world = World::root(slurm).at(&cluster).build();
        let other = World::root(slurm).build();
        let first = cluster.submit(&other.user, &["-o", "/dev/null", "-t", "10"], "sleep 600");
        cluster.until_job(first, "RUNNING");
        let running = Running::start(&world.simulate().script("true"));
        let job = running.until_submitted();
        running.until_log("waiting in the queue: ");
        // Three questions, after 5, 10 and 20 seconds; Slurm plans anew each second meanwhile.
        cluster.reset_rpc_counts();
        let asked = || cluster.rpc_counts().get("REQUEST_JOB_INFO_SINGLE").copied().unwrap_or(0);
        until("it was asked twice more", || asked() >= 2);
        assert!(cluster.command("scancel").arg(first.to_string()).status().expect("scancel").success());
        let end = running.end();
        end.assert_success();
        let told: Vec<&str> = end.log.lines().filter(|line| line.contains("waiting in the queue")).collect();
        eprintln!("job {job}: {told:?}");
        let mut different = told.clone();
        different.dedup();
        assert!(told == different && told.len() <= 3, "{told:?}");
        assert!(told.iter().any(|line| line.contains("Resources; expected to start at 20")), "{told:?}");
        cluster.until_no_jobs_of(&world.user.name);
    },
    fn a_job_that_never_started_in_its_time_is_a_failure_of_the_site_and_not_a_time_out(slurm: Slurm) {
        // Of its own: beside jobs without a limit of time, as other tests have them, Slurm expects a start in many years.
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|slurm| slurm.defaults(HELD)).build();
        let end = world.simulate().option("--job-timeout", "30s").script("echo it-$(echo ran)").run();
        // To the runner its own time-out is another thing, which `retry: when: runner_system_failure` does not try again.
        end.assert_failed("runner_system_failure").assert_not_in_log("it-ran");
        end.assert_log("warning: Slurm expects to start a job like this one in ");
        end.assert_log("but its time in GitLab (timeout: 1m) is over before");
        end.assert_log("the job never started: it was still waiting in the queue");
        let ended = |line: &serde_json::Value| line["event"] == "ended" && line["outcome"] == "never started";
        assert!(world.audit().iter().any(ended), "{:?}", world.audit());
        until_nothing_left(&world, &cluster);
    },
    fn all_nodes_of_a_job_are_named(slurm: Slurm) {
        let world = world(slurm);
        let nodes = |wanted: &str| {
            let job =
                world.simulate().option("--variable", format!("SCHEDULER_PARAMETERS={wanted}")).script("true").run();
            job.assert_success();
            let line =
                job.log.lines().find_map(|line| line.split_once("motmot: runs on ")).map(|(_, nodes)| nodes.to_owned());
            line.unwrap_or_else(|| panic!("{}", job.log))
        };
        assert_eq!(nodes("--nodelist=n[1-2] --nodes=2"), "n[1-2]");
        assert_eq!(nodes("--nodelist=n3"), "n3");
    },
    /// The nodes have something else where the login node has the jobs' directories.
    fn a_job_that_cannot_see_its_directory_is_the_sites_failure(slurm: Slurm) {
        let mut world = World::root(slurm).build();
        let other = world.dir.join("of-the-node");
        make_dir(&other, 0o755);
        chown(&other, world.user.uid, world.user.gid);
        let cluster = Cluster::build(slurm).nodes(1).nodes_see(&other, &world.user.home).start();
        world.go_to(&cluster);
        let end = world.simulate().option("--stage-retry-interval", "10ms").script("echo it-$(echo ran)").run();
        until_nothing_left(&world, &cluster);
        end.assert_failed("runner_system_failure").assert_not_in_log("it-ran");
        end.assert_log("its directory must be on a file system that all nodes share");
    }
);

/// What the nodes and the controller say to each other.
const OWN: [&str; 6] = [
    "MESSAGE_NODE_REGISTRATION_STATUS",
    "MESSAGE_EPILOG_COMPLETE",
    "REQUEST_COMPLETE_BATCH_SCRIPT",
    "REQUEST_STATS_INFO",
    "REQUEST_PING",
    "REQUEST_COMPLETE_PROLOG",
];

fn ours(cluster: &Cluster) -> BTreeMap<String, u64> {
    cluster.rpc_counts().into_iter().filter(|(name, _)| !OWN.contains(&name.as_str())).collect()
}
