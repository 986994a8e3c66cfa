use nix::unistd::{Gid, Uid};

use super::*;
use crate::config::{self, Section, Source};
use crate::policy::settings::{read_accounts, read_rule};
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
    let (limits, rules) = limits_and_rules(config);
    let identity = Identity::for_test(|facts| facts["user_login"] = login.into());
    decide(&rules, &limits, mode, &identity, &People)
}

fn limits_and_rules(config: &str) -> (AccountLimits, Vec<MapRule>) {
    let source = Source::new("c.toml", format!("# Lines\n# before it.\n{config}"));
    let read = |mut root: Section<'_>| {
        let limits = read_accounts(root.section("accounts"));
        let rules: Option<Vec<_>> = root.tables("map", read_rule).into_iter().collect();
        Some((limits, rules?))
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
    let (limits, _) = limits_and_rules("");
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
