//! The token of a stage that runs in Slurm: none before Slurm says that the job runs, a fresh one while it does, none after.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::world;
use crate::world::batch::{HELD, begin, lagging, late_node, meeting_place, until_nothing_left};
use crate::world::token::{check_signature, disguise, part, revealed};
use crate::world::{Cluster, Running, World, cases, until};

cases!(
    fn there_is_no_token_while_the_job_waits(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(HELD)).build();
        let running = Running::start(&world.simulate().script(
            "echo path=$CI_JOB_JWT_FILE; touch \"$HOME/runs\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done",
        ));
        let job = running.until_submitted();
        running.until_log("waiting in the queue");
        assert_eq!(minted(&world), Vec::<Value>::new());
        assert_eq!(tokens_below(&world.data_dir().join("jobs")), Vec::<PathBuf>::new());
        let session = meeting_place(&world).ancestors().nth(2).expect("the job's directory").to_owned();
        let file = session.join("token/token");
        assert_eq!(fs::read(&file).expect("it is there, for network file systems"), b"");
        begin(cluster, job);
        until("the script runs", || world.user.home.join("runs").exists());
        assert_eq!(minted(&world).len(), 1, "the proof that it would have been seen");
        assert_eq!(
            tokens_below(&world.data_dir().join("jobs")),
            vec![file.clone()],
            "and that it would have been found"
        );
        world.user_file("go", "");
        let end = running.end();
        end.assert_success();
        assert_eq!(end.value("path"), file.display().to_string());
        assert!(!file.exists());
        until_nothing_left(&world, cluster);
    },
    fn a_job_that_claims_to_run_gets_no_token(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).slurm(|section| section.defaults(HELD)).build();
        let running = Running::start(&world.simulate().script("true"));
        let job = running.until_submitted();
        let run = meeting_place(&world).join("run-1");
        let asked = || cluster.rpc_counts().get("REQUEST_JOB_INFO_SINGLE").copied().unwrap_or(0);
        // What the wrapper would write, and more of it. Each has the stage ask at once, and so ends what the one before it began.
        for restarts in [0, 1, 7, 8] {
            let before = asked();
            let file = world.user_file("claim", &format!("job={job}\nrestarts={restarts}\nnode=n1\nend\n"));
            fs::rename(&file, run.join("started")).expect("rename");
            until("the stage has asked the controller", || asked() > before);
            assert_eq!(minted(&world), Vec::<Value>::new(), "restart {restarts}");
            assert_eq!(tokens_below(&world.data_dir().join("jobs")), Vec::<PathBuf>::new(), "restart {restarts}");
        }
        begin(&cluster, job);
        running.end().assert_success();
        assert_eq!(minted(&world).len(), 1);
    },
    fn the_token_of_a_job_in_slurm_verifies_and_says_where_it_runs(slurm: Slurm) {
        let mut world = world(slurm);
        world.change(|config| config.slurm(|section| section.defaults(["-p", "other", "-A", "climate"])));
        let end = world
            .simulate()
            .script(disguise("token"))
            .script("echo job=$SLURM_JOB_ID")
            .script("[ \"$(cat \"$CI_JOB_JWT_FILE\")\" = \"$CI_JOB_JWT\" ] && stat -c 'file=%a' \"$CI_JOB_JWT_FILE\"")
            .option("--after-script", disguise("after"))
            .run();
        end.assert_success();
        let token = revealed(end.value("token"));
        check_signature(&world, &token);
        let claims = part(&token, 1);
        let hpc = &claims["hpc"];
        assert_eq!(
            [
                &hpc["scheduler"],
                &hpc["job_id"],
                &hpc["partition"],
                &hpc["account"],
                &hpc["local_user"],
                &hpc["executor_stage"]
            ],
            [
                &json!("slurm"),
                &json!(end.value("job")),
                &json!("other"),
                &json!("climate"),
                &json!(world.user.name),
                &json!("build_script")
            ],
            "{claims}"
        );
        assert_eq!(end.value("file"), "400");
        let after = part(&revealed(end.value("after")), 1);
        assert_eq!(
            (&after["hpc"]["scheduler"], after["hpc"].get("job_id")),
            (&json!("none"), None),
            "the login node: {after}"
        );

        // What nobody asked for is not there.
        world.change(|config| config.only_cluster(&Cluster::shared(slurm).conf()));
        let end = world.simulate().script(disguise("token")).run();
        let hpc = part(&revealed(end.assert_success().value("token")), 1)["hpc"].clone();
        assert_eq!((&hpc["partition"], hpc.get("account")), (&json!("debug"), None), "{hpc}");
    },
    fn the_token_is_refreshed_while_a_job_runs_in_slurm(slurm: Slurm) {
        refreshes(&mut world(slurm));
    },
    fn the_token_comes_and_is_refreshed_through_a_file_system_that_lags_behind(disk: LaggingDisk) {
        let (mut world, delayed, cluster) = lagging(disk, 5);
        refreshes(&mut world);
        cluster.until_no_jobs_of(&world.user.name);
        drop(cluster);
        drop(delayed);
    },
    fn a_node_that_sees_late_has_the_right_token_for_each_script_and_a_fresh_one(disk: LaggingDisk) {
        let (mut world, delayed, cluster) = late_node(disk, 3);
        let stages = ["build_script", "step_*", "after_script"];
        world.change(|config| config.slurm(|section| section.allocation("job").stages(stages)));
        let end = world
            .simulate()
            .script(disguise("first"))
            .script("echo in=$SLURM_JOB_ID")
            .option("--after-script", format!("echo after=$SLURM_JOB_ID; {}", disguise("second")))
            .run();
        end.assert_success();
        assert_eq!(end.value("in"), end.value("after"));
        let stages = ["first", "second"].map(|name| {
            let token = revealed(end.value(name));
            check_signature(&world, &token);
            part(&token, 1)["hpc"]["executor_stage"].as_str().map(str::to_owned)
        });
        // Each script its own, and not the one that the node still remembers.
        assert_eq!(stages, ["build_script", "after_script"].map(|stage| Some(stage.to_owned())));
        world.change(|config| config.only_cluster(&cluster.conf()));
        refreshes(&mut world);
        cluster.until_no_jobs_of(&world.user.name);
        drop(cluster);
        drop(delayed);
    },
    fn without_a_token_the_script_does_not_start(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.token_timeout("5s").defaults(HELD)).build();
        let running =
            Running::start(&world.simulate().option("--stage-retry-interval", "10ms").script("touch \"$HOME/ran\""));
        let job = running.until_submitted();
        let hidden = world.dir.join("state/elsewhere");
        fs::rename(world.keys(), &hidden).expect("rename");
        begin(cluster, job);
        let end = running.end();
        end.assert_failed("runner_system_failure").assert_log("did not come to n").assert_log("slurm.token_timeout");
        assert!(!world.user.home.join("ran").exists());
        until_nothing_left(&world, cluster);
    },
    fn a_site_without_tokens_runs_its_jobs_in_slurm(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).no_tokens().build();
        let end = world.simulate().script("echo token=.$CI_JOB_JWT.$CI_JOB_JWT_FILE. in=${SLURM_JOB_ID:+slurm}").run();
        end.assert_success();
        assert_eq!(end.value("token"), "... in=slurm");
    }
);

