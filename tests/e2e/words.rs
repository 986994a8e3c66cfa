//! Names that others have chosen, and words that others have answered, where people read them.

use std::fs;

use serde_json::json;

use crate::world::gitlab::{GitLab, respond};
use crate::world::{Rule, Single, World, cases, payload};

/// A name that begins a line of its own, and one that turns around what stands behind it.
const FORGED: &str = "ford\nmotmot: forged\u{85}\u{2028}motmot: too";
const TURNED: &str = "group/pro\u{202e}tcej\u{2066}\u{200b}\u{1b}[2K";

cases!(
    fn names_that_break_lines_or_turn_them_around_do_so_in_no_log() {
        let mut world = World::one_user().build();
        let rule = Rule::everybody().run_as(&world.user.name);
        world.change(|config| config.rules([rule]));
        let job =
            |world: &World| world.simulate().option("--user", FORGED).option("--project", TURNED).script("true").run();
        let accepted = job(&world);
        accepted.assert_success().assert_log("motmot: working directory below");
        world.change(|config| config.rules(None));
        let refused = job(&world);
        refused.assert_failed("script_failure");
        for end in [accepted, refused] {
            // The runner's own lines are not ours to mend.
            let ours: Vec<&str> = end.log.split('\n').filter(|line| line.contains("motmot")).collect();
            assert!(ours.iter().any(|line| line.contains("ford")), "{}", end.log);
            for line in ours {
                assert!(!line.starts_with("motmot: forged") && !line.starts_with("motmot: too"), "{}", end.log);
                assert!(!line.contains(['\u{85}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{200b}']), "{line:?}");
            }
        }
        let audit = fs::read_to_string(world.audit_file()).expect("the audit log");
        assert_eq!(audit.lines().count(), world.audit().len(), "each line is one of ours");
        assert!(!audit.contains(['\u{85}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}']), "{audit}");
        assert!(world.audit().iter().any(|line| line["event"] == "refused"));
    },
    fn a_job_whose_account_is_closed_meanwhile_tells_its_author_no_more_than_one_that_was_never_admitted(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let name = world.user.name.clone();
        world.write_config_with(|config| config.accounts(|section| section.deny_users([name.as_str()])));
        let script = single.script("true");
        for stage in ["prepare", "run"] {
            let output = single.stage(stage).arg(&script).arg("build_script").output().expect("a stage");
            assert_eq!(output.status.code(), Some(2), "{stage}");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains("may not continue") && told.contains("audit log"), "{stage}: {told}");
            assert!(!told.contains(&name) && !told.contains("deny_users"), "{stage}: {told}");
            let last = world.audit().pop().expect("a line");
            assert_eq!((&last["event"], &last["stage"]), (&json!("failed"), &json!(stage)), "{last}");
            assert!(last["reason"].as_str().expect("a reason").contains("deny_users"), "{last}");
        }
        world.write_config();
        single.clean_up();
    },
    fn a_gitlab_that_repeats_the_job_token_gets_it_into_no_log() {
        const TOKEN: &str = "glcbt-64_8GFrDLLQ7PKgKwYVVa";
        let world = World::one_user().build();
        let mut job = payload(5);
        job["token"] = TOKEN.into();
        let good = json!({"id": 5, "status": "running", "user": {"id": 42, "username": world.user.name}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}});
        let with = |pointer: &str, value: &str| {
            let mut answer = good.clone();
            *answer.pointer_mut(pointer).expect("a member") = value.into();
            answer.to_string()
        };
        let status = format!("{TOKEN} ");
        let answers = [
            ("200 OK".to_owned(), String::new(), with("/status", TOKEN)),
            ("200 OK".to_owned(), String::new(), with("/user/username", &format!("x{TOKEN}"))),
            ("200 OK".to_owned(), String::new(), with("/pipeline/source", TOKEN)),
            (format!("418 {TOKEN}"), String::new(), format!("{{\"{TOKEN}\": 1}}")),
            (format!("500 {TOKEN}"), String::new(), TOKEN.to_owned()),
            ("302 Found".to_owned(), format!("Location: http://127.0.0.1:9/{TOKEN}\r\n"), String::new()),
            ("200 OK".to_owned(), String::new(), TOKEN.to_owned()),
            (status, String::new(), String::new()),
            ("200 OK".to_owned(), format!("{TOKEN} x\r\n"), String::new()),
        ];
        for (status, headers, body) in answers {
            let echo = (status.clone(), headers.clone(), body.clone());
            let gitlab = GitLab::new(move |_, stream| respond(stream, &echo.0, &echo.1, echo.2.as_bytes()));
            world.write_payload(&job);
            world.write_config_with(|config| config.gitlab(|section| section.url(&gitlab.url)));
            let output = world.stage("config").output().expect("config");
            assert!(!output.status.success(), "{status}, {headers}, {body}");
            let told =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(!told.contains(TOKEN), "{status}, {headers}, {body}: {told}");
        }
        let audit = fs::read_to_string(world.audit_file()).expect("the audit log");
        assert!(audit.lines().count() >= 9 && !audit.contains(TOKEN), "{audit}");
    }
);
