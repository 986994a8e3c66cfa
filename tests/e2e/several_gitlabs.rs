//! One configuration for the runners of two GitLabs, in which the same numbers are other people and other projects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::world::check::finish;
use crate::world::gitlab::GitLab;
use crate::world::{World, cases, chmod, payload};

cases!(
    fn the_runners_own_argument_says_which_gitlab_its_jobs_are_of_and_which_rules_are_theirs() {
        let (world, config, gitlabs) = two_gitlabs();
        let answer = called(&world, &config, "config", &["--gitlab", "one"]);
        assert!(answer.status.success(), "{}", words(&answer));
        let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        let builds = answer["builds_dir"].as_str().expect("a directory");
        assert!(
            builds.ends_with("/one/7/0") && answer["cache_dir"].as_str().is_some_and(|dir| dir.ends_with("/one")),
            "{answer}"
        );
        let accepted = world.audit().into_iter().rfind(|line| line["event"] == "accepted").expect("an audit line");
        assert_eq!(accepted["gitlab"], gitlabs[0].url.as_str());
        // User 42 of the other one is somebody else, whatever he is called.
        let refused = called(&world, &config, "config", &["--gitlab", "two"]);
        assert_eq!(refused.status.code(), Some(1), "{}", words(&refused));
        assert_eq!(gitlabs.each_ref().map(GitLab::count), [1, 1], "each was asked for its own");
        for (arguments, said) in [
            (&[][..], "has several [[gitlab]] (one, two): add --gitlab NAME"),
            (&["--gitlab", "three"], "has no [[gitlab]] of that name; those that it has: one, two"),
        ] {
            let failed = called(&world, &config, "config", arguments);
            assert!(failed.status.code() == Some(2) && words(&failed).contains(said), "{}", words(&failed));
        }
    },
    fn a_job_cannot_say_which_gitlab_it_is_of() {
        let (world, config, _gitlabs) = two_gitlabs();
        let mut command = stage(&world, &config, "config");
        for name in ["GITLAB", "MOTMOT_GITLAB", "CUSTOM_ENV_MOTMOT_GITLAB", "CUSTOM_ENV_CI_SERVER_URL"] {
            command.env(name, "one");
        }
        let failed = command.output().expect("config");
        assert!(failed.status.code() == Some(2) && words(&failed).contains("add --gitlab NAME"), "{}", words(&failed));
    },
    fn a_session_of_one_gitlab_is_none_for_a_job_of_the_same_number_of_another() {
        let (world, config, _gitlabs) = two_gitlabs();
        let answer = called(&world, &config, "config", &["--gitlab", "one"]);
        let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        let session = answer["job_env"]["MOTMOT_SESSION"].as_str().expect("a session");
        for stage_name in ["prepare", "run"] {
            let mut command = stage(&world, &config, stage_name);
            command.env("MOTMOT_SESSION", session).args(["--gitlab", "two"]);
            if stage_name == "run" {
                command.args(["/bin/true", "build_script"]);
            }
            let failed = command.output().expect("a stage");
            let said = words(&failed);
            assert!(
                failed.status.code() == Some(2)
                    && said.contains("is of a job of one, but this stage was started for two"),
                "{said}"
            );
        }
        let mut prepare = stage(&world, &config, "prepare");
        let prepared = prepare.env("MOTMOT_SESSION", session).args(["--gitlab", "one"]).output().expect("prepare");
        assert!(prepared.status.success(), "{}", words(&prepared));
        // Cleaning up is the same for all of them.
        let cleaned = stage(&world, &config, "cleanup").env("MOTMOT_SESSION", session).output().expect("cleanup");
        assert!(cleaned.status.success() && !world.sessions().join(session).exists(), "{}", words(&cleaned));
    },
    fn check_looks_at_each_gitlab_and_simulate_plays_the_one_that_is_named() {
        let (world, config, gitlabs) = two_gitlabs();
        let said = finish(world.as_driver(&world.bins.join("motmot")), &config, &["--offline"]);
        for gitlab in &gitlabs {
            said.says(&["GitLab", &gitlab.url]);
        }
        said.says(&["configuration", "2 rules"]).does_not_say("never reached");
        let simulate = |arguments: &[&str]| {
            let mut command = world.as_driver(&world.bins.join("motmot"));
            command.arg("--config").arg(&config).args(["simulate", "--script", "echo fine=$((6*7))"]);
            command.arg("--bin-dir").arg(&world.bins).arg("--tmpdir").arg(world.dir.join("tmp"));
            command.args(["--user", &world.user.name]).args(arguments).stdin(Stdio::null()).output().expect("simulate")
        };
        let played = simulate(&["--gitlab", "one"]);
        assert!(played.status.success() && words(&played).contains("fine=42"), "{}", words(&played));
        assert!(words(&played).contains("/one/7/"), "{}", words(&played));
        assert_eq!(simulate(&["--gitlab", "two"]).status.code(), Some(1), "user 42 has no rule there");
        let unsaid = simulate(&[]);
        assert!(
            unsaid.status.code() == Some(2) && words(&unsaid).contains("has several [[gitlab]]"),
            "{}",
            words(&unsaid)
        );
    },
    fn a_runner_is_played_by_the_name_of_its_gitlab_and_each_has_an_issuer_of_its_own() {
        let (world, config, _gitlabs) = two_gitlabs();
        // Decoded, it is no token that a log masks.
        let script =
            "cut -d. -f2 \"$CI_JOB_JWT_FILE\" | tr _- /+ | base64 -d 2>/dev/null | grep -o 'https://ci[a-z./]*'";
        for (gitlab, user) in [("one", "42"), ("two", "43")] {
            let mut command = world.as_driver(&world.bins.join("motmot"));
            command.arg("--config").arg(&config).args([
                "simulate",
                "--script",
                script,
                "--gitlab",
                gitlab,
                "--user-id",
                user,
            ]);
            command.arg("--bin-dir").arg(&world.bins).arg("--tmpdir").arg(world.dir.join("tmp"));
            let played = command.args(["--user", &world.user.name]).stdin(Stdio::null()).output().expect("simulate");
            assert!(words(&played).contains(&format!("https://ci.hpc.example/{gitlab}\n")), "{}", words(&played));
        }
    }
);

