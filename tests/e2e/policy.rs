//! Rules: whose job gets which account.

use serde_json::json;

use crate::world::check::check;
use crate::world::token::{disguise, part, revealed};
use crate::world::{TestAccount, World, cases};

cases!(
    fn a_service_account_is_for_the_projects_own_code_and_who_starts_a_merge_request_has_his_own(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let rules = format!(
            "[[map]]\nwhen = {{ project = \"climate/**\", project_id = 7, ref_protected = true }}\nrun_as = \"{}\"\n[[map]]\nwhen = {{}}\nrun_as = \"{{gitlab_user}}\"\n",
            service.name
        );
        world.change(|config| config.rules([]).raw(&rules));
        let run = |world: &World, project: &str, options: &[(&str, &str)]| {
            let job = world.simulate().option("--project", project);
            let is_said = options.iter().any(|(name, _)| *name == "--protected");
            let job = if is_said { job } else { job.option("--protected", "true") };
            let job = options.iter().fold(job, |job, (name, value)| job.option(name, *value));
            job.script("echo me=$(id -un)").run()
        };
        let end = run(&world, "climate/core/model", &[]);
        end.assert_success().assert_not_in_log("whose code this is");
        assert_eq!(end.value("me"), service.name);
        for merge_request in [("--pipeline-source", "merge_request_event"), ("--ref", "refs/merge-requests/7/head")] {
            let end = run(&world, "climate/core/model", &[merge_request]);
            end.assert_success().assert_log("warning: whose code this is GitLab does not say");
            assert_eq!(end.value("me"), world.user.name, "{merge_request:?}");
        }
        assert_eq!(run(&world, "climate2/model", &[]).value("me"), world.user.name);
        assert_eq!(run(&world, "climate/model", &[("--protected", "unknown")]).value("me"), world.user.name);
        check(&world).is_good(true).does_not_say("never reached").does_not_say("only the path");
        world.change(|config| config.raw("[policy]\nmerge_requests_of_forks = \"refuse\"\n"));
        run(&world, "climate/core/model", &[("--pipeline-source", "merge_request_event")])
            .assert_failed("script_failure");
    },
    fn an_agent_that_acts_for_a_person_is_refused_and_the_admin_reads_why() {
        let world = World::one_user().build();
        let file = world.dir.join("payload.json");
        for (scoped, refused) in [(json!(null), false), (json!(0), false), (json!(7), true)] {
            let info = json!({"project_id": 7, "project_full_path": "g/p", "user_id": 42, "scoped_user_id": scoped});
            std::fs::write(&file, json!({"id": 5, "token": "t", "job_info": info}).to_string()).expect("payload");
            let end = world.simulate().option("--payload", file.to_string_lossy()).option("--job-id", "5").run();
            if refused {
                end.assert_failed("script_failure").assert_log("acts for GitLab user number 7");
            } else {
                end.assert_not_in_log("acts for GitLab user");
            }
        }
    },
    fn an_agent_that_a_rule_names_runs_as_the_human_and_its_token_says_who_acts() {
        let mut world = World::one_user().build();
        let own = world.user.name.clone();
        let rule = format!("[[map]]\nwhen = {{ acting_for = true, user_id = 7 }}\nrun_as = \"{own}\"\n");
        world.change(|config| config.rules([]).raw(&rule));
        let file = world.dir.join("payload.json");
        let info = json!({"project_id": 7, "project_full_path": "g/p", "user_id": 42, "scoped_user_id": 7});
        let steps = json!([{"name": "script", "script": [disguise("token")], "timeout": 60, "when": "on_success"}]);
        let variables = json!([{"key": "GIT_STRATEGY", "value": "none"}]);
        let job = json!({"id": 5, "token": "t", "job_info": info, "steps": steps, "variables": variables});
        std::fs::write(&file, job.to_string()).expect("payload");
        let end = world.simulate().option("--payload", file.to_string_lossy()).option("--job-id", "5").run();
        end.assert_success().assert_log("for GitLab user number 7");
        let claims = part(&revealed(end.value("token")), 1);
        assert_eq!((&claims["user_id"], &claims["act"]["sub"]), (&json!("7"), &json!("42")), "{claims}");
        assert!(claims.get("user_login").is_none(), "{claims}");
    },
    fn a_table_has_the_account_of_each_user_and_one_that_others_may_write_maps_nobody(root: Root) {
        let mut world = World::root(root).build();
        let other = TestAccount::stranger(root, &world.dir);
        let table = world.dir.join("users.map");
        let rules = format!("[[map]]\nrun_as = \"table:{}\"\n", table.display());
        world.change(|config| config.rules([]).raw(&rules));
        let run = |world: &World, user: &str, id: &str| {
            world.simulate().option("--user", user).option("--user-id", id).script("echo me=$(id -un)").run()
        };
        let lines = format!("# people\nslarti {}\nid:7 {}\n", other.name, world.user.name);
        std::fs::write(&table, &lines).expect("a table");
        assert_eq!(run(&world, "slarti", "1").value("me"), other.name);
        assert_eq!(run(&world, "slarti", "7").value("me"), world.user.name, "his number counts more");
        run(&world, "marvin", "3").assert_failed("script_failure");
        check(&world).says(&["run_as", "2 users, 2 accounts"]);
        std::fs::write(&table, lines + "marvin\nslarti x\n").expect("a table");
        run(&world, "slarti", "1").assert_failed("runner_system_failure");
        check(&world)
            .is_good(false)
            .says(&["PROBLEM", "users.map:4: must be the GitLab user and his account"])
            .says(&["PROBLEM", "users.map:5: the user is in line 2 already"]);
        std::fs::write(&table, format!("slarti {}\n", other.name)).expect("a table");
        std::fs::set_permissions(&table, std::os::unix::fs::PermissionsExt::from_mode(0o664)).expect("chmod");
        run(&world, "slarti", "1").assert_failed("runner_system_failure").assert_not_in_log("users.map");
        check(&world).is_good(false).says(&["PROBLEM", "users.map", "others than the owner can change it"]);
    },
    fn a_job_asks_for_an_account_and_has_that_one_or_none(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let (own, name) = (world.user.name.clone(), service.name.clone());
        let rules = format!("[[map]]\nwhen = {{ user_id = 42 }}\nrun_as = \"{own}\"\nmay_request = \"{name}\"\n");
        world.change(|config| config.rules([]).raw(&rules));
        let run = |options: &[(&str, &str)]| {
            let job = options.iter().fold(world.simulate(), |job, (name, value)| job.option(name, *value));
            job.script("echo me=$(id -un)").run()
        };
        let asks = |account: &str| format!("MOTMOT_RUN_AS={account}");
        assert_eq!(run(&[]).value("me"), own);
        assert_eq!(run(&[("--variable", &asks(&name))]).value("me"), name);
        for other in ["root", "nobody", &name.to_uppercase(), &format!("{name} {own}")] {
            run(&[("--variable", &asks(other))]).assert_failed("script_failure").assert_not_in_log(&name);
        }
        // A stranger's merge request, started by a member of the project: the fork's own pipeline asks.
        let merge_request = ("--pipeline-source", "merge_request_event");
        assert_eq!(run(&[merge_request]).value("me"), own);
        run(&[merge_request, ("--variable", &asks(&name))]).assert_failed("script_failure");
        let log = std::fs::read_to_string(world.audit_file()).expect("the log");
        assert!(log.contains("the job asks for the account \\\"root\\\", which is not in may_request"), "{log}");
    },
    fn included_rules_come_before_those_of_the_file_and_each_file_is_believed_as_the_first(root: Root) {
        let mut world = World::root(root).build();
        let other = TestAccount::stranger(root, &world.dir);
        let dir = world.dir.join("map.d");
        crate::world::make_dir(&dir, 0o755);
        let rule = |when: &str, account: &str| format!("[[map]]\nwhen = {when}\nrun_as = \"{account}\"\n");
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("rules");
        write("20-b.toml", &rule("{ user = \"@crew\" }", &world.user.name));
        write("10-a.toml", &format!("[groups]\ncrew2 = [\"slarti\"]\n{}", rule("{ user = \"@crew2\" }", &other.name)));
        write(".10-a.toml.swp", "not TOML");
        write("10-a.toml~", "not TOML");
        let list = world.dir.join("crew.list");
        std::fs::write(&list, "# the crew\nmarvin\nslarti\n").expect("names");
        let rules = format!("[groups]\ncrew = [\"ford\", {list:?}]\n{}", rule("{ user = \"marvin\" }", &other.name));
        world.change(|config| config.rules([]).above("include = [\"map.d/*.toml\"]\n").raw(&rules));
        let run = |world: &World, user: &str| world.simulate().option("--user", user).script("echo me=$(id -un)").run();
        assert_eq!(run(&world, "slarti").value("me"), other.name, "10 comes before 20");
        assert_eq!(
            run(&world, "marvin").value("me"),
            world.user.name,
            "by the group's file, and before the file's own rule"
        );
        run(&world, "zaphod").assert_failed("script_failure");
        let log = std::fs::read_to_string(world.audit_file()).expect("the log");
        assert!(log.contains("line 3 of 10-a.toml: user does not hold; line 1 of 20-b.toml: user"), "{log}");
        check(&world).does_not_say("PROBLEM  rule");
        for (name, text, wanted) in [
            ("30-c.toml", "[accounts]\nmin_uid = 1\n", "error: unknown key `accounts`"),
            (
                "30-c.toml",
                "[groups]\ncrew = []\n",
                "the group \"crew\" is in the [groups] of the configuration already",
            ),
            ("30-c.toml", "[[map]]\nrun_as = \"root\"\n", "error: `map.run_as` must not be root"),
        ] {
            write(name, text);
            let checked = check(&world);
            assert!(
                checked.is_good(false).says(&["1 problem in ", "30-c.toml"]).words.contains(wanted),
                "{wanted}: {}",
                checked.words
            );
        }
        write("30-c.toml", "");
        let set = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
        };
        for (path, mode) in [(dir.join("30-c.toml"), 0o664), (dir.clone(), 0o777), (list, 0o646)] {
            let before = std::fs::metadata(&path).expect("there").permissions();
            set(&path, mode);
            check(&world).is_good(false).says(&["PROBLEM  configuration: "]).says(&["others"]);
            std::fs::set_permissions(&path, before).expect("chmod");
        }
        run(&world, "slarti").assert_success();
        std::fs::remove_dir_all(&dir).expect("remove");
        check(&world).is_good(false).says(&["map.d", "does not exist"]);
    },
    fn check_says_which_rules_are_never_reached_and_which_accounts_only_a_path_guards() {
        let mut world = World::one_user().build();
        let own = world.user.name.clone();
        let rule = |when: &str| format!("[[map]]\nwhen = {when}\nrun_as = \"{own}\"\n");
        let rules = [
            rule("{ project = \"climate/*\", ref_protected = true }"),
            rule("{ project = \"climate/*\", ref_protected = true, not = { ref = \"dev\" } }"),
            rule("{ user = [\"ford\", \"adent\"] }"),
            rule("{ user = \"@crew\" }"),
        ];
        world.change(|config| config.rules([]).raw(&rules.concat()).raw("[groups]\ncrew = [\"adent\", \"ford\"]\n"));
        check(&world)
            .says(&["warning  rule at ", "only the path of a project guards its account"])
            .says(&["PROBLEM  rule at ", "is never reached, the rule at line ", "already matches all its jobs"])
            .says(&["PROBLEM  rule at ", "is never reached, the rule at line ", "has the same conditions"]);
    }
);
