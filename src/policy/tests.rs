mod approved;
mod facts;
mod giving;
mod hook;
mod kept;
mod names;
mod sources;

use nix::unistd::{Gid, Uid};

use super::*;
use crate::config::{self, Section, Source};
use crate::policy::settings::{PolicySettings, Stands, read_accounts, read_policy, read_rule};
use crate::sys::accounts::PasswdEntry;
use crate::sys::login::LoginRules;

/// A name service of a few lines.
struct People;

impl AccountDb for People {
    fn by_name(&self, name: &str) -> Result<Option<PasswdEntry>, LookupError> {
        let entry = |name: &str, uid, shell: &str| Some(PasswdEntry::for_test(name, uid, 100, shell));
        Ok(match name {
            "adent" | "arthur" => entry(name, 1001, "/bin/bash"),
            "ford" => entry(name, 1002, "/bin/zsh"),
            "Trillian" => entry("trillian", 1003, "/bin/bash"),
            "root" | "toor" => entry(name, 0, "/bin/bash"),
            "munge" => entry(name, 105, "/bin/bash"),
            "locked" => entry(name, 1004, "/usr/sbin/nologin"),
            "wheeler" => entry(name, 1005, "/bin/bash"),
            "expired" => entry(name, 1006, "/bin/bash"),
            "evening" => entry(name, 1007, "/bin/bash"),
            _ => None,
        })
    }

    fn by_uid(&self, uid: Uid) -> Result<Option<PasswdEntry>, LookupError> {
        self.by_name(match uid.as_raw() {
            0 => "root",
            1001 => "arthur",
            1002 => "ford",
            _ => "",
        })
    }

    fn groups(&self, entry: &PasswdEntry) -> Result<Vec<Gid>, LookupError> {
        Ok(if entry.name() == "wheeler" { vec![Gid::from_raw(10), entry.gid()] } else { vec![entry.gid()] })
    }

    fn group_name(&self, gid: Gid) -> Result<Option<String>, LookupError> {
        Ok(match gid.as_raw() {
            10 => Some("wheel".into()),
            100 => Some("users".into()),
            _ => None,
        })
    }

    fn may_begin(&self, entry: &PasswdEntry, rules: &LoginRules) -> Result<Result<(), Barred>, LookupError> {
        match (entry.name(), rules) {
            ("expired", _) => Ok(Err(Barred::Expired)),
            ("evening", _) => Ok(Err(Barred::Closed("back at 8".into()))),
            (name, LoginRules::Pam(service)) => {
                Err(LookupError::Login { name: name.into(), rules: service.clone(), why: "silent".into() })
            }
            _ => Ok(Ok(())),
        }
    }
}

fn decide_for(login: &str, config: &str) -> Result<Admission, PolicyError> {
    decide_in(Mode::ChangeUser { own: Uid::from_raw(1009) }, login, config)
}

fn decide_in(mode: Mode, login: &str, config: &str) -> Result<Admission, PolicyError> {
    decide_with(mode, config, |facts| facts["user_login"] = login.into())
}

fn decide_with(
    mode: Mode,
    config: &str,
    change: impl FnOnce(&mut serde_json::Value),
) -> Result<Admission, PolicyError> {
    let (limits, policy, rules) = limits_and_rules(config);
    let rules = Rules { map: &rules, policy: &policy, limits: &limits };
    decide(
        &rules,
        mode,
        &Identity::for_test(change),
        None,
        Machine { accounts: &People, tables: &table::Files, approvals: &NoApprovals, hook: &NoHook },
    )
}

fn limits_and_rules(config: &str) -> (AccountLimits, PolicySettings, Vec<MapRule>) {
    let source = Source::new("c.toml", format!("# Lines\n# before it.\n{config}"));
    let read = |mut root: Section<'_>| {
        let limits = read_accounts(root.section("accounts"));
        let policy = root.section("policy");
        let policy = read_policy(policy, root.section("groups"));
        let rules: Option<Vec<_>> =
            root.tables("map", |section| read_rule(section, &policy.groups, Stands::InTheFile)).into_iter().collect();
        Some((limits, policy, rules?))
    };
    config::read(&source, read).expect("valid config")
}

const SAME_NAME: &str = "[[map]]\nrun_as = \"{gitlab_user}\"\n";

