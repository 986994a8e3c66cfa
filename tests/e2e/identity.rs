//! Who a job is: GitLab's word, and what happens when it is missing, late, forged or about something else.

use std::process::Command;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::gitlab::{GitLab, answer_about, respond};
use crate::world::{GitlabSection, Rule, World, cases, chown, make_dir, payload, until};

cases!(
    fn the_account_comes_from_gitlab_and_the_map(root: Root) {
        let mut world = World::root(root).build();
        let rule = Rule::user("adent").run_as(&world.user.name);
        world.change(|config| config.rules([rule]));
        let end = world.simulate().option("--user", "adent").script("echo me=$(id -un)").run();
        end.assert_success().assert_log("GitLab user adent");
        assert_eq!(end.value("me"), world.user.name);
        world.simulate().option("--user", "Adent").script("true").run().assert_failed("script_failure");
        let accepted = world.audit().into_iter().find(|line| line["event"] == "accepted").expect("an audit line");
        assert_eq!(
            (accepted["user"].as_str(), accepted["account"].as_str(), accepted["assurance"].as_str()),
            (Some("adent"), Some(world.user.name.as_str()), Some("simulated"))
        );
    },
    fn what_a_pipeline_author_sets_changes_nobody(root: Root) {
        let world = World::root(root).build();
        // Each of these, believed, would run something as root or as somebody else.
        let trap = world.user_file("trap.sh", "echo \"trap uid=$(id -u)\" >> /tmp/motmot-trap-$PPID; id -u >> \"$(dirname \"${BASH_SOURCE[0]:-$0}\")/trapped\"\n");
        std::fs::write(world.user.home.join("trapped"), "").expect("write");
        chown(&world.user.home.join("trapped"), world.user.uid, world.user.gid);
        let bin = world.user.home.join("bin");
        make_dir(&bin, 0o755);
        chown(&bin, world.user.uid, world.user.gid);
        for tool in ["bash", "git", "id", "sh", "motmot-worker"] {
            world.user_program(
                &format!("bin/{tool}"),
                &format!(
                    "#!/bin/sh\n/usr/bin/id -u >> {}/trapped\nexec /usr/bin/{tool} \"$@\"\n",
                    world.user.home.display()
                ),
            );
        }
        let mut simulate = world.simulate();
        let path = format!("{}:/usr/bin:/bin", bin.display());
        let trap = trap.display().to_string();
        for (name, value) in [
            ("CI_JOB_ID", "1"),
            ("CI_PROJECT_ID", "1"),
            ("CI_PROJECT_PATH", "root/root"),
            ("CI_SERVER_URL", "http://127.0.0.1:1"),
            ("CI_API_V4_URL", "http://127.0.0.1:1/api/v4"),
            ("CI_COMMIT_REF_PROTECTED", "true"),
            ("CI_JOB_TOKEN", "another"),
            ("GITLAB_USER_LOGIN", "root"),
            ("GITLAB_USER_ID", "1"),
            ("MOTMOT_SESSION", "../../etc"),
            ("MOTMOT_CONFIG", "/nonexistent"),
            ("JOB_RESPONSE_FILE", "/nonexistent"),
            ("BUILD_FAILURE_EXIT_CODE", "0"),
            ("SYSTEM_FAILURE_EXIT_CODE", "0"),
            ("LD_PRELOAD", "/nonexistent/evil.so"),
            ("BASH_ENV", &trap),
            ("ENV", &trap),
            ("PATH", &path),
            ("HOME", "/"),
            ("TMPDIR", "/"),
            ("SHELL", &trap),
            ("USER", "root"),
            ("LOGNAME", "root"),
            ("IFS", "/"),
        ] {
            simulate = simulate.option("--variable", format!("{name}={value}"));
        }
        let end = simulate.script("echo uid=$(/usr/bin/id -u)").run();
        end.assert_success();
        assert_eq!(end.value("uid"), world.user.uid.to_string());
        let trapped = std::fs::read_to_string(world.user.home.join("trapped")).expect("read");
        assert!(trapped.lines().all(|uid| uid == world.user.uid.to_string()), "{trapped}");
        let accepted = world.audit().into_iter().find(|line| line["event"] == "accepted").expect("an audit line");
        assert_eq!(accepted["user"], world.user.name.as_str());
        assert_ne!(accepted["project"], "root/root");
    },
    fn root_and_system_accounts_are_refused_whatever_the_map_says(root: Root) {
        let mut world = World::root(root).build();
        for (run_as, login) in [
            ("{gitlab_user}", "root"),
            ("{gitlab_user}", "daemon"),
            ("daemon", "adent"),
            ("{gitlab_user}", "nobody-is-called-so"),
            ("{gitlab_user}", "0"),
            ("{gitlab_user}", "-x"),
        ] {
            world.change(|config| config.rules([Rule::everybody().run_as(run_as)]));
            let end = world.simulate().arg(format!("--user={login}")).script("id").run();
            end.assert_failed("script_failure").assert_no_line("uid=");
            assert_eq!(end.calls("config_exec").len(), 1, "{run_as} {login}");
        }
        let (name, uid) = (world.user.name.clone(), world.user.uid);
        world.change(|config| config.rules([Rule::everybody().run_as(&name)]));
        for limit in 0..4 {
            world.change(|config| {
                config.no_limits().accounts(|accounts| match limit {
                    0 => accounts.min_uid(uid + 1),
                    1 => accounts.deny_users([&name]),
                    2 => accounts.deny_groups([&name]),
                    _ => accounts.shells(["/bin/zsh"]),
                })
            });
            world.simulate().script("id").run().assert_failed("script_failure").assert_no_line("uid=");
        }
    },
    fn a_refusal_tells_the_author_nothing_and_the_admin_everything(root: Root) {
        let mut world = World::root(root).build();
        let mut words = Vec::new();
        for account in [None, Some("daemon"), Some("nobody-is-called-so")] {
            world.change(|config| config.rules(account.map(|account| Rule::everybody().run_as(account))));
            let end = world.simulate().option("--job-id", "77").option("--user", "adent").script("true").run();
            end.assert_failed("script_failure");
            let (reference, others): (Vec<_>, Vec<_>) = end
                .log
                .lines()
                .filter(|line| line.starts_with("motmot:"))
                .partition(|line| line.contains("the reference of this for the administrators: "));
            assert_eq!(reference.len(), 1, "{}", end.log);
            words.push(others.join("\n"));
        }
        assert!(words[0].contains("may not run jobs on this machine") && words[0].contains("job 77"), "{}", words[0]);
        assert!(words.iter().all(|other| *other == words[0]), "{words:?}");
        let reasons: Vec<String> = world
            .audit()
            .iter()
            .filter(|line| line["event"] == "refused")
            .map(|line| line["reason"].as_str().unwrap_or("").to_owned())
            .collect();
        assert!(
            reasons[0].contains("no [[map]] rule")
                && reasons[1].contains("min_uid")
                && reasons[2].contains("no local account"),
            "{reasons:?}"
        );
    },
    fn whoever_simulates_is_told_why_a_job_is_refused_and_the_log_says_that_it_was_played(root: Root) {
        let world = World::root(root).rules([Rule::everybody().run_as("daemon")]).build();
        let (mut command, _, _) = world.simulate().script("true").command();
        let output = command.output().expect("motmot simulate");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("the audit log says why: ") && said.contains("below accounts.min_uid"), "{said}");
        let refused = world.audit().into_iter().find(|line| line["event"] == "refused").expect("an audit line");
        assert_eq!(refused["assurance"], "simulated");
        assert!(refused["user"].is_string() && refused["user_id"].is_u64(), "{refused}");
    },
    fn one_users_own_runner_refuses_other_accounts() {
        let world = World::one_user().rules([Rule::everybody().run_as("daemon")]).build();
        world
            .simulate()
            .script("id")
            .run()
            .assert_failed("script_failure")
            .assert_log("cannot run a job as \"daemon\"");
    },
    fn an_answer_about_another_job_is_refused() {
        let world = World::one_user().build();
        let end = world.simulate().option("--job-id", "101").option("--answer", "id=999").script("id").run();
        end.assert_failed("script_failure").assert_log("the job is 999, but the payload says 101");
        assert_eq!(end.calls("prepare_exec").len(), 0);
    },
    fn an_answer_about_another_user_project_or_pipeline_is_refused() {
        let world = World::one_user().build();
        for answer in ["user.id=4711", "pipeline.project_id=4711", "pipeline.id=4711"] {
            let end = world
                .simulate()
                .option("--user-id", "42")
                .option("--pipeline-id", "55")
                .option("--answer", answer)
                .script("id")
                .run();
            end.assert_failed("script_failure").assert_log("4711");
            assert_eq!(end.calls("prepare_exec").len(), 0, "{answer}");
        }
    },
    fn a_token_that_gitlab_does_not_accept_is_refused() {
        let mut world = World::one_user().build();
        for status in ["401 Unauthorized", "403 Forbidden"] {
            let gitlab = GitLab::new(move |_, stream| respond(stream, status, "", b"{\"message\":\"401\"}"));
            let (code, words, _) = config_with(&mut world, |section| section.url(&gitlab.url));
            assert_eq!((code, gitlab.count()), (Some(1), 1), "{words}");
            assert!(words.contains("does not accept this job's token"), "{words}");
        }
    },
    fn a_job_that_has_ended_is_refused() {
        let world = World::one_user().build();
        for status in ["success", "canceled", "pending"] {
            world
                .simulate()
                .option("--answer", format!("status={status}"))
                .script("id")
                .run()
                .assert_failed("script_failure")
                .assert_log(status);
        }
    },
    fn a_gitlab_that_is_down_is_a_failure_of_the_site_and_is_asked_again() {
        let mut world = World::one_user().build();
        let (url, _port) = GitLab::down();
        let (code, words, _) = config_with(&mut world, |section| section.url(&url));
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains(&url) && words.contains("asked 3 times"), "{words}");
        let gitlab = GitLab::new(|_, stream| respond(stream, "503 Service Unavailable", "", b"down"));
        let (code, words, _) = config_with(&mut world, |section| section.url(&gitlab.url));
        assert_eq!((code, gitlab.count()), (Some(2), 3), "{words}");
    },
    fn a_gitlab_that_fails_once_is_asked_again() {
        let mut world = World::one_user().build();
        let answer = answer_for(&world);
        let gitlab = GitLab::new(move |number, stream| {
            if number == 1 {
                respond(stream, "502 Bad Gateway", "", b"");
            } else {
                respond(stream, "200 OK", "", answer.to_string().as_bytes());
            }
        });
        let (code, words, _) = config_with(&mut world, |section| section.url(&gitlab.url));
        assert_eq!((code, gitlab.count()), (Some(0), 2), "{words}");
        let request = gitlab.requests.lock().expect("requests")[0].clone();
        assert!(
            request.starts_with("GET /api/v4/job HTTP/1.1") && request.to_lowercase().contains("job-token: glcbt-test"),
            "{request}"
        );
    },
    fn a_gitlab_that_does_not_answer_is_not_awaited_for_ever() {
        let mut world = World::one_user().build();
        let gitlab = GitLab::new(|_, stream| {
            // A byte now and then, for ever.
            while stream.write_all(b"H").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let (code, words, time) = config_with(&mut world, |section| section.url(&gitlab.url).timeout("500ms"));
        assert_eq!(code, Some(2), "{words}");
        assert!(time < Duration::from_secs(20), "{time:?}");
    },
    fn a_redirect_is_not_followed_and_takes_no_token_along() {
        let mut world = World::one_user().build();
        let elsewhere = GitLab::answering(answer_for(&world));
        let target = elsewhere.url.clone();
        let gitlab = GitLab::new(move |_, stream| {
            respond(stream, "302 Found", &format!("Location: {target}/api/v4/job\r\n"), b"");
        });
        let (code, words, _) = config_with(&mut world, |section| section.url(&gitlab.url));
        assert_eq!((code, elsewhere.count()), (Some(2), 0), "{words}");
        assert!(words.contains("redirects"), "{words}");
    },
    fn an_answer_of_5_mb_is_not_read() {
        let mut world = World::one_user().build();
        let gitlab = GitLab::new(|_, stream| {
            let body = format!("{{\"id\":101,\"padding\":\"{}\"}}", "x".repeat(5 << 20));
            respond(stream, "200 OK", "", body.as_bytes());
        });
        let (code, words, _) = config_with(&mut world, |section| section.url(&gitlab.url));
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains("longer than 1 MiB"), "{words}");
    },
    fn an_answer_that_is_not_a_job_is_a_failure_of_the_site() {
        let mut world = World::one_user().build();
        for body in ["<html>Welcome</html>", "[]", "", "{\"id\": \"x\"}"] {
            let gitlab = GitLab::new(move |_, stream| respond(stream, "200 OK", "", body.as_bytes()));
            let (code, words, _) = config_with(&mut world, |section| section.url(&gitlab.url));
            assert_eq!(code, Some(2), "{body}: {words}");
        }
    },
    fn a_token_of_100_kb_is_refused_with_words() {
        let world = World::one_user().build();
        let end = world.simulate().option("--job-token", "t".repeat(100_000)).script("id").run();
        end.assert_failed("script_failure").assert_log("longer than 16 KiB");
    },
    fn tls_is_checked_against_ca_file() {
        let mut world = World::one_user().build();
        let dir = world.dir.join("tls");
        make_dir(&dir, 0o755);
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(dir.join("key.pem"))
            .arg("-out")
            .arg(dir.join("cert.pem"))
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let body = answer_for(&world).to_string();
        std::fs::create_dir_all(dir.join("www/api/v4")).expect("directories");
        std::fs::write(
            dir.join("www/api/v4/job"),
            format!(
                "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .expect("answer");
        // It says which port it has got.
        let said = dir.join("said");
        let mut server = Command::new("openssl")
            .args(["s_server", "-HTTP", "-accept", "127.0.0.1:0", "-key"])
            .arg(dir.join("key.pem"))
            .arg("-cert")
            .arg(dir.join("cert.pem"))
            .current_dir(dir.join("www"))
            .stdin(std::process::Stdio::null())
            .stdout(std::fs::File::create(&said).expect("a file"))
            .spawn()
            .expect("openssl s_server");
        let mut port = None;
        until("the TLS server listens", || {
            let said = std::fs::read_to_string(&said).expect("its words");
            let line = said.split_inclusive('\n').find(|line| line.starts_with("ACCEPT ") && line.ends_with('\n'));
            port = line.and_then(|line| line.trim_end().rsplit_once(':')?.1.parse::<u16>().ok());
            port.is_some()
        });
        let url = format!("https://127.0.0.1:{}", port.expect("a port"));
        let unknown = config_with(&mut world, |section| section.url(&url));
        let trusted = config_with(&mut world, |section| section.url(&url).ca_file(dir.join("cert.pem")));
        let _ = server.kill();
        let _ = server.wait();
        assert_eq!(trusted.0, Some(0), "{}", trusted.1);
        assert_eq!(unknown.0, Some(2), "a certificate that nobody vouches for: {}", unknown.1);
    }
);

fn answer_for(world: &World) -> Value {
    answer_about(&world.user.name)
}

/// The config stage of one job with this GitLab: its exit code, its words, and the time it took.
fn config_with(
    world: &mut World,
    edit: impl FnOnce(&mut GitlabSection) -> &mut GitlabSection,
) -> (Option<i32>, String, Duration) {
    world.change(|config| config.gitlab(edit));
    world.write_payload(&payload(101));
    let start = Instant::now();
    let output = world.stage("config").output().expect("config");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), start.elapsed())
}
