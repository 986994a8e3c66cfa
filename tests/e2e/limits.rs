//! What the processes of one job may use together, and that nobody else pays for it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::world::check::check;
use crate::world::stage::worker_of;
use crate::world::version2;
use crate::world::{JobEnd, Running, Single, World, cases, until};

cases!(
    /// Attack and figure in one: how long another user's job takes meanwhile.
    fn a_fork_bomb_stops_at_its_limit_and_another_users_job_starts_beside_it(groups: ControlGroups) {
        let bomber = World::root(groups).jobs(|jobs| jobs.limits([("pids", 64)])).build();
        let other = World::root(groups).build();
        let alone = Instant::now();
        other.simulate().script("true").run().assert_success();
        let alone = alone.elapsed();
        let running = Running::start(&bomber.simulate().script(BOMB));
        until("nothing can be forked any more", || bomber.user.home.join("exhausted").exists());
        let beside = Instant::now();
        other.simulate().script("echo me=$(id -un)").run().assert_success().assert_log(&other.user.name);
        let beside = beside.elapsed();
        bomber.user_file("go", "");
        let end = running.end();
        end.assert_success();
        let forked: u32 = end.value("forked").parse().expect("a number");
        assert!((20..64).contains(&forked), "the worker, shells and perl count, too: {forked}");
        until("nothing runs any more", || bomber.processes_of_user().is_empty());
        eprintln!("another user's job: {} ms, beside exhausted pids {} ms", alone.as_millis(), beside.as_millis());
    },
    fn a_job_that_needs_too_much_memory_is_told_so_and_ends_nobody_else(groups: ControlGroups) {
        let hog = World::root(groups).jobs(|jobs| jobs.limits([("memory", "96M"), ("swap", "0")])).build();
        let other = World::root(groups).build();
        let beside = Running::start(&other.simulate().script("touch ~/ready; until [ -e ~/go ]; do sleep 0.05; done"));
        until("the other job runs", || other.user.home.join("ready").exists());
        let end = hog.simulate().script(HOG).run();
        end.assert_failed("script_failure")
            .assert_log("motmot: out of memory: the kernel has ended a process of this job")
            .assert_log("together they may have 96M on this machine (jobs.limits.memory)")
            .assert_no_line("grown=");
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        // Also where the script itself does not mind.
        let end = hog.simulate().script(format!("{HOG} || echo minded=no")).run();
        end.assert_success().assert_log("out of memory: the kernel has ended");
        other.user_file("go", "");
        let end = beside.end();
        end.assert_success().assert_not_in_log("out of memory");
        // Without a limit of its own nothing is ended, and nothing told.
        other.simulate().script(HOG).run().assert_success().assert_log("grown=yes").assert_not_in_log("out of memory");
    },
    fn a_job_can_neither_leave_its_control_group_nor_change_its_limits(groups: ControlGroups) {
        let world = World::root(groups).jobs(|jobs| jobs.limits([("pids", 64)])).build();
        let before = "cat /proc/self/cgroup | sort > ~/before; grep -q motmot- ~/before && echo in=yes";
        let writable = "find /sys/fs/cgroup '(' -type f -o -path '*motmot-*' ')' -writable -printf 'writable=%p\\n' 2>/dev/null || true";
        // With all the rights of a user namespace of its own, too, where the machine allows that.
        let end = world
            .simulate()
            .script(before)
            .script(writable)
            .script(format!(
                "export ATTEMPT='{ATTEMPT}'; bash -c \"$ATTEMPT\" || true; unshare -Urm bash -c \"$ATTEMPT\" || true"
            ))
            .script("cat /proc/self/cgroup | sort | cmp - ~/before && echo still=in")
            .script("for f in $(find /sys/fs/cgroup -path \"*motmot-$MOTMOT_SESSION*\" -name pids.max 2>/dev/null); do echo \"max=$(cat $f)\"; done")
            .run();
        end.assert_success().assert_log("in=yes").assert_no_line("writable=").assert_no_line("got=");
        assert_eq!(end.value("still"), "in");
        assert!(end.log.lines().any(|line| line == "max=64"), "{}", end.log);
    },
    /// An open file of the group would let whoever has it move others, with the rights of the driver, which has opened it.
    fn a_jobs_processes_begin_in_its_control_group_and_hold_no_open_file_of_it(groups: ControlGroups) {
        let world = World::root(groups).jobs(|jobs| jobs.limits([("pids", 64)])).build();
        let running = Running::start(&world.simulate().script("touch ~/ready; until [ -e ~/go ]; do sleep 0.05; done"));
        until("the job runs", || world.user.home.join("ready").exists());
        let sessions: Vec<_> = fs::read_dir(world.sessions()).expect("sessions").flatten().collect();
        let [session] = &sessions[..] else { panic!("one session: {sessions:?}") };
        let group = format!("/motmot-{}", session.file_name().to_string_lossy());
        let worker = worker_of(&world).expect("a worker");
        let of_worker = fs::read_to_string(format!("/proc/{worker}/cgroup")).expect("its groups");
        assert!(of_worker.lines().any(|line| line.ends_with(&group)), "{group}: {of_worker}");
        let open: Vec<_> = fs::read_dir(format!("/proc/{worker}/fd")).expect("its descriptors").flatten().collect();
        let open: Vec<_> = open.iter().filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
        assert!(open.len() > 2, "{open:?}");
        assert!(!open.iter().any(|file| file.starts_with("/sys/fs/cgroup")), "{open:?}");
        world.user_file("go", "");
        running.end().assert_success();
    },
    fn a_job_that_kills_every_process_of_its_account_has_failed_by_itself(groups: ControlGroups) {
        let world = World::root(groups).build();
        let end = world.simulate().script("kill -9 -1; sleep 1000").run();
        end.assert_failed("script_failure").assert_log("was killed (signal 9), and not for lack of memory");
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        let audit = world.audit();
        let failed = audit.iter().find(|line| line["event"] == "failed").expect("an audit line");
        assert_eq!(failed["kind"], "build", "{failed}");
    },
    fn jobs_of_another_account_live_on_when_one_kills_all_that_it_can(groups: ControlGroups) {
        let (killer, other) = (World::root(groups).build(), World::root(groups).build());
        let beside = Running::start(&other.simulate().script("touch ~/ready; until [ -e ~/go ]; do sleep 0.05; done"));
        until("the other job runs", || other.user.home.join("ready").exists());
        killer.simulate().script("kill -9 -1").run().assert_failed("script_failure");
        other.user_file("go", "");
        beside.end().assert_success();
    },
    fn processors_are_counted_out(groups: ControlGroups) {
        let world = World::root(groups).jobs(|jobs| jobs.limits([("cpu", 1)])).build();
        let script = "cat $(find /sys/fs/cgroup -path \"*motmot-$MOTMOT_SESSION*\" '(' -name cpu.max -o -name cpu.cfs_quota_us ')' 2>/dev/null) | tr '\\n' ' ' | sed 's/^/quota=/'";
        let end = world.simulate().script(script).run();
        end.assert_success();
        assert!(end.log.lines().any(|line| line.starts_with("quota=") && line.contains("100000")), "{}", end.log);
    },
    /// A runner that is no root cannot set them here: it has no control group of its own.
    fn a_limit_that_is_written_down_and_cannot_be_set_refuses_the_job_and_the_default_is_told(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let end = world.simulate().script("echo ran=yes").run();
        end.assert_success()
            .assert_log("ran=yes")
            .assert_log("warning: no limit jobs.limits.pids holds for this job: ");
        let audit = world.audit();
        let told = audit.iter().find(|line| line["event"] == "not limited").expect("an audit line");
        assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("jobs.limits.pids")), "{told}");
        world.change(|config| config.jobs(|jobs| jobs.limits([("memory", "1G")])));
        let end = world.simulate().option("--retry-interval", "10ms").script("echo ran=yes").run();
        end.assert_failed("runner_system_failure").assert_no_line("ran=yes");
        let single = Single::new(&world, 101);
        let script = single.script("echo ran=yes");
        for (stage, args) in [("prepare", Vec::new()), ("run", vec![script.as_os_str(), "build_script".as_ref()])] {
            let output = single.stage(stage).args(args).output().expect("a stage");
            assert_eq!(output.status.code(), Some(2), "{stage}: a failure of the site");
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(words.contains("this site limits its jobs") && words.contains("jobs.limits.memory"), "{words}");
            assert!(!words.contains("/sys/fs"), "where groups are is for the admin: {words}");
            assert!(!String::from_utf8_lossy(&output.stdout).contains("ran=yes"));
        }
        let audit = world.audit();
        let failed = audit.iter().rfind(|line| line["event"] == "failed").expect("an audit line");
        assert!(
            failed["reason"].as_str().is_some_and(|reason| reason.contains("cannot be set, and without it")),
            "{failed}"
        );
        single.clean_up();
    },
    /// What a site gives its runner so that it answers whatever happens.
    fn nice_scheduling_processors_and_the_score_for_memory_are_the_runners_own(root: Root) {
        for world in [World::root(root).build(), World::with_capabilities(root).build()] {
            let looks = "echo nice=$(nice); echo policy=$(chrt -p $BASHPID | grep -c SCHED_OTHER); echo io=$(ionice -p $BASHPID); echo score=$(cat /proc/self/oom_score_adj); echo cpus=$(nproc)";
            let (command, log, runner_log) = world.simulate().script(looks).command();
            let mut runner = Command::new("bash");
            let favoured = "echo -500 > /proc/self/oom_score_adj; policy='--rr 3'; chrt $policy true 2>/dev/null || policy='--batch 0'; exec nice -n -7 ionice -c 1 -n 2 taskset -c 0 chrt $policy \"$@\"";
            runner.args(["-c", favoured, "runner"]).arg(command.get_program()).args(command.get_args());
            let envs = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
            let output = runner.envs(envs).stdin(Stdio::null()).output().expect("a favoured runner");
            let end = JobEnd::read(&output, &log, &runner_log);
            end.assert_success();
            let cpus = std::thread::available_parallelism().expect("processors").to_string();
            for (what, expected) in [("nice", "0"), ("policy", "1"), ("score", "0"), ("cpus", cpus.as_str())] {
                assert_eq!(end.value(what), expected, "{what}: {}", end.log);
            }
            assert!(end.value("io").starts_with("none"), "{}", end.log);
        }
    },
    fn check_says_which_limits_hold(groups: ControlGroups) {
        let mut world = World::root(groups).build();
        check(&world).is_good(true).says(&["ok       jobs.limits.pids: 4096", "control groups of version "]);
        world.change(|config| config.jobs(|jobs| jobs.limits([("memory", "1G")])));
        check(&world).is_good(true).says(&["ok       jobs.limits.memory: 1G"]);
    },
    fn check_says_which_limits_do_not_hold_and_why(root: Root) {
        let world = World::with_capabilities(root).jobs(|jobs| jobs.limits([("memory", "1G")])).build();
        crate::world::check::check_for_runner(&world)
            .says(&["jobs.limits.memory: 1G does not hold"])
            .says(&["warning  jobs.limits.pids: 4096 does not hold"]);
    },
    /// Most sites have version 2 alone, this machine perhaps not: the tests of this file again, under a kernel that has.
    fn all_of_this_holds_in_a_delegated_service_under_version_2(uml: UserModeLinux) {
        version2::run(uml, &["limits::a_fork", "limits::a_job", "limits::check_says_which_limits_hold"]);
    }
);

