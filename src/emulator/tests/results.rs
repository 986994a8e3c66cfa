//! What a job comes to: order of calls, exit codes, retries.

use motmot_emulator::{Exec, FailureReason, RunnerVersion, Simulation, Status, Variable};

use crate::world::{ORDINARY, World};

#[test]
fn an_ordinary_job_runs_end_to_end_in_the_runners_order() {
    let world = World::script("echo hel''lo; pwd");
    let played = world.play();
    assert_eq!(played.result.status, Status::Success, "{}", played.log);
    assert_eq!(world.calls(), ORDINARY);
    assert!(played.has("\nhello\n") && played.has("Job succeeded"), "{}", played.log);
    assert!(played.has(&format!("{}/builds/group/project\n", world.dir.path().display())));
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
    assert_eq!(played.result.status, Status::Success, "{}", played.log);
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
        ("build_script", "echo 7 >\"$BUILD_EXIT_CODE_FILE\"; exit 0".to_owned(), None, None, 1),
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
        let result = &played.result;
        let found = (result.failure_reason, result.exit_code, result.attempts);
        assert_eq!(found, (reason, code, attempts), "{stage}: {commands}\n{}", played.log);
        let cleanups = result.calls.iter().filter(|call| call.exec == Exec::Cleanup).count();
        assert_eq!(cleanups, attempts as usize, "one cleanup per attempt: {stage}: {commands}");
        assert!(world.is_tidy());
    }
}

#[test]
fn an_exit_code_of_an_earlier_stage_still_counts() {
    let world = World::new();
    world.on("get_sources", "echo 128 >\"$BUILD_EXIT_CODE_FILE\"");
    world.on("build_script", "exit 1");
    assert_eq!(world.play().result.exit_code, Some(128));
}

#[test]
fn the_log_names_failures_as_the_runner_does() {
    let world = World::new();
    world.on("build_script", "exit 255");
    assert!(world.play().has("ERROR: Job failed (system failure): unknown Custom executor executable exit code 255; executable execution terminated with: exit status 255"));
    world.on("build_script", "kill -KILL $$");
    assert!(world.play().has("exit code -1; executable execution terminated with: signal: killed"));
    let world = World::script("exit 7");
    let played = world.play();
    assert!(played.has("ERROR: Job failed: exit status 7"), "{}", played.log);
    assert_eq!(played.result.exit_code, Some(7));
}

#[test]
fn a_runner_without_exit_code_file_can_only_say_1() {
    let world = World::with(|simulation| {
        simulation.runner.version = RunnerVersion::V17_8;
        simulation.script = vec!["exit 7".into()];
    });
    world.on("build_script", "export BUILD_EXIT_CODE_FILE=build_exit_code");
    let played = world.play();
    assert_eq!(played.result.exit_code, Some(1), "{}", played.log);
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
        assert_eq!(played.result.attempts, attempts, "{output}\n{}", played.log);
        assert_eq!(played.result.status == Status::Success, attempts == 1, "{output}");
    }
    let world = World::new();
    world.on("config", "echo '{\"builds_dir\": \"\"}'; exit 0");
    let played = world.play();
    assert_eq!((played.reason(), played.result.attempts), (Some(FailureReason::ScriptFailure), 1));
    assert!(played.has("the builds_dir is not configured"));
}

#[test]
fn stages_after_a_failure_are_those_of_the_runner() {
    let full = |simulation: &mut Simulation| {
        simulation.script = vec!["true".into()];
        simulation.steps = vec![("release".into(), vec!["true".into()])];
        simulation.after_script = vec!["echo \"status $CI_JOB_STATUS\"".into()];
        simulation.artifacts = vec!["a".into()];
    };
    let last = ["upload_artifacts_on_failure", "cleanup_file_variables", "cleanup"];
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
        simulation.variables.push(Variable::new("GET_SOURCES_ATTEMPTS", "3"));
    });
    world.on("get_sources", "exit 1");
    let played = world.play();
    let stages: Vec<String> =
        world.calls().into_iter().filter(|call| call.contains("so") || call.contains("clear")).collect();
    assert_eq!(stages, ["get_sources", "clear_worktree", "get_sources", "get_sources"]);
    assert_eq!(played.reason(), Some(FailureReason::ScriptFailure));
    let numbers: Vec<u32> =
        played.result.calls.iter().filter(|call| call.name() == "get_sources").map(|call| call.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn after_script_errors_are_ignored_unless_the_user_says_otherwise() {
    for (ignore, status) in [("true", Status::Success), ("false", Status::Failed)] {
        let world = World::with(|simulation| {
            simulation.after_script = vec!["exit 3".into()];
            simulation.variables.push(Variable::new("AFTER_SCRIPT_IGNORE_ERRORS", ignore));
        });
        assert_eq!(world.play().result.status, status, "{ignore}");
    }
}

#[test]
fn cleanup_can_run_twice_speaks_to_the_runner_and_comes_before_the_final_word() {
    let world = World::with(|simulation| simulation.faults.repeat_cleanup = 2);
    world.on("cleanup", "echo told; echo complained >&2; exit 4");
    let played = world.play();
    assert_eq!(world.calls().iter().filter(|call| *call == "cleanup").count(), 2);
    for line in ["level=debug msg=\"told\" cleanup_std=out\n", "level=warning msg=\"complained\" cleanup_std=err\n"] {
        assert_eq!(played.runner_log.matches(line).count(), 2, "{}", played.runner_log);
    }
    assert!(played.runner_log.contains("Cleanup script failed: unknown Custom executor executable exit code 4"));
    let warning = played.log.rfind("Cleanup script failed").unwrap();
    assert!(warning < played.log.find("Job succeeded").unwrap());
    assert!(!played.has("told"));
}
