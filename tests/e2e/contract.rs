//! What GitLab Runner expects of the four stages.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::world::gitlab::{GitLab, respond};
use crate::world::stage::Stage;
use crate::world::{PROGRAMS, Single, World, cases, chown, make_dir, payload, until};

cases!(
    fn a_job_runs_from_config_to_cleanup_as_its_account(root: Root) {
        let world = World::root(root).build();
        let end = world
            .simulate()
            .script("id -un")
            .script("echo uid=$(id -u)")
            .option("--after-script", "echo after=$(id -un)")
            .run();
        end.assert_success();
        assert_eq!(end.value("uid"), world.user.uid.to_string());
        assert_eq!(end.value("after"), world.user.name);
        for stage in [
            "config_exec",
            "prepare_exec",
            "prepare_script",
            "get_sources",
            "build_script",
            "after_script",
            "cleanup_file_variables",
            "cleanup_exec",
        ] {
            assert_eq!(end.code_of(stage), 0, "{stage}");
        }
        assert!(!world.data_dir().join("jobs").read_dir().expect("jobs").any(|_| true), "nothing of the job is left");
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
        let events: Vec<Value> = world.audit().into_iter().map(|line| line["event"].clone()).collect();
        for event in ["accepted", "minted", "ended", "cleaned up"] {
            assert!(events.contains(&json!(event)), "{event} in {events:?}");
        }
    },
    fn one_users_own_runner_runs_a_job_without_root() {
        let world = World::one_user().build();
        let end = world.simulate().script("echo me=$(id -un)").run();
        end.assert_success();
        assert_eq!(end.value("me"), world.user.name);
    },
    fn config_answers_with_one_json_object_under_every_error(root: Root) {
        let world = World::root(root).build();
        let one_object = |what: &str, output: &std::process::Output| {
            let parsed: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{what}: {error}: {:?}", String::from_utf8_lossy(&output.stdout)));
            assert!(parsed.is_object(), "{what}");
            assert!(matches!(output.status.code(), Some(1 | 2)), "{what}: {:?}", output.status);
            assert!(!output.stderr.is_empty(), "{what}: words");
        };
        one_object("no payload", &world.stage("config").env_remove("JOB_RESPONSE_FILE").output().expect("config"));
        one_object("payload missing", &world.stage("config").output().expect("config"));
        world.write_payload(&json!({"id": "x"}));
        one_object("payload malformed", &world.stage("config").output().expect("config"));
        world.write_payload(&json!({"id": 9_223_372_036_854_775_806_u64, "token": "boot-verify", "job_info": {"name": "boot-verify", "project_id": 0, "user_id": 0}}));
        let canary = world.stage("config").output().expect("config");
        one_object("the runner's start-up check", &canary);
        assert_eq!(canary.status.code(), Some(1), "refused, not retried");
        world.write_payload(&payload(1));
        one_object("GitLab down", &world.stage("config").output().expect("config"));
        fs::write(world.config_file(), "[gitlab]\nurl = 5\n").expect("write");
        one_object("configuration invalid", &world.stage("config").output().expect("config"));
        fs::remove_file(world.config_file()).expect("remove");
        one_object("configuration missing", &world.stage("config").output().expect("config"));
    },
    fn sources_are_fetched_by_git_as_the_jobs_account(root: Root) {
        let world = World::root(root).build();
        let git = |args: &str| {
            let line = format!("cd && export GIT_CONFIG_GLOBAL=/dev/null && {args}");
            let output = world
                .user
                .command(std::path::Path::new("bash"))
                .args(["-c", &line])
                .current_dir("/")
                .output()
                .expect("git");
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        git(
            "git init -q -b main repo && cd repo && echo hello > file && git add file && git -c user.name=a -c user.email=a@b commit -q -m one",
        );
        let url = format!("file://{}/repo/.git", world.user.home.display());
        let job = |script: &str| {
            let sha = git("git -C repo rev-parse HEAD");
            world.simulate().option("--git-url", &url).option("--ref", "main").option("--sha", sha).script(script).run()
        };
        let first = job("cat file; stat -c owner=%U file; echo dir=$(pwd); touch untracked");
        first.assert_success().assert_log("hello");
        assert_eq!(first.value("owner"), world.user.name);
        git("cd repo && echo more >> file && git -c user.name=a -c user.email=a@b commit -q -am two");
        let second = job("cat file; echo dir=$(pwd); ls");
        second.assert_success().assert_log("more").assert_no_line("untracked");
        assert_eq!(first.value("dir"), second.value("dir"), "the clone is used again");
    },
    fn caches_and_artifacts_are_the_runners_helpers_business_as_the_jobs_account(root: Root) {
        let world = World::root(root).build();
        // The runner's own binary, as far as its scripts call it: it writes down who calls it, and how.
        let bin = world.user.home.join("bin");
        make_dir(&bin, 0o755);
        world.user_program(
            "bin/gitlab-runner",
            "#!/bin/sh\n[ \"$1\" = --version ] || echo \"$(id -un) $*\" >> \"$HOME/helper-calls\"\n",
        );
        world.user_file(".bash_profile", "PATH=$HOME/bin:$PATH\n");
        let end = world
            .simulate()
            .option("--cache", "target")
            .option("--artifact", "out")
            .script("mkdir -p target out; touch target/a out/b")
            .run();
        end.assert_success().assert_not_in_log("warning: 'gitlab-runner'").assert_not_in_log("Missing gitlab-runner");
        let calls = fs::read_to_string(world.user.home.join("helper-calls")).expect("calls");
        for verb in ["cache-archiver", "artifacts-uploader"] {
            assert!(
                calls.lines().any(|line| line.starts_with(&format!("{} {verb}", world.user.name))),
                "{verb} in {calls}"
            );
        }
    },
    fn directories_are_the_accounts_own_and_private(root: Root) {
        let world = World::root(root).build();
        world
            .simulate()
            .script("stat -c 'builds=%a %U' ../..")
            .script("stat -c 'tmp=%a %U' \"$TMPDIR\"")
            .run()
            .assert_success();
        for below in ["", "builds", "cache", "jobs"] {
            let meta = fs::metadata(world.data_dir().join(below)).expect("exists");
            assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o700, world.user.uid), "{below}");
        }
    },
    fn two_concurrent_jobs_of_a_project_never_share_a_directory(root: Root) {
        let world = World::root(root).build();
        let meet = |name: &str, other: &str| {
            // Each waits until it has seen the other, so that both surely run at the same time.
            world
                .simulate()
                .option("--job-id", if name == "a" { "11" } else { "12" })
                .script("echo dir=$(pwd -P)")
                .script(format!("touch \"$HOME/{name}\"; while [ ! -e \"$HOME/{other}\" ]; do sleep 0.05; done"))
        };
        let (one, two) = (meet("a", "b"), meet("b", "a"));
        let (one, two) = std::thread::scope(|scope| {
            let first = scope.spawn(|| one.run());
            let second = two.run();
            (first.join().expect("the first job"), second)
        });
        one.assert_success();
        two.assert_success();
        assert_ne!(one.value("dir"), two.value("dir"));
        let again = world.simulate().script("echo dir=$(pwd -P)").run();
        assert!([one.value("dir"), two.value("dir")].contains(&again.value("dir")), "a free directory is used again");
    },
    fn the_scripts_exit_code_reaches_gitlab() {
        let world = World::one_user().build();
        for code in [1, 2, 3, 7, 126, 127, 137, 255] {
            let end = world.simulate().script(format!("(exit {code})")).run();
            end.assert_failed("script_failure");
            assert_eq!(end.json["exit_code"], code);
            assert_eq!(end.code_of("build_script"), 1, "the runner's code for a build failure");
        }
    },
    fn an_exit_code_file_of_an_earlier_stage_is_cleared() {
        let world = World::one_user().build();
        let end = world.simulate().script("exit 9").option("--after-script", "true").run();
        assert_eq!(end.json["exit_code"], 9);
        // A stage that fails without a script must not report the number of an earlier one.
        world.write_payload(&payload(1));
        let file = world.dir.join("tmp/build_exit_code");
        fs::write(&file, "99\n").expect("write");
        chown(&file, world.user.uid, world.user.gid);
        let output = world.stage("run").args(["/nonexistent", "build_script"]).output().expect("run");
        assert_eq!(output.status.code(), Some(2));
        assert!(!file.exists());
    },
    fn runners_without_an_exit_code_file_work() {
        let world = World::one_user().build();
        let end = world.simulate().option("--runner-version", "17.8").script("exit 9").run();
        end.assert_failed("script_failure");
        assert_eq!(end.json["exit_code"], 1, "that runner knows no other");
    },
    fn a_shell_that_is_killed_is_told_from_one_that_exits() {
        let world = World::one_user().build();
        // The runner's own form runs commands in a subshell; its parent is the shell that the driver started.
        let end = world.simulate().script("kill -9 $$").run();
        end.assert_failed("script_failure").assert_log("ended by signal 9 (SIGKILL)");
        assert_eq!(end.json["exit_code"], 137);
        let end = world.simulate().script("exit 137").run();
        end.assert_failed("script_failure").assert_not_in_log("it did not exit by itself");
        assert_eq!(end.json["exit_code"], 137);
    },
    fn no_name_of_a_sub_stage_makes_it_fail() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .script("true")
            .option("--step", "release=echo released=yes")
            .option("--step", "of_the_future=echo future=yes")
            .run();
        end.assert_success();
        assert_eq!((end.value("released"), end.value("future")), ("yes", "yes"));
        assert_eq!(end.code_of("step_release"), 0);

        let session = Single::new(&world, 5);
        let script = session.script("echo it ran");
        for name in [
            "step_script",
            "brand_new_stage",
            "",
            "-x",
            "--version",
            "--config",
            "../../x",
            "step_\n\u{1b}[31m",
            &"long".repeat(500),
        ] {
            let output = session.stage("run").arg(&script).arg(name).output().expect("run");
            assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout, b"it ran\n", "{name:?}");
        }
    },
    fn a_site_that_cannot_prepare_is_tried_three_times_and_cleaned_up() {
        let world = World::one_user().jobs(|jobs| jobs.shell_path("/nonexistent/bash")).build();
        let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure").assert_log("/nonexistent/bash");
        let failed = world.audit().into_iter().find(|line| line["event"] == "failed").expect("an audit line");
        assert_eq!(
            (&failed["stage"], &failed["kind"], &failed["job_id"]),
            (&json!("prepare"), &json!("system"), &end.json["job_id"])
        );
        assert_eq!(
            (end.calls("config_exec").len(), end.calls("prepare_exec").len(), end.calls("cleanup_exec").len()),
            (3, 3, 3)
        );
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
        assert!(!world.data_dir().join("jobs").read_dir().is_ok_and(|mut jobs| jobs.next().is_some()));
    },
    fn a_refusal_is_final() {
        let world = World::one_user().rules([]).build();
        let end = world.simulate().script("true").run();
        end.assert_failed("script_failure").assert_log("refused");
        assert_eq!(end.calls("config_exec").len(), 1);
        assert_eq!(end.calls("prepare_exec").len(), 0);
        assert_eq!(end.code_of("cleanup_exec"), 0);
    },
    fn cleanup_can_run_twice() {
        let world = World::one_user().build();
        let end = world.simulate().option("--repeat-cleanup", "3").script("true").run();
        end.assert_success();
        let cleanups = end.calls("cleanup_exec");
        assert!(cleanups.len() >= 3, "{}", end.json);
        assert!(cleanups.iter().all(|call| call["exit"]["code"] == 0), "{}", end.json);
    },
    fn cleanup_without_a_config_stage_has_nothing_to_do() {
        let world = World::one_user().build();
        let empty = world.stage("cleanup").env("JOB_RESPONSE_FILE", "").current_dir("/").output().expect("cleanup");
        assert!(empty.status.success(), "{}", String::from_utf8_lossy(&empty.stderr));
        let missing = world.stage("cleanup").output().expect("cleanup");
        assert!(missing.status.success());
        world.write_payload(&payload(1));
        assert!(world.stage("cleanup").output().expect("cleanup").status.success());
        let unknown = world.stage("cleanup").env("MOTMOT_SESSION", "1-000000000000").output().expect("cleanup");
        assert!(unknown.status.success(), "cleaned up before");
    },
    fn cleanup_finds_a_session_whose_config_answer_was_lost() {
        let world = World::one_user().build();
        let single = Single::new(&world, 77);
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 1);
        // As after a config stage that was killed before its answer arrived: no job_env, or that of a job which has started this runner.
        let output = single.stage("cleanup").env_remove("MOTMOT_SESSION").output().expect("cleanup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
        let single = Single::new(&world, 78);
        let output = single.stage("cleanup").env("MOTMOT_SESSION", "99-deadbeef0000").output().expect("cleanup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn cleanup_of_another_job_with_the_variable_of_this_one_leaves_it_alone() {
        let world = World::one_user().build();
        let single = Single::new(&world, 77);
        // As of a runner that this job has started, whose own config stage has failed.
        world.write_payload(&payload(78));
        assert!(single.stage("cleanup").output().expect("cleanup").status.success());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 1);
        world.write_payload(&payload(77));
        assert!(single.stage("cleanup").output().expect("cleanup").status.success());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn sigterm_reaches_the_whole_group_and_the_stage_ends_non_zero(_root: Root) {
        check_sigterm(&World::one_user().build());
    },
    fn sigterm_works_when_driver_and_job_are_different_accounts(root: Root) {
        check_sigterm(&World::root(root).build());
    },
    fn what_ignores_sigterm_is_killed_after_kill_timeout() {
        let world = World::one_user().jobs(|jobs| jobs.kill_timeout("1s")).build();
        let end = world
            .simulate()
            .option("--cancel", "graceful")
            .option("--cancel-on", "waiting now")
            .script("trap '' TERM; (trap '' TERM; echo wait\"\"ing now; while :; do sleep 0.1; done)")
            .run();
        assert!(!end.succeeded());
        assert_eq!(end.code_of("build_script"), 2);
        let duration = end.calls("build_script")[0]["duration"].as_f64().expect("seconds");
        assert!((0.9..30.0).contains(&duration), "{duration}");
    },
    fn a_stage_that_is_terminated_never_counts_as_done(_root: Root) {
        let world = World::one_user().build();
        // The profile runs while the prepare stage looks for tools; it never comes to an end.
        world.user_file(".bash_profile", "echo profile waits >&2\nwhile :; do sleep 0.1; done\n");
        let end =
            world.simulate().option("--cancel", "hard").option("--cancel-on", "profile waits").script("true").run();
        assert!(!end.succeeded());
        assert_ne!(end.code_of("prepare_exec"), 0, "0 after SIGTERM would count as prepared");
        let (last, events) = (world.audit().pop().expect("a line"), world.audit());
        let is_end = |line: &Value| line["event"] == "ended" && line["sub_stage"] == "prepare";
        assert!(events.iter().any(is_end) && last["event"] != "failed", "{events:?}");
        until("nothing runs any more", || !world.processes_of_user().contains(&"sleep".to_owned()));
    },
    fn why_a_stage_was_asked_to_end_is_audited_as_what_it_is_and_as_no_failure_of_the_site(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let end_one = |timeout: u64| {
            let mut job = payload(5);
            job["runner_info"] = json!({"timeout": timeout});
            world.write_payload(&job);
            let mut stage = Stage::run(&world, &single, "echo wait\"\"ing now; sleep 1000");
            stage.until_says("waiting now");
            stage.signal(Signal::SIGTERM);
            stage.end().assert_site();
            let last = world.audit().pop().expect("a line");
            assert_eq!((&last["event"], &last["sub_stage"]), (&json!("ended"), &json!("build_script")), "{last}");
            last["outcome"].as_str().expect("an outcome").to_owned()
        };
        assert_eq!(end_one(3600), "interrupted", "GitLab says that it runs");
        assert_eq!(end_one(1), "timed out");
        let refusing = GitLab::new(|_, stream| respond(stream, "401 Unauthorized", "", b"{}"));
        world.write_config_with(|config| config.gitlab(|section| section.url(&refusing.url)));
        assert_eq!(end_one(3600), "cancelled", "GitLab does not know its token any more");
        let (nobody, _down) = GitLab::down();
        world.write_config_with(|config| config.gitlab(|section| section.url(&nobody)));
        assert_eq!(end_one(3600), "terminated");
        assert!(world.audit().iter().all(|line| line["event"] != "failed"), "{:?}", world.audit());
    },
    fn an_unusable_command_line_is_a_failure_of_the_site() {
        let world = World::one_user().build();
        for stage in ["config", "prepare", "run", "cleanup"] {
            let output = world.stage(stage).arg("--no-such-option").output().expect("runs");
            assert_eq!(output.status.code(), Some(2), "{stage}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-option"), "{stage}");
            let own = world
                .stage(stage)
                .env("SYSTEM_FAILURE_EXIT_CODE", "20")
                .arg("--no-such-option")
                .output()
                .expect("runs");
            assert_eq!(own.status.code(), Some(20), "{stage}: the runner's own code");
        }
        let bare = world.stage("run").output().expect("runs");
        assert_eq!(bare.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&bare.stderr).contains("script"));
    },
    fn every_program_has_help_and_a_version() {
        let world = World::one_user().build();
        for program in PROGRAMS.iter().filter(|program| **program != "motmot-worker") {
            for flag in ["--help", "--version"] {
                let output = world.as_driver(&world.bins.join(program)).arg(flag).output().expect("runs");
                assert!(output.status.success() && !output.stdout.is_empty(), "{program} {flag}");
            }
        }
        let worker = world.as_driver(&world.bins.join("motmot-worker")).stdin(Stdio::null()).output().expect("runs");
        assert!(
            !worker.status.success() && String::from_utf8_lossy(&worker.stderr).contains("started by"),
            "a worker says what it is"
        );
    },
    fn every_runner_version_of_the_emulator_gets_its_job_done() {
        let world = World::one_user().build();
        for version in ["17.8", "17.9", "18.5", "19.0", "19.1"] {
            let end = world
                .simulate()
                .option("--runner-version", version)
                .script("cat")
                .script("echo version=$CI_RUNNER_VERSION")
                .option("--after-script", "true")
                .run();
            end.assert_success();
            assert!(end.value("version").starts_with(version), "{version}");
        }
    },
    fn stages_after_cleanup_has_begun_are_refused(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let script = single.script("true");
        fs::write(world.sessions().join(&single.session).join("closed"), "").expect("write");
        for stage in ["prepare", "run"] {
            let output = single.stage(stage).arg(&script).arg("build_script").output().expect("stage");
            assert_eq!(output.status.code(), Some(2), "{stage}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("being cleaned up"), "{stage}");
        }
        assert!(single.stage("cleanup").output().expect("cleanup").status.success());
    },
    fn a_session_of_another_job_is_refused(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let script = single.script("true");
        world.write_payload(&payload(6));
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("belongs to job 5"));
    }
);

fn check_sigterm(world: &World) {
    let end = world
        .simulate()
        .option("--cancel", "graceful")
        .option("--cancel-on", "waiting now")
        .option("--graceful-kill-timeout", "30s")
        .option("--after-script", "echo status=$CI_JOB_STATUS")
        .script("sh -c 'echo wait\"\"ing now; exec sleep 1000'")
        .run();
    assert!(!end.succeeded());
    assert_ne!(end.code_of("build_script"), 0);
    let duration = end.calls("build_script")[0]["duration"].as_f64().expect("seconds");
    assert!(duration < 20.0, "SIGTERM ended the whole group, not only its shell: {duration} s");
    assert_eq!(end.value("status"), "canceled");
    until("nothing runs any more", || !world.processes_of_user().contains(&"sleep".to_owned()));
}
