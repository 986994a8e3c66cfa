//! Nothing of a job stays behind: processes, file-type variables, directories, sessions.

use std::process::Command;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::world::stage::kill_with_its_worker;
use crate::world::{Root, Single, World, cases, change_accounts, payload, try_change_accounts, until};

cases!(
    fn daemons_of_every_kind_neither_hold_the_stage_nor_survive_it(root: Root) {
        let world = World::root(root).build();
        let started = std::time::Instant::now();
        let end = world
        .simulate()
        .script("sleep 1001 &")
        .script("setsid sleep 1002 &")
        .script("(setsid sleep 1003 &)")
        .script("nohup sleep 1004 >/dev/null 2>&1 &")
        .script("perl -e 'use POSIX; if (!fork) { setsid; if (!fork) { $SIG{TERM} = q(IGNORE); $SIG{HUP} = q(IGNORE); exec qw(sleep 1005) } } '")
        .script("(trap '' TERM HUP; setsid -f sleep 1006)")
        .run();
        end.assert_success().assert_log("that this stage left in the background");
        let call = end.calls("build_script")[0];
        // Not as long as any of them sleeps.
        assert!(call["duration"].as_f64().expect("seconds") < 300.0 && started.elapsed() < Duration::from_mins(10));
        assert!(call["eof_delay"].as_f64().unwrap_or(0.0) < 5.0, "nobody holds the runner's pipes: {call}");
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn daemons_that_hide_their_environment_end_with_the_stage_too(root: Root) {
        let world = World::root(root).build();
        let end = world
            .simulate()
            .script("env -i /usr/bin/setsid -f /usr/bin/sleep 1007")
            .script("exec -a innocent setsid -f sleep 1008")
            .run();
        end.assert_success();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn when_the_stage_binary_is_killed_the_job_ends_all_the_same(_root: Root) {
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let mut stage = start_stage(&world, &single, "setsid sleep 1000 &");
        kill(stage.id());
        let _ = stage.wait();
        until("the worker has ended the job", || {
            !world.processes_of_user().iter().any(|name| name == "sleep" || name == "bash" || name == "motmot-worker")
        });
        assert!(single.stage("cleanup").output().expect("cleanup").status.success());
        assert_eq!(leavings(&world), Vec::<String>::new());
    },
    fn what_survived_both_stage_and_worker_ends_at_cleanup(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let mut stage = start_stage(&world, &single, "setsid sleep 1000 &");
        // As for lack of memory.
        kill_with_its_worker(&stage, &world.user);
        let _ = stage.wait();
        let output = single.stage("cleanup").output().expect("cleanup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        assert_eq!(leavings(&world), Vec::<String>::new());
    },
    fn file_variables_are_gone_after_a_time_out() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .option("--file-variable", "SECRET=hush")
            .option("--job-timeout", "20s")
            .script("cat \"$SECRET\" >/dev/null && echo ha\"\"ve=file")
            .script("touch \"$(dirname \"$SECRET\")/own\"; sleep 1000")
            .run();
        end.assert_failed("job_execution_timeout").assert_log("have=file");
        assert_eq!(end.calls("cleanup_file_variables").len(), 0, "the runner skips it");
        assert_eq!(leavings(&world), Vec::<String>::new());
    },
    fn file_variables_are_gone_after_a_hard_cancel() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .option("--file-variable", "SECRET=hush")
            .option("--cancel", "hard")
            .option("--cancel-on", "have=file")
            .script("cat \"$SECRET\" >/dev/null && echo ha\"\"ve=file")
            .script("sleep 1000")
            .run();
        assert!(!end.succeeded());
        assert_eq!(end.calls("cleanup_file_variables").len(), 0);
        assert_eq!(leavings(&world), Vec::<String>::new());
    },
    fn file_variables_are_nobody_elses_while_they_exist(root: Root) {
        let world = World::root(root).build();
        world.user_file(".bash_profile", "umask 022\n");
        let end = world.simulate().option("--file-variable", "SECRET=hush").script("path=$SECRET; while [ \"$path\" != \"$HOME\" ]; do path=$(dirname \"$path\"); stat -c 'dir=%a %n' \"$path\"; done").run();
        end.assert_success();
        assert!(
            end.log.lines().any(|line| line.starts_with("dir=700")),
            "some directory on the way is closed whatever the umask: {}",
            end.log
        );
    },
    fn cleanup_removes_what_the_job_made_unreadable() {
        let world = World::one_user().build();
        let end = world.simulate().script("mkdir -p \"$TMPDIR/a/b\" \"$(pwd).tmp/x\"; touch \"$TMPDIR/a/b/c\"; chmod 000 \"$TMPDIR/a/b\" \"$TMPDIR/a\" \"$(pwd).tmp/x\"; chmod 500 \"$TMPDIR\"").run();
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        assert_eq!(leavings(&world), Vec::<String>::new());
    },
    fn cleanup_beside_a_dying_stage_leaves_nothing(_root: Root) {
        let world = World::one_user().jobs(|jobs| jobs.kill_timeout("3m")).build();
        // The runner waits this long for a stage and then cleans up beside it; 300 s in real life.
        let end = world
            .simulate()
            .option("--cancel", "hard")
            .option("--cancel-on", "waiting now")
            .option("--wait-for-build-finish", "1s")
            .script("trap '' TERM; echo wait\"\"ing now; while :; do mkdir -p \"$TMPDIR/again\"; sleep 0.02; done")
            .run();
        assert!(!end.succeeded());
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        until("nothing runs any more", || !world.processes_of_user().contains(&"sleep".to_owned()));
        assert_eq!(leavings(&world), Vec::<String>::new());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn the_next_cleanup_takes_care_of_what_a_crashed_runner_left(root: Root) {
        let world = World::root(root).build();
        let (mut command, _, _) = world
            .simulate()
            .option("--kill-runner-on", "now it crashes")
            .option("--file-variable", "SECRET=hush")
            .script("touch \"$TMPDIR/left\"; echo now it cra\"\"shes; sleep 1")
            .command();
        let crashed = command.output().expect("simulate");
        assert_ne!(crashed.status.code(), Some(0));
        until("the stage has ended by itself", || world.processes_of_user().is_empty());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 1);
        assert!(leavings(&world).len() >= 2, "the job's directory, and the file variable");
        // A runner that lives: not its business.
        world.simulate().script("true").run().assert_success();
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 1);
        // The machine starts anew, and /tmp is empty.
        for entry in fs::read_dir(world.dir.join("tmp")).expect("tmp").flatten() {
            if entry.file_name().to_string_lossy().starts_with("custom-executor") {
                fs::remove_dir_all(entry.path()).expect("remove");
            }
        }
        let sessions = || world.sessions().read_dir().expect("sessions").flatten();
        // Where the machine is too busy for it, the time of the cleanup is over before, and it leaves the session in peace.
        until("a cleanup has had the time", || {
            sessions().for_each(|session| drop(fs::remove_file(session.path().join("trouble"))));
            let end = world.simulate().script("echo dir=$(pwd)").run();
            assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
            sessions().count() == 0
        });
        assert_eq!(leavings(&world), Vec::<String>::new());
    },
    fn a_job_of_a_runner_with_its_own_tmp_is_left_alone_by_others(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        // As a runner with PrivateTmp: its directory of the attempt is not seen from here.
        let record = world.sessions().join(&single.session).join("session.json");
        let text = fs::read_to_string(&record).expect("record");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("boot id");
        json["tree"] = format!("mnt:[1] {}", boot.trim()).into();
        json["attempt"] = "/nonexistent/custom-executor1".into();
        fs::write(&record, json.to_string()).expect("write");
        world.simulate().script("true").run().assert_success();
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 1);
        let script = single.script("echo goes on");
        world.write_payload(&payload(5));
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(single.stage("cleanup").output().expect("cleanup").status.success());
    },
    fn what_an_account_left_ends_even_when_the_account_is_gone(groups: UnifiedGroups) {
        let world = World::root(groups).build();
        let single = Single::new(&world, 5);
        let mut stage = start_stage(&world, &single, "env -i /usr/bin/setsid /usr/bin/sleep 1000 &");
        kill_with_its_worker(&stage, &world.user);
        let _ = stage.wait();
        try_change_accounts(Command::new("userdel").args(["-f", &world.user.name]));
        assert!(nix::unistd::User::from_name(&world.user.name).expect("lookup").is_none());
        let output = single.stage("cleanup").output().expect("cleanup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn a_tree_of_a_thousand_levels_goes(root: Root) {
        a_deep_tree_goes(root, "ulimit -S -n 256");
    },
    fn a_tree_that_is_deeper_than_descriptors_can_be_had_goes(root: Root) {
        a_deep_tree_goes(root, "ulimit -n 256");
    },
    fn cleanup_goes_on_when_policy_no_longer_admits_the_account(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let script = single.script("touch \"$TMPDIR/left\"");
        assert!(single.stage("run").arg(&script).arg("build_script").status().expect("run").success());
        assert!(!leavings(&world).is_empty());
        let mut usermod = Command::new("usermod");
        change_accounts(usermod.args(["-s", "/usr/sbin/nologin", &world.user.name]));
        let refused = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(refused.status.code(), Some(2), "no further stage runs");
        let output = single.stage("cleanup").output().expect("cleanup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(leavings(&world), Vec::<String>::new());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn processes_that_fork_for_ever_and_hide_end_with_their_stage(groups: UnifiedGroups) {
        let world = World::root(groups).build();
        // Each lives for a moment only, and leaves two others behind; none has its mark.
        let body = "$SIG{$_} = q(IGNORE) for qw(TERM HUP INT CHLD); require POSIX; my $end = time + 100; while (time < $end) { my $child = fork; if (!defined $child) { select undef, undef, undef, 0.0003; next } if ($child) { exit if rand() < 0.4 } else { POSIX::setsid() } }";
        let file = world.user_file("hydra.pl", body);
        let end = world
            .simulate()
            .script(format!(
                "ulimit -u 150; for i in 1 2 3 4 5; do env -i /usr/bin/setsid /usr/bin/perl {} & done; sleep 1",
                file.display()
            ))
            .run();
        assert_eq!(end.calls("build_script").len(), 1, "{}", end.log);
        assert_eq!(world.processes_of_user(), Vec::<String>::new(), "{}", end.log);
    },
    fn a_thousand_short_children_leave_no_zombies_and_no_delay(root: Root) {
        let world = World::root(root).build();
        let end = world
        .simulate()
        .script(
            "count() { ps -o stat= -u $(id -u) | grep -c Z || true; }; for i in $(seq 1 1000); do (/bin/true &) ; done; for i in $(seq 100); do [ $(count) -ge 50 ] || break; sleep 0.1; done; count",
        )
        .run();
        end.assert_success();
        let zombies: u32 = end.log.lines().filter_map(|line| line.trim().parse().ok()).next_back().expect("a number");
        assert!(zombies < 50, "orphans are collected while the job runs: {zombies}");
        assert!(Path::new("/proc").exists());
    }
);

fn leavings(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = vec![world.data_dir()];
    while let Some(dir) = look.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_suffix(".tmp").is_some() || dir.ends_with("jobs") {
                found.push(entry.path().display().to_string());
            } else if entry.path().is_dir() && !entry.path().is_symlink() {
                look.push(entry.path());
            }
        }
    }
    found
}

