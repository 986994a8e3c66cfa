//! Slurm under each kind of runner: root, one user's own, and one with capabilities.

use std::process::Command;

use serde_json::json;

use crate::world::batch::order;
use crate::world::{Builder, Cluster, Running, Single, Slurm, World, cases, until};

cases!(
    fn a_runner_with_capabilities_submits_asks_and_cleans_up(slurm: Slurm) {
        works(slurm, World::with_capabilities(slurm));
    },
    fn a_site_that_wants_no_new_privileges_gets_that_on_the_nodes_too(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).jobs(|jobs| jobs.no_new_privs(true)).build();
        let end = world.simulate().script("grep NoNewPrivs /proc/self/status | sed 's/:\\s*/=/'").run();
        end.assert_success();
        assert_eq!(end.value("NoNewPrivs"), "1");
    },
    fn the_limits_of_the_runners_service_are_not_those_of_the_job(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).build();
        world.write_config();
        let single = Single::new(&world, 5);
        let script = single.script("echo core=$(ulimit -c) files=$(ulimit -n)");
        let stage = single.stage("run");
        // As a service manager starts a runner.
        let mut limited = Command::new("prlimit");
        limited.args(["--nofile=300:300", "--"]).arg(stage.get_program()).args(stage.get_args());
        limited.envs(stage.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        let output = limited.arg(&script).arg("build_script").output().expect("run");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && log.contains("files=") && !log.contains("files=300"), "{log}");
        assert!(single.stage("cleanup").status().expect("cleanup").success());
    },
    fn nothing_secret_is_in_the_database_of_accounting(accounting: Accounting) {
        let cluster = Cluster::shared_with_accounting(accounting);
        let world = World::root(accounting).at(cluster).build();
        cluster.add_user(&world.user);
        let running = Running::start(&world.simulate()
        .option("--variable", "SECRET=hush-hush-hush")
        .script("cp \"$CI_JOB_JWT_FILE\" \"$HOME/token\"; touch \"$HOME/started\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.1; done; : word-of-the-script"));
        until("the script runs", || world.user.home.join("started").exists());
        let name = cluster.until_job_of(&world.user.name).name;
        // The wrapper and the environment are archived; then so is everything else that would be.
        until("the job is archived", || {
            [&b"motmot_await_token"[..], name.as_bytes()]
                .iter()
                .all(|known| !cluster.database_contains(known).is_empty())
        });
        let token = std::fs::read(world.user.home.join("token")).expect("token");
        for secret in [&b"hush-hush-hush"[..], &b"word-of-the-script"[..], &token[token.len() - 40..]] {
            assert_eq!(cluster.database_contains(secret), Vec::<String>::new());
        }
        world.user_file("go", "");
        running.end().assert_success();
    },
    fn who_cancelled_a_job_is_told_where_slurm_keeps_that(accounting: Accounting) {
        let cluster = Cluster::shared_with_accounting(accounting);
        let world = World::root(accounting).at(cluster).build();
        cluster.add_user(&world.user);
        let running = Running::start(&world.simulate().script("touch \"$HOME/started\"; sleep 1000"));
        until("the script runs", || world.user.home.join("started").exists());
        order(cluster, "scancel", &[&running.until_submitted().to_string()]);
        let end = running.end();
        end.assert_failed("runner_system_failure").assert_log("the job was cancelled by uid 0, who is not its owner");
        let end = world.simulate().script("scancel $SLURM_JOB_ID; sleep 1000").run();
        end.assert_failed("script_failure").assert_log("the job was cancelled by its own account");
    },
    fn one_users_own_runner_submits_asks_and_cleans_up(slurm: Slurm) {
        works(slurm, World::one_user());
    }
);

fn works(slurm: Slurm, world: Builder) {
    let cluster = Cluster::shared(slurm);
    let world = world.at(cluster).slurm(|section| section.defaults(["--time=5", "--account=astro"])).build();
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
