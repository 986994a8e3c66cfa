//! Conditions of rules by facts that only some sources know.

use crate::world::check::{check, first_rule};
use crate::world::instance::AUDIENCE;
use crate::world::{Rule, TestAccount, World, cases};

/// Rules: jobs for which the conditions hold have the account of the service, all others their own.
fn guarded(service: &TestAccount, when: &str) -> String {
    format!(
        "[[map]]\nwhen = {{ {when} }}\nrun_as = \"{}\"\n[[map]]\nwhen = {{}}\nrun_as = \"{{gitlab_user}}\"\n",
        service.name
    )
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
