//! `motmot audit`: what it finds, what it shows, and what it notices.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::world::token::{disguise, part, revealed};
use crate::world::{Rule, World, cases, chmod};

cases!(
    fn a_whole_log_is_whole_over_a_rotation_and_a_change_is_told_with_file_and_line(root: Root) {
        let world = World::root(root).build();
        let play = || {
            world.simulate().script("true").run().assert_success();
        };
        let log = world.audit_file();
        let old = log.with_file_name("audit.log-20260101");
        play();
        fs::rename(&log, &old).expect("rotated");
        play();
        let packed = Command::new("gzip").arg(&old).status().expect("gzip");
        assert!(packed.success());
        fs::rename(&log, log.with_file_name("audit.log-20260102")).expect("rotated");
        play();
        let (code, text) = audit(&world, &["verify"]);
        assert!(code == 0 && text.contains("audit.log-20260101.gz:1: note: the chain starts here"), "{text}");
        assert!(text.contains("whole: numbers 1 to "), "{text}");
        let whole = fs::read_to_string(&log).expect("a log");
        fs::write(&log, whole.replacen("\"stage\":\"run\"", "\"stage\":\"RUN\"", 1)).expect("changed");
        let line = 1 + whole.lines().position(|line| line.contains("\"stage\":\"run\"")).expect("a line");
        let (code, text) = audit(&world, &["verify"]);
        assert!(code == 1 && text.contains(&format!("{}:{line}: changed", log.display())), "{text}");
        let cut = whole[..whole.len() - 1].rfind('\n').expect("two lines") + 1;
        fs::write(&log, &whole[..cut]).expect("cut");
        let (code, text) = audit(&world, &["verify"]);
        assert!(code == 1 && text.contains("missing behind it: number "), "{text}");
        // And for ever.
        play();
        let (code, text) = audit(&world, &["verify"]);
        assert!(code == 1 && text.contains("missing before it: number "), "{text}");
    },
    fn a_log_whose_last_line_lacks_its_line_break_alone_is_whole_and_stays_so(root: Root) {
        for (lagging, rotated) in [(false, false), (true, false), (false, true), (true, true)] {
            let world = World::root(root).build();
            let play = || {
                world.simulate().script("true").run().assert_success();
            };
            let (log, head) = (world.audit_file(), world.audit_file().with_file_name("audit.log.head"));
            play();
            let (lines, before) =
                (fs::read_to_string(&log).expect("a log").lines().count(), fs::read(&head).expect("head"));
            play();
            let whole = fs::read_to_string(&log).expect("a log");
            let kept: Vec<&str> = if lagging {
                // Killed before the head was written, as well.
                fs::write(&head, before).expect("head");
                whole.lines().take(lines + 1).collect()
            } else {
                whole.lines().collect()
            };
            fs::write(&log, kept.join("\n")).expect("cut");
            let (code, text) = audit(&world, &["verify"]);
            assert!(code == 0 && text.contains(&format!("log:{}: note: it has no line break", kept.len())), "{text}");
            let expected = format!("whole: numbers 1 to {}; ", kept.len());
            assert!(text.contains(&expected), "{expected}{text}");
            if rotated {
                fs::rename(&log, log.with_file_name("audit.log-20260101")).expect("rotated");
            }
            play();
            let (code, text) = audit(&world, &["verify"]);
            assert!(code == 0 && text.contains("whole: numbers 1 to "), "{lagging} {rotated}: {text}");
            assert_eq!(
                text.contains("it has no line break"),
                rotated,
                "nothing is written into a file of before: {text}"
            );
        }
    },
    fn the_sample_for_logrotate_keeps_the_chain(logrotate: Logrotate) {
        let world = World::root(logrotate).build();
        let log = world.audit_file();
        let sample = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/logrotate/motmot"))
            .expect("the sample");
        let conf = world.dir.join("logrotate.conf");
        fs::write(&conf, sample.replace("/var/log/motmot/audit.log", &log.display().to_string())).expect("conf");
        chmod(&conf, 0o644);
        for day in ["20260101", "20260102"] {
            world.simulate().script("true").run().assert_success();
            let mut rotate = Command::new("logrotate");
            rotate.arg("--force").arg("--state").arg(world.dir.join("logrotate.state")).arg(&conf);
            let output = rotate.output().expect("logrotate");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(!log.exists());
            let names = fs::read_dir(world.dir.join("audit")).expect("the directory").flatten();
            // Another day than that of the next rotation.
            for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
                if name.starts_with("audit.log-") && !name.contains("-2026010") {
                    fs::rename(log.with_file_name(&name), log.with_file_name(format!("audit.log-{day}")))
                        .expect("renamed");
                }
            }
        }
        world.simulate().script("true").run().assert_success();
        assert!(log.with_file_name("audit.log-20260101.gz").exists(), "the older one is packed");
        let (code, text) = audit(&world, &["verify"]);
        assert!(code == 0 && text.contains("whole: numbers 1 to "), "{text}");
    },
    fn records_are_found_by_whatever_somebody_knows_of_a_job(root: Root) {
        let mut world = World::root(root).build();
        let account = world.user.name.clone();
        world.change(|config| config.rules([Rule::user("adent").name("dents").run_as(&account)]));
        let ran = world.simulate().option("--user", "adent").option("--job-id", "71").script(disguise("token")).run();
        ran.assert_success();
        let refused = world.simulate().option("--user", "prosser").option("--job-id", "72").script("true").run();
        let (_, reference) = refused.log.split_once("for the administrators: ").expect("a reference");
        let reference = reference.lines().next().expect("a line");
        let jti = part(&revealed(ran.value("token")), 1)["jti"].as_str().expect("jti").to_owned();
        let records = |args: &[&str]| {
            let (code, text) = audit(&world, &[args, &["--json"]].concat());
            assert_eq!(code, i32::from(text.is_empty()), "{text}");
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<serde_json::Value>>()
        };
        let events = |args: &[&str]| records(args).iter().map(|line| line["event"].clone()).collect::<Vec<_>>();
        assert_eq!(records(&[]).len(), world.audit().len());
        assert!(events(&["--job", "71"]).len() > 5 && events(&["--job", "72"]).len() >= 2);
        assert_eq!(events(&["--user", "adent"]), ["accepted"]);
        assert_eq!(events(&["--user", "prosser"]), ["refused"]);
        assert_eq!(events(&["--rule", "dents", "--since", "1h"]), ["accepted"]);
        assert_eq!(events(&["--jti", &jti]), ["minted"]);
        assert_eq!(events(&["--reference", reference])[0], "refused");
        assert!(events(&["--account", &account]).contains(&"ended".into()));
        for nothing in [["--job", "7"], ["--until", "2026-01-01"], ["--account", "nobody"]] {
            assert_eq!(records(&nothing), Vec::<serde_json::Value>::new());
        }
        let (code, table) = audit(&world, &["--job", "72"]);
        assert!(
            code == 0 && table.starts_with("TIME ") && table.contains(" refused ") && table.contains("no [[map]] rule"),
            "{table}"
        );
        let (code, told) = audit(&world, &["job", "71"]);
        assert!(code == 0 && told.starts_with("job 71 of group/project "), "{told}");
        assert!(
            told.contains(&format!(" for adent as {account} ")) && told.contains("build_script: exited with 0"),
            "{told}"
        );
        assert!(told.contains("[simulated]") && !told.contains("job 72"), "{told}");
        assert_eq!(audit(&world, &["--user", "adent", "--timeline"]).1, told);
    },
    fn no_line_of_a_hostile_log_reaches_the_terminal_as_it_is() {
        let world = World::one_user().build();
        let file = world.dir.join("hostile.log");
        let mut bytes = b"\x1b[2J\xff\xfe{\n".to_vec();
        bytes.extend_from_slice("{\"event\":\"acc\u{1b}[2Jepted\",\"job_id\":7}\n".as_bytes());
        let hostile = "{\"timestamp\":\"2027-01-01T00:00:00Z\",\"event\":\"refused\",\"job_id\":7,\"user\":\"\u{202e}a\\u001b[2Jb\\nforged\",\"reason\":\"x\\n7\u{85}\"}\n";
        bytes.extend_from_slice(hostile.as_bytes());
        bytes.extend_from_slice("[".repeat(100_000).as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice("x".repeat(3 << 20).as_bytes());
        fs::write(&file, bytes).expect("written");
        let name = file.to_str().expect("UTF-8");
        for (args, lines) in [
            (vec!["--json", "--file", name], 1),
            (vec!["--file", name], 2),
            (vec!["--timeline", "--file", name], 2),
            (vec!["verify", name], 0),
        ] {
            let output = run(&world, &args);
            let text =
                String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8(output.stderr).expect("UTF-8");
            let obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(obeyed), "{args:?}: {text:?}");
            if lines > 0 {
                assert!(text.contains("4 lines are no records, the first in ") && text.contains("forged"), "{text}");
                assert_eq!(text.lines().count(), lines + 1, "{text}");
            }
        }
    },
    fn options_go_before_and_behind_a_subcommand_and_what_would_say_nothing_there_is_refused(root: Root) {
        let world = World::root(root).build();
        world.simulate().run().assert_success();
        let config = world.config_file().to_string_lossy().into_owned();
        let log = world.audit_file().to_string_lossy().into_owned();
        let said = |words: &[&str]| {
            let output = world.as_driver(&world.bins.join("motmot")).args(words).output().expect("motmot");
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
            )
        };
        let whole = said(&["audit", "verify", "--config", &config]);
        assert!(whole.0 == Some(0) && whole.1.contains("whole: "), "{}", whole.1);
        assert_eq!(said(&["audit", "--config", &config, "verify"]), whole);
        assert_eq!(said(&["--config", &config, "audit", "verify"]), whole);
        let job = said(&["audit", "--config", &config, "job", "101"]);
        assert_eq!(said(&["audit", "job", "101", "--config", &config]), job);
        assert_eq!(said(&["audit", "--file", &log, "job", "101"]).1, said(&["audit", "job", "101", "--file", &log]).1);
        for words in [&["--job", "7"][..], &["--json"], &["--timeline"], &["--since", "2h"]] {
            let (code, told) = said(&[&["audit"], words, &["verify"]].concat());
            assert!(code == Some(2) && told.contains("are for motmot audit alone"), "{words:?}: {told}");
        }
    },
    fn a_log_that_cannot_be_read_is_told_and_is_not_an_empty_one() {
        let world = World::one_user().build();
        for args in
            [vec!["--file", "/nonexistent/audit.log"], vec!["verify", "/nonexistent/audit.log"], vec!["job", "7"]]
        {
            let output = run(&world, &args);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(3) && output.stdout.is_empty(), "{args:?}: {told}");
            assert!(told.contains("audit.log"), "{told}");
        }
        let packed = world.dir.join("audit.log.gz");
        fs::write(&packed, "no archive").expect("written");
        let output = run(&world, &["--file", packed.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    },
    fn no_token_and_no_secret_of_a_job_is_in_the_log(root: Root) {
        const SECRET: &str = "s3cr3t-of-the-author-4711";
        let world = World::root(root).build();
        let end = world
            .simulate()
            .option("--variable", format!("DEPLOY_KEY={SECRET}"))
            .script(disguise("token"))
            .script("printf '%s' \"$CI_JOB_TOKEN\" | rev | base64 -w0 | sed 's/^/job_token=/'; echo")
            .script("echo script-of-the-author-4712 $DEPLOY_KEY; exit 3")
            .option("--after-script", disguise("after"))
            .run();
        end.assert_failed("script_failure");
        let mut secrets = vec![SECRET.to_owned(), "script-of-the-author-4712".into(), "PRIVATE KEY".into()];
        for name in ["token", "job_token", "after"] {
            let token = revealed(end.value(name));
            assert!(token.len() > 16, "{token}");
            // Each part by itself, too: header and claims are no secret, the signature is.
            secrets.extend(token.rsplit('.').next().map(str::to_owned));
            secrets.push(token);
        }
        for key in fs::read_dir(world.keys()).expect("keys").flatten() {
            let text = fs::read_to_string(key.path()).unwrap_or_default();
            secrets.extend(text.contains("PRIVATE").then(|| text.lines().nth(1).expect("a line").to_owned()));
        }
        assert!(secrets.len() >= 10, "{secrets:?}");
        let log = fs::read_to_string(world.audit_file()).expect("a log");
        for secret in secrets {
            assert!(!log.contains(&secret), "{secret}");
        }
    }
);

fn run(world: &World, args: &[&str]) -> Output {
    let mut motmot = world.as_driver(&world.bins.join("motmot"));
    motmot.arg("--config").arg(world.config_file()).arg("audit").args(args).output().expect("motmot audit")
}

/// Exit code and standard output.
fn audit(world: &World, args: &[&str]) -> (i32, String) {
    let output = run(world, args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.is_empty(), "{told}");
    (output.status.code().expect("a code"), String::from_utf8(output.stdout).expect("UTF-8"))
}
