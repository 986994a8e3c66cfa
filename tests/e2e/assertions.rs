//! What a configuration says of its own rules, and who finds out whether it is so.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::world::check::check;
use crate::world::{Single, World, cases, chmod};

fn motmot(world: &World, words: &[&str]) -> (String, Option<i32>) {
    let mut command = world.as_driver(&world.bins.join("motmot"));
    let output = command.arg("--config").arg(world.config_file()).args(words).output().expect("motmot");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.code())
}

const RULES: &str = "
[[map]]
name = \"climate\"
when = { project = \"climate/**\", project_id = 22, ref_protected = true }
run_as = \"svc-climate\"
[[map]]
when = { user = \"zaphod\" }
run_as = \"svc-climate\"
[[map]]
when = { user_id = 42 }
run_as = \"{gitlab_user}\"
";

const GOOD: &str = "
[[test]]
user = \"adent\"
project = \"climate/core/model\"
project_id = 22
ref = \"main\"
ref_protected = true
expect = \"svc-climate\"
rule = \"climate\"
[[test]]
user = \"ford\"
expect = \"refused\"
[[never]]
account = \"svc-web*\"
unless = { user_id = 42 }
";

cases!(
    fn tests_that_fail_are_told_with_what_was_expected_what_came_and_by_which_rule() {
        let mut world = World::one_user().rules([]).raw(RULES).raw(GOOD).build();
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("2 tests, 1 never, 0 failed\n"), "{said}");
        check(&world).says(&["ok       tests: 2 tests, 1 never: all hold"]);
        world.change(|config| config.raw("[[test]]\nname = \"Zaphod\"\nuser = \"zaphod\"\nexpect = \"refused\"\n[[test]]\nuser = \"x\"\nexpect = \"y\"\n"));
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("FAILED   test \"Zaphod\" at "), "{said}");
        assert!(said.contains(": expected a refusal, came svc-climate by the rule at "), "{said}");
        assert!(said.contains("expected y, came a refusal: no rule matches: line "), "{said}");
        check(&world).is_good(false).says(&["PROBLEM  test \"Zaphod\" at ", "config.toml:", "came svc-climate"]);
        // No stage looks: jobs go on while somebody mends it.
        world.simulate().run().assert_not_in_log("Zaphod");
    },
    fn who_must_never_have_an_account_and_has_it_is_shown_and_explain_says_the_same() {
        let world = World::one_user()
            .rules([])
            .raw(RULES)
            .raw("[[never]]\naccount = \"svc-climate\"\nunless = { project = \"climate/**\", ref_protected = true }\n")
            .build();
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("gives svc-climate to this job: user = \"zaphod\""), "{said}");
        check(&world).is_good(false).says(&["PROBLEM  never at ", "to this job: user = \"zaphod\""]);
        let (said, _) = motmot(&world, &["explain", "--user", "zaphod"]);
        assert!(said.contains("run_as = \"svc-climate\""), "{said}");
        let (said, code) = motmot(&world, &["who-can", "svc-climate"]);
        assert_eq!(code, Some(0), "{said}");
        for part in [
            "\"climate\": when = { project = \"climate/**\", project_id = 22, ref_protected = true }",
            "lets in anybody whose job fulfils",
            "lets in 1 user: zaphod",
            "lets in whoever has the login \"svc-climate\" in GitLab",
            "svc-climate: 3 ways\n",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (said, code) = motmot(&world, &["who-can", "root", "--json"]);
        assert!(
            code == Some(0) && said.contains("\"ways\": [") && said.contains("whoever has the login \\\"root\\\""),
            "{said}"
        );
    },
    fn a_configuration_is_installed_only_if_it_does_what_it_says_and_the_last_one_stays(root: Root) {
        let world = World::root(root).rules([]).raw(RULES).raw(GOOD).build();
        let config = world.config_file();
        let before = fs::read_to_string(&config).expect("config");
        let new = world.dir.join("new.toml");
        let last = Path::new(&config).with_file_name("config.toml.last");
        let apply = |text: &str, more: &[&str]| {
            fs::write(&new, text).expect("new");
            chmod(&new, 0o644);
            let new = new.to_string_lossy().into_owned();
            motmot(&world, &[&["policy", "apply", &new], more].concat())
        };
        for (bad, why) in [
            (format!("{before}\n[[test]]\nuser = \"zaphod\"\nexpect = \"x\"\n"), "expected x, came svc-climate"),
            (format!("{before}\n[[never]]\naccount = \"svc-climate\"\n"), "to this job"),
            (format!("{before}\n[nonsense]\n"), "unknown key `nonsense`"),
        ] {
            let (said, code) = apply(&bad, &[]);
            assert!(code == Some(1) && said.contains(why), "{said}");
            assert!(fs::read_to_string(&config).expect("config") == before && !last.exists(), "{why}");
        }
        let good = format!("{before}\n# Another one.\n");
        chmod(&config, 0o640);
        let was = fs::metadata(&config).expect("config");
        let (said, code) = apply(&good, &["--dry-run"]);
        assert!(code == Some(0) && said.contains("would be installed"), "{said}");
        assert!(fs::read_to_string(&config).expect("config") == before && !last.exists());
        let (said, code) = apply(&good, &[]);
        assert!(code == Some(0) && said.contains("installed as "), "{said}");
        assert_eq!(fs::read_to_string(&config).expect("config"), good);
        assert_eq!(fs::read_to_string(&last).expect("the last one"), before);
        for path in [&config, &last] {
            let is = fs::metadata(path).expect("file");
            assert_eq!((is.uid(), is.gid(), is.mode()), (was.uid(), was.gid(), was.mode()), "{}", path.display());
        }
        // Once more would lose the last one.
        let (said, code) = apply(&good, &[]);
        assert!(code == Some(0) && said.contains("is this configuration already"), "{said}");
        assert_eq!(fs::read_to_string(&last).expect("the last one"), before);
        // What nobody could use takes the place of nothing that somebody could.
        fs::write(&config, "nonsense").expect("config");
        let (said, code) = apply(&before, &[]);
        assert!(code == Some(0) && said.contains("no copy of it is kept"), "{said}");
        assert_eq!(fs::read_to_string(&last).expect("the last one"), before);
    },
    fn a_never_that_demands_nothing_is_refused_and_a_number_that_is_not_said_is_unknown_in_a_table_too(root: Root) {
        let mut world = World::root(root).rules([]).raw("[[never]]\naccount = \"x\"\nunless = { }\n").build();
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert!(code == Some(2) && said.contains("`never.unless` is empty"), "{said}");
        let table = world.dir.join("users.map");
        fs::write(&table, "ford ford\nid:43 zaphod\n").expect("a table");
        chmod(&table, 0o644);
        world.change(|config| {
            config.rules([]).raw(&format!("[[map]]\nrun_as = \"table:{}\"\nwhen = {{}}\n", table.display()))
        });
        let text = fs::read_to_string(world.config_file())
            .expect("config")
            .replace("[[never]]\naccount = \"x\"\nunless = { }\n", "");
        fs::write(world.config_file(), text).expect("config");
        // He may be 43, and somebody else by that.
        let (said, code) = motmot(&world, &["explain", "--user", "ford"]);
        assert!(code == Some(1) && said.contains("user_id is not known of this job"), "{said}");
        assert!(!said.contains("number 0"), "{said}");
        let (said, _) = motmot(&world, &["explain", "--user", "ford", "--user-id", "42"]);
        assert!(said.contains("run_as = \"table:") && !said.contains("is not known"), "{said}");
        let (_, code) = motmot(&world, &["explain", "--user", "ford", "--user-id", "0"]);
        assert_eq!(code, Some(2));
    },
    fn the_audit_log_says_of_decisions_by_a_configuration_that_nobody_has_tested_that_nobody_has(root: Root) {
        let mut world = World::root(root).raw("[[never]]\naccount = \"svc\"\nunless = { user = \"svc\" }\n").build();
        let untested = |world: &World, job: u64| {
            Single::new(world, job).clean_up();
            let decided = world.audit().into_iter().find(|line| line["event"] == "accepted" && line["job_id"] == job);
            decided.expect("a decision").get("untested").cloned()
        };
        assert_eq!(untested(&world, 1), Some(true.into()));
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert!(code == Some(0) && said.contains("recorded in "), "{said}");
        assert_eq!(untested(&world, 2), Some(true.into()), "the harness has written another address of GitLab into it");
        let single = Single::new(&world, 3);
        motmot(&world, &["policy", "test"]);
        single.clean_up();
        let config = world.stage("config").output().expect("config");
        assert!(config.status.success(), "{}", String::from_utf8_lossy(&config.stderr));
        let last = world.audit().into_iter().rev().find(|line| line["event"] == "accepted").expect("a decision");
        assert!(last["job_id"] == 3 && last.get("untested").is_none(), "{last}");
        // Somebody else's word is none.
        let record = Path::new(&world.config_file()).with_file_name("config.toml.tested");
        chmod(&record, 0o666);
        let session = world.stage("config").output().expect("config");
        assert!(session.status.success());
        let last = world.audit().into_iter().rev().find(|line| line["event"] == "accepted").expect("a decision");
        assert_eq!(last["untested"], true, "{last}");
        world.change(|config| config);
    },
    fn what_needs_an_approval_is_tested_explained_and_listed_with_one_and_without() {
        let world = World::one_user()
            .rules([])
            .raw("[approvals]\nallowed_signers = \"/etc/motmot/allowed_signers\"\n")
            .raw("[[map]]\nname = \"approved\"\nwhen = { project = \"climate/**\" }\nrun_as = \"svc-climate\"\napproved_by = [\"ada\", \"bob\"]\n")
            .raw("[[map]]\nwhen = { user = \"svc-climate\" }\nrun_as = \"{gitlab_user}\"\n")
            .raw("[[test]]\nuser = \"adent\"\nproject = \"climate/model\"\napproved_by = \"bob\"\nexpect = \"svc-climate\"\n")
            .raw("[[test]]\nuser = \"adent\"\nproject = \"climate/model\"\napproved_by = \"eve\"\nexpect = \"refused\"\n")
            .raw("[[test]]\nuser = \"svc-climate\"\nproject = \"climate/model\"\nexpect = \"svc-climate\"\n")
            .raw("[[never]]\naccount = \"svc-climate\"\nunless = { project = \"climate/**\" }\n")
            .build();
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert_eq!(code, Some(1), "{said}");
        // The one without an approval gives it, and nothing that an approval does hides that.
        assert!(
            said.contains("gives svc-climate to this job: user = \"svc-climate\"") && said.contains("1 failed"),
            "{said}"
        );
        let (said, _) = motmot(&world, &["who-can", "svc-climate"]);
        for part in ["with the approval of one of ada, bob", "approved_by = \"ada\"", "svc-climate: 2 ways"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let job = ["explain", "--user", "adent", "--project", "climate/model"];
        let (said, _) = motmot(&world, &job);
        assert!(said.contains("approved_by = [\"ada\", \"bob\"] does not hold"), "{said}");
        let (said, _) = motmot(&world, &[&job[..], &["--approved-by", "ada"]].concat());
        assert!(said.contains("\"approved\": when = "), "{said}");
    },
    fn where_there_are_several_gitlabs_each_test_is_about_one_and_a_never_about_all() {
        let rules = |name: &str, unless: &str| {
            format!(
                "[[map]]\ngitlab = {name:?}\nwhen = {{ user_id = 42 }}\nrun_as = \"svc-{name}\"\n[[never]]\naccount = \"svc-one\"\n{unless}"
            )
        };
        let world = World::one_user().build();
        let gitlabs = "[[gitlab]]\nname = \"one\"\nurl = \"https://one.example\"\n[[gitlab]]\nname = \"two\"\nurl = \"https://two.example\"\ntoken_issuer = \"https://ci.hpc.example/two\"\n";
        let text = fs::read_to_string(world.config_file()).expect("config");
        let base = text.split("[[map]]").next().expect("a beginning").replace("[gitlab]", "[was]");
        let jobs = base.split("[jobs]").nth(1).expect("the jobs");
        let write = |more: &str| {
            let text = format!("{gitlabs}[jobs]{jobs}\n{more}");
            fs::write(world.config_file(), text).expect("config");
        };
        write(&format!(
            "{}{}[[test]]\ngitlab = \"two\"\nuser_id = 42\nexpect = \"svc-two\"\n[[test]]\ngitlab = \"one\"\nuser_id = 42\nexpect = \"svc-one\"\n",
            rules("one", "unless = { user_id = 42 }\n"),
            rules("two", "gitlab = \"two\"\n"),
        ));
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("for the GitLab \"one\"") && said.contains("for the GitLab \"two\""), "{said}");
        let (said, _) = motmot(&world, &["who-can", "svc-two"]);
        assert!(said.contains("for jobs of the GitLab \"two\"") && said.contains("svc-two: 1 way\n"), "{said}");
        let (said, code) = motmot(&world, &["explain", "--user-id", "42", "--user", "x"]);
        assert!(code == Some(2) && said.contains("add --gitlab NAME"), "{said}");
        let (said, _) = motmot(&world, &["explain", "--user-id", "42", "--user", "x", "--gitlab", "two"]);
        assert!(said.contains("run_as = \"svc-two\""), "{said}");
        write(&format!("{}[[test]]\nuser = \"x\"\nexpect = \"refused\"\n", rules("one", "")));
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert!(code == Some(2) && said.contains("`test.gitlab` is missing"), "{said}");
    },
    fn a_new_configuration_is_judged_with_the_files_that_it_will_include_where_it_is_installed(root: Root) {
        let world = World::root(root).rules([]).build();
        let config = world.config_file();
        let before = fs::read_to_string(&config).expect("config");
        let map = |place: &Path, account: &str| {
            let dir = place.join("map.d");
            fs::create_dir_all(&dir).expect("a directory");
            let file = dir.join("a.toml");
            fs::write(&file, format!("[[map]]\nwhen = {{ user = \"x\" }}\nrun_as = {account:?}\n")).expect("rules");
            chmod(&dir, 0o755);
            chmod(&file, 0o644);
        };
        let elsewhere = world.dir.join("elsewhere");
        map(Path::new(&config).parent().expect("a directory"), "svc-real");
        map(&elsewhere, "svc-draft");
        chmod(&elsewhere, 0o755);
        let new = elsewhere.join("new.toml");
        let apply = |expect: &str| {
            let test = format!("[[test]]\nuser = \"x\"\nexpect = {expect:?}\n");
            fs::write(&new, format!("include = [\"map.d/*.toml\"]\n{before}\n{test}")).expect("new");
            chmod(&new, 0o644);
            motmot(&world, &["policy", "apply", &new.to_string_lossy()])
        };
        let (said, code) = apply("svc-draft");
        assert!(code == Some(1) && said.contains("came svc-real"), "{said}");
        let (said, code) = apply("svc-real");
        assert!(code == Some(0) && said.contains("installed as "), "{said}");
        let (said, code) = motmot(&world, &["policy", "test"]);
        assert_eq!(code, Some(0), "{said}");
    },
    fn a_new_configuration_that_somebody_else_could_write_is_not_installed(root: Root) {
        let world = World::root(root).build();
        let new = world.dir.join("new.toml");
        fs::copy(world.config_file(), &new).expect("copy");
        chmod(&new, 0o666);
        let before = fs::read_to_string(world.config_file()).expect("config");
        let (said, code) = motmot(&world, &["policy", "apply", &new.to_string_lossy()]);
        assert!(code == Some(1) && said.contains("others than the owner can change it"), "{said}");
        assert_eq!(fs::read_to_string(world.config_file()).expect("config"), before);
        // Nor is a link replaced, which may be how a site keeps its configuration elsewhere.
        chmod(&new, 0o644);
        let link = world.dir.join("link.toml");
        std::os::unix::fs::symlink(world.config_file(), &link).expect("link");
        let mut command = world.as_driver(&world.bins.join("motmot"));
        let output = command.arg("--config").arg(&link).args(["policy", "apply"]).arg(&new).output().expect("motmot");
        assert_eq!(output.status.code(), Some(2));
        assert!(fs::symlink_metadata(&link).expect("link").is_symlink());
    }
);
