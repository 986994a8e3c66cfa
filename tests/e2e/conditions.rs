//! Conditions of rules by facts that only some sources know.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::world::check::{check, finish, first_rule};
use crate::world::gitlab::{GitLab, answer_about};
use crate::world::instance::AUDIENCE;
use crate::world::{Rule, TestAccount, World, cases, chmod, chown, payload};

/// Rules: jobs for which the conditions hold have the account of the service, all others their own.
fn guarded(service: &TestAccount, when: &str) -> String {
    format!(
        "[[map]]\nwhen = {{ {when} }}\nrun_as = \"{}\"\n[[map]]\nwhen = {{}}\nrun_as = \"{{gitlab_user}}\"\n",
        service.name
    )
}

/// A file with a token that GitLab is asked with who is in a group.
fn groups_token(world: &World) -> String {
    let file = world.dir.join("groups.token");
    fs::write(&file, "glpat-of-the-site\n").expect("written");
    chmod(&file, 0o600);
    let owner = fs::metadata(world.dir.join("tmp")).expect("the driver's own");
    chown(&file, owner.uid(), owner.gid());
    file.display().to_string()
}

/// Whoever a job with these options runs as.
fn runs_as(world: &World, options: &[&str]) -> String {
    let simulate = options.iter().fold(world.simulate(), |simulate, option| simulate.arg(*option));
    let end = simulate.script("echo me=$(id -un)").run();
    end.assert_success().value("me").to_owned()
}