#[test]
fn the_first_rule_that_matches_decides() {
    let config = "[[map]]\nname = \"arthur\"\nwhen = { user = \"adent\" }\nrun_as = \"arthur\"\n[[map]]\nrun_as = \"{gitlab_user}\"\n";
    let admission = decide_for("adent", config).expect("admitted");
    assert_eq!((admission.account().name(), admission.decision().rule()), ("arthur", "\"arthur\" (line 3)"));
    assert_eq!(decide_for("ford", config).expect("admitted").account().name(), "ford");
}

#[test]
fn conditions_are_exact_and_all_must_hold() {
    let config = "[[map]]\nwhen = { user = \"adent\", user_id = 42 }\nrun_as = \"arthur\"\n";
    assert!(decide_for("adent", config).is_ok());
    for other in ["Adent", "adent2", "xadent", ""] {
        assert!(decide_for(other, config).is_err(), "{other:?}");
    }
    assert!(decide_for("adent", "[[map]]\nwhen = { user = \"adent\", user_id = 43 }\nrun_as = \"arthur\"\n").is_err());
}

#[test]
fn who_is_not_mapped_is_refused() {
    assert!(decide_for("adent", "").is_err());
}

#[test]
fn nobody_becomes_root_a_system_account_a_denied_one_or_a_locked_one() {
    let limits = "[accounts]\ndeny_users = [\"ford\"]\ndeny_groups = [\"wheel\"]\n";
    for name in [
        "root",
        "toor",
        "munge",
        "ford",
        "wheeler",
        "locked",
        "nobody-there",
        "Trillian",
        "1001",
        "-x",
        "a/b",
        "a:b",
        "",
    ] {
        let refused = decide_for(name, &format!("{limits}{SAME_NAME}"));
        assert!(matches!(refused, Err(PolicyError::Refused { .. })), "{name:?}");
    }
    assert!(decide_for("adent", &format!("{limits}{SAME_NAME}")).is_ok());
}

#[test]
fn a_denied_account_is_denied_under_its_other_name_too() {
    assert!(decide_for("adent", &format!("[accounts]\ndeny_users = [\"arthur\"]\n{SAME_NAME}")).is_err());
}

#[test]
fn nobody_becomes_the_account_that_the_driver_runs_as() {
    // By number, so that another name of it is no way round.
    let own = Mode::ChangeUser { own: Uid::from_raw(1001) };
    for name in ["adent", "arthur"] {
        assert!(decide_in(own, name, SAME_NAME).is_err(), "{name}");
    }
    assert!(decide_in(own, "ford", SAME_NAME).is_ok());
}

#[test]
fn a_later_stage_goes_on_only_as_the_very_account_that_is_still_admitted() {
    let mode = Mode::ChangeUser { own: Uid::from_raw(1009) };
    let again = |name: &str, uid, config: &str| {
        readmit(&Decision::for_test(name, uid), &limits_and_rules(config).0, mode, &People)
    };
    assert_eq!(again("ford", 1002, "").expect("admitted").uid(), Uid::from_raw(1002));
    assert!(matches!(again("ford", 1003, ""), Err(NoLonger::OtherNumber { .. })));
    for (name, uid, config) in [
        ("ford", 1002, "[accounts]\ndeny_users = [\"ford\"]\n"),
        ("ford", 1002, "[accounts]\nmin_uid = 2000\n"),
        ("locked", 1004, ""),
        ("root", 0, ""),
        ("nobody-there", 1006, ""),
    ] {
        let refused = again(name, uid, config).expect_err("refused");
        assert!(matches!(refused, NoLonger::NotAdmitted { .. }), "{name}: {refused}");
        assert_eq!(refused.kind(), FailureKind::System, "{name}");
    }
}

#[test]
fn a_refusal_of_a_later_stage_tells_its_author_no_more_than_one_at_the_beginning() {
    let again = |mode, name: &str, uid, config: &str| {
        readmit(&Decision::for_test(name, uid), &limits_and_rules(config).0, mode, &People).expect_err("refused")
    };
    let shared = Mode::ChangeUser { own: Uid::from_raw(1009) };
    let cases = [
        ("ford", 1003, ""),
        ("ford", 1002, "[accounts]\ndeny_users = [\"ford\"]\n"),
        ("ford", 1002, "[accounts]\nmin_uid = 2000\n"),
        ("locked", 1004, ""),
        ("nobody-there", 1006, ""),
    ];
    let refusals = cases.map(|(name, uid, config)| again(shared, name, uid, config));
    let words: std::collections::BTreeSet<String> = refusals.iter().map(Fault::for_author).collect();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(cases.iter().all(|(name, ..)| !words.first().is_some_and(|words| words.contains(name))), "{words:?}");
    assert!(refusals[1].for_admin().contains("deny_users"), "{}", refusals[1].for_admin());
    let own = again(Mode::OnlySelf(Uid::from_raw(1002)), "adent", 1001, "");
    assert!(own.for_author().contains("adent"), "one's own runner says what is wrong: {}", own.for_author());
}

