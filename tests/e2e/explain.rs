//! `motmot explain`: what decides about a job, asked without one.

use serde_json::{Value, json};

use crate::world::{Rule, World, cases};

/// What the program says, and its exit code.
fn explain(world: &World, words: &[&str]) -> (String, Option<i32>) {
    let mut command = world.as_driver(&world.bins.join("motmot"));
    let output = command.arg("--config").arg(world.config_file()).arg("explain").args(words).output().expect("explain");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.code())
}

fn document(world: &World, words: &[&str]) -> Value {
    let (said, _) = explain(world, &[words, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

cases!(
    fn what_explain_says_is_what_becomes_of_the_job(root: Root) {
        let mut world = World::root(root).build();
        let me = world.user.name.clone();
        let rules = format!(
            "[[map]]\nname = \"stars\"\nwhen = {{ project = \"stars/**\" }}\nrun_as = \"nobody-here\"\n[[map]]\nwhen = {{ user = {me:?} }}\nrun_as = \"{{gitlab_user}}\"\n"
        );
        world.change(|config| config.rules([]).raw(&rules));
        for project in ["climate/model", "stars/sun"] {
            let said = document(&world, &["--user", &me, "--project", project]);
            let end = world
                .simulate()
                .option("--user", &me)
                .option("--project", project)
                .script("echo me=$(id -un); echo u=$(id -u)")
                .run();
            if said["verdict"] == "admitted" {
                end.assert_success();
                assert_eq!(said["account"]["name"], end.value("me"));
                assert_eq!(said["account"]["uid"].to_string().as_str(), end.value("u"));
            } else {
                end.assert_failed("script_failure");
                assert!(said["because"].as_str().is_some_and(|words| words.contains("nobody-here")), "{said}");
            }
        }
        let (said, code) = explain(&world, &["--user", &me, "--project", "climate/model"]);
        assert_eq!(code, Some(0), "{said}");
        for part in [
            "passed   ",
            "config.toml:",
            "\"stars\": project = \"stars/**\" does not hold: the job has \"climate/model\"",
            "data_dir ",
            "uid ",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let claims = document(
            &world,
            &[
                "--user",
                &me,
                "--project",
                "climate/model",
                "--project-id",
                "7",
                "--user-id",
                "42",
                "--ref",
                "main",
                "--ref-type",
                "branch",
            ],
        );
        assert_eq!(claims["claims"]["hpc"]["local_user"], me.as_str(), "{claims}");
        assert!(claims["claims"]["exp"].is_null(), "nobody signs this: {claims}");
    },
    fn a_payload_is_explained_and_options_change_it() {
        let world = World::one_user().rules([Rule::user_id(42).run_as("nobody-here")]).build();
        let file = world.dir.join("payload.json");
        let payload = |scoped: Value| {
            let info = json!({"project_id": 7, "project_full_path": "g/p", "user_id": 42, "scoped_user_id": scoped});
            let variables = json!([{"key": "GITLAB_USER_LOGIN", "value": "adent"}]);
            std::fs::write(
                &file,
                json!({"id": 5, "token": "secret-token", "job_info": info, "variables": variables}).to_string(),
            )
            .expect("payload");
        };
        payload(json!(null));
        let path = file.to_string_lossy();
        let said = document(&world, &["--payload", &path]);
        assert_eq!((&said["job"]["user"], &said["job"]["project"]), (&json!("adent"), &json!("g/p")));
        assert_eq!(said["rule"]["when"], "{ user_id = 42 }");
        assert!(!said.to_string().contains("secret-token"));
        let (said, code) = explain(&world, &["--payload", &path, "--user-id", "43"]);
        assert!(said.contains("user_id = 42 does not hold: the job has 43"), "{said}");
        assert_eq!(code, Some(1));
        payload(json!(9));
        let (said, code) = explain(&world, &["--payload", &path]);
        assert!(said.contains("acts for GitLab user number 9"), "{said}");
        assert_eq!(code, Some(1));
        let (said, code) = explain(&world, &["--project", "g/p"]);
        assert_eq!(code, Some(2), "{said}");
    },
    fn who_asks_about_nobody_is_told_what_can_be_asked() {
        let world = World::one_user().build();
        let (said, code) = explain(&world, &[]);
        assert!(code == Some(2) && said.contains("--user-id N") && said.contains("--job NUMBER"), "{said}");
    },
    fn what_is_not_said_is_unknown_and_a_merge_request_is_a_strangers() {
        let world = World::one_user().raw("[[map]]\nwhen = { user_id = 1 }\nrun_as = \"a\"\n[[map]]\nwhen = { ref_protected = false }\nrun_as = \"a\"\n[[map]]\nwhen = { project_id = 7 }\nrun_as = \"a\"\n").rules([]).build();
        let (said, code) =
            explain(&world, &["--user", "adent", "--project-id", "7", "--pipeline-source", "merge_request_event"]);
        assert_eq!(code, Some(1), "{said}");
        for part in ["user_id is not known", "ref_protected is not known", "the code may come from a fork"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    },
    fn facts_that_few_rules_ask_for_can_be_said_and_are_shown() {
        let when = "environment = \"production\", environment_protected = true, ci_stage = \"deploy\", runner = 12, gitlab_group = \"climate\", not = { gitlab_group = \"students\" }";
        let rule = format!("[[map]]\nwhen = {{ {when} }}\nrun_as = \"nobody-here\"\n");
        let world = World::one_user().raw(&rule).rules([]).build();
        let options = [
            "--environment=production",
            "--environment-protected=true",
            "--ci-stage=deploy",
            "--runner-id=12",
            "--gitlab-group=climate",
        ];
        let said = document(&world, &[&["--user", "adent"][..], &options].concat());
        assert_eq!(said["rule"]["when"], format!("{{ {when} }}"));
        for (fact, value) in [
            ("environment", json!("production")),
            ("environment_protected", json!(true)),
            ("ci_stage", json!("deploy")),
            ("runner", json!(12)),
            ("gitlab_group", json!(["climate"])),
        ] {
            assert_eq!(said["job"][fact], value, "{said}");
        }
        for (at, key) in
            ["environment", "environment_protected", "ci_stage", "runner", "gitlab_group"].iter().enumerate()
        {
            // Whether an environment is protected cannot be said of none.
            let left_out = |other: usize| other == at || (at == 0 && other == 1);
            let some: Vec<&str> =
                (0..options.len()).filter(|other| !left_out(*other)).map(|other| options[other]).collect();
            let (said, code) = explain(&world, &[&["--user", "adent"][..], &some].concat());
            assert_eq!(code, Some(1));
            assert!(said.contains(&format!("{key} is not known of this job")), "{key}: {said}");
        }
    }
);
