//! What a job in Slurm prints: all of it, once, in order, in time, and without tokens.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use super::world;
use crate::world::batch::{lagging, now, until_nothing_left};
use crate::world::{Cluster, Running, Single, World, cases, in_some_try, until};

cases!(
    fn both_streams_of_a_job_in_slurm_come_in_their_order(slurm: Slurm) {
        let world = world(slurm);
        let end = world
            .simulate()
            .script("for i in $(seq 1 200); do echo out-$i; echo err-$i >&2; done; printf last-without-newline")
            .run();
        end.assert_success();
        let said: Vec<&str> =
            end.log.lines().filter(|line| line.starts_with("out-") || line.starts_with("err-")).collect();
        let expected: Vec<String> = (1..=200).flat_map(|i| [format!("out-{i}"), format!("err-{i}")]).collect();
        assert_eq!(said, expected);
        assert_eq!(end.log.matches("last-without-newline").count(), 2, "the runner's echo of the command, and it");
    },
    fn a_line_of_a_job_in_slurm_is_in_the_log_within_a_second(slurm: Slurm) {
        let world = world(slurm);
        world.write_config();
        let single = Single::new(&world, 5);
        let script = single.script("for i in 1 2 3 4 5 6 7 8 9; do date +$SLURM_JOB_NUM_NODES.%s.%N; sleep 0.2; done");
        let lines = || {
            let mut stage = single.stage("run");
            stage.arg(&script).arg("build_script").stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = stage.spawn().expect("run");
            let mut delays = Vec::new();
            for line in BufReader::new(child.stdout.take().expect("stdout")).lines() {
                let line = line.expect("a line");
                let seconds: f64 = line.strip_prefix("1.").expect("from a node").parse().expect("seconds");
                delays.push(now().as_secs_f64() - seconds);
            }
            assert!(child.wait().expect("ended").success());
            assert_eq!(delays.len(), 9);
            delays.sort_by(f64::total_cmp);
            eprintln!("from a node to the job log: {delays:.3?} s");
            delays
        };
        in_some_try(lines, |delays| delays[4] < 0.3 && delays[8] < 1.0);
        assert!(single.stage("cleanup").output().expect("cleanup").status.success());
    },
    fn twenty_megabytes_and_binary_output_arrive_byte_for_byte(slurm: Slurm) {
        const SIZE: usize = 20 << 20;
        let world = world(slurm);
        let saved = world.user.home.join("sum");
        // In pieces of all sizes, so that the watch reads in the middle of a write.
        let out = raw(
            &world,
            &format!(
                "head -c {SIZE} /dev/urandom > \"$HOME/data\"; sha256sum < \"$HOME/data\" > \"$HOME/sum\"; cat \"$HOME/data\""
            ),
        );
        assert_eq!(out.len(), SIZE);
        let sum = format!("{:x}", Sha256::digest(&out));
        assert!(fs::read_to_string(saved).expect("sum").starts_with(&sum));

        let out = raw(&world, "perl -e 'print map { chr } (0..255) x 300; print q(ends like a token: eyJ)'");
        let mut expected: Vec<u8> = (0..300).flat_map(|_| 0..=255_u8).collect();
        expected.extend_from_slice(b"ends like a token: eyJ");
        assert!(out == expected, "{} bytes", out.len());
        assert_eq!(raw(&world, "exec > /dev/null; echo nobody hears this"), b"");
    },
    fn what_a_job_leaves_running_neither_holds_its_stage_nor_adds_to_its_output(slurm: Slurm) {
        let world = world(slurm);
        let cluster = Cluster::shared(slurm);
        let end = world
            .simulate()
            .script(
                "setsid sh -c 'while :; do echo after-the-end; sleep 0.01; done' & sleep 0.2; echo last-$(echo words)",
            )
            .run();
        end.assert_success().assert_log("last-words");
        let call = end.calls("build_script")[0];
        assert!(call["duration"].as_f64().expect("seconds") < 30.0, "{call}");
        until_nothing_left(&world, cluster);
        until("Slurm has ended what was left", || world.processes_of_user().is_empty());
    },
    fn an_output_file_that_the_script_spoils_is_told_and_does_not_change_its_result(slurm: Slurm) {
        const OUTPUT: &str = "o=$(echo \"$TMPDIR\"/../batch/*/run-*/output); ";
        let world = world(slurm);
        for (spoil, warning, code) in [
            (": > \"$o\"; ", "was cut from", 0),
            ("truncate -s 3 \"$o\"; ", "was cut from", 3),
            ("rm \"$o\"; ", "was removed or replaced", 0),
            ("rm \"$o\"; ", "was removed or replaced", 4),
            ("cp \"$o\" \"$o.2\"; mv \"$o.2\" \"$o\"; ", "was removed or replaced", 5),
            ("rm \"$o\"; ln -s /etc/shadow \"$o\"; ", "was removed or replaced", 6),
            ("rm \"$o\"; mkfifo \"$o\"; ", "was removed or replaced", 7),
            ("rm \"$o\"; mkdir \"$o\"; ", "was removed or replaced", 8),
        ] {
            let _ = fs::remove_file(world.user.home.join("go"));
            let running = Running::start(&world.simulate().script(format!(
            "{OUTPUT} echo before-$(echo it); while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done; {spoil} sleep 0.3; echo behind-$(echo it); exit {code}"
        )));
            // What is gone before anybody has looked is nobody's to show.
            running.until_log("before-it");
            world.user_file("go", "");
            let end = running.end();
            if code == 0 {
                end.assert_success();
            } else {
                end.assert_failed("script_failure");
                assert_eq!(end.json["exit_code"], code, "{spoil}");
            }
            end.assert_log(warning).assert_log("before-it").assert_not_in_log("root:");
            let call = end.calls("build_script")[0];
            assert!(call["duration"].as_f64().expect("seconds") < 20.0, "{spoil} holds the stage: {call}");
        }
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn tokens_in_the_output_of_a_node_are_masked(slurm: Slurm) {
        let world = world(slurm);
        let end = world
            .simulate()
            .script("echo token=$CI_JOB_JWT")
            .script("cat \"$CI_JOB_JWT_FILE\" >&2; echo")
            .script("printf '%s' \"${CI_JOB_JWT:0:300}\"; sleep 0.5; printf '%s\\n' \"${CI_JOB_JWT:300}\"")
            .script("printf '%s' \"$CI_JOB_JWT\" | rev | sed 's/^/reversed=/'; echo")
            .run();
        end.assert_success();
        let token: String = end.value("reversed").chars().rev().collect();
        assert_eq!(token.matches('.').count(), 2, "{token}");
        end.assert_not_in_log(&token).assert_not_in_log(token.rsplit('.').next().expect("a signature"));
        assert!(end.value("token").ends_with("[MASKED]"), "{}", end.log);
    },
    fn all_output_comes_through_a_file_system_that_lags_behind(disk: LaggingDisk) {
        let (world, delayed, cluster) = lagging(disk, 3);
        let end = world
            .simulate()
            .script("for i in $(seq 1 40); do echo line-$i; sleep 0.05; done; seq 1 20000 | sed 's/^/number=/'")
            .script("exit 9")
            .run();
        end.assert_failed("script_failure").assert_not_in_log("have not come");
        assert_eq!(end.json["exit_code"], 9);
        let numbers: Vec<&str> = end.log.lines().filter_map(|line| line.strip_prefix("number=")).collect();
        assert_eq!(numbers, (1..=20000).map(|i| i.to_string()).collect::<Vec<_>>());
        assert_eq!(end.log.lines().filter(|line| line.starts_with("line-")).count(), 40);
        until_nothing_left(&world, &cluster);
        drop(cluster);
        drop(delayed);
    },
    fn output_that_does_not_come_in_time_is_counted(slurm: Slurm) {
        // A record that counts more than there is: as when the output is seen later than the record. The job's account can
        // write one, too, and ends its own job with that.
        // It is counted from what is there, so that has to be all that was printed.
        const FORGED: &str = "cd \"$(echo \"$TMPDIR\"/../batch/*/run-*)\"; until grep -q all-there output; do sleep 0.02; done; printf 'end-of-script=5\\nbytes=%s\\nterminated=no\\nrestarts=0\\nnode=n1\\nend\\n' $(($(stat -c %s output) + 4321)) > forged; mv forged record; sleep 45";
        let world = world(slurm);
        let end = world.simulate().script(format!("echo all-$(echo there); {FORGED}")).run();
        end.assert_failed("script_failure").assert_log("all-there");
        assert_eq!(end.json["exit_code"], 5);
        end.assert_log("warning: the last 4321 bytes of the output have not come through the file system in time");
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn a_file_system_that_shows_nothing_in_time_is_told_and_no_success(disk: LaggingDisk) {
        // Longer than anybody waits here: neither the end of the output nor the record of it is seen.
        let (mut world, delayed, cluster) = lagging(disk, 100);
        world.change(|config| config.slurm(|section| section.output_timeout("2s")));
        // Both at once: their ends are noticed when the scheduler is asked in its turn.
        let failing = Running::start(&world.simulate().script("echo it-$(echo ran); exit 9"));
        let succeeding = Running::start(
            &world.simulate().option("--concurrent-id", "1").option("--concurrent-project-id", "1").script("true"),
        );
        let end = failing.end();
        end.assert_failed("script_failure")
            .assert_not_in_log("it-ran")
            .assert_log("the end of the output may be missing");
        assert_eq!(end.json["exit_code"], 9, "that much Slurm knows");
        let end = succeeding.end();
        end.assert_failed("runner_system_failure").assert_log("its completion record has not come");
        cluster.until_no_jobs_of(&world.user.name);
        drop(cluster);
        drop(delayed);
    }
);

/// Runs a script as a single stage: its output and nothing else.
fn raw(world: &World, body: &str) -> Vec<u8> {
    world.write_config();
    let single = Single::new(world, 5);
    let script = single.script(body);
    let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cleaned = single.stage("cleanup").output().expect("cleanup");
    assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    output.stdout
}
