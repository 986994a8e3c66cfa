//! What rules give: accounts from tables, and accounts that jobs ask for.

use super::*;
use crate::policy::table::Table;

/// `staff.map`, and no other table.
struct Staff;

impl Tables for Staff {
    fn read(&self, path: &std::path::Path) -> Result<Table, TableError> {
        match path.to_str() {
            Some("/staff.map") => Ok(Table::for_test("zaphod ford\nid:42 arthur\n")),
            _ => Table::for_test("broken")
                .account_of(crate::evidence::Human { id: 1, login: None })
                .map(|_| unreachable!()),
        }
    }
}

fn given(
    config: &str,
    requested: Option<&str>,
    change: impl FnOnce(&mut serde_json::Value),
) -> Result<String, PolicyError> {
    let (limits, policy, map) = limits_and_rules(config);
    let rules = Rules { map: &map, policy: &policy, limits: &limits };
    let machine = Machine { accounts: &People, tables: &Staff, approvals: &NoApprovals, hook: &NoHook };
    let admission = decide(&rules, OWN, &Identity::for_test(change), requested, machine)?;
    Ok(admission.account().name().to_owned())
}

const TABLE: &str = "[[map]]\nrun_as = \"table:/staff.map\"\n";

#[test]
fn a_table_gives_each_user_his_account_and_who_is_not_in_it_goes_on_to_the_next_rule() {
    assert_eq!(given(TABLE, None, |_| ()).expect("by number"), "arthur");
    let zaphod = |facts: &mut serde_json::Value| {
        facts["user_login"] = "zaphod".into();
        facts["user_id"] = 1.into();
    };
    assert_eq!(given(TABLE, None, zaphod).expect("by name"), "ford");
    let ford = |facts: &mut serde_json::Value| {
        facts["user_login"] = "ford".into();
        facts["user_id"] = 2.into();
    };
    let error = given(TABLE, None, ford).expect_err("in no line").to_string();
    assert!(error.contains("line 3: its table (run_as) does not have the user"), "{error}");
    assert_eq!(given(&format!("{TABLE}{SAME_NAME}"), None, ford).expect("himself"), "ford");
    // A person's account, which a merge request's pipeline has too.
    assert_eq!(given(TABLE, None, merge_request).expect("own account"), "arthur");
}

#[test]
fn nobody_is_mapped_by_what_comes_after_a_table_that_cannot_be_used() {
    let config = format!("[[map]]\nrun_as = \"table:/other.map\"\n{SAME_NAME}");
    let error = given(&config, None, |_| ()).expect_err("unusable");
    assert!(matches!(error, PolicyError::Table(_)) && error.kind() == FailureKind::System, "{error}");
    assert!(!error.for_author().contains("other.map"), "{}", error.for_author());
    let aside = format!("[[map]]\nwhen = {{ user = \"nobody\" }}\nrun_as = \"table:/other.map\"\n{SAME_NAME}");
    assert!(given(&aside, None, |_| ()).is_ok(), "a table that is not asked for is not read");
}

const REQUESTS: &str = "[[map]]\nwhen = { project_id = 22 }\nmay_request = [\"ford\", \"wheeler\"]\n";

#[test]
fn a_job_has_the_account_that_it_asks_for_if_its_rule_has_that_one_and_else_none() {
    let with_own = format!("{REQUESTS}run_as = \"arthur\"\n");
    for (config, requested, wanted) in [
        (with_own.as_str(), None, Some("arthur")),
        (&with_own, Some("ford"), Some("ford")),
        (&with_own, Some("arthur"), Some("arthur")),
        (&with_own, Some("adent"), None),
        (&with_own, Some("Ford"), None),
        (&with_own, Some("root"), None),
        (&with_own, Some("ford,arthur"), None),
        (&with_own, Some(""), None),
        (REQUESTS, None, None),
        (REQUESTS, Some("wheeler"), Some("wheeler")),
        (SAME_NAME, Some("ford"), None),
        (SAME_NAME, Some("adent"), Some("adent")),
    ] {
        assert_eq!(given(config, requested, |_| ()).ok().as_deref(), wanted, "{config} {requested:?}");
    }
    // Not as somebody else either, by a rule that comes later.
    let then_all = format!("{REQUESTS}{SAME_NAME}");
    assert_eq!(given(&then_all, None, |_| ()).expect("himself"), "adent");
    let error = given(&then_all, Some("munge"), |_| ()).expect_err("another").to_string();
    assert!(error.contains("asks for the account \"munge\", which is not in may_request"), "{error}");
}

#[test]
fn limits_hold_for_accounts_that_jobs_ask_for() {
    let config = format!("[accounts]\ndeny_groups = [\"wheel\"]\n{REQUESTS}");
    let error = given(&config, Some("wheeler"), |_| ()).expect_err("denied").to_string();
    assert!(error.contains("is in group \"wheel\""), "{error}");
}

#[test]
fn who_asks_is_whoever_wrote_the_pipeline_so_a_fork_asks_for_nothing() {
    let person = "[[map]]\nwhen = { user_id = 42 }\nrun_as = \"arthur\"\nmay_request = \"ford\"\n";
    assert_eq!(given(person, None, merge_request).expect("his own"), "arthur");
    assert_eq!(given(person, Some("ford"), |_| ()).expect("the project's own code"), "ford");
    let error = given(person, Some("ford"), merge_request).expect_err("perhaps a fork's").to_string();
    assert!(error.contains("the code may come from a fork"), "{error}");
    let allowed = format!("[policy]\nmerge_requests_of_forks = \"allow\"\n{person}");
    assert_eq!(given(&allowed, Some("ford"), merge_request).expect("the site has said so"), "ford");
}