#[test]
fn cleanup_goes_on_as_an_account_that_policy_no_longer_admits_but_never_as_root_or_the_driver() {
    let mode = Mode::ChangeUser { own: Uid::from_raw(1001) };
    let admitted = |name: &str, uid| {
        matches!(for_cleanup(&Decision::for_test(name, uid), mode, &People), Ok(ForCleanup::Account(_)))
    };
    assert!(admitted("locked", 1004) && admitted("wheeler", 1005));
    assert!(!admitted("root", 0) && !admitted("toor", 0) && !admitted("arthur", 1001));
    assert!(!admitted("ford", 1003), "another account has the name by now");
    assert!(!admitted("nobody-there", 1006));
}

#[test]
fn allowed_shells_are_exact() {
    let config = format!("[accounts]\nshells = [\"/bin/bash\"]\n{SAME_NAME}");
    assert!(decide_for("adent", &config).is_ok());
    assert!(decide_for("ford", &config).is_err());
    assert!(
        decide_for("locked", &format!("[accounts]\nshells = [\"/usr/sbin/nologin\"]\n{SAME_NAME}")).is_ok(),
        "a site may list it"
    );
}

#[test]
fn all_refusals_read_the_same_to_the_author() {
    let words: std::collections::BTreeSet<String> =
        ["", SAME_NAME, "[[map]]\nrun_as = \"munge\"\n", "[[map]]\nrun_as = \"nobody-there\"\n"]
            .iter()
            .map(|config| decide_for("root", config).expect_err("refused").for_author())
            .collect();
    assert_eq!(words.len(), 1, "{words:?}");
    let admin = decide_for("root", SAME_NAME).expect_err("refused").for_admin();
    assert!(admin.contains("uid 0"), "{admin}");
}

#[test]
fn one_users_own_runner_runs_as_that_user_only() {
    let own = Mode::OnlySelf(Uid::from_raw(1002));
    assert!(decide_in(own, "ford", SAME_NAME).expect("admitted").account().to_become_is_same());
    assert!(decide_in(own, "adent", SAME_NAME).is_err());
    assert!(
        decide_in(Mode::OnlySelf(Uid::from_raw(0)), "root", SAME_NAME).is_ok(),
        "root's own runner, by root's own choice"
    );
}

impl Account {
    fn to_become_is_same(&self) -> bool {
        self.to_become() == Account::for_test("").to_become()
    }
}

#[test]
fn an_account_that_may_not_log_in_runs_no_job_and_a_machine_that_is_closed_is_no_refusal() {
    let refused = decide_for("expired", SAME_NAME).expect_err("refused");
    assert!(matches!(&refused, PolicyError::Refused { .. }) && refused.to_string().contains("it has expired"));
    let closed = decide_for("evening", SAME_NAME).expect_err("closed");
    assert_eq!((closed.kind(), closed.for_author()), (FailureKind::System, closed.to_string()));
    assert!(closed.to_string().contains("back at 8"), "{closed}");
    // One user's own runner is in a session of that user already.
    assert!(decide_in(Mode::OnlySelf(Uid::from_raw(1006)), "expired", SAME_NAME).is_ok());
    // A job that has begun goes on, as a login does.
    let (limits, ..) = limits_and_rules("");
    let mode = Mode::ChangeUser { own: Uid::from_raw(1009) };
    assert!(readmit(&Decision::for_test("evening", 1007), &limits, mode, &People).is_ok());
}

#[test]
fn a_pam_that_gives_no_answer_lets_nobody_in_and_refuses_nobody() {
    let own = Mode::ChangeUser { own: Uid::from_raw(0) };
    let config = format!("[accounts]\npam_service = \"motmot-x\"\n{SAME_NAME}");
    let silent = decide_in(own, "ford", &config).expect_err("no answer");
    assert!(matches!(silent, PolicyError::Lookup(LookupError::Login { .. })) && silent.kind() == FailureKind::System);
    assert!(decide_for("ford", &config).is_err(), "what was named counts, whoever asks");
    assert!(decide_in(own, "ford", &format!("[accounts]\npam_service = \"none\"\n{SAME_NAME}")).is_ok());
}

