//! What a job leaves to outlive its stage where nothing groups its processes for the driver: where the runner is an ordinary
//! account, and where root can make no control group.

use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::stage::{Stage, kill_with_its_worker, worker_of};
use crate::world::{Cluster, Single, World, cases, make_dir, make_script, payload, until};

/// Without the mark in its environment, in a session of its own, and nobody's child.
const DAEMON: &str = "env -i /usr/bin/setsid -f /usr/bin/sleep 1000";

cases!(
    fn a_stopped_worker_and_what_it_held_end_at_cleanup_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let single = Single::new(&world, 5);
        let (mut stage, _) = start(&world, &single);
        let worker = worker_of(&world).expect("a worker");
        // Its account can do that, and then waits until somebody ends the stage.
        kill(worker, Signal::SIGSTOP).expect("stopped");
        stage.kill().expect("killed");
        stage.wait().expect("ended");
        single.clean_up();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    },
    fn a_cleanup_ends_a_stage_that_waits_for_a_stopped_worker(root: Root) {
        let world = World::with_capabilities(root).build();
        let single = Single::new(&world, 5);
        let (mut stage, _) = start(&world, &single);
        kill(worker_of(&world).expect("a worker"), Signal::SIGSTOP).expect("stopped");
        single.clean_up();
        assert!(!stage.wait().expect("ended").success());
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    },
    fn a_daemon_without_environment_ends_at_cleanup_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let single = Single::new(&world, 5);
        let (mut stage, _) = start(&world, &single);
        kill_with_its_worker(&stage, &world.user);
        stage.wait().expect("ended");
        assert!(world.processes_of_user().contains(&"sleep".to_owned()), "nobody has ended it yet");
        single.clean_up();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn a_daemon_without_environment_ends_at_cleanup_where_root_can_make_no_control_group(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        without_group(&world, &single);
        let (mut stage, _) = start(&world, &single);
        kill_with_its_worker(&stage, &world.user);
        stage.wait().expect("ended");
        single.clean_up();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn what_a_worker_ran_for_itself_ends_at_cleanup_where_root_can_make_no_control_group(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let single = Single::new(&world, 5);
        without_group(&world, &single);
        let bins = world.dir.join("slurm-bin");
        make_dir(&bins, 0o755);
        for name in ["scancel", "scontrol", "squeue", "sinfo"] {
            std::os::unix::fs::symlink(format!("/usr/bin/{name}"), bins.join(name)).expect("a link");
        }
        // It waits for a controller, or its account has made something else of it.
        make_script(&bins.join("sbatch"), "#!/bin/bash\nexec /usr/bin/sleep 1000\n");
        world.write_config_with(|config| config.slurm(|slurm| slurm.bin_dir(bins.as_path())));
        let script = single.script("true");
        let mut stage = single.stage("run");
        stage.arg(&script).arg("build_script").stdout(Stdio::null()).stderr(Stdio::null());
        let mut stage = stage.spawn().expect("run");
        until("the submission hangs", || world.processes_of_user().contains(&"sleep".to_owned()));
        kill_with_its_worker(&stage, &world.user);
        stage.wait().expect("ended");
        assert!(world.processes_of_user().contains(&"sleep".to_owned()), "nobody has ended it yet");
        single.clean_up();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn what_an_account_that_is_gone_has_left_ends_where_root_can_make_no_control_group(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        without_group(&world, &single);
        let (mut stage, _) = start(&world, &single);
        let worker = worker_of(&world).expect("a worker");
        kill(worker, Signal::SIGSTOP).expect("stopped");
        stage.kill().expect("killed");
        stage.wait().expect("ended");
        // As `userdel` leaves the number to nobody.
        world.change_record(&single.session, |record| record["account"] = "mmghost".into());
        single.clean_up();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    },
    fn a_cleanup_ends_nothing_of_another_job_of_its_account_nor_of_its_logins(root: Root) {
        let world = World::with_capabilities(root).build();
        let over = Single::new(&world, 6);
        let single = Single::new(&world, 5);
        let mut login = world.user.command("/usr/bin/sleep".as_ref());
        let mut login = login.arg("2000").stdin(Stdio::null()).spawn().expect("sleep");
        let (stage, daemon) = start(&world, &single);
        world.write_payload(&payload(6));
        over.clean_up();
        world.write_payload(&payload(5));
        assert!(kill(daemon, None).is_ok() && worker_of(&world).is_some(), "it is another job's");
        assert!(login.try_wait().expect("wait").is_none(), "it is nobody's job");
        login.kill().expect("killed");
        login.wait().expect("ended");
        end(stage);
        single.clean_up();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn no_job_takes_the_mark_of_its_processes_off(root: Root) {
        let world = World::with_capabilities(root).build();
        let single = Single::new(&world, 5);
        let take_off = "prlimit --locks=unlimited sleep 0 && echo off; ulimit -x unlimited && echo off; unshare -Ur prlimit --locks=unlimited sleep 0 && echo off; echo limit=$(ulimit -H -x)";
        let stage = Stage::run(&world, &single, &format!("( {take_off} ) 2>/dev/null"));
        let end = stage.end();
        end.assert_success().assert_log("limit=0");
        assert!(!end.log.lines().any(|line| line == "off"), "{}", end.log);
        single.clean_up();
    }
);

/// A running stage, and a daemon that it has left.
fn start(world: &World, single: &Single<'_>) -> (Child, Pid) {
    let script = single.script(&format!("{DAEMON}\ntouch \"$HOME/started\"\nwhile :; do sleep 0.1; done"));
    let mut stage = single.stage("run");
    stage.arg(&script).arg("build_script").stdout(Stdio::null()).stderr(Stdio::null());
    let stage = stage.spawn().expect("run");
    let mut daemon = None;
    until("the script runs, and the daemon has let go of it", || {
        let output =
            Command::new("pgrep").args(["-U", &world.user.uid.to_string(), "-f", "^/usr/bin/sleep 1000"]).output();
        daemon = String::from_utf8_lossy(&output.expect("pgrep").stdout).trim().parse().ok().map(Pid::from_raw);
        daemon.is_some() && world.user.home.join("started").exists()
    });
    (stage, daemon.expect("a daemon"))
}

fn end(mut stage: Child) {
    kill(Pid::from_raw(stage.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    stage.wait().expect("ended");
}

/// As where the driver can make none: in a container, for example.
fn without_group(world: &World, single: &Single<'_>) {
    world.change_record(&single.session, |record| {
        assert!(record.get("groups").is_some(), "where the groups are is written down: {record}");
        record["groups"] = serde_json::Value::Null;
    });
}
