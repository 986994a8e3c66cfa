//! `motmot reap`: what is left when a runner or a machine has crashed.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::world::stage::kill_with_its_worker;
use crate::world::{Cluster, Single, World, cases, copy_program, until};

cases!(
    fn a_slurm_job_of_before_a_crash_of_the_machine_is_listed_and_then_cancelled(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 5);
        let script = single.script("touch \"$HOME/started\"; sleep 1000");
        let mut stage = single.stage("run");
        let mut stage =
            stage.arg(&script).arg("build_script").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        until("the script runs", || world.user.home.join("started").exists());
        assert_eq!(words(&reap(&world, &["--dry-run"])), "", "it lives");
        // Nobody of them cancels anything.
        kill_with_its_worker(&stage, &world.user);
        let _ = stage.wait();
        let job = cluster.until_job_of(&world.user.name).id;
        start_anew(&world);
        let listed = reap(&world, &["--dry-run"]);
        assert!(
            listed.status.success() && words(&listed).contains(&format!("Slurm jobs: {job}")),
            "{}",
            words(&listed)
        );
        assert_eq!(cluster.jobs_of(&world.user.name).len(), 1, "only listed");
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert!(words(&reaped).contains("cleaned up after 1 jobs"), "{}", words(&reaped));
        assert!(cluster.jobs_of(&world.user.name).is_empty());
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
        assert_eq!(fs::read_dir(world.data_dir().join("jobs")).expect("jobs").count(), 0);
    },
    fn a_session_of_a_runner_that_has_ended_is_left_behind_and_that_of_a_living_one_is_not(root: Root) {
        let world = World::root(root).build();
        // The process is known by its name.
        let runner = world.dir.join("gitlab-runner");
        copy_program(&world.bins.join("motmot"), &runner, 0o755);
        let simulate = |script: &str, more: &[&str]| {
            let (command, _, _) = world.simulate().script(script).command();
            let mut runner = Command::new(&runner);
            runner.args(command.get_args()).args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            runner
        };
        let mut living = simulate("touch \"$HOME/living\"; sleep 1000", &[]).spawn().expect("a runner");
        until("the script runs", || world.user.home.join("living").exists());
        let mut dead = simulate("touch \"$HOME/dead\"; sleep 1001", &[]).spawn().expect("a runner");
        until("the script runs", || world.user.home.join("dead").exists());
        assert_eq!(words(&reap(&world, &["--dry-run"])), "");
        dead.kill().expect("kill");
        dead.wait().expect("ended");
        // Its directory of the attempt is still there: a runner that is killed removes nothing.
        assert_eq!(words(&reap(&world, &["--dry-run"])).lines().count(), 1);
        // The stage lives on, and ends when it is asked to; a session that is in use is left alone until then.
        assert!(words(&reap(&world, &[])).contains("nothing was left behind"));
        end_stage_of(&world, "sleep 1001");
        let reaped = reap(&world, &[]);
        assert!(words(&reaped).contains("cleaned up after 1 jobs"), "{}", words(&reaped));
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 1, "the living one's");
        living.kill().expect("kill");
        living.wait().expect("ended");
        end_stage_of(&world, "sleep 1000");
        assert!(reap(&world, &[]).status.success());
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    },
    fn a_session_of_which_nobody_knows_is_named_and_cleaned_up_when_its_name_is_given(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert!(words(&reaped).contains(&format!("left alone: {}", single.session)), "{}", words(&reaped));
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 1);
        let reaped = reap(&world, &["--session", &single.session]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
        let again = reap(&world, &["--session", &single.session]);
        assert!(!again.status.success() && words(&again).contains("there is no session"), "{}", words(&again));
    },
    fn a_session_whose_cleanup_has_failed_a_while_ago_is_cleaned_up(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let closed = world.sessions().join(&single.session).join("closed");
        fs::write(&closed, "").expect("closed");
        reap(&world, &[]);
        assert!(closed.exists(), "its cleanup may be at work");
        let before = std::time::SystemTime::now() - std::time::Duration::from_mins(6);
        fs::File::options().write(true).open(&closed).expect("open").set_modified(before).expect("set");
        let reaped = reap(&world, &[]);
        assert!(words(&reaped).contains("cleaned up after 1 jobs"), "{}", words(&reaped));
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    },
    fn root_cleans_up_as_the_account_of_a_runner_that_is_not_root(root: Root) {
        let world = World::with_capabilities(root).build();
        let single = Single::new(&world, 101);
        let script = single.script("touch \"$TMPDIR/left\"");
        assert!(single.stage("run").arg(&script).arg("build_script").status().expect("run").success());
        start_anew(&world);
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
        assert_eq!(fs::read_dir(world.data_dir().join("jobs")).expect("jobs").count(), 0);
    },
    fn nothing_to_clean_up_is_no_failure_and_a_broken_configuration_is(root: Root) {
        let world = World::root(root).build();
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success() && words(&reaped).contains("nothing was left behind"), "{}", words(&reaped));
        fs::write(world.config_file(), "[gitlab]\nurl = 3\n").expect("config");
        let reaped = reap(&world, &[]);
        assert_eq!(reaped.status.code(), Some(2));
        assert!(words(&reaped).contains("gitlab.url"), "{}", words(&reaped));
    }
);

fn reap(world: &World, args: &[&str]) -> Output {
    Command::new(world.bins.join("motmot"))
        .arg("--config")
        .arg(world.config_file())
        .arg("reap")
        .args(args)
        .output()
        .expect("motmot reap")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Rewrites the record of the only session, as if the machine had been started since.
fn start_anew(world: &World) {
    let session = fs::read_dir(world.sessions()).expect("sessions").next().expect("one").expect("an entry");
    let file = session.path().join("session.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("record")).expect("JSON");
    record["tree"] = "mnt:[1] 00000000-0000-0000-0000-000000000000".into();
    fs::write(&file, record.to_string()).expect("record");
}

/// Ends a stage by ending what it runs.
fn end_stage_of(world: &World, command: &str) {
    let uid = world.user.uid.to_string();
    assert!(Command::new("pkill").args(["-KILL", "-U", &uid, "-f", command]).status().expect("pkill").success());
    until("the stage has let go of its session", || {
        !words(&reap(world, &["--dry-run"])).is_empty()
            && fs::read_dir(world.sessions()).expect("sessions").flatten().any(|session| {
                let stages = fs::File::options().write(true).open(session.path().join("stages"));
                stages.is_ok_and(|file| {
                    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).is_ok()
                })
            })
    });
}