const OWN: Mode = Mode::ChangeUser { own: Uid::from_raw(1009) };

fn account(config: &str, change: impl FnOnce(&mut serde_json::Value)) -> Option<String> {
    decide_with(OWN, config, change).ok().map(|admission| admission.account().name().to_owned())
}

fn rule(when: &str) -> String {
    format!("[[map]]\nwhen = {{ {when} }}\nrun_as = \"ford\"\n")
}

/// As in the pipeline of a merge request.
fn merge_request(facts: &mut serde_json::Value) {
    facts["pipeline_source"] = "merge_request_event".into();
    facts["git_ref"] = "refs/merge-requests/7/head".into();
}

#[test]
fn each_condition_holds_for_what_it_names_and_for_nothing_else() {
    for (yes, no) in [
        ("user = [\"zaphod\", \"adent\"]", "user = [\"zaphod\", \"ford\"]"),
        ("user_id = [7, 42]", "user_id = 43"),
        ("project = \"climate/**\"", "project = \"climate/*\""),
        ("project = [\"x/y\", \"climate/core/model\"]", "project = \"climate/core/mode\""),
        ("project_id = 22", "project_id = [2, 222]"),
        ("namespace = \"climate/*\"", "namespace = \"climate\""),
        ("ref = \"main\"", "ref = \"mai\""),
        ("ref_type = \"branch\"", "ref_type = \"tag\""),
        ("ref_protected = true", "ref_protected = false"),
        ("pipeline_source = [\"web\", \"push\"]", "pipeline_source = \"web\""),
        ("from_fork = false", "from_fork = true"),
        ("bot = false", "bot = true"),
        ("ci_stage = [\"test\", \"build\"]", "ci_stage = \"buil\""),
    ] {
        for (conditions, wanted) in [
            (yes.to_owned(), true),
            (no.to_owned(), false),
            (format!("not = {{ {yes} }}"), false),
            (format!("not = {{ {no} }}"), true),
            (format!("{yes}, not = {{ {no} }}"), true),
        ] {
            assert_eq!(account(&rule(&conditions), |_| ()).is_some(), wanted, "{conditions}");
        }
    }
}

#[test]
fn of_what_is_excluded_nothing_may_hold_and_everything_must_be_known() {
    let excluded = rule("not = { user = \"zaphod\", ref = \"dev/*\" }");
    assert!(account(&excluded, |_| ()).is_some());
    assert!(account(&excluded, |facts| facts["git_ref"] = "dev/x".into()).is_none());
    assert!(account(&excluded, |facts| facts["git_ref"] = serde_json::Value::Null).is_none());
}

#[test]
fn a_group_is_all_of_its_members_and_nobody_else() {
    let config =
        format!("[groups]\ncrew = [\"adent\", \"ford\"]\nnobody = []\n{}", rule("user = [\"@crew\", \"zaphod\"]"));
    for (login, wanted) in [("adent", true), ("zaphod", true), ("@crew", false), ("crew", false), ("adent2", false)] {
        assert_eq!(account(&config, |facts| facts["user_login"] = login.into()).is_some(), wanted, "{login}");
    }
    assert!(account(&config.replace("@crew\", \"zaphod", "@nobody"), |_| ()).is_none());
}

#[test]
fn code_of_which_nobody_says_whose_it_is_gets_no_account_that_is_the_projects() {
    let service = rule("project = \"climate/**\"");
    let everybody = "[[map]]\nrun_as = \"ford\"\n".to_owned();
    let personal = [SAME_NAME.to_owned(), rule("user = \"adent\""), rule("user_id = 42, project = \"climate/**\"")];
    let no_source = |facts: &mut serde_json::Value| facts["pipeline_source"] = serde_json::Value::Null;
    let child = |facts: &mut serde_json::Value| {
        merge_request(facts);
        facts["pipeline_source"] = "parent_pipeline".into();
    };
    for config in [&service, &everybody] {
        assert!(account(config, |_| ()).is_some(), "{config}");
        for change in [merge_request as fn(&mut serde_json::Value), no_source, child] {
            assert!(account(config, change).is_none(), "{config}");
            let allowed = format!("[policy]\nmerge_requests_of_forks = \"allow\"\n{config}");
            assert!(account(&allowed, change).is_some(), "{allowed}");
        }
        // Known to be a fork's, which no GitLab tells a runner yet.
        assert!(
            account(&config.replace("when = {", "when = { from_fork = true,"), merge_request).is_none(),
            "{config}"
        );
    }
    for config in personal {
        for change in [merge_request as fn(&mut serde_json::Value), no_source, child] {
            assert!(account(&config, change).is_some(), "{config}");
            let refused = format!("[policy]\nmerge_requests_of_forks = \"refuse\"\n{config}");
            assert!(account(&refused, change).is_none(), "{refused}");
            assert!(account(&refused, |_| ()).is_some(), "{refused}");
        }
    }
    // The next rule may be for it.
    assert_eq!(account(&format!("{service}{SAME_NAME}"), merge_request).as_deref(), Some("adent"));
    assert_eq!(account(&format!("{service}{SAME_NAME}"), |_| ()).as_deref(), Some("ford"));
}