/// A running stage: its process, and the shell's descendants exist.
fn start_stage(world: &World, single: &Single, body: &str) -> std::process::Child {
    let script = single.script(&format!("{body}\ntouch \"$HOME/started\"\nwhile :; do sleep 0.1; done"));
    let child = single
        .stage("run")
        .arg(&script)
        .arg("build_script")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run");
    until("the script runs", || world.user.home.join("started").exists());
    fs::remove_file(world.user.home.join("started")).expect("remove");
    child
}

/// The stage binary itself: `setpriv` becomes it by exec, so the number is the same.
fn kill(pid: u32) {
    let status = Command::new("kill").arg("-KILL").arg(pid.to_string()).status().expect("kill");
    assert!(status.success());
}

/// Cleanup removes a tree of 1500 levels under a runner with this limit.
fn a_deep_tree_goes(root: Root, ulimit: &str) {
    let world = World::root(root).build();
    let single = Single::new(&world, 5);
    let script = single.script("cd \"$TMPDIR\"; perl -e 'for (1 .. 1500) { mkdir q(d) or die; chdir q(d) or die }'");
    assert!(single.stage("run").arg(&script).arg("build_script").status().expect("run").success());
    let mut cleanup = Command::new("bash");
    let stage = single.stage("cleanup");
    let limited = format!("{ulimit}; exec \"$@\"");
    cleanup.args(["-c", &limited, "runner"]).arg(stage.get_program()).args(stage.get_args());
    cleanup.envs(stage.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    let output = cleanup.output().expect("cleanup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(leavings(&world), Vec::<String>::new());
}
