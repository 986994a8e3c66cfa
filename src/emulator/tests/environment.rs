//! What a driver process is given.

use std::path::PathBuf;

use motmot_emulator::{FailureReason, JobPayload, RunnerVersion, Status, Variable};

use crate::world::World;

#[test]
fn a_shared_builds_dir_is_divided_by_runner_and_slot() {
    let world = World::with(|simulation| {
        simulation.runner.token = "glrt-xyzxyzxyzxyz".into();
        simulation.runner.concurrent_project_id = 3;
    });
    world.on("config", "echo \"{\\\"builds_dir\\\": \\\"$dir/b\\\", \\\"builds_dir_is_shared\\\": true}\"; exit 0");
    world.play();
    let project = format!("{}/b/xyzxyzxyz/3/group/project", world.dir.path().display());
    assert_eq!(world.env("prepare")["CUSTOM_ENV_CI_PROJECT_DIR"], project);
    assert_eq!(world.env("prepare")["CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR"], format!("{project}.tmp"));
    let config = world.env("config");
    assert_eq!((&*config["CUSTOM_ENV_CI_PROJECT_DIR"], &*config["CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR"]), ("", ".tmp"));
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
        assert_eq!((&*env["TMPDIR"], &*env["CUSTOM_ENV_V"], &*env["MINE"]), ("/over", "job", "1"), "{stage}");
    }
    assert!(!world.env("config").contains_key("MINE"));
}

#[test]
fn the_environment_has_the_recorded_keys_and_user_variables_win() {
    let world = World::with(|simulation| {
        simulation.runner.environment.push(("FROM_TOML".into(), "1".into()));
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
        simulation.variables.push(Variable::file("FILEV", "secret-content"));
    });
    // The script would export them; only the driver's environment matters here.
    for stage in ["get_sources", "build_script", "cleanup_file_variables"] {
        world.on(stage, "exit 0");
    }
    let played = world.play();
    assert_eq!(played.result.status, Status::Success, "{}", played.log);
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
    assert_eq!(env["BUILD_EXIT_CODE_FILE"], format!("{temp}/build_exit_code"));
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
    assert_eq!(world.read("scripts").lines().count(), 3, "scripts of earlier stages stay");
    let args = world.read("args.build_script");
    assert!(args.starts_with("--config /") && args.ends_with("/script build_script\n"), "{args}");
}

#[test]
fn a_variable_that_is_too_large_starts_no_driver_at_all() {
    for (value, words) in [("x".repeat(128 * 1024), "argument list too long"), ("a\0b".to_owned(), "contains NUL")] {
        let world = World::with(|simulation| simulation.variables.push(Variable::new("BIG", value)));
        let played = world.play();
        assert_eq!((played.reason(), played.result.attempts), (Some(FailureReason::RunnerSystemFailure), 3));
        assert!(played.has("failed to start command: ") && played.has(words), "{}", played.log);
        assert!(world.calls().is_empty());
    }
}

#[test]
fn the_response_file_is_encoded_like_the_recorded_one() {
    let payload = r#"[{"id": 101, "token": "t", "job_info": {"id": 101, "name": "j", "user_id": 42, "scoped_user_id": null, "time_in_queue_seconds": 1},
        "git_info": {"repo_url": "http://h/grp/proj.git", "ref": "main", "protected": null},
        "variables": [{"key": "K", "value": "<&>", "public": true}, {"key": "GIT_STRATEGY", "value": "none"}],
        "steps": [{"name": "script", "script": ["true"]}], "image": null, "run": "[]", "unknown": 1}]"#;
    let mut world = World::new();
    world.simulation.adopt(JobPayload::from_json(payload, "test").unwrap());
    world.on("prepare", "cp response.json \"$dir/response\"");
    world.play();
    let text = world.read("response");
    assert!(
        text.contains(r#""value":"\u003c\u0026\u003e","public":true,"file":false,"masked":false,"raw":false"#),
        "{text}"
    );
    assert!(text.contains(r#""inputs":{},"variables":["#) && text.ends_with("\"suspend_options\":{}}\n"), "{text}");
    assert!(text.contains(r#""protected":null},"runner_info":{"uuid":"","timeout":0}"#), "{text}");
    assert!(
        text.contains(r#""services":null,"artifacts":null,"cache":null"#)
            && !text.contains("scoped")
            && !text.contains("\"run\"")
    );
    assert!(text.contains(
        r#""image":{"name":"","executor_opts":{"docker":{"platform":"","user":""},"kubernetes":{"user":""}}}"#
    ));
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
