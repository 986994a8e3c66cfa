//! Login sessions of PAM's around the workers of a job.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::check::{check, check_for_runner};
use crate::world::pam::{Service, reason};
use crate::world::stage::{Stage, worker_of};
use crate::world::{Builder, Cluster, Single, TestAccount, World, cases, make_script, unified_groups, until};

/// Who may begin a session is no subject here.
const ACCOUNT: &str = "account required pam_permit.so\n";

/// A world whose scripts run in sessions with these modules.
fn with_sessions(world: &mut World, session: &str) -> Service {
    let service = Service::new(world, &format!("{ACCOUNT}{session}\n"));
    let name = service.name.clone();
    world.change(|config| config.accounts(|accounts| accounts.pam_service(&name).pam_session(true)));
    service
}

/// A world whose sessions are written down, one line for each beginning and each end; and where.
fn with_marks(builder: Builder) -> (World, Service, PathBuf) {
    let mut world = builder.build();
    let (marks, script) = (world.dir.join("marks"), world.dir.join("mark"));
    make_script(&script, &format!("#!/bin/sh\necho \"$PAM_TYPE $PAM_USER $PAM_TTY $(id -u)\" >>{}\n", marks.display()));
    let service = with_sessions(&mut world, &format!("session required pam_exec.so {}", script.display()));
    (world, service, marks)
}

fn count(marks: &PathBuf, what: &str) -> usize {
    fs::read_to_string(marks).unwrap_or_default().lines().filter(|line| line.starts_with(what)).count()
}

/// In a script: numbers of the keeper and of the stage. The worker is the shell's parent, and the keeper is the worker's.
const PARENTS: &str =
    "parent() { awk '/^PPid/ {print $2}' /proc/$1/status; }; keeper=$(parent $PPID); stage=$(parent $keeper); ";

