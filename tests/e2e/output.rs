//! What a job prints: all of it, in time, on its own stream, without tokens.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;

use crate::world::token::{disguise, revealed};
use crate::world::{Single, World, cases, in_some_try, until};

cases!(
    fn tokens_and_their_signatures_are_masked_however_they_are_cut() {
        let world = World::one_user().build();
        let end = world
        .simulate()
        .script("echo $CI_JOB_JWT")
        .script("echo $CI_JOB_JWT >&2")
        .script("echo ${CI_JOB_JWT##*.}")
        .script("set -x; : \"$CI_JOB_JWT\"; set +x")
        .script("env")
        .script("for (( i = 0; i < ${#CI_JOB_JWT}; i++ )); do printf '%s' \"${CI_JOB_JWT:i:1}\"; [ $((i % 97)) -ne 0 ] || sleep 0.06; done; echo")
        .script("cat \"$CI_JOB_JWT_FILE\" \"$CI_JOB_JWT_FILE\"; echo")
        .script("head -c 65000 /dev/zero | tr '\\0' x; echo $CI_JOB_JWT")
        .script(disguise("token"))
        .run();
        end.assert_success();
        let token = revealed(end.value("token"));
        let signature = token.rsplit('.').next().expect("a signature");
        end.assert_not_in_log(&token).assert_not_in_log(signature);
        assert!(end.log.matches("[MASKED]").count() >= 8, "{}", end.log);
    },
    fn pieces_and_encodings_of_a_token_are_masked_on_both_streams() {
        const URL: &str = "perl -pe 's/([^A-Za-z0-9])/sprintf(\"%%%02X\",ord($1))/ge' <<< \"$CI_JOB_JWT\"; echo";
        let world = World::one_user().build();
        let end = world
            .simulate()
            .script("for width in 16 20 33 60 64 76 80; do fold -w $width <<< \"$CI_JOB_JWT\"; fold -w $width <<< \"$CI_JOB_JWT\" >&2; done")
            .script("sig=${CI_JOB_JWT##*.}; echo ${sig:0:29}; echo ${sig:29:29} >&2; echo ${sig:58}")
            .script("sig=${CI_JOB_JWT##*.}; printf '\\e[31m%s\\e[0m\\n\\e[K%s\\n' ${sig:0:10} ${sig:10:10} ${sig:20:10} ${sig:30}")
            .script("for x in '' x xx; do printf '%s' \"$x$CI_JOB_JWT\" | base64; printf '%s' \"$x$CI_JOB_JWT\" | base64 -w0 | tr '+/' '-_'; echo; done")
            .script("od -An -v -tx1 \"$CI_JOB_JWT_FILE\"; od -An -v -tx1 \"$CI_JOB_JWT_FILE\" | tr -d ' \\n'; echo")
            .script("od -An -v -tx1 \"$CI_JOB_JWT_FILE\" | tr a-f A-F; od -c \"$CI_JOB_JWT_FILE\" >&2")
            .script(URL)
            .script(disguise("token"))
            .run();
        end.assert_success();
        let token = revealed(end.value("token"));
        let signature = token.rsplit('.').next().expect("a signature");
        let seen: String = end
            .log
            .replace("\u{1b}[31m", "")
            .replace("\u{1b}[0m", "")
            .replace("\u{1b}[K", "")
            .split_whitespace()
            .collect();
        let hex = |digits: fn(u8) -> String| signature.bytes().map(digits).collect::<String>();
        let mut shapes =
            vec![signature.to_owned(), hex(|byte| format!("{byte:02x}")), hex(|byte| format!("{byte:02X}"))];
        shapes.extend(["", "x", "xx"].map(|before| {
            let encoded = base64::prelude::BASE64_STANDARD.encode(format!("{before}{token}"));
            encoded[encoded.len() - 110..].to_owned()
        }));
        shapes.push(signature.replace('-', "%2D").replace('_', "%5F"));
        for shape in shapes {
            // Of what od(1) writes in a line with a number before it up to 15 characters are left.
            let piece = shape
                .as_bytes()
                .windows(16 * shape.len() / signature.len())
                .find(|piece| seen.contains(str::from_utf8(piece).expect("ASCII")));
            assert_eq!(piece, None, "{shape}: {}", end.log);
        }
    },
    fn a_token_of_an_earlier_stage_is_masked_in_later_ones() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .script("cp \"$CI_JOB_JWT_FILE\" ../kept; chmod u+w ../kept")
            .option(
                "--after-script",
                "echo later=$(cat ../kept); echo signature=$(sed 's/.*[.]//' ../kept); rm ../kept",
            )
            .run();
        end.assert_success();
        assert!(end.value("later").ends_with("[MASKED]"), "{}", end.log);
        assert_eq!(end.value("signature"), "[MASKED]");
    },
    fn a_line_is_in_the_log_at_once() {
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let script = single.script("for i in 1 2 3 4 5 6 7 8 9; do date +%s%N; sleep 0.1; done");
        let lines = || {
            let mut stage = single.stage("run");
            let mut child = stage.arg(&script).arg("build_script").stdout(Stdio::piped()).spawn().expect("run");
            let mut delays = Vec::new();
            for line in BufReader::new(child.stdout.take().expect("stdout")).lines() {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
                let written = Duration::from_nanos(line.expect("a line").parse().expect("nanoseconds"));
                delays.push(now.saturating_sub(written));
            }
            assert!(child.wait().expect("ended").success());
            assert_eq!(delays.len(), 9);
            delays.sort();
            delays
        };
        // The third best of nine.
        in_some_try(lines, |delays| delays[2] < Duration::from_millis(50));
    },
    fn stdout_and_stderr_stay_apart() {
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let script = single.script("for i in 1 2 3; do echo out $i; echo err $i >&2; done");
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "out 1\nout 2\nout 3\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "err 1\nerr 2\nerr 3\n");
    },
    fn output_without_newline_and_binary_output_arrive_unchanged() {
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let script = single.script("perl -e 'print map { chr } (0..255) x 300; print q(ends like a token: eyJ)'");
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        let mut expected: Vec<u8> = (0..300).flat_map(|_| 0..=255_u8).collect();
        expected.extend_from_slice(b"ends like a token: eyJ");
        assert!(output.status.success());
        assert!(output.stdout == expected, "{} bytes", output.stdout.len());
    },
    fn a_gigabyte_arrives_whole_and_in_constant_memory() {
        const SIZE: u64 = 1 << 30;
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let script = single.script(&format!("yes 0123456789abcdef | head -c {SIZE}"));
        let mut child =
            single.stage("run").arg(&script).arg("build_script").stdout(Stdio::piped()).spawn().expect("run");
        let mut stdout = child.stdout.take().expect("stdout");
        let (mut piece, mut total, mut most) = (vec![0; 1 << 20], 0, 0);
        loop {
            let length = stdout.read(&mut piece).expect("read");
            if length == 0 {
                break;
            }
            total += length as u64;
            most = most.max(resident_kib(child.id()));
        }
        assert!(child.wait().expect("ended").success());
        assert_eq!(total, SIZE);
        assert!(most < 32 << 10, "the stage binary took {most} KiB");
    },
    fn a_script_of_10_mb_runs() {
        let world = World::one_user().build();
        let file = world.dir.join("large.sh");
        std::fs::write(&file, format!("echo first=yes\n: {}\necho last=yes\n", "x".repeat(10 << 20))).expect("write");
        let single = Single::new(&world, 5);
        let script = single.script(&std::fs::read_to_string(&file).expect("read"));
        let measure = || {
            let start = Instant::now();
            let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(String::from_utf8_lossy(&output.stdout), "first=yes\nlast=yes\n");
            start.elapsed()
        };
        in_some_try(measure, |took| *took < Duration::from_secs(30));
    },
    fn a_job_that_closes_its_output_goes_on() {
        let world = World::one_user().build();
        let end = world.simulate().script("exec >/dev/null 2>&1; sleep 0.3; exit 6").run();
        end.assert_failed("script_failure");
        assert_eq!(end.json["exit_code"], 6);
    },
    fn a_runner_that_reads_no_more_does_not_keep_a_job_from_being_ended(root: Root) {
        let world = World::root(root).jobs(|jobs| jobs.kill_timeout("1s")).build();
        let single = Single::new(&world, 5);
        let script = single.script("touch \"$HOME/started\"; yes");
        let mut child =
            single.stage("run").arg(&script).arg("build_script").stdout(Stdio::piped()).spawn().expect("run");
        until("the script runs", || world.user.home.join("started").exists());
        let term = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
        assert!(term.success());
        until("the job has ended", || !world.processes_of_user().contains(&"yes".to_owned()));
        until("the stage has ended", || child.try_wait().expect("asked").is_some());
        assert_ne!(child.wait().expect("ended").code(), Some(0));
    }
);

/// Resident memory of a process (`VmRSS` of proc(5)); 0 when it has gone.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or(0)
}