fn minted(world: &World) -> Vec<Value> {
    let of_script = |line: &Value| line["event"] == "minted" && line["sub_stage"] == "build_script";
    world.audit().into_iter().filter(of_script).collect()
}

/// The files of a world's account that hold a token.
fn tokens_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in dir.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(tokens_below(&path));
        } else if fs::read(&path).is_ok_and(|bytes| memchr::memmem::find(&bytes, b"eyJ").is_some()) {
            found.push(path);
        }
    }
    found
}

/// Waits in the job for a second token and looks at nothing but complete ones on the way.
const WAIT: &str = "first=$(cat \"$CI_JOB_JWT_FILE\"); torn=0; while second=$(cat \"$CI_JOB_JWT_FILE\") && [ \"$first\" = \"$second\" ]; do [ ${#second} -gt 500 ] || torn=1; sleep 0.1; done; echo torn=$torn";
const SECOND: &str = "printf '%s' \"$(cat \"$CI_JOB_JWT_FILE\")\" | rev | base64 -w0 | sed 's/^/second=/'; echo";

fn refreshes(world: &mut World) {
    world.change(|config| config.token(|token| token.ttl("1m")));
    let end =
        world.simulate().script(WAIT).script(SECOND).script(disguise("first")).script("cat \"$CI_JOB_JWT_FILE\"").run();
    end.assert_success().assert_log("[MASKED]");
    assert_eq!(end.value("torn"), "0");
    let (first, second) = (revealed(end.value("first")), revealed(end.value("second")));
    check_signature(world, &second);
    let iat = |token: &str| part(token, 1)["iat"].as_i64().expect("iat");
    let age = iat(&second) - iat(&first);
    assert!((26..=37).contains(&age), "half of a minute, more or less: {age} s");
    assert_eq!(part(&second, 1)["hpc"], part(&first, 1)["hpc"]);
    end.assert_not_in_log(second.rsplit('.').next().expect("signature"));
}
