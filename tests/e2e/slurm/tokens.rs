//! The token of a stage that runs in Slurm: none before Slurm says that the job runs, a fresh one while it does, none after.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::output::{lagging, late_node};
use super::{HELD, Running, assert_nothing_left, meeting_place, release, world};
use crate::cluster::Cluster;
use crate::tokens::{check_signature, disguise, part, revealed};
use crate::world::{World, until};
use crate::{Case, slurm, slurm_delayed};

pub const CASES: &[Case] = &[
    slurm("there_is_no_token_while_the_job_waits", none_while_pending),
    slurm("a_job_that_claims_to_run_gets_no_token", claimed),
    slurm("the_token_of_a_job_in_slurm_verifies_and_says_where_it_runs", claims),
    slurm("the_token_is_refreshed_while_a_job_runs_in_slurm", refresh),
    slurm_delayed("the_token_comes_and_is_refreshed_through_a_file_system_that_lags_behind", refresh_delayed),
    slurm_delayed("a_node_that_sees_late_has_the_right_token_for_each_script_and_a_fresh_one", late_on_the_node),
    slurm("without_a_token_the_script_does_not_start", no_token),
    slurm("a_site_without_tokens_runs_its_jobs_in_slurm", without_tokens),
];

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

fn none_while_pending() {
    let mut world = world();
    let cluster = Cluster::shared();
    world.slurm.push_str(HELD);
    let running =
        Running::start(&world.simulate().script(
            "echo path=$CI_JOB_JWT_FILE; touch \"$HOME/runs\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done",
        ));
    let job = running.until_submitted();
    running.until_log("waiting in the queue");
    assert_eq!(minted(&world), Vec::<Value>::new());
    assert_eq!(tokens_below(&world.data_dir().join("jobs")), Vec::<PathBuf>::new());
    let session = meeting_place(&world).ancestors().nth(2).expect("the job's directory").to_owned();
    let file = session.join("token/token");
    assert_eq!(fs::read(&file).expect("it is there, for network file systems"), b"");
    release(cluster, job);
    until("the script runs", || world.user.home.join("runs").exists());
    assert_eq!(minted(&world).len(), 1, "the proof that it would have been seen");
    assert_eq!(tokens_below(&world.data_dir().join("jobs")), vec![file.clone()], "and that it would have been found");
    world.user_file("go", "");
    let end = running.end();
    end.assert_success();
    assert_eq!(end.value("path"), file.display().to_string());
    assert!(!file.exists());
    assert_nothing_left(&world, cluster);
}

fn claimed() {
    let mut world = World::new();
    let cluster = Cluster::build().nodes(1).start();
    world.use_slurm(&cluster);
    world.slurm.push_str(HELD);
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
    release(&cluster, job);
    running.end().assert_success();
    assert_eq!(minted(&world).len(), 1);
}

fn claims() {
    let mut world = world();
    world.slurm.push_str("defaults = [\"-p\", \"other\", \"-A\", \"climate\"]\n");
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
    world.slurm.clear();
    let end = world.simulate().script(disguise("token")).run();
    let hpc = part(&revealed(end.assert_success().value("token")), 1)["hpc"].clone();
    assert_eq!((&hpc["partition"], hpc.get("account")), (&json!("debug"), None), "{hpc}");
}

/// Waits in the job for a second token and looks at nothing but complete ones on the way.
const WAIT: &str = "first=$(cat \"$CI_JOB_JWT_FILE\"); torn=0; while second=$(cat \"$CI_JOB_JWT_FILE\") && [ \"$first\" = \"$second\" ]; do [ ${#second} -gt 500 ] || torn=1; sleep 0.1; done; echo torn=$torn";
const SECOND: &str = "printf '%s' \"$(cat \"$CI_JOB_JWT_FILE\")\" | rev | base64 -w0 | sed 's/^/second=/'; echo";

fn refreshes(world: &mut World) {
    world.token.as_mut().expect("tokens").push_str("ttl = \"1m\"\n");
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

fn refresh() {
    refreshes(&mut world());
}

fn refresh_delayed() {
    let (mut world, delayed, cluster) = lagging(5);
    refreshes(&mut world);
    cluster.until_no_jobs_of(&world.user.name);
    drop(cluster);
    drop(delayed);
}

fn late_on_the_node() {
    let (mut world, delayed, cluster) = late_node(3);
    world.slurm.push_str("allocation = \"job\"\nstages = [\"build_script\", \"step_*\", \"after_script\"]\n");
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
    world.slurm.clear();
    refreshes(&mut world);
    cluster.until_no_jobs_of(&world.user.name);
    drop(cluster);
    drop(delayed);
}

fn no_token() {
    let mut world = world();
    let cluster = Cluster::shared();
    world.slurm = format!("token_timeout = \"5s\"\n{HELD}");
    let running =
        Running::start(&world.simulate().option("--stage-retry-interval", "10ms").script("touch \"$HOME/ran\""));
    let job = running.until_submitted();
    let hidden = world.dir.join("state/elsewhere");
    fs::rename(world.keys(), &hidden).expect("rename");
    release(cluster, job);
    let end = running.end();
    end.assert_failed("runner_system_failure").assert_log("did not come to n").assert_log("slurm.token_timeout");
    assert!(!world.user.home.join("ran").exists());
    assert_nothing_left(&world, cluster);
}

fn without_tokens() {
    let mut world = world();
    world.token = None;
    let end = world.simulate().script("echo token=.$CI_JOB_JWT.$CI_JOB_JWT_FILE. in=${SLURM_JOB_ID:+slurm}").run();
    end.assert_success();
    assert_eq!(end.value("token"), "... in=slurm");
}
