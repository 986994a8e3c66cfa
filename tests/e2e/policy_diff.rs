//! `motmot policy diff`: whose account changes.

use std::fs;

use serde_json::Value;

use crate::world::{World, cases, chmod};

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
        assert_eq!((said.as_str(), code), ("no job has another account\n", Some(0)));
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
    }
);
