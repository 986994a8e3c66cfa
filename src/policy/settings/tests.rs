use super::*;
use crate::config::{self, Source};
use crate::policy::condition::Condition;

fn rules(text: &str) -> Result<Vec<MapRule>, String> {
    let source = Source::new("c.toml", text);
    let read = |mut root: Section<'_>| {
        root.tables("map", |section| read_rule(section, &Groups::new(), Stands::InTheFile)).into_iter().collect()
    };
    config::read(&source, read).map_err(|error| error.to_string())
}

#[test]
fn rules_keep_their_order_and_line() {
    let map = rules("\n\n\n[[map]]\nwhen = { user = \"adent\" }\nrun_as = \"arthur\"\n\n[[map]]\nname = \"rest\"\nrun_as = \"{gitlab_user}\"\n").expect("valid");
    assert_eq!(map[0].run_as, RunAs::Account("arthur".into()));
    assert_eq!(map[0].when.all, [Condition::User(vec!["adent".into()])]);
    assert_eq!((map[0].place.line(), map[1].place.line()), (4, 8));
    assert_eq!(map[1].when, When::default());
}

#[test]
fn a_condition_that_this_version_does_not_know_is_not_ignored() {
    // Ignoring it would widen the rule.
    for (when, key) in [
        ("{ ref_protekted = true }", "map.when.ref_protekted"),
        ("{ not = { protected = true } }", "map.when.not.protected"),
    ] {
        let error = rules(&format!("[[map]]\nwhen = {when}\nrun_as = \"svc\"\n")).unwrap_err();
        assert!(error.contains(&format!("unknown key `{key}`")), "{error}");
    }
}

#[test]
fn problems_of_a_rule_carry_their_places() {
    for (text, wanted) in [
        ("[[map]]\nrun_as = \"x\"\nslurm = [\"--uid=0\"]\n", "3:10: `map.slurm`: `--uid=0` cannot be set"),
        ("[[map]]\nrun_as = \"x\"\n[[map]]\nname = \"y\"\n", "3:1: `map.run_as` is missing"),
        ("[[map]]\nrun_as = \"x\"\nwhen = { user = [] }\n", "3:17: `map.when.user` is a list of none"),
        ("[[map]]\nrun_as = \"x\"\nwhen = { user = \"@all\" }\n", "3:17: `map.when.user` names the group \"@all\""),
        ("[[map]]\nrun_as = \"x\"\nwhen = { project = [\"a/b\", \"a/?\"] }\n", "3:28: `map.when.project` has '?'"),
        (
            "[[map]]\nrun_as = \"x\"\nwhen = { user_id = \"42\" }\n",
            "3:20: `map.when.user_id` must be a whole number or a list",
        ),
        ("[[map]]\nrun_as = \"x\"\n[[map]]\nrun_as = \"{user}\"\n", "4:10: `map.run_as` knows {gitlab_user} only"),
    ] {
        let error = rules(text).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn no_limit_lets_root_in() {
    let limits = |text: &str| {
        config::read(&Source::new("c.toml", text), |mut root| Some(read_accounts(root.section("accounts"))))
            .map_err(|error| error.to_string())
    };
    assert_eq!(limits("[accounts]\nmin_uid = 1\n").expect("valid").min_uid, 1);
    for number in ["0", "4294967296"] {
        let error = limits(&format!("[accounts]\nmin_uid = {number}\n")).unwrap_err();
        assert!(error.contains("`accounts.min_uid` must be between 1 and 4294967295 (root is refused"), "{error}");
    }
}
