//! A program in the line of another, in `[runners.custom]` of the runner's configuration.

use std::fs;

use crate::world::{Single, World, cases, copy_program, copy_programs};

const STAGES: [&str; 4] = ["config", "prepare", "run", "cleanup"];

cases!(
    fn a_program_in_the_line_of_another_makes_no_job_green_whose_script_has_not_run() {
        let mut world = World::one_user().build();
        let right = std::mem::replace(&mut world.bins, world.dir.join("mixed"));
        copy_programs(&world.bins);
        for line in STAGES {
            for wrong in STAGES.into_iter().filter(|wrong| *wrong != line) {
                let pair = format!("{line}_exec = motmot-{wrong}");
                let place = world.bins.join(format!("motmot-{line}"));
                copy_program(&right.join(format!("motmot-{wrong}")), &place, 0o755);
                let end = world.simulate().option("--retry-interval", "10ms").script("echo ran=yes").run();
                copy_program(&right.join(format!("motmot-{line}")), &place, 0o755);
                let said = format!("{}\n{}\n{}", end.json, end.log, end.runner_log);
                let ran = end.log.lines().any(|line| line == "ran=yes");
                // Cleanup comes too late for the job's end, but not for the log of the runner.
                assert_eq!((ran, end.succeeded()), (line == "cleanup", line == "cleanup"), "{pair}: {said}");
                if !ran {
                    assert_eq!(end.json["failure_reason"], "runner_system_failure", "{pair}: {said}");
                }
                let key = format!("{line}_exec");
                let told = |text: &str| text.lines().any(|line| line.contains("motmot: ") && line.contains(&key));
                assert!(told(if ran { &end.runner_log } else { &end.log }), "{pair} is not told: {said}");
            }
        }
        world.simulate().script("echo ran=yes").run().assert_success().assert_log("ran=yes");
    },
    fn a_preparation_that_failed_is_tried_again_and_one_that_went_well_is_not() {
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let prepare = || {
            let output = single.stage("prepare").output().expect("prepare");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        world.write_config_with(|config| config.jobs(|jobs| jobs.shell_path("/nonexistent/bash")));
        let (code, words) = prepare();
        assert!(code == Some(2) && words.contains("/nonexistent/bash"), "{words}");
        world.write_config();
        let (code, words) = prepare();
        assert_eq!(code, Some(0), "{words}");
        let (code, words) = prepare();
        assert!(code == Some(2) && words.contains("run_exec and cleanup_exec"), "{words}");
        single.clean_up();
    },
    fn a_runner_that_runs_in_a_job_of_motmots_runs_its_jobs() {
        let world = World::one_user().build();
        let around = Single::new(&world, 5);
        let end = world
            .simulate()
            .env("MOTMOT_SESSION", &around.session)
            .option("--job-id", "6")
            .script("echo ran=yes")
            .run();
        end.assert_success().assert_log("ran=yes");
        around.clean_up();
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0);
    }
);