cases!(
    fn a_protected_environment_is_one_by_what_gitlab_has_signed_and_by_no_variable(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let rules = guarded(&service, "project_id = 7, environment = \"production/*\", environment_protected = true");
        world.change(|config| {
            config
                .gitlab(|gitlab| gitlab.identity(["job-api", "id-token"]).id_token_audience(AUDIENCE))
                .rules([])
                .raw(&rules)
        });
        let (production, protected) = ("--job-environment=production/eu", "--environment-protected");
        assert_eq!(runs_as(&world, &[production, protected]), service.name);
        for other in [
            &[][..],
            &[production],
            &["--job-environment=review/eu", protected],
            &["--variable=CI_ENVIRONMENT_NAME=production/eu"],
            // Whoever opens a merge request from a fork writes its pipeline.
            &[production, protected, "--pipeline-source=merge_request_event", "--source-project=stranger/model"],
        ] {
            assert_eq!(runs_as(&world, other), world.user.name, "{other:?}");
        }
    },
    fn a_runner_is_known_by_its_number_as_gitlab_says_it_and_by_no_variable(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let rules = guarded(&service, "project_id = 7, runner = [12, 13]");
        world.change(|config| config.rules([]).raw(&rules));
        for sources in [&["job-api"][..], &["id-token"], &["job-api", "id-token"]] {
            world.change(|config| config.gitlab(|gitlab| gitlab.identity(sources).id_token_audience(AUDIENCE)));
            assert_eq!(runs_as(&world, &["--runner-id=12"]), service.name, "{sources:?}");
            for other in [&[][..], &["--variable=CI_RUNNER_ID=12", "--variable=CI_RUNNER_DESCRIPTION=12"]] {
                assert_eq!(runs_as(&world, other), world.user.name, "{sources:?} {other:?}");
            }
        }
        // Both say it, and not the same.
        let contradicted = world.simulate().arg("--runner-id=12").arg("--answer=runner.id=13").run();
        contradicted.assert_failed("script_failure");
        let refused = world.audit().into_iter().rfind(|line| line["event"] == "refused").expect("an audit line");
        let reason = refused["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("GitLab contradicts itself: the number of the runner is"), "{refused}");
        // One that nobody names is none.
        world.change(|config| config.gitlab(|gitlab| gitlab.identity("job-api")));
        assert_eq!(runs_as(&world, &["--runner-id=12", "--answer=runner=null"]), world.user.name);
    },
    fn who_is_in_a_group_has_what_a_rule_gives_it_and_nobody_else_has(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let rules = guarded(&service, "project_id = 7, gitlab_group = [\"climate/core\", \"physics\"]");
        let token = groups_token(&world);
        world.change(|config| config.gitlab(|gitlab| gitlab.groups_token(&token)).rules([]).raw(&rules));
        let runs = |world: &World, groups: &[&str]| {
            let options: Vec<String> = groups.iter().map(|group| format!("--gitlab-group={group}")).collect();
            runs_as(world, &options.iter().map(String::as_str).collect::<Vec<_>>())
        };
        for (groups, whose) in [
            (&["climate/core"][..], service.name.as_str()),
            (&["climate"], service.name.as_str()),
            (&["x", "physics"], service.name.as_str()),
            (&[], world.user.name.as_str()),
            (&["climate/core/x", "climate/cor", "core"], world.user.name.as_str()),
        ] {
            assert_eq!(runs(&world, groups), whose, "{groups:?}");
        }
        assert!(!world.dir.join("state/motmot/gitlab-groups").exists(), "what is played leaves nothing");
    },
    fn without_a_token_of_the_sites_the_groups_are_those_that_gitlab_has_signed(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let rules = guarded(&service, "project_id = 7, gitlab_group = \"climate/core\"");
        world.change(|config| {
            config
                .gitlab(|gitlab| gitlab.identity(["job-api", "id-token"]).id_token_audience(AUDIENCE))
                .rules([])
                .raw(&rules)
        });
        assert_eq!(runs_as(&world, &["--gitlab-group=climate"]), service.name);
        assert_eq!(runs_as(&world, &["--gitlab-group=climate/co"]), world.user.name);
        assert_eq!(runs_as(&world, &[]), world.user.name);
    },
    fn gitlab_is_asked_once_for_who_is_in_a_group_and_where_it_does_not_say_nobody_runs() {
        let mut world = World::one_user().build();
        let me = world.user.name.clone();
        let member = json!({"id": 42, "state": "active", "access_level": 30, "expires_at": null});
        let says = Arc::new(Mutex::new(member.clone()));
        let (said, answer) = (Arc::clone(&says), answer_about(&me));
        let gitlab = GitLab::by_request(move |request| {
            if request.contains("/api/v4/groups/") { said.lock().expect("an answer").clone() } else { answer.clone() }
        });
        let asked = || {
            let requests = gitlab.requests.lock().expect("requests");
            requests.iter().filter(|request| request.contains("/api/v4/groups/")).cloned().collect::<Vec<_>>()
        };
        let rules = format!(
            "[[map]]\nwhen = {{ user = \"ford\", gitlab_group = \"unasked\" }}\nrun_as = {me:?}\n[[map]]\nwhen = {{ not = {{ gitlab_group = \"students\" }} }}\nrun_as = \"nosuchbody\"\n[[map]]\nwhen = {{ gitlab_group = \"students\" }}\nrun_as = {me:?}\n"
        );
        let token = groups_token(&world);
        world.change(|config| {
            config.gitlab(|section| section.url(&gitlab.url).groups_token(&token)).rules([]).raw(&rules)
        });
        let config = |world: &World| {
            world.write_payload(&payload(101));
            let output = world.stage("config").output().expect("config");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let kept = world.dir.join("state/motmot/gitlab-groups");
        for _ in 0..2 {
            let (code, words) = config(&world);
            assert_eq!(code, Some(0), "{words}");
            let once = asked();
            assert_eq!(once.len(), 1, "{once:?}");
            assert!(once[0].starts_with("GET /api/v4/groups/students/members/all/42 "), "{once:?}");
            assert!(once[0].to_ascii_lowercase().contains("private-token: glpat-of-the-site"), "{once:?}");
        }
        assert_eq!(fs::metadata(&kept).expect("a directory").permissions().mode() & 0o7777, 0o700);
        // Neither a member nor none: the second rule is not for whoever keeps GitLab from answering.
        for wrong in [json!({}), json!({"id": 43, "state": "active", "access_level": 30}), json!([])] {
            fs::remove_dir_all(&kept).expect("removed");
            *says.lock().expect("an answer") = wrong.clone();
            let (code, words) = config(&world);
            assert_eq!(code, Some(2), "{wrong}: {words}");
            assert!(!words.contains("students") && !words.contains("glpat"), "{words}");
            let told = world.audit().into_iter().rfind(|line| line["event"] == "unavailable").expect("an audit line");
            assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("students")), "{told}");
        }
        *says.lock().expect("an answer") = member;
        let before = asked().len();
        chmod(Path::new(&token), 0o644);
        let (code, words) = config(&world);
        assert_eq!((code, asked().len()), (Some(2), before), "a token that others can read is none: {words}");
    },
    fn check_reads_the_token_for_groups_and_asks_gitlab_for_each_of_them() {
        let mut world = World::one_user().build();
        let rule = |when: &str| format!("[[map]]\nwhen = {{ {when} }}\nrun_as = {:?}\n", world.user.name);
        let rules = rule("user_id = 42, gitlab_group = \"climate\"")
            + &rule("not = { gitlab_group = [\"climate\", \"gone\"] }");
        world.change(|config| config.rules([]).raw(&rules));
        let rule_at = |world: &World, after: usize| {
            format!("warning  rule at {}:{}: ", world.config_file().display(), first_rule(world) + after)
        };
        check(&world).says(&[&rule_at(&world, 0), "nobody is asked who is in a group"]);
        check(&world).says(&[&rule_at(&world, 3), "nobody is asked"]);
        world.change(|config| config.gitlab(|gitlab| gitlab.identity("id-token").id_token_audience(AUDIENCE)));
        check(&world)
            .does_not_say("nobody is asked")
            .says(&[&rule_at(&world, 3), "id tokens say of no group that somebody is not in it"]);
        let gitlab = GitLab::by_request(|request| {
            let group = request.split(['/', '?']).nth(4).unwrap_or_default();
            json!({"full_path": if group == "gone" { "elsewhere" } else { group }})
        });
        let token = groups_token(&world);
        world.change(|config| {
            config.gitlab(|section| section.url(&gitlab.url).identity("job-api").groups_token(&token))
        });
        let command = || world.as_driver(&world.bins.join("motmot"));
        let said = finish(command(), &world.config_file(), &[]);
        said.says(&["ok       gitlab.groups_token: "]).says(&["PROBLEM  groups: ", "knows no group \"gone\""]);
        said.says(&["ok       groups: GitLab shows 1 group of those that rules name"]);
        chmod(Path::new(&token), 0o644);
        finish(command(), &world.config_file(), &["--offline"]).says(&["PROBLEM  gitlab.groups_token: "]);
    },
    fn check_warns_of_each_rule_that_asks_for_what_its_author_chooses() {
        let mut world = World::one_user().build();
        let me = world.user.name.clone();
        let more = format!(
            "[[map]]\nwhen = {{ not = {{ ci_stage = \"deploy\" }} }}\nrun_as = {me:?}\n[[never]]\naccount = \"svc-*\"\nunless = {{ ci_stage = \"deploy\" }}\n"
        );
        world.change(|config| {
            config
                .rules([])
                .raw(&format!("[[map]]\nwhen = {{ ci_stage = [\"build\", \"test\"] }}\nrun_as = {me:?}\n{more}"))
        });
        let (line, file) = (first_rule(&world), world.config_file().display().to_string());
        let checked = check(&world);
        for at in [
            format!("rule at {file}:{line}:"),
            format!("rule at {file}:{}:", line + 3),
            format!("never at {file}:{}:", line + 6),
        ] {
            checked.says(&[&format!("warning  {at} it asks for ci_stage, which whoever writes the pipeline chooses")]);
        }
        assert_eq!(runs_as(&world, &["--ci-stage=test"]), me);
        world.simulate().arg("--ci-stage=deploy").run().assert_failed("script_failure");
    },
    fn check_says_of_each_condition_that_nothing_here_can_know() {
        let mut world = World::one_user().build();
        let rule = Rule::user("adent").run_as(&world.user.name);
        let also =
            format!("[[map]]\nwhen = {{ not = {{ environment = \"production\" }} }}\nrun_as = {:?}\n", world.user.name);
        world.change(|config| config.rules([rule]).raw(&also));
        let line = first_rule(&world) + 3;
        let words = format!(
            "warning  rule at {}:{line}: it asks for environment, which only id tokens say",
            world.config_file().display()
        );
        check(&world).says(&[&words, "matches nobody"]);
        world.change(|config| {
            config.gitlab(|gitlab| gitlab.identity(["job-api", "id-token"]).id_token_audience(AUDIENCE))
        });
        check(&world).does_not_say("it asks for");
        let runner = format!("[[map]]\nwhen = {{ user_id = 42, runner = 12 }}\nrun_as = {:?}\n", world.user.name);
        world.change(|config| config.rules([]).raw(&runner));
        world.change(|config| config.gitlab(|gitlab| gitlab.identity("payload")));
        check(&world)
            .says(&["warning  rule at ", "it asks for runner, and gitlab.identity = \"payload\" does not bring it"]);
    }
);
