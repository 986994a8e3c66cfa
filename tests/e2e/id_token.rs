//! Identity by what GitLab has signed for a job, by numbers alone, and by several sources that have to agree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::check::finish;
use crate::world::gitlab::GitLab;
use crate::world::instance::{AUDIENCE, Instance, Signer, header, public_modulus, signed};
use crate::world::token::{disguise, part, revealed};
use crate::world::{Rule, TestAccount, World, cases, payload};

cases!(
    fn a_job_runs_by_its_id_token_and_by_two_sources_that_agree() {
        let mut world = World::one_user().build();
        let gitlab = Instance::of(&world.user.name);
        let token = signed(Signer::OurGitLab, &header(), &gitlab.claims());
        for (sources, assurance) in [(&["id-token"][..], "id-token"), (&["job-api", "id-token"], "job-api+id-token")] {
            ask(&mut world, gitlab.url(), sources);
            let (code, words) = config(&world, &[&token]);
            assert_eq!(code, Some(0), "{words}");
            let accepted = last(&world, "accepted");
            assert_eq!((accepted["assurance"].as_str(), accepted["user_id"].as_u64()), (Some(assurance), Some(42)));
            assert_eq!(accepted["user"], world.user.name.as_str());
        }
        assert_eq!(gitlab.asked("/api/v4/job"), 1, "the first had no need of it");
    },
    fn a_job_that_the_emulator_plays_has_a_genuine_id_token_and_says_whose_code_it_runs(root: Root) {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let rules = format!(
            "[[map]]\nwhen = {{ project = \"climate/**\", project_id = 7 }}\nrun_as = \"{}\"\n[[map]]\nwhen = {{}}\nrun_as = \"{{gitlab_user}}\"\n",
            service.name
        );
        world.change(|config| config.rules([]).raw(&rules));
        ask(&mut world, "http://127.0.0.1:9", &["job-api", "id-token"]);
        world.change(|config| config.gitlab(|gitlab| gitlab.id_token_variable("SITE_TOKEN")));
        let run = |options: &[&str]| {
            let simulate = world.simulate().option("--project", "climate/model").option("--ref", "feature");
            let simulate = options.iter().fold(simulate, |simulate, option| simulate.arg(*option));
            simulate
                .script("echo me=$(id -un)")
                .script("echo parts=$(echo $SITE_TOKEN | tr -dc . | wc -c)")
                .script(disguise("token"))
                .run()
        };
        let merge_request = "--pipeline-source=merge_request_event";
        let own = run(&[merge_request]);
        assert_eq!(own.assert_success().value("parts"), "2", "the job sees it, too");
        own.assert_not_in_log("warning: this is code").assert_not_in_log("whose code");
        assert_eq!(own.value("me"), service.name, "GitLab says that it is the project's own");
        let fork = run(&[merge_request, "--source-project=stranger/model"]);
        fork.assert_success().assert_log("warning: this is code of a fork, stranger/model; it runs as");
        assert_eq!(fork.value("me"), world.user.name);
        let claims = part(&revealed(fork.value("token")), 1);
        for (claim, said) in [
            ("project_path", "stranger/model"),
            ("project_id", "8"),
            ("job_project_path", "climate/model"),
            ("job_project_id", "7"),
            ("ref", "feature"),
            ("sub", "project_path:stranger/model:ref_type:branch:ref:feature"),
            ("assurance", "simulated"),
        ] {
            assert_eq!(claims[claim], said, "{claim}: {claims}");
        }
        assert!(!world.dir.join("state/motmot/gitlab-keys").exists(), "what is played leaves no keys");
    },
    fn each_token_that_does_not_hold_is_refused_in_the_same_words_and_the_admin_reads_why() {
        // A world with a rule that nobody else could use; the author of a job on a machine of many.
        let mut world = World::one_user().build();
        let gitlab = Instance::of(&world.user.name);
        ask(&mut world, gitlab.url(), &["id-token"]);
        let claims = |change: &dyn Fn(&mut Value)| {
            let mut claims = gitlab.claims();
            change(&mut claims);
            claims
        };
        let ours = |change: &dyn Fn(&mut Value)| signed(Signer::OurGitLab, &header(), &claims(change));
        let unsigned = |alg: &str, signature: &str| {
            let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
            let header = json!({"alg": alg, "typ": "JWT", "kid": "gitlab"});
            format!("{}.{}.{signature}", part(&header), part(&gitlab.claims()))
        };
        let with_header = |member: &str, value: &str| {
            let mut header = header();
            header[member] = value.into();
            signed(Signer::Another, &header, &gitlab.claims())
        };
        let now = gitlab.claims()["iat"].as_i64().expect("a time");
        let genuine = ours(&|_| ());
        let attacks: Vec<(&str, Vec<String>, &str)> = vec![
            ("none", vec![], "there is no variable MOTMOT_ID_TOKEN"),
            ("another behind it", vec![genuine.clone(), "x".into()], "three parts"),
            ("emptied", vec![genuine.clone(), String::new()], "it is empty"),
            ("another job", vec![ours(&|claims| claims["job_id"] = "102".into())], "the job is 102"),
            ("another project", vec![ours(&|claims| claims["job_project_id"] = "8".into())], "the project is 8"),
            ("another user", vec![ours(&|claims| claims["user_id"] = "43".into())], "the user is 43"),
            ("another pipeline", vec![ours(&|claims| claims["pipeline_id"] = "56".into())], "the pipeline is 56"),
            ("another audience", vec![ours(&|claims| claims["aud"] = "https://vault".into())], "audience is"),
            (
                "others as well",
                vec![ours(&|claims| claims["aud"] = json!([AUDIENCE, "https://vault"]))],
                "names others",
            ),
            (
                "another issuer, our audience",
                vec![ours(&|claims| claims["iss"] = "https://gitlab.com".into())],
                "issuer is",
            ),
            (
                "another GitLab's key",
                vec![signed(Signer::Another, &header(), &gitlab.claims())],
                "signature of the token is wrong",
            ),
            (
                "expired",
                vec![ours(&|claims| (claims["iat"], claims["exp"]) = ((now - 900).into(), (now - 60).into()))],
                "expired at",
            ),
            ("not yet", vec![ours(&|claims| claims["nbf"] = (now + 300).into())], "not valid before"),
            ("unsigned", vec![unsigned("none", "")], "algorithm is not RS256"),
            ("HMAC", vec![unsigned("HS256", &public_modulus())], "algorithm is not RS256"),
            ("a path for a key", vec![with_header("kid", "../../../etc/passwd")], "does not name its key"),
            (
                "a key of its own",
                vec![with_header("jku", "http://127.0.0.1:1/keys")],
                "the header of the token has jku",
            ),
            ("an unknown key", vec![with_header("kid", "other")], "not in the key set"),
        ];
        let before = gitlab.asked("/oauth/discovery/keys");
        // The owner of the account reads the reason: this runner is his.
        for (attack, tokens, why) in &attacks {
            let (code, words) = config(&world, &tokens.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(code, Some(1), "{attack}: {words}");
            assert!(words.contains(why), "{attack}: {words}");
            assert!(last(&world, "refused")["reason"].as_str().is_some_and(|reason| reason.contains(why)), "{attack}");
            assert!(!words.contains(&genuine[..40]), "{attack} repeats a token: {words}");
        }
        assert_eq!(gitlab.asked("/oauth/discovery/keys") - before, 1, "one question for all of them");
    },
    fn an_author_reads_the_same_words_whatever_is_wrong_with_his_id_token(root: Root) {
        let mut world = World::root(root).build();
        let gitlab = Instance::of(&world.user.name);
        ask(&mut world, gitlab.url(), &["job-api", "id-token"]);
        let mut other = gitlab.claims();
        other["job_id"] = "102".into();
        let mut renamed = gitlab.claims();
        renamed["user_login"] = "somebody".into();
        let mut words = Vec::new();
        for tokens in [
            vec![],
            vec!["x".to_owned()],
            vec![signed(Signer::OurGitLab, &header(), &other)],
            vec![signed(Signer::Another, &header(), &gitlab.claims())],
            vec![signed(Signer::OurGitLab, &header(), &renamed)],
        ] {
            let (code, said) = config(&world, &tokens.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(code, Some(1), "{said}");
            let (words_of_all, reference) = said.split_once("motmot: the reference of this").expect("a reference");
            assert_eq!(reference.lines().count(), 1, "{said}");
            words.push(words_of_all.to_owned());
        }
        assert!(words.iter().all(|other| *other == words[0]), "{words:?}");
        assert!(
            words[0].contains("id_tokens: { MOTMOT_ID_TOKEN: { aud: \"https://ci.hpc.example\" } }")
                && words[0].contains("under job 101"),
            "{}",
            words[0]
        );
        let reason = last(&world, "refused")["reason"].as_str().expect("a reason").to_owned();
        assert!(reason.contains("contradicts itself") && reason.contains("\"somebody\""), "{reason}");
    },
    fn sources_that_contradict_each_other_give_no_account() {
        let mut world = World::one_user().build();
        let gitlab = Instance::of(&world.user.name);
        ask(&mut world, gitlab.url(), &["id-token", "job-api"]);
        let answer = |user: u64, login: &str, source: &str| json!({"id": 101, "status": "running", "user": {"id": user, "username": login}, "pipeline": {"id": 55, "project_id": 7, "source": source}});
        let token = signed(Signer::OurGitLab, &header(), &gitlab.claims());
        let login = world.user.name.clone();
        for (answer, code) in [
            (answer(42, &login, "push"), 0),
            (answer(42, "root", "push"), 1),
            (answer(43, &login, "push"), 1),
            (answer(42, &login, "merge_request_event"), 1),
        ] {
            gitlab.answers(answer.clone());
            let (found, words) = config(&world, &[&token]);
            assert_eq!(found, Some(code), "{answer}: {words}");
        }
    },
    fn a_gitlab_that_cannot_be_asked_for_its_keys_is_a_failure_of_the_site() {
        let mut world = World::one_user().build();
        let (url, _port) = GitLab::down();
        ask(&mut world, &url, &["id-token"]);
        let gitlab = Instance::of(&world.user.name);
        let token = signed(Signer::OurGitLab, &header(), &gitlab.claims());
        let (code, words) = config(&world, &[&token]);
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains(&url) && words.contains("asked 3 times"), "{words}");
        assert!(last(&world, "unavailable")["reason"].is_string());
        let wrong =
            GitLab::answering(json!({"issuer": "https://gitlab.example", "jwks_uri": "https://gitlab.example/keys"}));
        ask(&mut world, &wrong.url, &["id-token"]);
        let (code, words) = config(&world, &[&token]);
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains("calls itself \"https://gitlab.example\""), "{words}");
    },
    fn gitlabs_keys_are_kept_for_the_next_job_and_only_if_nobody_else_could_have_written_them(root: Root) {
        let mut world = World::root(root).build();
        let gitlab = Instance::of(&world.user.name);
        ask(&mut world, gitlab.url(), &["id-token"]);
        let token = signed(Signer::OurGitLab, &header(), &gitlab.claims());
        for _ in 0..3 {
            let (code, words) = config(&world, &[&token]);
            assert_eq!(code, Some(0), "{words}");
        }
        let questions = || gitlab.asked("/oauth/discovery/keys");
        assert_eq!(questions(), 1);
        let file = kept(&world);
        let mode = |path: &PathBuf| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!((mode(&file), mode(&world.dir.join("state/motmot/gitlab-keys"))), (0o600, 0o700));
        // Somebody else's, with another GitLab's keys in it: as if it were not there.
        let text = fs::read_to_string(&file).expect("keys");
        fs::write(&file, text.replace(&public_modulus(), &public_modulus().replace(['A', 'B'], "C"))).expect("write");
        std::os::unix::fs::chown(&file, Some(world.user.uid), Some(world.user.gid)).expect("chown");
        let (code, words) = config(&world, &[&token]);
        assert_eq!((code, questions()), (Some(0), 2), "{words}");
        assert_eq!(fs::read_to_string(kept(&world)).expect("keys").matches(&public_modulus()).count(), 1);
        let told = last(&world, "keys distrusted");
        assert_eq!((told["job_id"].as_u64(), told["file"].as_str()), (Some(101), file.to_str()));
        assert_eq!(told["reason"], format!("it belongs to {}", world.user.name));
        assert!(!words.contains("belongs to"), "the author learns nothing of it: {words}");
    },
    fn numbers_alone_are_enough_for_rules_that_name_them_and_for_nothing_else() {
        let mut world = World::one_user().build();
        let own = world.user.name.clone();
        for (rule, code) in
            [(Rule::user_id(42).run_as(&own), 0), (Rule::user_id(42), 1), (Rule::user(&own).run_as(&own), 1)]
        {
            world.change(|config| config.rules([rule]).gitlab(|gitlab| gitlab.identity("payload")));
            let (found, words) = config(&world, &[]);
            assert_eq!(found, Some(code), "{words}");
        }
        let accepted = last(&world, "accepted");
        assert_eq!((accepted["assurance"].as_str(), accepted["user_id"].as_u64()), (Some("payload"), Some(42)));
        assert!(accepted.get("user").is_none(), "{accepted}");
        let said = finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &["--offline"]);
        said.says(&["warning", "matches nobody", "brings numbers alone"]);
    },
    fn check_asks_for_keys_and_says_what_jobs_need() {
        let mut world = World::one_user().build();
        let gitlab = Instance::of(&world.user.name);
        gitlab.answers(json!({}));
        ask(&mut world, gitlab.url(), &["id-token"]);
        let said = finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &[]);
        said.says(&[
            "identity",
            "signs id tokens with 1 key",
            "id_tokens: { MOTMOT_ID_TOKEN: { aud: \"https://ci.hpc.example\" } }",
        ]);
        ask(&mut world, gitlab.url(), &["job-api"]);
        let said = finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &["--offline"]);
        said.says(&["warning", "gitlab.id_token_audience is set, but no id token is asked for"]);
    }
);

/// These sources are asked from now on.
fn ask(world: &mut World, url: &str, sources: &[&str]) {
    world.change(|config| config.gitlab(|gitlab| gitlab.url(url).identity(sources).id_token_audience(AUDIENCE)));
}

/// The config stage of job 101, with these entries of its variable: exit code, and what it said.
fn config(world: &World, tokens: &[&str]) -> (Option<i32>, String) {
    let mut job = payload(101);
    let variable = |token: &&str| json!({"key": "MOTMOT_ID_TOKEN", "value": token, "public": false, "masked": true});
    job["variables"] = tokens.iter().map(variable).collect();
    world.write_payload(&job);
    let output = world.stage("config").output().expect("config");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The last line of the audit log about such an event.
#[track_caller]
fn last(world: &World, event: &str) -> Value {
    world.audit().into_iter().rfind(|line| line["event"] == event).expect("an audit line")
}

/// The file with GitLab's keys.
fn kept(world: &World) -> PathBuf {
    let dir = fs::read_dir(world.dir.join("state/motmot/gitlab-keys")).expect("a directory");
    let mut files = dir.map(|entry| entry.expect("entry").path());
    files.find(|path| path.extension().is_some_and(|end| end == "json")).expect("a file")
}
