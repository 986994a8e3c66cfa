//! Cancels, time limits and everything that will not die.

use std::time::Duration;

use motmot_emulator::{CancelMode, Exit, FailureReason, Status, Variable};

use crate::world::{ORDINARY, SLEEPER, World, cancel};

#[test]
fn a_prepare_that_exits_0_on_term_counts_as_prepared() {
    let world = World::with(|simulation| {
        // Long enough for its trap to be set, however busy this machine is.
        simulation.runner.prepare_exec_timeout = Duration::from_secs(5);
    });
    world.on("prepare", "trap 'exit 0' TERM; sleep 30 & wait");
    let played = world.play();
    assert_eq!(played.result.status, Status::Success, "{}", played.log);
    assert_eq!(world.calls(), ORDINARY);
}

#[test]
fn a_prepare_that_dies_of_its_timeout_is_tried_three_times() {
    let world = World::with(|simulation| {
        simulation.runner.prepare_exec_timeout = Duration::from_millis(100);
    });
    world.on("prepare", "exec sleep 30");
    let played = world.play();
    assert_eq!((played.reason(), played.result.attempts), (Some(FailureReason::RunnerSystemFailure), 3));
    assert!(played.has("Preparation failed: unknown Custom executor executable exit code -1"), "{}", played.log);
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
            assert_eq!((played.reason(), played.result.exit_code), (Some(FailureReason::UnknownFailure), None));
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
        ["build_script", "after_script", "upload_artifacts_on_failure", "cleanup_file_variables", "cleanup"]
    );
    assert!(
        played.has("WARNING: script canceled externally (UI, API)") && played.has("AFTER canceled\n"),
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
                // Long enough to come to the script.
                simulation.runner.job_timeout = Some(Duration::from_secs(8));
            } else {
                cancel(simulation, CancelMode::Hard, "\nnow");
            }
        });
        let played = world.play();
        let calls = world.calls();
        assert_eq!(calls[calls.len() - 2..], ["build_script", "cleanup"], "{}", played.log);
        let reason = if timeout { FailureReason::JobExecutionTimeout } else { FailureReason::UnknownFailure };
        assert_eq!(played.reason(), Some(reason));
        assert_eq!(world.env("cleanup")["CUSTOM_ENV_CI_JOB_STATUS"], "failed");
    }
}

#[test]
fn a_script_timeout_still_runs_after_script() {
    let world = World::with(|simulation| {
        simulation.script = vec!["sleep 30".into()];
        simulation.after_script = vec!["echo \"AFTER $CI_JOB_STATUS\"".into()];
        simulation.variables.push(Variable::new("RUNNER_SCRIPT_TIMEOUT", "300ms"));
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
    let build = played.result.calls.iter().find(|call| call.name() == "build_script").unwrap();
    assert_eq!(build.exit, Exit::Signal(9));
    assert_eq!(world.calls().last().unwrap(), "cleanup");
}

#[test]
fn a_forgotten_child_keeps_the_stage_open_until_it_closes_the_pipes() {
    let world = World::new();
    world.on("prepare_script", "setsid sleep 3 & exit 0");
    world.on("get_sources", "setsid sleep 30 >/dev/null 2>&1 & echo $! >\"$dir/pid\"; exit 0");
    let played = world.play();
    let delay = |name: &str| played.result.calls.iter().find(|call| call.name() == name).unwrap().eof_delay.unwrap();
    assert!(delay("prepare_script") > 1.0, "{}", delay("prepare_script"));
    assert!(delay("get_sources") < 10.0, "{}", delay("get_sources"));
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
    let build = played.result.calls.iter().find(|call| call.name() == "build_script").unwrap();
    assert_eq!(build.exit, Exit::Unfinished, "{}", played.log);
    assert!(played.has("Failed to force-kill: no such process"), "{}", played.log);
}

#[test]
fn cleanup_starts_beside_a_stage_that_does_not_end() {
    let world = World::with(|simulation| {
        simulation.runner.wait_for_build_finish = Duration::from_millis(200);
        cancel(simulation, CancelMode::Hard, "now!");
    });
    world.on("build_script", "trap '' TERM; echo $$ >\"$dir/pid\"; echo now!; exec sleep 30");
    world.on("cleanup", "kill -0 $(cat \"$dir/pid\") && touch \"$dir/alive\"");
    let played = world.play();
    world.kill();
    assert!(played.has("Timed out waiting for the build to finish"), "{}", played.log);
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
    world.on("build_script", "echo $$ >\"$dir/pid\"; echo now!; exec sleep 30");
    let played = world.play();
    assert_eq!((played.result.status, played.result.exit_code_of_program()), (Status::RunnerGone, 3));
    assert_eq!(world.calls().last().unwrap(), "build_script");
    assert!(!world.is_tidy());
    assert!(!played.has("Job failed"));
    world.kill();
}
