//! Slurm under each kind of runner: root, one user's own, and one with capabilities.

use serde_json::json;

use crate::cluster::Cluster;
use crate::world::World;
use crate::{Case, slurm, slurm_accounting};

pub const CASES: &[Case] = &[
    slurm("a_runner_with_capabilities_submits_asks_and_cleans_up", capabilities),
    slurm("a_site_that_wants_no_new_privileges_gets_that_on_the_nodes_too", privileges),
    slurm("the_limits_of_the_runners_service_are_not_those_of_the_job", limits),
    slurm_accounting("nothing_secret_is_in_the_database_of_accounting", archive),
    slurm_accounting("who_cancelled_a_job_is_told_where_slurm_keeps_that", canceller),
    slurm("one_users_own_runner_submits_asks_and_cleans_up", one_user),
];

fn capabilities() {
    works(World::with_capabilities());
}

fn one_user() {
    works(World::one_user());
}

fn works(mut world: World) {
    let cluster = Cluster::shared();
    world.use_slurm(cluster);
    world.slurm = "defaults = [\"--time=5\", \"--account=astro\"]\n".into();
    let end = world
        .simulate()
        .script("echo who=$(id -un) job=$SLURM_JOB_ID")
        .script("cp \"$CI_JOB_JWT_FILE\" ../token; exit 9")
        .option("--after-script", "echo token=$(cat ../token | cut -d. -f2); rm -f ../token")
        .run();
    end.assert_failed("script_failure");
    assert_eq!(end.json["exit_code"], 9, "{}", end.log);
    let (who, job) = end.value("who").split_once(" job=").expect("both");
    assert_eq!(who, world.user.name);
    let claims = end.value("token");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    let hpc = &claims["hpc"];
    assert_eq!(hpc["scheduler"], "slurm");
    assert_eq!((&hpc["job_id"], &hpc["account"], &hpc["partition"]), (&json!(job), &json!("astro"), &json!("debug")));
    cluster.until_no_jobs_of(&world.user.name);
    assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    assert_eq!(world.data_dir().join("jobs").read_dir().expect("jobs").count(), 0);
}

fn privileges() {
    let mut world = World::new();
    world.use_slurm(Cluster::shared());
    world.jobs.push_str("no_new_privs = true\n");
    let end = world.simulate().script("grep NoNewPrivs /proc/self/status | sed 's/:\\s*/=/'").run();
    end.assert_success();
    assert_eq!(end.value("NoNewPrivs"), "1");
}

fn limits() {
    let mut world = World::new();
    world.use_slurm(Cluster::shared());
    world.write_config();
    let single = crate::contract::Single::new(&world, 5);
    let script = single.script("echo core=$(ulimit -c) files=$(ulimit -n)");
    let stage = single.stage("run");
    // As a service manager starts a runner.
    let mut limited = std::process::Command::new("prlimit");
    limited.args(["--nofile=300:300", "--"]).arg(stage.get_program()).args(stage.get_args());
    limited.envs(stage.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    let output = limited.arg(&script).arg("build_script").output().expect("run");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && log.contains("files=") && !log.contains("files=300"), "{log}");
    assert!(single.stage("cleanup").status().expect("cleanup").success());
}

fn canceller() {
    let mut world = World::new();
    let cluster = Cluster::shared_with_accounting();
    cluster.add_user(&world.user);
    world.use_slurm(cluster);
    let by_root = world.simulate().script("touch \"$HOME/started\"; sleep 1000").command();
    let (mut command, log, runner_log) = by_root;
    let child = command.spawn().expect("a job");
    crate::world::until("the script runs", || world.user.home.join("started").exists());
    let id = cluster.jobs_of(&world.user.name).remove(0).id.to_string();
    assert!(cluster.command("scancel").arg(&id).status().expect("scancel").success());
    let end = crate::world::JobEnd::read(&child.wait_with_output().expect("the end"), &log, &runner_log);
    end.assert_failed("runner_system_failure").assert_log("the job was cancelled by uid 0, who is not its owner");
    let end = world.simulate().script("scancel $SLURM_JOB_ID; sleep 1000").run();
    end.assert_failed("script_failure").assert_log("the job was cancelled by its own account");
}

fn archive() {
    let mut world = World::new();
    let cluster = Cluster::shared_with_accounting();
    cluster.add_user(&world.user);
    world.use_slurm(cluster);
    let (mut command, log, runner_log) = world
        .simulate()
        .option("--variable", "SECRET=hush-hush-hush")
        .script("cp \"$CI_JOB_JWT_FILE\" \"$HOME/token\"; touch \"$HOME/started\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.1; done; : word-of-the-script")
        .command();
    let child = command.spawn().expect("a job");
    crate::world::until("the script runs", || world.user.home.join("started").exists());
    let name = cluster.jobs_of(&world.user.name).remove(0).name;
    // The wrapper and the environment are archived; then so is everything else that would be.
    crate::world::until("the job is archived", || {
        [&b"motmot_await_token"[..], name.as_bytes()].iter().all(|known| !cluster.database_contains(known).is_empty())
    });
    let token = std::fs::read(world.user.home.join("token")).expect("token");
    for secret in [&b"hush-hush-hush"[..], &b"word-of-the-script"[..], &token[token.len() - 40..]] {
        assert_eq!(cluster.database_contains(secret), Vec::<String>::new());
    }
    world.user_file("go", "");
    crate::world::JobEnd::read(&child.wait_with_output().expect("the end"), &log, &runner_log).assert_success();
}