cases!(
    fn the_sites_limits_hold_in_jobs_as_after_a_login_and_leak_to_nobody(root: Root) {
        let mut world = World::root(root).build();
        let limits = world.dir.join("limits.conf");
        fs::write(&limits, format!("{0} soft nofile 222\n{0} hard nofile 333\n", world.user.name)).expect("write");
        let _service = with_sessions(&mut world, &format!("session required pam_limits.so conf={}", limits.display()));
        let stranger = TestAccount::stranger(root, &world.dir);
        let body = format!(
            "{PARENTS} echo files=$(ulimit -Sn):$(ulimit -Hn); echo stage=$(awk '/open files/ {{print $4}}' /proc/$stage/limits)"
        );
        let single = Single::new(&world, 5);
        let end = Stage::run(&world, &single, &body).end();
        end.assert_success().assert_log("files=222:333").assert_log("stage=");
        assert!(!end.log.contains("stage=222"), "the stage keeps its own: {}", end.log);
        single.clean_up();
        let other = Single::of(&world, &stranger, 6);
        let end = Stage::run(&world, &other, &body).end();
        end.assert_success().assert_log("files=");
        assert!(!end.log.contains("files=222") && !end.log.contains(":333"), "{}", end.log);
        other.clean_up();
        world.change(|config| config.accounts(|accounts| accounts.pam_session(false)));
        let single = Single::new(&world, 7);
        let end = Stage::run(&world, &single, "echo files=$(ulimit -Sn)").end();
        assert!(
            end.code == 0 && !end.log.contains("files=222"),
            "no session phase unless it is asked for: {}",
            end.log
        );
        single.clean_up();
    },
    fn each_stage_is_a_login_that_root_ends(root: Root) {
        let (world, _service, marks) = with_marks(World::root(root));
        world.simulate().script("echo ran=yes").run().assert_success().assert_log("ran=yes");
        let (opened, closed) = (count(&marks, "open_session"), count(&marks, "close_session"));
        assert!(opened >= 3 && opened == closed, "{opened} opened, {closed} closed");
        let as_root = format!("{} motmot 0", world.user.name);
        for line in fs::read_to_string(&marks).expect("marks").lines() {
            assert!(line.ends_with(&as_root), "{line}");
        }
    },
    fn a_session_is_closed_when_its_stage_is_killed_and_when_its_job_kills_the_worker(root: Root) {
        let (world, _service, marks) = with_marks(World::root(root));
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, "echo begun; sleep 600");
        stage.until_says("begun");
        assert_eq!((count(&marks, "open"), count(&marks, "close")), (1, 0));
        stage.signal(Signal::SIGKILL);
        until("the session is closed", || count(&marks, "close") == 1);
        drop(stage);
        let end = Stage::run(&world, &single, "kill -9 $PPID; sleep 600").end();
        // Whose failure that is only a control group can tell.
        assert_ne!(end.code, 0, "{}", end.log);
        end.assert_log("was killed");
        assert_eq!((count(&marks, "open"), count(&marks, "close")), (2, 2));
        single.clean_up();
    },
    fn a_job_in_a_session_that_kills_every_process_of_its_account_has_failed_by_itself(groups: ControlGroups) {
        let (world, _service, marks) = with_marks(World::root(groups));
        let end = world.simulate().script("kill -9 -1; sleep 1000").run();
        end.assert_failed("script_failure").assert_log("was killed (signal 9), and not for lack of memory");
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        let (opened, closed) = (count(&marks, "open"), count(&marks, "close"));
        assert!(opened >= 3 && opened == closed, "{opened} opened, {closed} closed");
    },
    fn a_session_that_is_being_opened_for_a_stage_that_is_gone_is_closed_again(root: Root) {
        let mut world = World::root(root).build();
        let (marks, go, script) = (world.dir.join("marks"), world.dir.join("go"), world.dir.join("slow"));
        let wait = format!(
            "#!/bin/sh\necho $PAM_TYPE >>{}\nwhile [ ! -e {} ]; do sleep 0.02; done\n",
            marks.display(),
            go.display()
        );
        make_script(&script, &wait);
        let _service = with_sessions(&mut world, &format!("session required pam_exec.so {}", script.display()));
        let single = Single::new(&world, 5);
        let stage = Stage::run(&world, &single, "touch $HOME/ran");
        until("the session is being opened", || count(&marks, "open") == 1);
        stage.signal(Signal::SIGTERM);
        stage.end().assert_site();
        fs::write(&go, "").expect("go");
        until("the session is closed", || count(&marks, "close") == 1);
        assert!(!world.user.home.join("ran").exists(), "nothing is started for nobody");
        single.clean_up();
    },
    fn a_job_can_neither_end_nor_read_its_keeper_and_gets_nothing_of_its_rights(root: Root) {
        let (world, _service, marks) = with_marks(World::root(root));
        let single = Single::new(&world, 5);
        let body = format!(
            "{PARENTS} kill -9 $keeper 2>/dev/null || echo kept=yes; cat /proc/$keeper/environ >/dev/null 2>&1 || echo hidden=yes; \
             echo words=$(tr '\\0' ' ' </proc/$keeper/cmdline); grep -E '^(Uid|Gid|CapEff|CapPrm|CapInh|CapAmb):' /proc/self/status | tr '\\t' ' '; \
             readlink /proc/$BASHPID/fd/* | sed 's/^/fd=/'; echo session=$(ps -o sid= $keeper)/$(ps -o sid= $stage)"
        );
        let end = Stage::run(&world, &single, &body).end();
        end.assert_success().assert_log("kept=yes").assert_log("hidden=yes");
        let config = world.config_file();
        let words = format!("words=motmot-login keep-login {0} {0} {1}", config.display(), single.session);
        end.assert_log(&words).assert_log(&format!("Uid: {0} {0} {0} {0}", world.user.uid));
        end.assert_log(&format!("Gid: {0} {0} {0} {0}", world.user.gid));
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            end.assert_log(&format!("{set}: 0000000000000000"));
        }
        assert!(!end.log.contains("fd=socket:"), "{}", end.log);
        let session = end.log.lines().find_map(|line| line.strip_prefix("session=")).expect("a line");
        let (keeper, stage) = session.split_once('/').expect("two");
        assert_ne!(keeper.trim(), stage.trim(), "out of reach of what is sent to the stage's group");
        assert_eq!((count(&marks, "open"), count(&marks, "close")), (1, 1));
        single.clean_up();
    },
    fn a_worker_that_its_job_has_stopped_is_ended_and_its_session_closed(root: Root) {
        let (mut world, _service, marks) = with_marks(World::root(root));
        world.change(|config| config.jobs(|jobs| jobs.kill_timeout("1s")));
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, "kill -STOP $PPID; echo stopped; sleep 600");
        stage.until_says("stopped");
        stage.signal(Signal::SIGTERM);
        stage.end().assert_site();
        assert_eq!((count(&marks, "open"), count(&marks, "close")), (1, 1));
        single.clean_up();
    },
    fn a_keeper_that_is_killed_takes_its_job_along(root: Root) {
        let (world, _service, _marks) = with_marks(World::root(root));
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, "echo begun; sleep 600");
        stage.until_says("begun");
        let worker = worker_of(&world).expect("a worker");
        let status = fs::read_to_string(format!("/proc/{worker}/status")).expect("a status");
        let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).expect("a parent");
        kill(Pid::from_raw(keeper.parse().expect("a number")), Signal::SIGKILL).expect("it is there");
        stage.end().assert_site();
        let left = Command::new("pgrep").args(["-U", &world.user.uid.to_string()]).output().expect("pgrep");
        assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
        single.clean_up();
    },
    fn a_session_that_is_refused_is_a_fault_of_the_site_and_keeps_no_cleanup(root: Root) {
        let mut world = World::root(root).build();
        let limits = world.dir.join("limits.conf");
        fs::write(&limits, format!("{} - maxlogins 0\n", world.user.name)).expect("write");
        let service = with_sessions(&mut world, &format!("session required pam_limits.so conf={}", limits.display()));
        let refused = |world: &World| {
            let end = world.simulate().script("echo ran=yes").run();
            end.assert_failed("runner_system_failure").assert_log("no login session could be opened");
            end.assert_not_in_log("ran=yes").assert_not_in_log("PAM").assert_not_in_log("pam_");
            assert!(end.calls("cleanup_exec").iter().all(|call| call["exit"]["code"] == 0), "{}", end.runner_log);
            reason(world, "failed")
        };
        let words = refused(&world);
        assert!(words.contains(&format!("PAM (service {}) says: ", service.name)), "{words}");
        fs::write(
            &service.file,
            format!("{ACCOUNT}session optional pam_echo.so for %u\nsession required pam_deny.so\n"),
        )
        .expect("write");
        let words = refused(&world);
        assert!(words.contains(&format!("for {}", world.user.name)), "{words}");
        fs::write(&service.file, format!("{ACCOUNT}session required pam_of_no_package.so\n")).expect("write");
        refused(&world);
    },
    fn a_module_that_hangs_is_given_up_and_leaves_nothing(root: Root) {
        let mut world = World::root(root).build();
        let script = world.dir.join("hang");
        // No other run of this test has it.
        let hang = format!("sleep {}", 7_000_000_000 + u64::from(std::process::id()));
        make_script(&script, &format!("#!/bin/sh\nexec {hang}\n"));
        let _service = with_sessions(&mut world, &format!("session required pam_exec.so {}", script.display()));
        let single = Single::new(&world, 5);
        Stage::run(&world, &single, "echo ran=yes").end().assert_site().assert_log("no login session could be opened");
        let words = reason(&world, "failed");
        assert!(words.contains("have not come to an end within 20 s"), "{words}");
        let left = Command::new("pgrep").args(["-fx", &hang]).output().expect("pgrep");
        assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
        single.clean_up();
    },
    fn variables_of_a_session_reach_the_job_unless_they_decide_which_code_runs(root: Root) {
        let mut world = World::root(root).build();
        let variables = world.dir.join("environment");
        fs::write(&variables, "LANG=C.UTF-8\nLC_TIME=POSIX\nXDG_RUNTIME_DIR=/run/user/7\nLD_PRELOAD=/x.so\nBASH_ENV=/x\nPATH=/x\nHOME=/x\nFOO=x\n")
            .expect("write");
        let _service =
            with_sessions(&mut world, &format!("session required pam_env.so envfile={}", variables.display()));
        world.change(|config| config.jobs(|jobs| jobs.environment([("LC_TIME", "C")])));
        let end = world.simulate().script("echo got=$LANG,$XDG_RUNTIME_DIR,$LC_TIME,$LD_PRELOAD,$BASH_ENV,$FOO").run();
        end.assert_success();
        assert_eq!(end.value("got"), "C.UTF-8,/run/user/7,C,,,");
    },
    fn audit_knows_a_jobs_processes_by_the_account_that_began_the_session(root: Root) {
        let mut world = World::root(root).build();
        let _service = with_sessions(&mut world, "session required pam_loginuid.so");
        let end = world.simulate().script("echo login=$(cat /proc/self/loginuid 2>/dev/null)").run();
        end.assert_success();
        if fs::read("/proc/self/loginuid").is_ok() {
            assert_eq!(end.value("login"), world.user.uid.to_string());
        }
    },
    fn a_control_group_that_the_session_brings_is_kept(groups: UnifiedGroups) {
        let mut world = World::root(groups).build();
        let group = unified_groups().expect("they are needed").join(&world.user.name);
        let script = world.dir.join("move");
        make_script(
            &script,
            &format!(
                "#!/bin/sh\n[ $PAM_TYPE = open_session ] || exit 0\nmkdir -p {0} && echo $PPID >{0}/cgroup.procs\n",
                group.display()
            ),
        );
        let _service = with_sessions(&mut world, &format!("session required pam_exec.so {}", script.display()));
        let end = world.simulate().script("echo group=$(grep ^0:: /proc/self/cgroup)").run();
        until("the group is empty", || fs::remove_dir(&group).is_ok());
        end.assert_success();
        assert_eq!(end.value("group"), format!("0::/{}", world.user.name));
    },
    fn a_job_in_a_session_is_in_the_control_group_of_every_job_where_no_module_moves_it(groups: ControlGroups) {
        let mut world = World::root(groups).jobs(|jobs| jobs.limits([("pids", 64)])).build();
        let _service = with_sessions(&mut world, "session required pam_permit.so");
        let end = world
            .simulate()
            .script("echo in=$(grep -c \"/motmot-$MOTMOT_SESSION\\$\" /proc/self/cgroup)")
            .script("for f in $(find /sys/fs/cgroup -path \"*motmot-$MOTMOT_SESSION*\" -name pids.max 2>/dev/null); do echo \"max=$(cat $f)\"; done")
            .run();
        end.assert_success();
        assert!(end.value("in").parse::<u32>().is_ok_and(|groups| groups > 0), "{}", end.log);
        assert!(end.log.lines().any(|line| line == "max=64"), "{}", end.log);
    },
    fn a_runner_that_is_not_root_does_not_go_on_without_the_sessions_that_its_site_wants(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let _service = with_sessions(&mut world, "session required pam_permit.so");
        let end = world.simulate().script("echo ran=yes").run();
        end.assert_failed("runner_system_failure").assert_not_in_log("ran=yes");
        end.assert_log("accounts.pam_session = true takes a runner that is root");
        check_for_runner(&world)
            .is_good(false)
            .says(&["PROBLEM  accounts.pam_session: ", "takes a runner that is root"]);
    },
    fn the_service_in_the_package_opens_sessions(root: Root) {
        let common = std::path::Path::new("/etc/pam.d/common-account").exists();
        let lines =
            fs::read_to_string(if common { "packaging/pam.d/motmot.debian" } else { "packaging/pam.d/motmot.el" });
        let mut world = World::root(root).build();
        let service = with_sessions(&mut world, "");
        fs::write(&service.file, lines.expect("the file of the package")).expect("write");
        world.simulate().script("echo ran=yes").run().assert_success().assert_log("ran=yes");
        check(&world).says(&["ok       accounts.pam_session: the session phase of /etc/pam.d/motmot-"]);
    },
    fn check_says_whether_sessions_are_opened(root: Root) {
        let mut world = World::root(root).build();
        let service = with_sessions(&mut world, "session required pam_permit.so");
        check(&world).says(&["ok       accounts.pam_session: the session phase of /etc/pam.d/motmot-"]);
        fs::write(&service.file, format!("{ACCOUNT}session required pam_deny.so\n")).expect("write");
        check(&world).says(&["PROBLEM  accounts.pam_session: ", "pam_deny"]);
        world.change(|config| config.accounts(|accounts| accounts.pam_session(false)));
        check(&world).says(&["ok       accounts.pam_session: no session phase"]);
    },
    fn a_worker_that_submits_to_slurm_is_in_a_session_and_the_slurm_job_in_its_own(slurm: Slurm) {
        let (world, _service, marks) = with_marks(World::root(slurm).at(Cluster::shared(slurm)));
        world.simulate().script("echo ran=yes").run().assert_success().assert_log("ran=yes");
        let (opened, closed) = (count(&marks, "open_session"), count(&marks, "close_session"));
        assert!(opened >= 3 && opened == closed, "{opened} opened, {closed} closed");
    }
);
