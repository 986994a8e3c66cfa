//! A runner that is an ordinary account, and stage binaries with file capabilities.

use std::process::Command;

use crate::world::{Rule, TestAccount, World, cases, chown, make_dir, until};

cases!(
    fn a_job_runs_as_its_account_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let end = world.simulate().script("echo me=$(id -un)").script("echo groups=$(id -G)").run();
        end.assert_success();
        assert_eq!(
            (end.value("me"), end.value("groups")),
            (world.user.name.as_str(), world.user.gid.to_string().as_str())
        );
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn its_jobs_have_no_capabilities_and_no_way_to_the_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner").uid;
        let end = world
        .simulate()
        .script("grep -E '^(Uid|Gid|Cap(Inh|Prm|Eff|Amb))' /proc/self/status")
        .script(format!("perl -e 'use POSIX; print \"root=\", (POSIX::setuid(0) ? \"yes\" : \"no\"), \"\\n\"; print \"runner=\", (POSIX::setuid({runner}) ? \"yes\" : \"no\"), \"\\n\"; $> = {runner}; print \"effective=\", $>, \"\\n\"'"))
        // The driver: the nearest process above that is not the account's.
        .script("driver=$$; while [ $(ps -o uid= -p $driver) = $(id -u) ]; do driver=$(ps -o ppid= -p $driver | tr -d ' '); done; echo driver=$(ps -o comm= -p $driver) kill=$(kill -0 $driver 2>&1 | grep -c permitted)")
        .run();
        end.assert_success();
        assert_eq!(
            (end.value("root"), end.value("runner"), end.value("effective")),
            ("no", "no", world.user.uid.to_string().as_str())
        );
        assert_eq!(end.log.matches("\t0000000000000000").count(), 4, "{}", end.log);
        assert_eq!(end.value("driver"), "motmot-run kill=1");
    },
    fn sigterm_works_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let end = world
            .simulate()
            .option("--cancel", "graceful")
            .option("--cancel-on", "waiting now")
            .script("trap 'echo trapped=yes; exit 1' TERM; echo wait\"\"ing now; sleep 1000 & wait")
            .run();
        assert!(!end.succeeded());
        end.assert_not_in_log("Failed to terminate process").assert_log("trapped=yes");
        assert_ne!(end.code_of("build_script"), 0);
        until("nothing runs any more", || world.processes_of_user().is_empty());
    },
    fn what_ignores_sigterm_is_killed_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).jobs(|jobs| jobs.kill_timeout("1s")).build();
        let end = world
        .simulate()
        .option("--cancel", "graceful")
        .option("--cancel-on", "waiting now")
        .script(
            "trap '' TERM; pkill -STOP motmot-worker; (trap '' TERM; echo wait\"\"ing now; while :; do sleep 0.1; done)",
        )
        .run();
        assert!(!end.succeeded());
        end.assert_not_in_log("Failed to terminate process").assert_not_in_log("dormant");
        until("nothing runs any more", || world.processes_of_user().is_empty());
    },
    fn daemons_end_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        world
            .simulate()
            .script("(setsid sleep 1003 &)")
            .script("env -i /usr/bin/setsid -f /usr/bin/sleep 1004")
            .run()
            .assert_success();
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    fn the_job_cannot_execute_the_capable_binaries(root: Root) {
        let world = World::with_capabilities(root).build();
        let end = world
            .simulate()
            .script(format!(
                "for stage in config prepare run cleanup; do {}/motmot-$stage --version && echo ran=$stage; done; true",
                world.bins.display()
            ))
            .run();
        end.assert_success().assert_no_line("ran=");
    },
    fn root_can_try_a_job_as_the_runners_account(root: Root) {
        let world = World::with_capabilities(root).build();
        let runner = &world.runner.as_ref().expect("a runner").name;
        let temp = world.dir.join("open-tmp");
        make_dir(&temp, 0o1777);
        let output = Command::new(world.bins.join("motmot"))
            .arg("--config")
            .arg(world.config_file())
            .args(["simulate", "--runner-account", runner, "--user", &world.user.name, "--script", "echo me=$(id -un)"])
            .arg("--tmpdir")
            .arg(&temp)
            .output()
            .expect("simulate");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{log}{}", String::from_utf8_lossy(&output.stderr));
        assert!(log.lines().any(|line| line == format!("me={}", world.user.name)), "{log}");
    },
    fn the_runners_account_cannot_choose_the_configuration(root: Root) {
        let world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner");
        let own = runner.home.join("config.toml");
        let text = std::fs::read_to_string(world.config_file()).expect("config");
        std::fs::write(&own, text).expect("write");
        chown(&own, runner.uid, runner.gid);
        let output =
            runner.command(&world.bins.join("motmot-config")).arg("--config").arg(&own).output().expect("config");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            words.contains(&runner.name) && words.contains("root"),
            "whoever takes over the runner maps nobody: {words}"
        );
    },
    fn who_may_execute_the_capable_programs_and_is_not_the_runner_gets_nothing_from_them(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let group = world.runner.as_ref().expect("a runner").gid;
        let stranger = TestAccount::stranger(root, &world.dir);
        // What he could have made himself, to say that he is the runner, and to say in it as whom a job runs.
        let open = world.dir.join("open");
        make_dir(&open, 0o1777);
        let in_open = open.join("motmot");
        let in_home = stranger.home.join("motmot");
        for own in [&in_open, &in_home] {
            make_dir(own, 0o700);
            chown(own, stranger.uid, stranger.gid);
        }
        let payload = world.dir.join("response.json");
        std::fs::write(&payload, crate::world::payload(5).to_string()).expect("payload");
        let states = [
            (world.dir.join("state/motmot"), "it was started by"),
            (in_open, "others than root may write"),
            (in_home, "is a directory of"),
            ("{home}/motmot".into(), "another directory for each caller"),
        ];
        for (state, why) in states {
            world.change(|config| config.jobs(|jobs| jobs.state_dir(&state)));
            for stage in ["config", "prepare", "run", "cleanup"] {
                let output = Command::new("setpriv")
                    .arg(format!("--reuid={}", stranger.uid))
                    .arg(format!("--regid={group}"))
                    .args(["--clear-groups", "--"])
                    .arg(world.bins.join(format!("motmot-{stage}")))
                    .arg("--config")
                    .arg(world.config_file())
                    .args(["/dev/null", "build_script"])
                    .env("JOB_RESPONSE_FILE", &payload)
                    .env("MOTMOT_SESSION", "5-a")
                    .output()
                    .expect("setpriv");
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(2), "{stage}: {words}");
                assert!(words.contains(why), "{stage}: {words}");
            }
        }
        assert!(!stranger.home.join("motmot/sessions").exists() && !world.sessions().exists());
    },
    fn nobody_is_mapped_to_the_runners_account(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner").name.clone();
        world.change(|config| config.rules([Rule::everybody().run_as(&runner)]));
        let end = world.simulate().script("id").run();
        end.assert_failed("script_failure").assert_no_line("uid=");
        let audit = world.audit();
        let reason = audit.iter().find(|line| line["event"] == "refused").expect("an audit line")["reason"].to_string();
        assert!(reason.contains("driver runs as"), "{reason}");
    },
    fn capable_programs_that_everybody_may_execute_refuse_to_work(root: Root) {
        let world = World::with_capabilities(root).build();
        let program = world.bins.join("motmot-config");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let end = world.simulate().option("--retry-interval", "10ms").script("id").run();
        end.assert_failed("runner_system_failure").assert_log("chmod 0750");
    }
);
