//! `motmot reap`: what is left when a runner or a machine has crashed.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use crate::world::stage::kill_with_its_worker;
use crate::world::{Cluster, Single, World, cases, chmod, copy_program, until};

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
            listed.status.code() == Some(2) && words(&listed).contains(&format!("Slurm jobs: {job}")),
            "{}",
            words(&listed)
        );
        assert_eq!(cluster.jobs_of(&world.user.name).len(), 1, "only listed");
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert_one_cleaned_up(&reaped);
        assert!(cluster.jobs_of(&world.user.name).is_empty());
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
        assert_eq!(fs::read_dir(world.data_dir().join("jobs")).expect("jobs").count(), 0);
    },
    fn a_runner_that_is_killed_takes_its_stage_along_and_reap_takes_the_rest(root: Root) {
        let world = World::root(root).build();
        let living = Runner::start(&world, "touch \"$HOME/living\"; sleep 1000");
        until("the script runs", || world.user.home.join("living").exists());
        let dead = Runner::start(&world, "touch \"$HOME/dead\"; sleep 1001");
        until("the script runs", || world.user.home.join("dead").exists());
        assert_eq!(words(&reap(&world, &["--dry-run"])), "");
        dead.kill();
        // It removes nothing. Not awaited is the end of its stage: whoever cleans up does that.
        let listed = reap(&world, &["--dry-run"]);
        assert_eq!((words(&listed).lines().count(), listed.status.code()), (1, Some(2)), "{}", words(&listed));
        let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let mut unwritten = Command::new(world.bins.join("motmot"));
        unwritten.arg("--config").arg(world.config_file()).args(["reap", "--dry-run"]).stdout(full);
        let unwritten = unwritten.output().expect("motmot reap");
        assert!(words(&unwritten).contains("the list cannot be written"), "{}", words(&unwritten));
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert_one_cleaned_up(&reaped);
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 1, "the living one's");
        assert_eq!(attempts(&world), 1, "the living one's: that of the dead one held the token of its job");
        assert_eq!(running(&world, "sleep 1001"), 0);
        assert_eq!(running(&world, "sleep 1000"), 1, "the living one's");
        living.kill();
        until("its stage has ended by itself", || world.processes_of_user().is_empty());
        assert!(reap(&world, &[]).status.success());
        assert_eq!((fs::read_dir(world.sessions()).expect("sessions").count(), attempts(&world)), (0, 0));
        let ended = |line: &serde_json::Value| line["event"] == "ended" && line["outcome"] == "runner gone";
        assert_eq!(world.audit().iter().filter(|line| ended(line)).count(), 2, "{:?}", world.audit());
    },
    fn a_stage_without_its_runner_ends_where_the_runner_is_an_ordinary_account_too(root: Root) {
        let world = World::with_capabilities(root).build();
        let (mut simulate, _, _) = world.simulate().script("touch \"$HOME/begun\"; sleep 1000").command();
        let mut simulate = simulate.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a runner");
        until("the script runs", || world.user.home.join("begun").exists());
        simulate.kill().expect("kill");
        simulate.wait().expect("ended");
        until("its stage has ended by itself", || world.processes_of_user().is_empty());
    },
    fn no_stage_starts_for_a_runner_that_is_gone_already(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        world.change_record(&single.session, |record| {
            // The first process of the machine, if it had begun later than it did.
            record["runner"] = serde_json::json!({"pid": 1, "started": 4_102_444_800_u64});
        });
        let script = single.script("touch \"$HOME/begun\"");
        let refused = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
        assert!(words(&refused).contains("the runner of this job is gone"), "{}", words(&refused));
        assert!(!world.user.home.join("begun").exists());
    },
    fn a_slurm_job_ends_with_the_runner_that_waits_for_it(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let runner = Runner::start(&world, "touch \"$HOME/begun\"; sleep 1000");
        until("the script runs", || world.user.home.join("begun").exists());
        runner.kill();
        until("its stage has cancelled it", || cluster.jobs_of(&world.user.name).is_empty());
        let reaped = reap(&world, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert_eq!((fs::read_dir(world.sessions()).expect("sessions").count(), attempts(&world)), (0, 0));
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
        assert_one_cleaned_up(&reaped);
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    },
    fn what_is_not_removed_is_not_called_cleaned_up(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let script = single.script("touch \"$TMPDIR/left\"");
        assert!(single.stage("run").arg(&script).arg("build_script").status().expect("run").success());
        start_anew(&world);
        let data = world.user.home.join(".motmot");
        chmod(&data, 0o777);
        let reaped = reap(&world, &[]);
        assert_eq!(reaped.status.code(), Some(2), "{}", words(&reaped));
        assert!(words(&reaped).contains("is not removed: the directory "), "{}", words(&reaped));
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 1);
        let check = world.motmot(&["--config", &world.config_file().to_string_lossy(), "check", "--offline"]);
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(
            said.contains("warning  sessions: 1 session of jobs that are over: ") && said.contains("is not removed"),
            "{said}"
        );
        chmod(&data, 0o700);
        let reaped = reap(&world, &["--session", &single.session]);
        assert!(reaped.status.success(), "{}", words(&reaped));
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
    fn who_may_not_look_into_the_state_directory_is_told_to_run_reap_as_root(root: Root) {
        let world = World::root(root).build();
        world.simulate().script("true").run().assert_success();
        chmod(&world.dir.join("state"), 0o711);
        let mut command = world.user.command(&world.bins.join("motmot"));
        let output = command.arg("--config").arg(world.config_file()).arg("reap").output().expect("reap");
        assert!(!output.status.success() && words(&output).contains("run this as root"), "{}", words(&output));
        assert!(!words(&output).contains("jobs.state_dir that is not there yet"), "{}", words(&output));
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

fn assert_one_cleaned_up(reaped: &Output) {
    assert!(words(reaped).lines().any(|line| line.ends_with("cleaned up after 1 job")), "{}", words(reaped));
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// As if the machine had been started since the only session began.
fn start_anew(world: &World) {
    let session = fs::read_dir(world.sessions()).expect("sessions").next().expect("one").expect("an entry");
    world.start_anew(session.file_name().to_str().expect("UTF-8"));
}

/// How many processes of the job's account have this command line.
fn running(world: &World, command: &str) -> usize {
    let uid = world.user.uid.to_string();
    let found = Command::new("pgrep").args(["-U", &uid, "-f", "-x", command]).output().expect("pgrep");
    String::from_utf8_lossy(&found.stdout).lines().count()
}

/// How many directories of attempts there are.
fn attempts(world: &World) -> usize {
    let entries = fs::read_dir(world.dir.join("tmp")).expect("tmp").flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("custom-executor")).count()
}

/// A runner that sessions know as one, by the name of its process.
struct Runner(Child);

impl Runner {
    fn start(world: &World, script: &str) -> Self {
        let program = world.dir.join("gitlab-runner");
        if !program.exists() {
            copy_program(&world.bins.join("motmot"), &program, 0o755);
        }
        let (command, _, _) = world.simulate().script(script).command();
        let mut runner = Command::new(program);
        runner.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(runner.spawn().expect("a runner"))
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("ended");
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
