//! The keyword `run:`, which an executor without steps of its own gets as a script.

use motmot_emulator::{FailureReason, Status, Variable};

use crate::world::World;

const STEPS: &str = r#"[{"name":"greet","script":"echo <hello> && true"}]"#;

#[test]
fn the_keyword_run_becomes_a_script_that_calls_step_runner() {
    let world = World::with(|simulation| {
        simulation.run = Some(STEPS.to_owned());
        simulation.runner.environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
    });
    world.on("prepare", "cp response.json \"$dir/response\"");
    world.on("build_script", "cp \"$script\" \"$dir/script\"");
    let played = world.play();
    assert_eq!((played.result.status, played.reason()), (Status::Failed, Some(FailureReason::ScriptFailure)));
    assert!(played.has("$ step-runner ci") && played.has("step-runner: command not found"), "{}", played.log);
    let response = world.read("response");
    assert!(response.contains(r#""script":["step-runner ci"],"timeout":3600,"when":"on_success""#), "{response}");
    assert!(
        response.contains(r#""run":[{"name":"greet","script":"echo \u003chello\u003e \u0026\u0026 true"}]"#),
        "{response}"
    );
    let wanted = r#""key":"STEPS","value":"[{\"name\":\"greet\",\"script\":\"echo \\u003chello\\u003e \\u0026\\u0026 true\"}]","public":false,"file":false,"masked":false,"raw":true"#;
    assert!(response.contains(wanted), "{response}");
}

#[test]
fn a_script_beside_run_or_a_variable_named_steps_is_refused_before_the_driver() {
    for (words, world) in [
        (
            "the `run` and `script` keywords cannot be used together",
            World::with(|simulation| simulation.after_script = vec!["true".into()]),
        ),
        (
            "the `run` keyword requires the exclusive use of the variable STEPS",
            World::with(|simulation| simulation.variables.push(Variable::new("STEPS", "[]"))),
        ),
    ] {
        let mut world = world;
        world.simulation.run = Some(STEPS.to_owned());
        let played = world.play();
        assert_eq!(played.reason(), Some(FailureReason::RunnerSystemFailure), "{}", played.log);
        assert_eq!((played.result.exit_code, played.result.attempts), (Some(3), 0));
        assert!(played.has(words) && world.calls().is_empty(), "{}", played.log);
    }
}
