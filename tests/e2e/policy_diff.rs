//! `motmot policy diff`: whose account changes.

use std::fs;

use serde_json::Value;

use crate::world::{Single, World, cases, chmod};

cases!(
    fn who_has_another_account_is_told_with_an_example_and_explain_agrees(root: Root) {
        let world = World::root(root).build();
        let base = fs::read_to_string(world.config_file()).expect("config");
        let base = base.split("[[map]]").next().expect("a beginning");
        let write = |name: &str, rules: &str| {
            let path = world.dir.join(name);
            fs::write(&path, format!("{base}{rules}")).expect("config");
            chmod(&path, 0o644);
            path
        };
        let climate = "[[map]]\nname = \"climate\"\nwhen = { project = \"climate/**\", ref_protected = true }\nrun_as = \"svc\"\n";
        let own = "[[map]]\nwhen = {}\nrun_as = \"{gitlab_user}\"\n";
        let old = write("old.toml", &format!("{climate}{own}"));
        let new = write("new.toml", &format!("[[map]]\nwhen = {{ user = \"zaphod\" }}\nrun_as = \"svc\"\n{climate}"));
        let motmot = |words: &[&std::ffi::OsStr]| {
            let output = world.as_driver(&world.bins.join("motmot")).args(words).output().expect("motmot");
            (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
        };
        let diff = ["policy", "diff"].map(std::ffi::OsStr::new);
        let (said, code) = motmot(&[&diff[..], &[old.as_os_str(), old.as_os_str()]].concat());
        assert!(code == Some(0) && said.starts_with("no job has another account\n"), "{said}");
        let (said, code) = motmot(&[&diff[..], &[old.as_os_str(), new.as_os_str()]].concat());
        assert_eq!(code, Some(1), "{said}");
        for part in ["zaphod -> svc\n", " -> refused\n", "after: no rule matches", "2 changes: "] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (said, _) = motmot(&[&diff[..], &[old.as_os_str(), new.as_os_str(), "--json".as_ref()]].concat());
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["changes"].as_array().map(Vec::len), Some(2), "{said}");
        // An approval that is no longer asked for lets in whoever has none.
        let signers = "[approvals]\nallowed_signers = \"/etc/motmot/allowed_signers\"\n";
        let old = write("with.toml", &format!("{signers}{climate}approved_by = [\"ada\"]\n"));
        let new = write("without.toml", &format!("{signers}{climate}"));
        let (said, _) = motmot(&[&diff[..], &[old.as_os_str(), new.as_os_str()]].concat());
        assert!(said.contains("refused -> svc"), "{said}");
        let (said, _) = motmot(&[&diff[..], &[new.as_os_str(), old.as_os_str()]].concat());
        assert!(said.contains("svc -> refused"), "{said}");
    },
    fn that_other_things_are_known_of_jobs_is_no_silence() {
        // By the same rules Arthur has another account, as soon as his name is known.
        let world = World::one_user().build();
        let base = fs::read_to_string(world.config_file()).expect("config");
        let base = base.split("[[map]]").next().expect("a beginning");
        let rules = "[[map]]\nwhen = { user = \"adent\" }\nrun_as = \"arthur\"\n[[map]]\nwhen = { user_id = 42 }\nrun_as = \"ford\"\n";
        let write = |name: &str, identity: &str| {
            let path = world.dir.join(name);
            let base = base.replace("[gitlab]\n", &format!("[gitlab]\nidentity = {identity:?}\n"));
            fs::write(&path, format!("{base}{rules}")).expect("config");
            chmod(&path, 0o644);
            path
        };
        let (old, new) = (write("old.toml", "payload"), write("new.toml", "job-api"));
        let diff = |more: &[&str]| {
            let mut command = world.as_driver(&world.bins.join("motmot"));
            let output = command.args(["policy", "diff"]).args([&old, &new]).args(more).output().expect("motmot");
            (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
        };
        let (said, code) = diff(&[]);
        assert!(said.contains("\ngitlab.identity has changed, by which a job may come to another rule"), "{said}");
        assert_eq!(code, Some(1), "{said}");
        let said: Value = serde_json::from_str(&diff(&["--json"]).0).expect("JSON");
        assert_eq!(said["not_compared"], serde_json::json!(["gitlab.identity"]), "{said}");
    },
    fn the_jobs_of_the_audit_log_are_tried_with_both_configurations_and_explained(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 4711);
        single.clean_up();
        // What is played is no job.
        world.simulate().run().assert_success();
        let old = world.config_file();
        let text = fs::read_to_string(&old).expect("config");
        let (head, rules) = text.split_once("[[map]]").expect("a rule");
        let new = world.dir.join("new.toml");
        fs::write(&new, format!("{head}[[map]]\nname = \"new\"\nwhen = {{ user_id = 42, project_id = 7, ref = \"main\", pipeline_source = \"push\" }}\nrun_as = \"svc\"\n[[map]]{rules}")).expect("config");
        chmod(&new, 0o644);
        let motmot = |words: &[&str]| {
            let output = world.as_driver(&world.bins.join("motmot")).args(words).output().expect("motmot");
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (said, output.status.code())
        };
        let (old, new) = (old.to_string_lossy().into_owned(), new.to_string_lossy().into_owned());
        let (said, code) = motmot(&["policy", "diff", &old, &new]);
        assert_eq!(code, Some(1), "{said}");
        let user = &world.user.name;
        for part in ["job 4711 of 20", &format!(": {user} -> svc\n"), "1 job of the audit log: 1 has another account\n"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (said, _) = motmot(&["policy", "diff", "--json", &old, &new]);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["log"]["changes"][0]["job_id"], 4711, "{said}");
        let (said, code) = motmot(&["policy", "diff", &old, &old]);
        assert!(code == Some(0) && said.contains("1 job of the audit log: none has another account"), "{said}");
        let (said, code) = motmot(&["policy", "diff", "--log", "/nonexistent", &old, &old]);
        assert!(code == Some(2) && said.contains("/nonexistent"), "{said}");

        let (said, code) = motmot(&["--config", &old, "explain", "--job", "4711"]);
        assert!(code == Some(0) && said.contains(&format!("runs as {user}")), "{said}");
        let (said, _) = motmot(&["--config", &new, "explain", "--job", "4711"]);
        assert!(said.contains("\"new\": when = "), "{said}");
        let (said, _) = motmot(&["--config", &new, "explain", "--job", "4711", "--ref", "other"]);
        assert!(said.contains("passed") && said.contains("does not hold: the job has \"other\""), "{said}");
        // Somebody else has neither his number nor his name.
        let (said, code) = motmot(&["--config", &new, "explain", "--job", "4711", "--user", "x", "--user-id", "43"]);
        assert!(code == Some(1) && said.contains("user_id = 42 does not hold: the job has 43"), "{said}");
        let (said, code) = motmot(&["--config", &old, "explain", "--job", "4712"]);
        assert!(code == Some(2) && said.contains("no decision about a job 4712"), "{said}");
    }
);
