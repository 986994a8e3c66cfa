//! What hangs hangs for its own account: a home directory that does not answer, a worker that somebody has stopped.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{Poison, Silence, Single, TestAccount, World, cases, in_some_try, until};

cases!(
    fn a_home_that_does_not_answer_costs_the_cleanup_of_a_stranger_nothing(root: Root) {
        let world = World::root(root).build();
        let stranger = TestAccount::stranger(root, &world.dir);
        let alone = (1..6).map(|job_id| clean_up_of(&world, &stranger, job_id)).max().expect("five");
        let left: Vec<_> = (100..120).map(|job_id| left_behind(&world, &world.user, job_id)).collect();
        let Some(_poison) = Poison::of(&world.user, Silence::FromTheBeginning, temp_dirs(&world, &left)) else {
            return;
        };
        let mut job_ids = 200..;
        let beside = || clean_up_of(&world, &stranger, job_ids.next().expect("one more"));
        in_some_try(beside, |took| *took < alone + Duration::from_secs(1));
        assert_eq!(sessions(&world), 20, "they are for `motmot reap`");
    },
    fn an_account_whose_home_does_not_answer_pays_two_seconds_and_is_then_left_in_peace(root: Root) {
        let world = World::root(root).build();
        let name = left_behind(&world, &world.user, 100);
        let dirs = temp_dirs(&world, std::slice::from_ref(&name));
        let Some(_poison) = Poison::of(&world.user, Silence::AfterGreeting, dirs) else { return };
        let trouble = world.sessions().join(&name).join("trouble");
        let mut job_ids = 1..;
        let mut clean_up = || clean_up_of(&world, &world.user, job_ids.next().expect("one more"));
        let bounded = || {
            let _ = fs::remove_file(&trouble);
            clean_up()
        };
        in_some_try(bounded, |took| *took < Duration::from_secs(5));
        let first = fs::read_to_string(&trouble).expect("it says why");
        clean_up();
        assert_eq!(fs::read_to_string(&trouble).expect("trouble"), first, "nobody tries again at once");
        let listed = reap(&world, &["--dry-run"]);
        let says = words(&listed);
        let is_told = |says: &str| {
            says.contains("failed cleanups: 1, the next in ") && says.contains("; the last: it took longer than")
        };
        assert!(is_told(&says), "{says}");
        let reaped = reap(&world, &[]);
        let says = words(&reaped);
        assert!(says.contains(&format!("left: {name} ")) && is_told(&says), "{says}");
        assert_eq!((listed.status.code(), reaped.status.code()), (Some(2), Some(2)), "something is left");
        let forgotten = reap(&world, &["--forget", &name]);
        assert!(forgotten.status.success(), "{}", words(&forgotten));
        assert_eq!(sessions(&world), 0);
        assert_eq!(world.audit().last().expect("a line")["event"], "forgotten");
        let again = reap(&world, &[]);
        assert!(again.status.success() && words(&again).contains("nothing was left behind"), "{}", words(&again));
    },
    fn a_home_that_does_not_answer_holds_up_no_other_account_in_reap(root: Root) {
        let world = World::root(root).build();
        let stranger = TestAccount::stranger(root, &world.dir);
        let hangs = left_behind(&world, &world.user, 100);
        let dirs = temp_dirs(&world, std::slice::from_ref(&hangs));
        let Some(mut poison) = Poison::of(&world.user, Silence::AfterGreeting, dirs) else { return };
        let goes = left_behind(&world, &stranger, 101);
        let mut command = reap_command(&world);
        let mut reap = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("reap"));
        poison.until_asked();
        until("the stranger's is gone", || !world.sessions().join(&goes).exists());
        assert!(reap.0.try_wait().expect("wait").is_none(), "it waits for the other one");
        // An admin who has seen enough.
        reap.signal(Signal::SIGTERM);
        reap.0.wait().expect("it ends");
        // Not even SIGKILL has ended the worker.
        assert_eq!(world.processes_of_user(), ["motmot-worker"]);
        drop(poison);
        until("no worker is left", || world.processes_of_user().is_empty());
        assert!(world.sessions().join(&hangs).exists());
    },
    fn an_account_that_stops_its_worker_makes_no_stranger_wait(root: Root) {
        let world = World::root(root).build();
        let stranger = TestAccount::stranger(root, &world.dir);
        let name = left_behind(&world, &world.user, 100);
        let mut stopper = world.user.command("/bin/bash".as_ref());
        let everything = "while :; do pkill -STOP motmot-worker; done";
        let stopper = stopper.args(["-c", everything]).stderr(Stdio::null()).spawn().expect("the attack");
        let _stopper = Process(stopper);
        let alone = Duration::from_secs(1);
        let mut job_ids = 200..;
        let beside = || clean_up_of(&world, &stranger, job_ids.next().expect("one more"));
        in_some_try(beside, |took| *took < alone + Duration::from_secs(1));
        assert!(world.sessions().join(name).exists(), "it is for `motmot reap`");
    }
);

/// How long the cleanup of a job takes that has done nothing.
fn clean_up_of(world: &World, account: &TestAccount, job_id: u64) -> Duration {
    let single = Single::of(world, account, job_id);
    let start = Instant::now();
    single.clean_up();
    start.elapsed()
}

/// A session of before a start of the machine.
fn left_behind(world: &World, account: &TestAccount, job_id: u64) -> String {
    let name = Single::of(world, account, job_id).session;
    world.start_anew(&name);
    name
}

fn temp_dirs(world: &World, sessions: &[String]) -> Vec<PathBuf> {
    sessions.iter().map(|session| world.data_dir().join("jobs").join(session).join("tmp")).collect()
}

fn sessions(world: &World) -> usize {
    fs::read_dir(world.sessions()).expect("sessions").count()
}

fn reap_command(world: &World) -> Command {
    let mut command = Command::new(world.bins.join("motmot"));
    command.arg("--config").arg(world.config_file()).arg("reap");
    command
}

fn reap(world: &World, args: &[&str]) -> Output {
    reap_command(world).args(args).output().expect("motmot reap")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A process that goes with the value.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