/// Forks until it cannot, says so, and waits.
const BOMB: &str = r#"perl -e '$SIG{TERM} = "DEFAULT"; my $n = 0; while (1) { my $p = fork; last unless defined $p; if (!$p) { sleep 1000; exit } $n++ } $| = 1; print "forked=$n\n"; open my $f, ">", "$ENV{HOME}/exhausted"; close $f; select undef, undef, undef, 0.05 until -e "$ENV{HOME}/go";'"#;

/// Needs 200 MB, for a moment.
const HOG: &str = r#"perl -e 'my $x = "x" x (200 << 20); print "grown=yes\n"'"#;

/// Every way out by the file system. In single quotes later: none in it.
const ATTEMPT: &str = "
mount -t cgroup2 none /mnt 2>/dev/null
mount -t cgroup -o pids none /mnt 2>/dev/null
for d in $(find /sys/fs/cgroup /mnt -type d 2>/dev/null); do
    for f in cgroup.procs tasks cgroup.threads; do
        { echo $$ > $d/$f; } 2>/dev/null && echo got=$d/$f
    done
    for f in pids.max memory.max memory.limit_in_bytes memory.memsw.limit_in_bytes cpu.max cpu.cfs_quota_us; do
        { echo -1 > $d/$f || echo max > $d/$f; } 2>/dev/null && echo got=$d/$f
    done
    mkdir $d/out 2>/dev/null && echo got=$d/out
done";
