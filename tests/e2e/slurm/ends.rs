//! How the end of a script reaches GitLab.

use std::fs;

use super::world;
use crate::world::batch::{now, until_nothing_left};
use crate::world::{Cluster, Running, Single, cases, in_some_try, until};

cases!(
    fn the_exit_code_of_a_script_in_slurm_reaches_gitlab(slurm: Slurm) {
        let world = world(slurm);
        for code in [0, 1, 3, 42, 137, 255] {
            let end = world.simulate().script(format!("exit {code}")).run();
            if code == 0 {
                end.assert_success();
            } else {
                end.assert_failed("script_failure");
                assert_eq!(end.json["exit_code"], code);
            }
        }
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn a_script_that_kills_its_shell_fails_with_the_signals_number(slurm: Slurm) {
        let world = world(slurm);
        for (script, code) in
            [("kill -9 $$", 137), ("kill -9 $BASHPID", 137), ("kill -SEGV $$", 139), ("kill -HUP 0", 129)]
        {
            let end = world.simulate().script(script).run();
            end.assert_failed("script_failure");
            assert_eq!(end.json["exit_code"], code, "{script}\n{}", end.log);
        }
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn a_signal_that_slurm_sends_reaches_what_the_script_does_about_it(slurm: Slurm) {
        let world = world(slurm);
        let cluster = Cluster::shared(slurm);
        for (trap, code) in [("trap 'sleep 0.5; echo saved-$(echo it); exit 12' USR1; ", 12), ("", 128 + 10)] {
            let _ = fs::remove_file(world.user.home.join("runs"));
            let script = format!("{trap} touch \"$HOME/runs\"; while :; do sleep 0.05; done");
            let running = Running::start(&world.simulate().script(script));
            let job = running.until_submitted();
            until("the script runs", || world.user.home.join("runs").exists());
            // As with --signal=B:USR1@60.
            let mut signal = cluster.command("scancel");
            assert!(signal.args(["--batch", "--signal=USR1", &job.to_string()]).status().expect("scancel").success());
            let end = running.end();
            end.assert_failed("script_failure");
            assert_eq!(end.json["exit_code"], code, "{}", end.log);
            if code == 12 {
                end.assert_log("saved-it");
            }
        }
    },
    fn no_login_profile_decides_over_a_job_in_slurm(slurm: Slurm) {
        let world = world(slurm);
        for profile in
            ["exit 0", "exit 5", "set -e", "set -eu; trap 'exit 9' EXIT", "exec true", "kill -9 $$", "cat; read x"]
        {
            world.user_file(".bash_profile", &format!("{profile}\n"));
            let end = world.simulate().script("false || true; echo in=$SLURM_JOB_ID").script("exit 4").run();
            end.assert_failed("script_failure");
            assert_eq!(end.json["exit_code"], 4, "{profile}\n{}", end.log);
            end.value("in");
            let end = world.simulate().script("echo in=$SLURM_JOB_ID; : $UNSET").run();
            end.assert_success();
        }
        world.user_file(".bash_profile", "export FROM_PROFILE=yes\n");
        let end = world.simulate().script("echo profile=$FROM_PROFILE").run();
        assert_eq!(end.assert_success().value("profile"), "yes");
    },
    fn the_end_of_a_job_is_noticed_at_once(slurm: Slurm) {
        let world = world(slurm);
        world.write_config();
        let one = || {
            let single = Single::new(&world, 5);
            let script = single.script("[ -n \"$SLURM_JOB_ID\" ] && sleep 0.5; date +%s.%N");
            let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
            let ended = now().as_secs_f64();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let written: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds");
            assert!(single.stage("cleanup").output().expect("cleanup").status.success());
            ended - written
        };
        let five = || {
            let mut delays: Vec<f64> = (0..5).map(|_| one()).collect();
            delays.sort_by(f64::total_cmp);
            eprintln!("from the script's last act to the end of its stage: {delays:.3?} s");
            delays
        };
        in_some_try(five, |delays| delays[0] < 0.25 && delays[2] < 1.0);
        until_nothing_left(&world, Cluster::shared(slurm));
    }
);
