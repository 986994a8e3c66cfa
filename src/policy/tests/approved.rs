//! Rules that ask for approvals.

use std::cell::RefCell;

use super::*;
use crate::approval::{ApprovalError, Approver, Asked, Unapproved};

/// Has approved commit 01.. of project 22 for `svc`, and remembers what it was asked.
struct Maintainers(RefCell<Vec<(String, Vec<String>)>>);

impl Approvals for Maintainers {
    fn approver(&self, asked: Asked<'_>) -> Result<Result<Approver, Unapproved>, ApprovalError> {
        let Asked { project_id, sha, account, wanted } = asked;
        self.0.borrow_mut().push((account.to_owned(), wanted.to_vec()));
        let is_this = project_id == 22 && sha.is_some_and(|sha| sha.starts_with("01")) && account == "arthur";
        if account == "ford" {
            return Err(ApprovalError::NotConfigured);
        }
        Ok(if is_this && wanted.contains(&"maintainers".to_owned()) {
            let approver =
                serde_json::json!({"principal": "maintainers", "key": "SHA256:a", "until": "2026-12-01T00:00:00Z"});
            Ok(serde_json::from_value(approver).expect("an approver"))
        } else {
            Err(Unapproved::OtherCommit)
        })
    }
}

fn machine(approvals: &Maintainers) -> Machine<'_> {
    Machine { accounts: &People, tables: &table::Files, approvals, hook: &NoHook }
}

const RULES: &str = "[groups]\ncrew = [\"maintainers\", \"managers\"]\nnobody = []\n\
    [[map]]\nwhen = { project_id = 22 }\nrun_as = \"arthur\"\napproved_by = APPROVERS\n\
    [[map]]\nrun_as = \"{gitlab_user}\"\n";

fn ask(
    approvers: &str,
    login: &str,
    change: impl FnOnce(&mut serde_json::Value),
) -> (Result<Admission, PolicyError>, Maintainers) {
    let (limits, policy, rules) = limits_and_rules(&RULES.replace("APPROVERS", approvers));
    let identity = Identity::for_test(|facts| {
        facts["user_login"] = login.into();
        change(facts);
    });
    let (approvals, mode) = (Maintainers(RefCell::default()), Mode::ChangeUser { own: Uid::from_raw(1009) });
    let rules = Rules { map: &rules, policy: &policy, limits: &limits };
    (decide(&rules, mode, &identity, None, machine(&approvals)), approvals)
}

#[test]
fn an_approved_commit_has_the_account_of_the_rule_and_another_goes_on_to_the_next() {
    for approvers in ["\"maintainers\"", "[\"managers\", \"maintainers\"]", "\"@crew\""] {
        let (admission, asked) = ask(approvers, "adent", |_| ());
        let admission = admission.expect("admitted");
        assert_eq!(admission.account().name(), "arthur");
        assert_eq!(admission.decision().approver().map(Approver::principal), Some("maintainers"));
        assert!(asked.0.borrow().iter().all(|(account, _)| account == "arthur"));
        // Later stages read it back.
        let record = serde_json::to_string(admission.decision()).expect("a record");
        let back: Decision = serde_json::from_str(&record).expect("the same");
        assert_eq!(&back, admission.decision());
    }
    for approvers in ["\"managers\"", "\"@nobody\"", "[\"Maintainers\"]"] {
        let (admission, _) = ask(approvers, "adent", |_| ());
        let admission = admission.expect("admitted");
        assert_eq!((admission.account().name(), admission.decision().approver()), ("adent", None), "{approvers}");
    }
    let (admission, _) = ask("\"maintainers\"", "adent", |facts| facts["sha"] = serde_json::Value::Null);
    assert_eq!(admission.expect("admitted").account().name(), "adent");
}

#[test]
fn why_an_approval_does_not_count_is_told_to_the_admin_and_not_to_the_author() {
    let (refused, _) = ask("\"managers\"", "nobody", |_| ());
    let refused = refused.expect_err("refused");
    let first = ask("\"managers\"", "nobody", |facts| facts["project_id"] = 7.into()).0.expect_err("refused");
    assert_eq!(refused.for_author(), first.for_author());
    let rules = RULES.replace("APPROVERS", "\"managers\"").replace("[[map]]\nrun_as = \"{gitlab_user}\"\n", "");
    let (limits, policy, map) = limits_and_rules(&rules);
    let approvals = Maintainers(RefCell::default());
    let mode = Mode::ChangeUser { own: Uid::from_raw(1009) };
    let identity = Identity::for_test(|_| ());
    let refused =
        decide(&Rules { map: &map, policy: &policy, limits: &limits }, mode, &identity, None, machine(&approvals));
    let words = refused.expect_err("no rule").for_admin();
    assert!(words.contains("line 6: approved_by does not hold: the approval is for another commit"), "{words}");
}

#[test]
fn an_approval_lifts_no_other_condition_and_is_asked_for_last() {
    let foreign = |facts: &mut serde_json::Value| facts["pipeline_source"] = "merge_request_event".into();
    let (admission, asked) = ask("\"maintainers\"", "adent", foreign);
    assert_eq!(admission.expect("admitted").account().name(), "adent");
    assert!(asked.0.borrow().is_empty(), "nobody was asked");
    let (admission, _) = ask("\"maintainers\"", "adent", |facts| facts["project_id"] = 23.into());
    assert_eq!(admission.expect("admitted").account().name(), "adent");
}

#[test]
fn approvals_that_cannot_be_judged_are_the_sites_failure_and_no_reason_for_another_rule() {
    let config = RULES.replace("APPROVERS", "\"maintainers\"").replace("\"arthur\"", "\"ford\"");
    let (limits, policy, map) = limits_and_rules(&config);
    let (approvals, identity) = (Maintainers(RefCell::default()), Identity::for_test(|_| ()));
    let mode = Mode::ChangeUser { own: Uid::from_raw(1009) };
    let error =
        decide(&Rules { map: &map, policy: &policy, limits: &limits }, mode, &identity, None, machine(&approvals));
    assert_eq!(error.expect_err("not judged").kind(), FailureKind::System);
}

#[test]
fn a_rule_without_approved_by_asks_nobody() {
    assert!(decide_for("adent", SAME_NAME).is_ok(), "there are no approvals to ask");
}

#[test]
fn an_account_that_the_job_asks_for_needs_an_approval_of_its_own() {
    let config = "[[map]]\nrun_as = \"arthur\"\nmay_request = [\"adent\"]\napproved_by = \"maintainers\"\n";
    let (limits, policy, map) = limits_and_rules(config);
    let (rules, mode) =
        (Rules { map: &map, policy: &policy, limits: &limits }, Mode::ChangeUser { own: Uid::from_raw(1009) });
    let decided = |requested| {
        let approvals = Maintainers(RefCell::default());
        let admission = decide(&rules, mode, &Identity::for_test(|_| ()), requested, machine(&approvals));
        (admission.map(|admission| admission.account().name().to_owned()), approvals.0.into_inner())
    };
    assert_eq!(decided(None).0.expect("approved"), "arthur");
    let (refused, asked) = decided(Some("adent"));
    assert!(refused.is_err(), "approved as another account");
    assert_eq!(asked, [("adent".to_owned(), vec!["maintainers".to_owned()])]);
}
