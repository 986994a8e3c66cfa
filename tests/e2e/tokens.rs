//! The token of a stage.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::check::check;
use crate::world::token::{check_signature, disguise, part, revealed};
use crate::world::{Single, World, cases, chown};

cases!(
    fn every_sub_stage_has_a_token_of_its_own_that_verifies() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .script(disguise("first"))
            .option("--step", format!("release={}", disguise("second")))
            .option("--after-script", disguise("third"))
            .run();
        end.assert_success();
        let tokens: Vec<String> = ["first", "second", "third"].map(|name| revealed(end.value(name))).into();
        let mut ids = Vec::new();
        for (token, stage) in tokens.iter().zip(["build_script", "step_release", "after_script"]) {
            check_signature(&world, token);
            let claims = part(token, 1);
            assert_eq!(claims["hpc"]["executor_stage"], stage);
            ids.push(claims["jti"].as_str().expect("jti").to_owned());
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        let minted = world.audit().into_iter().filter(|line| line["event"] == "minted").collect::<Vec<_>>();
        assert!(
            ids.iter().all(|id| minted.iter().any(|line| line["jti"] == id.as_str())),
            "every token is in the audit log"
        );
        assert!(
            tokens.iter().all(|token| !fs::read_to_string(world.audit_file())
                .expect("audit")
                .contains(token.rsplit('.').next().expect("signature"))),
            "but not itself"
        );
    },
    fn claims_come_from_evidence_and_not_from_variables() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .option("--job-id", "101")
            .option("--user-id", "42")
            .option("--project", "climate/ocean")
            .option("--project-id", "7")
            .option("--pipeline-id", "55")
            .option("--pipeline-source", "push")
            .option("--ref", "main")
            .option("--protected", "true")
            .option("--variable", "CI_PROJECT_PATH=evil/evil")
            .option("--variable", "CI_COMMIT_REF_NAME=evil")
            .option("--variable", "GITLAB_USER_LOGIN=evil")
            .option("--variable", "CI_JOB_ID=evil666")
            .option("--variable", "CI_PIPELINE_SOURCE=evil")
            .script(disguise("token"))
            .run();
        end.assert_success();
        let token = revealed(end.value("token"));
        assert!(token.len() < 4096);
        let claims = part(&token, 1);
        for (name, value) in [
            ("iss", json!("https://ci.hpc.example")),
            ("aud", json!("https://hpc.example")),
            ("sub", json!("project_path:climate/ocean:ref_type:branch:ref:main")),
            ("job_id", json!("101")),
            ("project_id", json!("7")),
            ("project_path", json!("climate/ocean")),
            ("namespace_path", json!("climate")),
            ("job_project_id", json!("7")),
            ("job_project_path", json!("climate/ocean")),
            ("job_namespace_path", json!("climate")),
            ("user_id", json!("42")),
            ("user_login", json!(world.user.name)),
            ("pipeline_id", json!("55")),
            ("pipeline_source", json!("push")),
            ("ref", json!("main")),
            ("ref_type", json!("branch")),
            ("ref_path", json!("refs/heads/main")),
            ("ref_protected", json!("true")),
            ("assurance", json!("simulated")),
            ("identity_type", json!("job")),
            ("runner_environment", json!("self-hosted")),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        let hpc = &claims["hpc"];
        assert_eq!(
            (&hpc["local_user"], &hpc["scheduler"], &hpc["site"], &hpc["cluster"]),
            (&json!(world.user.name), &json!("none"), &json!("hpc.example"), &json!("deep"))
        );
        let (iat, exp, nbf) = (
            claims["iat"].as_i64().expect("integer"),
            claims["exp"].as_i64().expect("integer"),
            claims["nbf"].as_i64().expect("integer"),
        );
        assert_eq!((exp - iat, iat - nbf), (900, 60));
        for name in ["sun", "username", "uid", "gid", "groups", "scope", "name", "id"] {
            assert!(claims.get(name).is_none(), "{name}");
        }
        assert!(!claims.to_string().contains("evil"));
    },
    fn unknown_facts_are_left_out() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .option("--runner-version", "17.8")
            .option("--protected", "unknown")
            .script(disguise("token"))
            .run();
        end.assert_success();
        let claims = part(&revealed(end.value("token")), 1);
        assert!(claims.get("ref_protected").is_none(), "unknown is not false: {claims}");
    },
    fn the_token_file_is_private_and_gone_after_its_stage() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .script("echo path=$CI_JOB_JWT_FILE")
            .script("stat -c 'file=%a' \"$CI_JOB_JWT_FILE\"; stat -c 'dir=%a' \"$(dirname \"$CI_JOB_JWT_FILE\")\"")
            .script("[ \"$(cat \"$CI_JOB_JWT_FILE\")\" = \"$CI_JOB_JWT\" ] && echo same=yes")
            .script("echo files=$(ls -A \"$(dirname \"$CI_JOB_JWT_FILE\")\" | wc -l)")
            .run();
        end.assert_success();
        assert_eq!(
            (end.value("file"), end.value("dir"), end.value("same"), end.value("files")),
            ("400", "700", "yes", "1")
        );
        assert!(!Path::new(end.value("path")).exists());
        let single = Single::new(&world, 5);
        let script = single.script("echo $CI_JOB_JWT_FILE");
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert!(output.status.success());
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            Path::new(&path).parent().expect("a directory").exists() && !Path::new(&path).exists(),
            "gone already when the stage has ended"
        );
    },
    fn the_token_is_refreshed_while_a_stage_runs(root: Root) {
        let world = World::root(root).token(|token| token.ttl("1m")).build();
        // Waits for the event, a new content of the file, and looks at nothing but complete tokens on the way.
        let end = world
        .simulate()
        .script("first=$(cat \"$CI_JOB_JWT_FILE\"); torn=0; while second=$(cat \"$CI_JOB_JWT_FILE\") && [ \"$first\" = \"$second\" ]; do [ ${#second} -gt 500 ] || torn=1; sleep 0.05; done; echo torn=$torn")
        .script("printf '%s' \"$(cat \"$CI_JOB_JWT_FILE\")\" | rev | base64 -w0 | sed 's/^/second=/'; echo")
        .script(disguise("first"))
        .script("cat \"$CI_JOB_JWT_FILE\"")
        .run();
        end.assert_success().assert_log("[MASKED]");
        assert_eq!(end.value("torn"), "0");
        let (first, second) = (revealed(end.value("first")), revealed(end.value("second")));
        check_signature(&world, &second);
        let iat = |token: &str| part(token, 1)["iat"].as_i64().expect("iat");
        let age = iat(&second) - iat(&first);
        assert!((26..=37).contains(&age), "half of a minute, more or less: {age} s");
        end.assert_not_in_log(second.rsplit('.').next().expect("signature"));
    },
    fn no_token_no_job() {
        let world = World::one_user().build();
        let single = Single::new(&world, 5);
        let script = single.script("touch \"$TMPDIR/ran\"; echo it ran");
        fs::rename(world.keys(), world.dir.join("state/elsewhere")).expect("rename");
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(output.status.code(), Some(2), "a failure of the site");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("it ran"));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("motmot check"),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    },
    fn a_site_without_a_token_section_gets_jobs_without_tokens() {
        let world = World::one_user().no_tokens().build();
        let end = world.simulate().script("echo token=.$CI_JOB_JWT.$CI_JOB_JWT_FILE.").run();
        end.assert_success();
        assert_eq!(end.value("token"), "...");
    },
    fn the_variable_can_have_another_name() {
        let world = World::one_user().token(|token| token.variable("SITE_JWT")).build();
        let end = world
            .simulate()
            .script("[ \"$(cat \"$SITE_JWT_FILE\")\" = \"$SITE_JWT\" ] && echo same=yes")
            .script("echo default=.$CI_JOB_JWT.")
            .run();
        end.assert_success();
        assert_eq!((end.value("same"), end.value("default")), ("yes", ".."));
    },
    fn a_pipeline_that_defines_the_variable_itself_is_told() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .option("--variable", "CI_JOB_JWT=theirs")
            .script("echo env=$CI_JOB_JWT")
            .script("[ ${#CI_JOB_JWT} -lt \"$(wc -c < \"$CI_JOB_JWT_FILE\")\" ] && echo file=ours")
            .run();
        end.assert_success().assert_log("warning: this pipeline");
        assert_eq!((end.value("env"), end.value("file")), ("theirs", "ours"));
    },
    fn a_key_that_others_can_read_is_refused_and_where_it_lies_is_not_told_to_authors(root: Root) {
        let world = World::root(root).build();
        let key = fs::read_dir(world.keys())
            .expect("keys")
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "pem"))
            .expect("a key");
        let refused = || {
            let end = world.simulate().option("--retry-interval", "10ms").script("echo it ran").run();
            end.assert_failed("runner_system_failure");
            assert!(!end.log.lines().any(|line| line == "it ran"));
            // Whoever reads the job log has an account here.
            end.assert_log("motmot check")
                .assert_not_in_log(&world.keys().display().to_string())
                .assert_not_in_log("chmod");
            let failed = world.audit().into_iter().rfind(|line| line["event"] == "failed").expect("an audit line");
            failed["reason"].as_str().expect("a reason").to_owned()
        };
        for mode in [0o444, 0o440, 0o404, 0o602] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("chmod");
            assert!(refused().contains("chmod"), "{mode:o}");
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("chmod");
        chown(&key, world.user.uid, world.user.gid);
        assert!(refused().contains(&world.user.name));
        chown(&key, 0, 0);
        let moved = key.with_extension("moved");
        fs::rename(&key, &moved).expect("rename");
        std::os::unix::fs::symlink(&moved, &key).expect("link");
        refused();
    },
    fn keys_and_jwks_show_nothing_private() {
        let world = World::one_user().build();
        let jwks: Value = serde_json::from_slice(&fs::read(world.jwks_file()).expect("jwks")).expect("JSON");
        for key in jwks["keys"].as_array().expect("keys") {
            let mut names: Vec<&String> = key.as_object().expect("an object").keys().collect();
            names.sort();
            assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        }
        let again = world.motmot(&["keys".as_ref(), "init".as_ref(), "--dir".as_ref(), world.keys().as_os_str()]);
        assert!(!again.status.success(), "a key is never overwritten");
    },
    fn motmot_verify_tells_good_from_bad_by_exit_code() {
        let world = World::one_user().build();
        let end = world.simulate().script(disguise("token")).run();
        end.assert_success();
        let token = revealed(end.value("token"));
        let jwks = world.jwks_file();
        let file = world.dir.join("token");
        let check = |token: &str, issuer: &str, audience: &str| {
            fs::write(&file, token).expect("write");
            let output = Command::new(world.bins.join("motmot"))
                .args(["verify", "--issuer", issuer, "--audience", audience, "--jwks-file"])
                .arg(&jwks)
                .arg("--token-file")
                .arg(&file)
                .stdin(Stdio::null())
                .output()
                .expect("verify");
            let words =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(
                !words.contains(
                    token.rsplit('.').next().filter(|signature| signature.len() > 40).unwrap_or("no signature")
                ),
                "never the token: {words}"
            );
            (output.status.code(), words)
        };
        let (issuer, audience) = ("https://ci.hpc.example", "https://hpc.example");
        let (code, words) = check(&token, issuer, audience);
        assert_eq!(code, Some(0), "{words}");
        assert!(words.trim_end().ends_with("token verified"), "{words}");
        assert_eq!(check(&token, "https://ci.hpc.example/", audience).0, Some(5));
        assert_eq!(check(&token, issuer, "https://other.example").0, Some(5));
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let flipped =
            signature.strip_prefix('A').map_or_else(|| format!("A{}", &signature[1..]), |rest| format!("B{rest}"));
        assert_eq!(check(&format!("{signed}.{flipped}"), issuer, audience).0, Some(3));
        let none = format!(
            "{}.{}.",
            BASE64_URL_SAFE_NO_PAD.encode(b"{\"alg\":\"none\"}"),
            token.split('.').nth(1).expect("a payload")
        );
        assert_eq!(check(&none, issuer, audience).0, Some(3));
        assert_eq!(check("not a token", issuer, audience).0, Some(3));
        fs::write(&jwks, "{}").expect("write");
        assert_eq!(check(&token, issuer, audience).0, Some(7));
    },
    fn a_token_that_somebody_types_in_the_wrong_place_is_in_no_message() {
        let world = World::one_user().build();
        let token =
            concat!("eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.", "c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU");
        let (jwks, option) = (world.jwks_file(), format!("--token={token}"));
        let usual = |words: &[&str]| {
            let given = [("--jwks-file", jwks.to_str().expect("text")), ("--issuer", "https://a"), ("--audience", "b")];
            let rest = given.iter().filter(|(name, _)| !words.contains(name)).flat_map(|(name, value)| [*name, *value]);
            ["verify"].into_iter().chain(rest).chain(words.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut attempts: Vec<Vec<String>> = [
            &[token] as &[&str],
            &["--token-env", "HOME", token],
            &["--token", token],
            &[&option],
            &["--token-env", token],
            &["--token-file", token],
            &["--token-env", "HOME", "--jwks-file", token],
            &["--token-env", "HOME", "--claim", token],
            &["--token-env", "HOME", "--max-age", token],
            &["--token-env", "HOME", "--profile", token],
        ]
        .map(usual)
        .into();
        attempts.extend([
            vec![token.to_owned()],
            vec!["keys".into(), token.to_owned()],
            vec!["check".into(), token.to_owned()],
        ]);
        for words in attempts {
            let mut command = Command::new(world.bins.join("motmot"));
            let output = command.args(&words).stdin(Stdio::null()).output().expect("motmot");
            let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success() && !told.is_empty(), "{words:?}: {told}");
            assert!(token.split('.').all(|part| !told.contains(part)), "{words:?}: {told}");
        }
    },
    fn motmot_verify_reads_keys_from_standard_input_among_other_keys_and_takes_no_empty_party() {
        let world = World::one_user().build();
        let end = world.simulate().script(disguise("token")).run();
        end.assert_success();
        let file = world.dir.join("token");
        fs::write(&file, revealed(end.value("token"))).expect("write");
        let mut set: Value = serde_json::from_slice(&fs::read(world.jwks_file()).expect("jwks")).expect("JSON");
        let verify = |set: &Value, words: &[&str]| {
            let jwks = world.dir.join("set.json");
            fs::write(&jwks, set.to_string()).expect("write");
            let output = Command::new(world.bins.join("motmot"))
                .args(["verify", "--jwks-file", "-", "--issuer", "https://ci.hpc.example"])
                .args(["--audience", "https://hpc.example", "--token-file"])
                .arg(&file)
                .args(words)
                .stdin(fs::File::open(&jwks).expect("the set"))
                .output()
                .expect("verify");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(verify(&set, &[]).0, Some(0));
        let user = &world.user.name;
        assert_eq!(verify(&set, &["--claim", &format!("/hpc/local_user={user}")]).0, Some(0));
        assert_eq!(verify(&set, &["--claim", "/hpc/local_user=nobody-else"]).0, Some(6));
        for (issuer, audience) in [("", "a"), ("i", "")] {
            let mut command = Command::new(world.bins.join("motmot"));
            command.args([
                "verify",
                "--jwks-file",
                "-",
                "--token-env",
                "X",
                "--issuer",
                issuer,
                "--audience",
                audience,
            ]);
            let output = command.stdin(Stdio::null()).output().expect("verify");
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(2) && words.contains("must not be empty"), "{words}");
        }
        let keys = set["keys"].as_array_mut().expect("keys");
        keys.insert(0, json!({"kty": "RSA", "kid": "other", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"}));
        let (code, words) = verify(&set, &[]);
        assert_eq!(code, Some(7), "strict: all keys must be ours: {words}");
        assert_eq!(verify(&set, &["--profile", "oidc"]).0, Some(0));
        set["keys"][1]["key_ops"] = json!(["encrypt"]);
        assert_eq!(verify(&set, &["--profile", "oidc"]).0, Some(7), "a key that is not for this");
        set["keys"][0] = json!({"kty": "oct", "kid": "s", "k": "AAAA", "alg": "HS256"});
        let (code, words) = verify(&set, &["--profile", "oidc"]);
        assert!(code == Some(7) && words.contains("is symmetric (`oct`)"), "{words}");
    },
    fn a_token_of_a_merge_requests_pipeline_is_good_and_speaks_for_no_branch() {
        let world = World::one_user().build();
        let verify = format!(
            "{} verify --jwks-file {} --issuer https://ci.hpc.example --audience https://hpc.example --token-file \"$CI_JOB_JWT_FILE\" --claim job_project_id=7",
            world.bins.join("motmot").display(),
            world.jwks_file().display()
        );
        let end = world
            .simulate()
            .option("--project", "climate/ocean")
            .option("--project-id", "7")
            .option("--pipeline-source", "merge_request_event")
            .option("--ref", "refs/merge-requests/3/head")
            .option("--protected", "true")
            .script(disguise("token"))
            .script(format!("{verify} >/dev/null && echo verified=yes"))
            .script(format!("{verify} --claim project_id=7 >/dev/null 2>&1 || echo branch=no"))
            .run();
        end.assert_success();
        assert_eq!((end.value("verified"), end.value("branch")), ("yes", "no"));
        let claims = part(&revealed(end.value("token")), 1);
        assert_eq!(claims["sub"], "job_project_path:climate/ocean:pipeline:merge_request");
        assert_eq!(claims["job_project_path"], "climate/ocean");
        for name in ["project_id", "project_path", "namespace_path", "ref", "ref_type", "ref_path", "ref_protected"] {
            assert!(claims.get(name).is_none(), "{name}: {claims}");
        }
    },
    fn the_remedy_that_is_told_for_a_key_that_is_damaged_or_gone_works() {
        let mut world = World::one_user().build();
        let (keys, new) = (world.keys(), world.dir.join("state/keys-new"));
        let mut pem = fs::read_dir(&keys).expect("keys").flatten().map(|entry| entry.path());
        let pem = pem.find(|path| path.extension().is_some_and(|end| end == "pem")).expect("a key");
        fs::remove_file(&pem).expect("remove");
        check(&world).is_good(false).says(&["PROBLEM  tokens: ", "does not exist", "backup", "keys init --dir NEW"]);
        fs::write(&pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").expect("write");
        fs::set_permissions(&pem, fs::Permissions::from_mode(0o400)).expect("chmod");
        chown(&pem, world.user.uid, world.user.gid);
        check(&world).is_good(false).says(&["PROBLEM  tokens: ", "is not a valid", "backup", "keys init --dir NEW"]);
        let init = |dir: &Path| {
            let output = world.motmot(&["keys".as_ref(), "init".as_ref(), "--dir".as_ref(), dir.as_os_str()]);
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, words) = init(&keys);
        assert!(code == Some(8) && words.contains("nothing was changed") && words.contains("--dir NEW"), "{words}");
        let (code, words) = init(&new);
        assert_eq!(code, Some(0), "{words}");
        world.change(|config| config.token(|token| token.keys(&new)));
        check(&world).is_good(true).says(&["ok       tokens: "]);
        world.simulate().script("test -s \"$CI_JOB_JWT_FILE\" && echo token=yes").run().assert_log("token=yes");
    },
    fn a_job_can_verify_its_own_token() {
        let world = World::one_user().build();
        let jwks = world.jwks_file();
        fs::set_permissions(&jwks, fs::Permissions::from_mode(0o644)).expect("chmod");
        let end = world
        .simulate()
        .script(format!("{} verify --jwks-file {} --issuer https://ci.hpc.example --audience https://hpc.example --token-file \"$CI_JOB_JWT_FILE\"", world.bins.join("motmot").display(), jwks.display()))
        .run();
        end.assert_success().assert_log("token verified");
    }
);