#[test]
fn a_bot_matches_rules_that_name_it_and_no_other() {
    let bot = |facts: &mut serde_json::Value| facts["user_login"] = "project_22_bot_0a1b".into();
    for (conditions, wanted) in [
        ("project = \"climate/**\"", false),
        ("not = { user = \"x\" }", false),
        ("bot = false", false),
        ("not = { bot = false }", false),
        ("bot = true", true),
        ("user = [\"adent\", \"project_22_bot_0a1b\"]", true),
        ("user_id = 42", false),
        ("user_id = 42, bot = true", true),
    ] {
        assert_eq!(account(&rule(conditions), bot).is_some(), wanted, "{conditions}");
    }
    assert!(account("[[map]]\nrun_as = \"ford\"\n", bot).is_none());
}

#[test]
fn the_admin_reads_of_each_rule_why_it_does_not_match() {
    let config = [
        rule("user = \"ford\""),
        rule("project_id = 22, not = { ref = \"main\" }"),
        rule("project = \"climate/**\", from_fork = true"),
        rule("user_id = 1").repeat(4),
    ]
    .concat();
    let error = decide_with(OWN, &config, |_| ()).expect_err("refused").to_string();
    let wanted = "is refused: line 3: user does not hold; line 6: not.ref holds; line 9: from_fork does not hold; line 12: user_id does not hold; line 15: user_id does not hold; and 2 more";
    assert!(error.ends_with(wanted), "{error}");
    let error = decide_with(OWN, &rule("project_id = 22"), merge_request).expect_err("refused").to_string();
    assert!(error.contains("line 3: the code may come from a fork"), "{error}");
    let error = decide_with(OWN, &rule("ref = \"main\""), merge_request).expect_err("refused").to_string();
    assert!(error.contains("line 3: ref is not known of this job"), "{error}");
}

#[test]
fn an_agent_that_acts_for_somebody_has_no_account_by_a_rule_that_does_not_say_so() {
    for config in [
        SAME_NAME.to_owned(),
        rule("user_id = 42"),
        rule("bot = false"),
        rule("not = { acting_for = true }"),
        rule("acting_for = false"),
        "[[map]]\nrun_as = \"ford\"\n".into(),
    ] {
        assert!(account(&config, |_| ()).is_some(), "{config}");
        assert!(account(&config, |facts| facts["scoped_user_id"] = 7.into()).is_none(), "{config}");
    }
}

#[test]
fn who_is_mapped_where_an_agent_acts_is_the_human_and_not_the_agent() {
    // Of the human the number 7 is known, and no name; "adent" with number 42 is the agent.
    let acting = |facts: &mut serde_json::Value| facts["scoped_user_id"] = 7.into();
    for (conditions, wanted) in [
        ("acting_for = true, user_id = 7", true),
        ("acting_for = true", true),
        ("acting_for = true, user_id = 42", false),
        ("acting_for = true, user = \"adent\"", false),
        ("acting_for = true, not = { user = \"ford\" }", false),
        ("acting_for = true, not = { user_id = 42 }", true),
    ] {
        assert_eq!(account(&rule(conditions), acting).is_some(), wanted, "{conditions}");
        assert!(account(&rule(conditions), |_| ()).is_none(), "for agents only: {conditions}");
    }
    let by_name = "[[map]]\nwhen = { acting_for = true }\nrun_as = \"{gitlab_user}\"\n";
    let error = decide_with(OWN, by_name, acting).expect_err("the agent's name is not the human's").to_string();
    assert!(error.contains("only the number 7 is known"), "{error}");
    let error = decide_with(OWN, SAME_NAME, acting).expect_err("refused").to_string();
    assert!(error.contains("acts for GitLab user number 7") && error.contains("acting_for = true"), "{error}");
}