/// A world, a configuration for two GitLabs that both have a job 101 of user 42 in project 7, and a rule for the first one's.
fn two_gitlabs() -> (World, PathBuf, [GitLab; 2]) {
    let world = World::one_user().build();
    let user = world.user.name.clone();
    let gitlabs = [(); 2].map(|()| {
        GitLab::answering(json!({"id": 101, "status": "running", "user": {"id": 42, "username": user}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}}))
    });
    let rules = format!(
        "[[map]]\ngitlab = \"one\"\nwhen = {{ user_id = 42 }}\nrun_as = \"{user}\"\n[[map]]\ngitlab = \"two\"\nwhen = {{ user_id = 43 }}\nrun_as = \"{user}\"\n"
    );
    let file = world.write_other_config("several.toml", |config| config.rules([]).raw(&rules));
    let text = fs::read_to_string(&file).expect("config");
    let (_, rest) = text.split_once("[jobs]").expect("a section");
    let servers = ["one", "two"]
        .iter()
        .zip(&gitlabs)
        .map(|(name, gitlab)| {
            format!(
                "[[gitlab]]\nname = \"{name}\"\nurl = \"{}\"\ntoken_issuer = \"https://ci.hpc.example/{name}\"\n",
                gitlab.url
            )
        })
        .collect::<Vec<_>>()
        .concat();
    fs::write(&file, format!("{servers}[jobs]{rest}")).expect("config");
    chmod(&file, 0o644);
    world.write_payload(&payload(101));
    (world, file, gitlabs)
}

/// A stage under this configuration.
fn stage(world: &World, config: &Path, stage: &str) -> Command {
    let command = world.stage(stage);
    let mut own = world.as_driver(&world.bins.join(format!("motmot-{stage}")));
    own.arg("--config").arg(config).stdin(Stdio::null());
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        own.env(name, value);
    }
    if let Some(dir) = command.get_current_dir() {
        own.current_dir(dir);
    }
    own
}

fn called(world: &World, config: &Path, name: &str, arguments: &[&str]) -> Output {
    stage(world, config, name).args(arguments).output().expect("a stage")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
