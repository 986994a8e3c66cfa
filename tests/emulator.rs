//! The emulator against the runner's contract, driven with small recording drivers.
//!
//! The drivers are shell scripts: each call is recorded, then `on.<name>` is run if a test has
//! written one, then the stage's script itself.
#![allow(clippy::unwrap_used, missing_docs)] // a test may panic

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use motmot::admin::simulate::{
    Cancel, CancelMode, CancelWhen, Exec, Exit, FailureReason, Outcome, Payload, RunnerVersion,
    Simulation, Status, Variable,
};

struct World {
    dir: tempfile::TempDir,
    simulation: Simulation,
}

struct Played {
    outcome: Outcome,
    log: String,
    runner_log: String,
}

const DRIVER: &str = r#"#!/bin/bash
dir='@DIR@'
case ${0##*/} in
motmot-run) name=$4 script=$3 ;;
*) name=${0##*motmot-} ;;
esac
echo "$name" >>"$dir/calls"
echo "$*" >"$dir/args.$name"
pwd >"$dir/cwd.$name"
cat "/proc/$$/environ" >"$dir/env.$name"
[ ! -e "$dir/on.$name" ] || . "$dir/on.$name"
case ${0##*/} in
motmot-config) echo "{\"builds_dir\": \"$dir/builds\", \"cache_dir\": \"$dir/cache\"}" ;;
motmot-run)
    trap : TERM
    bash "$script"
    rc=$?
    [ "$rc" = 0 ] || { echo "$rc" >"$BUILD_EXIT_CODE_FILE"; exit 1; } ;;
esac
"#;

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for exec in Exec::ALL {
            let path = root.join(exec.program());
            fs::write(&path, DRIVER.replace("@DIR@", &root.display().to_string())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(
            root.join("config.toml"),
            "[gitlab]\nurl = \"https://gitlab.invalid\"\nca_file = \"/x\"\n",
        )
        .unwrap();
        fs::create_dir(root.join("tmp")).unwrap();
        let mut simulation = Simulation::default();
        root.clone_into(&mut simulation.driver.bin_dir);
        simulation.driver.config = root.join("config.toml");
        simulation.runner.tmpdir = Some(root.join("tmp"));
        simulation.runner.retry_interval = Duration::from_millis(1);
        simulation.runner.stage_retry_interval = Duration::from_millis(1);
        Self { dir, simulation }
    }

    fn with(edit: impl FnOnce(&mut Simulation)) -> Self {
        let mut world = Self::new();
        edit(&mut world.simulation);
        world
    }

    fn script(command: &str) -> Self {
        Self::with(|simulation| simulation.script = vec![command.to_owned()])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the driver does first in a stage.
    fn on(&self, name: &str, commands: &str) {
        fs::write(self.path(&format!("on.{name}")), commands).unwrap();
    }

    fn play(&self) -> Played {
        let (mut log, mut runner_log) = (Vec::new(), Vec::new());
        let outcome = self.simulation.run(&mut log, &mut runner_log).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Played {
            outcome,
            log: text(log),
            runner_log: text(runner_log),
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Ends the process whose number a driver wrote to `pid`. It must still be alive.
    fn kill(&self) {
        let pid = Pid::from_raw(self.read("pid").trim().parse().unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(str::to_owned).collect()
    }

    fn env(&self, name: &str) -> BTreeMap<String, String> {
        let bytes = fs::read(self.path(&format!("env.{name}"))).unwrap();
        let entries = bytes
            .split(|&byte| byte == 0)
            .map(|entry| String::from_utf8_lossy(entry).into_owned());
        entries
            .filter_map(|entry| {
                entry
                    .split_once('=')
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// Nothing of the job is left in the runner's TMPDIR.
    fn is_tidy(&self) -> bool {
        fs::read_dir(self.path("tmp")).unwrap().next().is_none()
    }
}

fn cancel(simulation: &mut Simulation, mode: CancelMode, text: &str) {
    let when = CancelWhen::OnText(text.to_owned());
    simulation.faults.cancel = Some(Cancel { mode, when });
}

impl Played {
    fn has(&self, text: &str) -> bool {
        self.log.contains(text)
    }

    fn reason(&self) -> Option<FailureReason> {
        self.outcome.failure_reason
    }
}

/// Says `now` and sleeps. A process of its own does both: between fork and exec bash's children still have
/// bash's trap, and a SIGTERM that arrives just then is lost.
const SLEEPER: &str = "sh -c 'echo no\"\"w; exec sleep 30'";

const ORDINARY: [&str; 7] = [
    "config",
    "prepare",
    "prepare_script",
    "get_sources",
    "build_script",
    "cleanup_file_variables",
    "cleanup",
];

#[test]
fn an_ordinary_job_runs_end_to_end_in_the_runners_order() {
    let world = World::script("echo hel''lo; pwd");
    let played = world.play();
    assert_eq!(played.outcome.status, Status::Success, "{}", played.log);
    assert_eq!(world.calls(), ORDINARY);
    assert!(
        played.has("\nhello\n") && played.has("Job succeeded"),
        "{}",
        played.log
    );
    assert!(played.has(&format!(
        "{}/builds/group/project\n",
        world.dir.path().display()
    )));
    assert!(played.has("\x1b[0KUsing Custom executor...\x1b[0;m\n"));
    assert!(world.is_tidy());
}

#[test]
fn all_sub_stages_come_in_the_recorded_order() {
    let world = World::with(|simulation| {
        simulation.script = vec!["true".into()];
        simulation.steps = vec![("release".into(), vec!["true".into()])];
        simulation.after_script = vec!["true".into()];
        simulation.cache = vec!["c".into()];
        simulation.artifacts = vec!["a".into()];
    });
    let played = world.play();
    assert_eq!(played.outcome.status, Status::Success, "{}", played.log);
    let stages = world.calls();
    assert_eq!(
        stages[2..stages.len() - 1],
        [
            "prepare_script",
            "get_sources",
            "restore_cache",
            "build_script",
            "step_release",
            "after_script",
            "archive_cache",
            "upload_artifacts_on_success",
            "cleanup_file_variables"
        ]
    );
}

#[test]
fn exit_codes_mean_what_the_runner_makes_of_them() {
    // Stage, what the driver does there, reason, exit code, attempts.
    let script = Some(FailureReason::ScriptFailure);
    let system = Some(FailureReason::RunnerSystemFailure);
    let file = |text: &str| format!("printf '{text}' >\"$BUILD_EXIT_CODE_FILE\"; exit 1");
    for (stage, commands, reason, code, attempts) in [
        ("build_script", "exit 0".to_owned(), None, None, 1),
        ("build_script", "exit 1".to_owned(), script, Some(1), 1),
        ("build_script", "exit 2".to_owned(), system, None, 1),
        ("build_script", "exit 5".to_owned(), system, None, 1),
        ("build_script", "exit 255".to_owned(), system, None, 1),
        ("build_script", "kill -KILL $$".to_owned(), system, None, 1),
        ("build_script", file("7\\n"), script, Some(7), 1),
        ("build_script", file("7\\r\\n"), script, Some(7), 1),
        ("build_script", file("7\\n8\\n"), script, Some(7), 1),
        ("build_script", file("0\\n"), script, None, 1),
        ("build_script", file(""), system, None, 1),
        ("build_script", file(" 7\\n"), system, None, 1),
        (
            "build_script",
            "echo 7 >\"$BUILD_EXIT_CODE_FILE\"; exit 0".to_owned(),
            None,
            None,
            1,
        ),
        ("prepare_script", "exit 1".to_owned(), script, Some(1), 1),
        ("prepare_script", "exit 2".to_owned(), system, None, 1),
        ("get_sources", "exit 1".to_owned(), script, Some(1), 1),
        ("cleanup_file_variables", "exit 1".to_owned(), None, None, 1),
        ("cleanup", "exit 3".to_owned(), None, None, 1),
        ("config", "exit 1".to_owned(), script, Some(1), 1),
        ("config", "exit 2".to_owned(), system, None, 3),
        ("prepare", "exit 1".to_owned(), script, Some(1), 1),
        ("prepare", file("9\\n"), script, Some(9), 1),
        ("prepare", file("rubbish"), system, None, 3),
        ("prepare", "exit 2".to_owned(), system, None, 3),
        ("prepare", "exit 127".to_owned(), system, None, 3),
        ("prepare", "kill -KILL $$".to_owned(), system, None, 3),
    ] {
        let world = World::new();
        world.on(stage, &commands);
        let played = world.play();
        let outcome = &played.outcome;
        let found = (outcome.failure_reason, outcome.exit_code, outcome.attempts);
        assert_eq!(
            found,
            (reason, code, attempts),
            "{stage}: {commands}\n{}",
            played.log
        );
        let cleanups = outcome
            .calls
            .iter()
            .filter(|call| call.exec == Exec::Cleanup)
            .count();
        assert_eq!(
            cleanups, attempts as usize,
            "one cleanup per attempt: {stage}: {commands}"
        );
        assert!(world.is_tidy());
    }
}

#[test]
fn an_exit_code_of_an_earlier_stage_still_counts() {
    let world = World::new();
    world.on("get_sources", "echo 128 >\"$BUILD_EXIT_CODE_FILE\"");
    world.on("build_script", "exit 1");
    assert_eq!(world.play().outcome.exit_code, Some(128));
}

#[test]
fn the_log_names_failures_as_the_runner_does() {
    let world = World::new();
    world.on("build_script", "exit 255");
    assert!(world.play().has("ERROR: Job failed (system failure): unknown Custom executor executable exit code 255; executable execution terminated with: exit status 255"));
    world.on("build_script", "kill -KILL $$");
    assert!(
        world
            .play()
            .has("exit code -1; executable execution terminated with: signal: killed")
    );
    let world = World::script("exit 7");
    let played = world.play();
    assert!(
        played.has("ERROR: Job failed: exit status 7"),
        "{}",
        played.log
    );
    assert_eq!(played.outcome.exit_code, Some(7));
}

#[test]
fn a_runner_without_exit_code_file_can_only_say_1() {
    let world = World::with(|simulation| {
        simulation.runner.version = RunnerVersion::V17_8;
        simulation.script = vec!["exit 7".into()];
    });
    world.on(
        "build_script",
        "export BUILD_EXIT_CODE_FILE=build_exit_code",
    );
    let played = world.play();
    assert_eq!(played.outcome.exit_code, Some(1), "{}", played.log);
    assert!(!world.env("prepare").contains_key("BUILD_EXIT_CODE_FILE"));
}

#[test]
fn config_output_is_read_as_go_reads_it() {
    for (output, attempts) in [
        ("", 1),
        ("null", 1),
        (r#"{"BUILDS_DIR": "/tmp", "new": 1}"#, 1),
        (r"\n", 3),
        ("banner", 3),
        (r#"{"job_env": {"A": 1}}"#, 3),
        ("{} x", 3),
        (r#"{"shell": "zsh"}"#, 3),
    ] {
        let world = World::with(|simulation| {
            simulation.runner.builds_dir = "/tmp".into();
            simulation.runner.cache_dir = "/tmp".into();
        });
        world.on("config", &format!("printf '{output}'; exit 0"));
        world.on("get_sources", "exit 0");
        world.on("build_script", "exit 0");
        let played = world.play();
        assert_eq!(
            played.outcome.attempts, attempts,
            "{output}\n{}",
            played.log
        );
        assert_eq!(
            played.outcome.status == Status::Success,
            attempts == 1,
            "{output}"
        );
    }
    let world = World::new();
    world.on("config", "echo '{\"builds_dir\": \"\"}'; exit 0");
    let played = world.play();
    assert_eq!(
        (played.reason(), played.outcome.attempts),
        (Some(FailureReason::ScriptFailure), 1)
    );
    assert!(played.has("the builds_dir is not configured"));
}

#[test]
fn a_shared_builds_dir_is_divided_by_runner_and_slot() {
    let world = World::with(|simulation| {
        simulation.runner.token = "glrt-xyzxyzxyzxyz".into();
        simulation.runner.concurrent_project_id = 3;
    });
    world.on(
        "config",
        "echo \"{\\\"builds_dir\\\": \\\"$dir/b\\\", \\\"builds_dir_is_shared\\\": true}\"; exit 0",
    );
    world.play();
    let project = format!("{}/b/xyzxyzxyz/3/group/project", world.dir.path().display());
    assert_eq!(world.env("prepare")["CUSTOM_ENV_CI_PROJECT_DIR"], project);
    assert_eq!(
        world.env("prepare")["CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR"],
        format!("{project}.tmp")
    );
    let config = world.env("config");
    assert_eq!(
        (
            &*config["CUSTOM_ENV_CI_PROJECT_DIR"],
            &*config["CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR"]
        ),
        ("", ".tmp")
    );
}

#[test]
fn job_env_overrides_the_contract_but_not_the_jobs_variables() {
    let world = World::with(|simulation| simulation.variables.push(Variable::new("V", "job")));
    world.on(
        "config",
        "echo \"{\\\"builds_dir\\\": \\\"$dir/b\\\", \\\"job_env\\\": {\\\"TMPDIR\\\": \\\"/over\\\", \\\"CUSTOM_ENV_V\\\": \\\"x\\\", \\\"MINE\\\": \\\"1\\\"}}\"; exit 0",
    );
    world.play();
    for stage in ["prepare", "build_script", "cleanup"] {
        let env = world.env(stage);
        assert_eq!(
            (&*env["TMPDIR"], &*env["CUSTOM_ENV_V"], &*env["MINE"]),
            ("/over", "job", "1"),
            "{stage}"
        );
    }
    assert!(!world.env("config").contains_key("MINE"));
}

#[test]
fn the_environment_has_the_recorded_keys_and_user_variables_win() {
    let world = World::with(|simulation| {
        simulation
            .runner
            .environment
            .push(("FROM_TOML".into(), "1".into()));
        for (key, value) in [
            ("CI_PROJECT_PATH", "user/override"),
            ("CI_BUILDS_DIR", "/evil"),
            ("CI_JOB_SERVICES", "spoof"),
            ("RUNNER_TEMP_PROJECT_DIR", "/evil"),
            ("PATH", "/evil"),
            ("LINES", "a\nb"),
            ("EMPTY", ""),
            ("REF", "x-$GITLAB_USER_LOGIN"),
        ] {
            simulation.variables.push(Variable::new(key, value));
        }
        simulation.variables.push(Variable::new("A=B", "weird"));
        simulation
            .variables
            .push(Variable::file("FILEV", "secret-content"));
    });
    // The script would export them; only the driver's environment matters here.
    for stage in ["get_sources", "build_script", "cleanup_file_variables"] {
        world.on(stage, "exit 0");
    }
    let played = world.play();
    assert_eq!(played.outcome.status, Status::Success, "{}", played.log);
    let env = world.env("prepare");
    for (key, value) in [
        ("CUSTOM_ENV_CI_PROJECT_PATH", "user/override"),
        ("CUSTOM_ENV_CI_BUILDS_DIR", "/evil"),
        ("CUSTOM_ENV_CI_JOB_SERVICES", ""),
        ("CUSTOM_ENV_PATH", "/evil"),
        ("CUSTOM_ENV_LINES", "a\nb"),
        ("CUSTOM_ENV_EMPTY", ""),
        ("CUSTOM_ENV_REF", "x-alice"),
        ("CUSTOM_ENV_A", "B=weird"),
        ("CUSTOM_ENV_FILEV", "secret-content"),
        ("CUSTOM_ENV_FROM_TOML", "1"),
        ("CUSTOM_ENV_CI_SERVER", "yes"),
        ("CUSTOM_ENV_CI_SHARED_ENVIRONMENT", "true"),
        ("CUSTOM_ENV_CI_JOB_STATUS", "running"),
        ("CUSTOM_ENV_CI_JOB_TIMEOUT", "3600"),
        ("CUSTOM_ENV_FF_USE_LEGACY_BASH_EVAL", "false"),
        ("BUILD_FAILURE_EXIT_CODE", "1"),
        ("SYSTEM_FAILURE_EXIT_CODE", "2"),
    ] {
        assert_eq!(env.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_ne!(env["CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR"], "/evil");
    assert_ne!(env["PATH"], "/evil");
    let temp = world.read("cwd.prepare").trim().to_owned();
    assert_eq!(env["TMPDIR"], temp);
    assert_eq!(env["JOB_RESPONSE_FILE"], format!("{temp}/response.json"));
    assert_eq!(
        env["BUILD_EXIT_CODE_FILE"],
        format!("{temp}/build_exit_code")
    );
}

#[test]
fn processes_get_the_attributes_of_the_real_runner() {
    let world = World::new();
    world.on(
        "build_script",
        "stat -c '%a' . response.json \"$script\" \"${script%/*}\" >\"$dir/modes\"\nreadlink /proc/self/fd/0 >\"$dir/stdin\"\n[ \"$(ps -o pgid= -p $$ | tr -d ' ')\" = $$ ] && touch \"$dir/leader\"\n[ \"$(readlink /proc/$$/fd/1)\" != \"$(readlink /proc/$$/fd/2)\" ] && touch \"$dir/two_pipes\"\nls -d script* >\"$dir/scripts\"",
    );
    world.play();
    assert_eq!(world.read("modes"), "700\n600\n700\n700\n");
    assert_eq!(world.read("stdin"), "/dev/null\n");
    assert!(world.path("two_pipes").exists());
    assert!(world.path("leader").exists() || !PathBuf::from("/bin/ps").exists());
    assert_eq!(
        world.read("scripts").lines().count(),
        3,
        "scripts of earlier stages stay"
    );
    let args = world.read("args.build_script");
    assert!(
        args.starts_with("--config /") && args.ends_with("/script build_script\n"),
        "{args}"
    );
}

#[test]
fn a_variable_that_is_too_large_starts_no_driver_at_all() {
    for (value, words) in [
        ("x".repeat(128 * 1024), "argument list too long"),
        ("a\0b".to_owned(), "contains NUL"),
    ] {
        let world =
            World::with(|simulation| simulation.variables.push(Variable::new("BIG", value)));
        let played = world.play();
        assert_eq!(
            (played.reason(), played.outcome.attempts),
            (Some(FailureReason::RunnerSystemFailure), 3)
        );
        assert!(
            played.has("failed to start command: ") && played.has(words),
            "{}",
            played.log
        );
        assert!(world.calls().is_empty());
    }
}

#[test]
fn file_variables_exist_for_the_script_and_are_deleted_at_the_end() {
    let world = World::with(|simulation| {
        simulation
            .variables
            .push(Variable::file("FILEV", "it's $HOME\nsecret"));
        simulation.variables.push(Variable {
            raw: true,
            ..Variable::file("RAWV", "it's $HOME\nsecret")
        });
        simulation.script = vec!["cat \"$RAWV\"".into(), "echo; echo \"path $RAWV\"".into()];
    });
    let played = world.play();
    assert!(played.has("it's $HOME\nsecret"), "{}", played.log);
    let path = world.path("builds/group/project.tmp/RAWV");
    assert!(played.has(&format!("path {}", path.display())));
    assert!(!path.exists());
}

#[test]
fn gitlab_env_carries_variables_from_script_to_after_script() {
    for version in [RunnerVersion::V17_9, RunnerVersion::V19_3] {
        let world = World::with(|simulation| {
            simulation.runner.version = version;
            simulation.script = vec!["echo NEW=value >>\"$GITLAB_ENV\"".into()];
            simulation.after_script = vec!["echo \"got $NEW $CI_JOB_STATUS\"".into()];
        });
        assert!(world.play().has("got value success\n"));
    }
}

#[test]
fn scripts_trap_term_only_since_19_1() {
    for (version, flag, traps) in [
        (RunnerVersion::V19_0, "false", false),
        (RunnerVersion::V19_1, "false", true),
        (RunnerVersion::V19_3, "true", false),
    ] {
        let world = World::with(|simulation| {
            simulation.runner.version = version;
            simulation
                .variables
                .push(Variable::new("FF_USE_LEGACY_BASH_EVAL", flag));
        });
        world.on("build_script", "cp \"$script\" \"$dir/script\"");
        world.play();
        let script = world.read("script");
        assert_eq!(script.contains("trap 'exit 1' TERM"), traps, "{version:?}");
        assert_eq!(script.contains("\n: | eval $'"), !traps, "{version:?}");
        assert!(script.ends_with("\nexit 0\n"));
    }
}

#[test]
fn the_response_file_is_encoded_like_the_recorded_one() {
    let payload = r#"[{"id": 101, "token": "t", "job_info": {"id": 101, "name": "j", "user_id": 42, "scoped_user_id": null, "time_in_queue_seconds": 1},
        "git_info": {"repo_url": "http://h/grp/proj.git", "ref": "main", "protected": null},
        "variables": [{"key": "K", "value": "<&>", "public": true}, {"key": "GIT_STRATEGY", "value": "none"}],
        "steps": [{"name": "script", "script": ["true"]}], "image": null, "run": "[]", "unknown": 1}]"#;
    let mut world = World::new();
    world
        .simulation
        .adopt(Payload::from_json(payload, "test").unwrap());
    world.on("prepare", "cp response.json \"$dir/response\"");
    world.play();
    let text = world.read("response");
    assert!(
        text.contains(
            r#""value":"\u003c\u0026\u003e","public":true,"file":false,"masked":false,"raw":false"#
        ),
        "{text}"
    );
    assert!(
        text.contains(r#""inputs":{},"variables":["#)
            && text.ends_with("\"suspend_options\":{}}\n"),
        "{text}"
    );
    assert!(
        text.contains(r#""protected":null},"runner_info":{"uuid":"","timeout":0}"#),
        "{text}"
    );
    assert!(
        text.contains(r#""services":null,"artifacts":null,"cache":null"#)
            && !text.contains("scoped")
            && !text.contains("\"run\"")
    );
    assert!(text.contains(r#""image":{"name":"","executor_opts":{"docker":{"platform":"","user":""},"kubernetes":{"user":""}}}"#));
    assert!(text.contains(r#""time_in_queue_seconds":1,"#) && text.contains(r#""user_id":42"#));
    world.simulation.runner.version = RunnerVersion::V17_9;
    world.play();
    let old = world.read("response");
    for field in [
        "user_id",
        "project_full_path",
        "pipeline_id",
        "protected",
        "inputs",
        "policy_options",
        "suspend_options",
        "uuid",
    ] {
        assert!(!old.contains(field), "{field} is too new: {old}");
    }
}

#[test]
fn stages_after_a_failure_are_those_of_the_runner() {
    let full = |simulation: &mut Simulation| {
        simulation.script = vec!["true".into()];
        simulation.steps = vec![("release".into(), vec!["true".into()])];
        simulation.after_script = vec!["echo \"status $CI_JOB_STATUS\"".into()];
        simulation.artifacts = vec!["a".into()];
    };
    let last = [
        "upload_artifacts_on_failure",
        "cleanup_file_variables",
        "cleanup",
    ];
    for (failing, after) in [
        ("prepare_script", vec!["cleanup"]),
        ("get_sources", last.to_vec()),
        ("build_script", [&["after_script"][..], &last].concat()),
        ("step_release", [&["after_script"][..], &last].concat()),
    ] {
        let world = World::with(full);
        world.on(failing, "exit 1");
        let played = world.play();
        let calls = world.calls();
        let position = calls.iter().position(|call| call == failing).unwrap();
        assert_eq!(calls[position + 1..], after, "{failing}\n{}", played.log);
        assert_eq!(played.has("status failed"), after.contains(&"after_script"));
    }
}

#[test]
fn get_sources_is_retried_behind_clear_worktree_and_after_any_error() {
    let world = World::with(|simulation| {
        simulation
            .variables
            .push(Variable::new("GET_SOURCES_ATTEMPTS", "3"));
    });
    world.on("get_sources", "exit 1");
    let played = world.play();
    let stages: Vec<String> = world
        .calls()
        .into_iter()
        .filter(|call| call.contains("so") || call.contains("clear"))
        .collect();
    assert_eq!(
        stages,
        [
            "get_sources",
            "clear_worktree",
            "get_sources",
            "get_sources"
        ]
    );
    assert_eq!(played.reason(), Some(FailureReason::ScriptFailure));
    let numbers: Vec<u32> = played
        .outcome
        .calls
        .iter()
        .filter(|call| call.name() == "get_sources")
        .map(|call| call.attempt)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn after_script_errors_are_ignored_unless_the_user_says_otherwise() {
    for (ignore, status) in [("true", Status::Success), ("false", Status::Failed)] {
        let world = World::with(|simulation| {
            simulation.after_script = vec!["exit 3".into()];
            simulation
                .variables
                .push(Variable::new("AFTER_SCRIPT_IGNORE_ERRORS", ignore));
        });
        assert_eq!(world.play().outcome.status, status, "{ignore}");
    }
}

#[test]
fn a_prepare_that_exits_0_on_term_counts_as_prepared() {
    let world = World::with(|simulation| {
        simulation.runner.prepare_exec_timeout = Duration::from_millis(200);
    });
    world.on("prepare", "trap 'exit 0' TERM; sleep 30 & wait");
    let played = world.play();
    assert_eq!(played.outcome.status, Status::Success, "{}", played.log);
    assert_eq!(world.calls(), ORDINARY);
}

#[test]
fn a_prepare_that_dies_of_its_timeout_is_tried_three_times() {
    let world = World::with(|simulation| {
        simulation.runner.prepare_exec_timeout = Duration::from_millis(100);
    });
    world.on("prepare", "exec sleep 30");
    let played = world.play();
    assert_eq!(
        (played.reason(), played.outcome.attempts),
        (Some(FailureReason::RunnerSystemFailure), 3)
    );
    assert!(
        played.has("Preparation failed: unknown Custom executor executable exit code -1"),
        "{}",
        played.log
    );
}

#[test]
fn a_cancel_before_the_script_stops_everything_but_cleanup() {
    for mode in [CancelMode::Graceful, CancelMode::Hard] {
        for stage in ["prepare", "get_sources"] {
            let world = World::with(|simulation| cancel(simulation, mode, "now!"));
            world.on(stage, "echo now!; exec sleep 30");
            let played = world.play();
            let calls = world.calls();
            assert_eq!(calls[calls.len() - 2..], [stage, "cleanup"], "{mode:?}");
            assert_eq!(
                (played.reason(), played.outcome.exit_code),
                (Some(FailureReason::UnknownFailure), None)
            );
            assert!(played.has("ERROR: Job failed: canceled"), "{}", played.log);
        }
    }
}

#[test]
fn a_graceful_cancel_of_the_script_leaves_the_later_stages() {
    let world = World::with(|simulation| {
        simulation.script = vec![SLEEPER.into()];
        simulation.after_script = vec!["echo \"AFTER $CI_JOB_STATUS\"".into()];
        simulation.artifacts = vec!["a".into()];
        cancel(simulation, CancelMode::Graceful, "\nnow");
    });
    let played = world.play();
    let calls = world.calls();
    assert_eq!(
        calls[calls.len() - 5..],
        [
            "build_script",
            "after_script",
            "upload_artifacts_on_failure",
            "cleanup_file_variables",
            "cleanup"
        ]
    );
    assert!(
        played.has("WARNING: script canceled externally (UI, API)")
            && played.has("AFTER canceled\n"),
        "{}",
        played.log
    );
    assert_eq!(world.env("cleanup")["CUSTOM_ENV_CI_JOB_STATUS"], "canceled");
}

#[test]
fn a_hard_cancel_and_a_job_timeout_leave_only_cleanup() {
    for timeout in [false, true] {
        let world = World::with(|simulation| {
            simulation.script = vec![SLEEPER.into()];
            simulation.after_script = vec!["true".into()];
            if timeout {
                simulation.runner.job_timeout = Some(Duration::from_millis(600));
            } else {
                cancel(simulation, CancelMode::Hard, "\nnow");
            }
        });
        let played = world.play();
        let calls = world.calls();
        assert_eq!(
            calls[calls.len() - 2..],
            ["build_script", "cleanup"],
            "{}",
            played.log
        );
        let reason = if timeout {
            FailureReason::JobExecutionTimeout
        } else {
            FailureReason::UnknownFailure
        };
        assert_eq!(played.reason(), Some(reason));
        assert_eq!(world.env("cleanup")["CUSTOM_ENV_CI_JOB_STATUS"], "failed");
    }
}

#[test]
fn a_script_timeout_still_runs_after_script() {
    let world = World::with(|simulation| {
        simulation.script = vec!["sleep 30".into()];
        simulation.after_script = vec!["echo \"AFTER $CI_JOB_STATUS\"".into()];
        simulation
            .variables
            .push(Variable::new("RUNNER_SCRIPT_TIMEOUT", "300ms"));
    });
    let played = world.play();
    assert_eq!(played.reason(), Some(FailureReason::JobExecutionTimeout));
    assert!(played.has("AFTER timedout\n"), "{}", played.log);
}

#[test]
fn a_driver_that_ignores_term_is_killed() {
    let world = World::with(|simulation| {
        simulation.runner.graceful_kill_timeout = Duration::from_millis(200);
        cancel(simulation, CancelMode::Hard, "now!");
    });
    world.on("build_script", "trap '' TERM; echo now!; exec sleep 30");
    let played = world.play();
    let build = played
        .outcome
        .calls
        .iter()
        .find(|call| call.name() == "build_script")
        .unwrap();
    assert_eq!(build.exit, Exit::Signal(9));
    assert_eq!(world.calls().last().unwrap(), "cleanup");
}

#[test]
fn a_forgotten_child_keeps_the_stage_open_until_it_closes_the_pipes() {
    let world = World::new();
    world.on("prepare_script", "setsid sleep 0.6 & exit 0");
    world.on(
        "get_sources",
        "setsid sleep 30 >/dev/null 2>&1 & echo $! >\"$dir/pid\"; exit 0",
    );
    let played = world.play();
    let delay = |name: &str| {
        played
            .outcome
            .calls
            .iter()
            .find(|call| call.name() == name)
            .unwrap()
            .eof_delay
            .unwrap()
    };
    assert!(delay("prepare_script") > 0.4, "{}", delay("prepare_script"));
    assert!(delay("get_sources") < 0.3, "{}", delay("get_sources"));
    world.kill();
}

#[test]
fn an_orphan_in_another_session_makes_the_runner_give_up() {
    let world = World::with(|simulation| {
        simulation.runner.graceful_kill_timeout = Duration::from_millis(100);
        simulation.runner.force_kill_timeout = Duration::from_millis(100);
        cancel(simulation, CancelMode::Graceful, "now!");
    });
    world.on(
        "build_script",
        "setsid bash -c 'echo $$ >\"$1\"; echo now!; exec sleep 30' - \"$dir/pid\" & exec sleep 30",
    );
    let played = world.play();
    world.kill();
    let build = played
        .outcome
        .calls
        .iter()
        .find(|call| call.name() == "build_script")
        .unwrap();
    assert_eq!(build.exit, Exit::Unfinished, "{}", played.log);
    assert!(
        played.has("Failed to force-kill: no such process"),
        "{}",
        played.log
    );
}

#[test]
fn cleanup_starts_beside_a_stage_that_does_not_end() {
    let world = World::with(|simulation| {
        simulation.runner.wait_for_build_finish = Duration::from_millis(200);
        cancel(simulation, CancelMode::Hard, "now!");
    });
    world.on(
        "build_script",
        "trap '' TERM; echo $$ >\"$dir/pid\"; echo now!; exec sleep 30",
    );
    world.on(
        "cleanup",
        "kill -0 $(cat \"$dir/pid\") && touch \"$dir/alive\"",
    );
    let played = world.play();
    world.kill();
    assert!(
        played.has("Timed out waiting for the build to finish"),
        "{}",
        played.log
    );
    assert!(world.path("alive").exists());
    assert!(world.is_tidy(), "the directory goes away underneath");
}

#[test]
fn a_runner_told_to_stop_interrupts_the_job() {
    let world = World::with(|simulation| {
        simulation.script = vec![SLEEPER.into()];
        cancel(simulation, CancelMode::RunnerTerm, "\nnow");
    });
    let played = world.play();
    assert_eq!(played.reason(), Some(FailureReason::RunnerInterrupted));
    let calls = world.calls();
    assert_eq!(calls[calls.len() - 2..], ["build_script", "cleanup"]);
}

#[test]
fn a_killed_runner_cleans_nothing_up() {
    let world = World::with(|simulation| simulation.faults.kill_runner_on = Some("now!".into()));
    world.on(
        "build_script",
        "echo $$ >\"$dir/pid\"; echo now!; exec sleep 30",
    );
    let played = world.play();
    assert_eq!(
        (played.outcome.status, played.outcome.exit_code_of_program()),
        (Status::RunnerGone, 3)
    );
    assert_eq!(world.calls().last().unwrap(), "build_script");
    assert!(!world.is_tidy());
    assert!(!played.has("Job failed"));
    world.kill();
}

#[test]
fn cleanup_can_run_twice_speaks_to_the_runner_and_comes_before_the_final_word() {
    let world = World::with(|simulation| simulation.faults.repeat_cleanup = 2);
    world.on("cleanup", "echo told; echo complained >&2; exit 4");
    let played = world.play();
    assert_eq!(
        world
            .calls()
            .iter()
            .filter(|call| *call == "cleanup")
            .count(),
        2
    );
    for line in [
        "level=debug msg=\"told\" cleanup_std=out\n",
        "level=warning msg=\"complained\" cleanup_std=err\n",
    ] {
        assert_eq!(
            played.runner_log.matches(line).count(),
            2,
            "{}",
            played.runner_log
        );
    }
    assert!(
        played
            .runner_log
            .contains("Cleanup script failed: unknown Custom executor executable exit code 4")
    );
    let warning = played.log.rfind("Cleanup script failed").unwrap();
    assert!(warning < played.log.find("Job succeeded").unwrap());
    assert!(!played.has("told"));
}

#[test]
fn bytes_of_the_job_arrive_unchanged() {
    let world = World::new();
    world.on(
        "build_script",
        "printf 'bin\\000\\377\\376 no newline'; exit 0",
    );
    let (mut log, mut runner_log) = (Vec::new(), Vec::new());
    world.simulation.run(&mut log, &mut runner_log).unwrap();
    let wanted = b"bin\0\xff\xfe no newline";
    assert!(log.windows(wanted.len()).any(|window| window == wanted));
}

#[test]
fn a_large_log_streams() {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let world = World::new();
    world.on(
        "build_script",
        "head -c 50000000 /dev/zero; yes a line of output | head -c 50000000; exit 0",
    );
    let mut count = Count(0);
    let outcome = world
        .simulation
        .run(&mut count, &mut std::io::sink())
        .unwrap();
    let build = outcome
        .calls
        .iter()
        .find(|call| call.name() == "build_script")
        .unwrap();
    assert_eq!(build.stdout_bytes, 100_000_000);
    assert!(count.0 > 100_000_000);
}

#[test]
fn the_little_gitlab_knows_the_job_only_by_its_token_and_while_it_runs() {
    let world = World::with(|simulation| {
        simulation.identity.user_login = "bob".into();
        simulation.gitlab.answers = vec![("user.state".into(), "blocked".into())];
        let when = CancelWhen::InSubStage("build_script".into());
        simulation.faults.cancel = Some(Cancel {
            mode: CancelMode::Graceful,
            when,
        });
    });
    // bash speaks enough HTTP for this.
    let ask = r#"
ask() {
    host=$(sed -n 's|^url = "http://\(.*\)"|\1|p' "$2")
    exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
    printf 'GET /api/v4/job HTTP/1.0\r\nJOB-TOKEN: %s\r\n\r\n' "$1" >&3
    cat <&3
    exec 3>&-
}
token=$(sed 's/.*"token":"\([^"]*\)".*/\1/;q' response.json)
"#;
    world.on("prepare", &format!("{ask}cp \"$2\" \"$dir/config\"; stat -c %a \"$2\" \"${{2%/*}}\" >\"$dir/modes\"\nask \"${{CUSTOM_ENV_CI_JOB_TOKEN}}\" \"$2\" >\"$dir/right\"; ask wrong \"$2\" >\"$dir/wrong\""));
    world.on("build_script", "exec sleep 30");
    world.on(
        "cleanup",
        &format!("{ask}ask \"${{CUSTOM_ENV_CI_JOB_TOKEN}}\" \"$2\" >\"$dir/late\""),
    );
    let played = world.play();
    let right = world.read("right");
    assert!(
        right.starts_with("HTTP/1.0 200")
            && right.contains(r#""username":"bob""#)
            && right.contains("blocked"),
        "{right}{}",
        played.log
    );
    assert!(right.contains(&format!("\"id\":{}", played.outcome.job_id)));
    assert!(world.read("wrong").starts_with("HTTP/1.0 401"));
    assert!(world.read("late").starts_with("HTTP/1.0 401"));
    assert!(!world.read("config").contains("ca_file"));
    assert_eq!(world.read("modes"), "600\n700\n");
}

#[test]
fn a_repository_is_really_fetched() {
    let world = World::new();
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git")
            .current_dir(world.dir.path())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main", "repo"]);
    fs::write(world.path("repo/file"), "from git\n").unwrap();
    git(&["-C", "repo", "add", "."]);
    git(&[
        "-C",
        "repo",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "-q",
        "-m",
        "x",
    ]);
    let mut simulation = world.simulation.clone();
    simulation.identity.sha = git(&["-C", "repo", "rev-parse", "HEAD"]);
    simulation.git_url = Some(format!("file://{}/repo", world.dir.path().display()));
    simulation.variables.clear();
    simulation.script = vec!["cat file".into()];
    for _ in 0..2 {
        let mut log = Vec::new();
        let outcome = simulation.run(&mut log, &mut std::io::sink()).unwrap();
        let log = String::from_utf8_lossy(&log);
        assert_eq!(outcome.status, Status::Success, "{log}");
        assert!(log.contains("\nfrom git\n"), "{log}");
    }
}

#[test]
fn helpers_are_called_only_where_gitlab_runner_exists() {
    let world = World::with(|simulation| simulation.artifacts = vec!["out".into()]);
    assert!(
        world
            .play()
            .has("Missing gitlab-runner. Uploading artifacts is disabled.")
    );
    let stub = world.path("gitlab-runner");
    fs::write(
        &stub,
        format!(
            "#!/bin/bash\necho \"$*\" >>'{}/helper'\n",
            world.dir.path().display()
        ),
    )
    .unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    world.on("upload_artifacts_on_success", "export PATH=\"$dir:$PATH\"");
    let played = world.play();
    let helper = world.read("helper");
    let id = played.outcome.job_id.to_string();
    assert!(
        helper.contains("artifacts-uploader --url http://127.0.0.1:")
            && helper.contains(&format!("--id {id} --path out")),
        "{helper}"
    );
}

#[test]
fn problems_of_the_set_up_are_explained() {
    let world = World::new();
    let error = |simulation: &Simulation| {
        simulation
            .run(&mut std::io::sink(), &mut std::io::sink())
            .unwrap_err()
            .to_string()
    };
    fs::remove_file(world.path("motmot-run")).unwrap();
    let words = error(&world.simulation);
    assert!(
        words.contains("motmot-run is not an executable file") && words.contains("--bin-dir"),
        "{words}"
    );
    let world = World::new();
    fs::write(world.path("config.toml"), "[gitlab\n").unwrap();
    assert!(error(&world.simulation).contains("cannot read the configuration"));
    let words = Payload::from_json("{\n  \"id\": x}", "job.json")
        .unwrap_err()
        .to_string();
    assert!(
        words.contains("job.json") && words.contains("line 2 column"),
        "{words}"
    );
}
