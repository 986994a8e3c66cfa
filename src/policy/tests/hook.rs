//! What a site's hook can do, and what it cannot.

use std::cell::RefCell;

use super::*;
use crate::approval::{Approver, Asked, Unapproved};
use crate::policy::hook::{Answer, settings};

const OWN: Mode = Mode::ChangeUser { own: Uid::from_raw(1009) };

/// Answers always the same, and remembers what it was asked: account, requested account.
struct Says<F>(F, RefCell<Vec<(String, Option<String>)>>);

impl<F: Fn() -> Result<Answer, HookError>> Hook for Says<F> {
    fn ask(&self, proposal: &Proposal<'_>) -> Result<Answer, HookError> {
        let asked = (proposal.account.name().to_owned(), proposal.requested.map(str::to_owned));
        self.1.borrow_mut().push(asked);
        (self.0)()
    }
}

/// Approves commits for one account.
struct For(&'static str);

impl Approvals for For {
    fn approver(&self, asked: Asked<'_>) -> Result<Result<Approver, Unapproved>, ApprovalError> {
        let approver = serde_json::json!({"principal": "crew", "key": "SHA256:a", "until": "2026-12-01T00:00:00Z"});
        Ok(if asked.account == self.0 {
            Ok(serde_json::from_value(approver).expect("an approver"))
        } else {
            Err(Unapproved::OtherAccount)
        })
    }
}

/// The same for two.
struct Both;
impl Approvals for Both {
    fn approver(&self, asked: Asked<'_>) -> Result<Result<Approver, Unapproved>, ApprovalError> {
        For(if asked.account == "ford" { "ford" } else { "arthur" }).approver(asked)
    }
}

type Heard = Vec<(String, Option<String>)>;

fn ask_with(
    config: &str,
    requested: Option<&str>,
    approvals: &dyn Approvals,
    says: impl Fn() -> Result<Answer, HookError>,
    change: impl FnOnce(&mut serde_json::Value),
) -> (Result<Admission, PolicyError>, Heard) {
    let (mut limits, policy, map) = limits_and_rules(config);
    limits.hook_account = Some("wheeler".to_owned());
    let rules = Rules { map: &map, policy: &policy, limits: &limits };
    let hook = Says(says, RefCell::default());
    let machine = Machine { accounts: &People, tables: &table::Files, approvals, hook: &hook };
    let decided = decide(&rules, OWN, &Identity::for_test(change), requested, machine);
    (decided, hook.1.into_inner())
}

fn ask(
    config: &str,
    verdict: &Verdict,
    change: impl FnOnce(&mut serde_json::Value),
) -> (Result<Admission, PolicyError>, Heard) {
    let answer = || Ok(Answer { verdict: verdict.clone(), message: None, reason: None });
    ask_with(config, None, &NoApprovals, answer, change)
}

fn named(name: &str) -> Verdict {
    Verdict::Account(name.to_owned())
}

const RULE: &str = "[[map]]\nrun_as = \"arthur\"\nmay_request = [\"ford\", \"locked\", \"munge\", \"toor\", \"expired\", \"absent\", \"wheeler\", \"evening\"]\n";

#[test]
fn a_hook_accepts_refuses_or_names_another_account_of_the_rule() {
    let (admission, asked) = ask(RULE, &Verdict::Accept, |_| ());
    assert_eq!(admission.expect("admitted").account().name(), "arthur");
    assert_eq!(asked, [("arthur".to_owned(), None)]);
    assert_eq!(ask(RULE, &named("arthur"), |_| ()).0.expect("the same").account().name(), "arthur");
    let (admission, _) = ask(RULE, &named("ford"), |_| ());
    let admission = admission.expect("admitted");
    assert_eq!((admission.account().name(), admission.decision().account()), ("ford", "ford"));
    assert_eq!(admission.account().uid(), Uid::from_raw(1002));
    assert!(matches!(ask(RULE, &Verdict::Refuse, |_| ()).0, Err(PolicyError::Refused { .. })));
}

#[test]
fn an_account_that_a_hook_names_passes_every_limit_that_others_pass() {
    for (name, why) in [
        ("root", "which is not in may_request"),
        ("adent", "which is not in may_request"),
        ("", "which is not in may_request"),
        ("../ford", "which is not in may_request"),
        ("toor", "is root (uid 0)"),
        ("munge", "below accounts.min_uid"),
        ("locked", "the login shell"),
        ("absent", "there is no local account"),
        ("expired", "may not begin a session here"),
        ("wheeler", "the site's hook runs as"),
    ] {
        let (admission, asked) = ask(RULE, &named(name), |_| ());
        let error = admission.expect_err(name);
        assert!(error.to_string().contains(why), "{name}: {error}");
        assert_eq!((error.kind(), asked.len()), (FailureKind::Build, 1), "{name}");
        assert!(!error.for_author().contains(why), "{name}");
    }
    assert!(matches!(ask(RULE, &named("evening"), |_| ()).0, Err(PolicyError::Closed(_))));
    let denied = format!("[accounts]\ndeny_users = [\"ford\"]\n{RULE}");
    let error = ask(&denied, &named("ford"), |_| ()).0.expect_err("denied");
    assert!(error.to_string().contains("accounts.deny_users"), "{error}");
}

#[test]
fn a_hook_is_told_of_no_account_that_nobody_has_and_of_no_job_without_a_rule() {
    for config in [
        "[[map]]\nrun_as = \"toor\"\nmay_request = \"ford\"\n",
        "[[map]]\nrun_as = \"absent\"\nmay_request = \"ford\"\n",
        "[[map]]\nrun_as = \"wheeler\"\nmay_request = \"ford\"\n",
        "[[map]]\nwhen = { user = \"nobody\" }\nrun_as = \"arthur\"\n",
    ] {
        let (admission, asked) = ask(config, &named("ford"), |_| ());
        assert!(admission.is_err() && asked.is_empty(), "{config}: {asked:?}");
    }
}

#[test]
fn no_job_becomes_the_account_of_the_hook_under_any_of_its_names() {
    let decided = |hook: &str| {
        let (mut limits, policy, map) = limits_and_rules("[[map]]\nrun_as = \"arthur\"\n");
        limits.hook_account = Some(hook.to_owned());
        let rules = Rules { map: &map, policy: &policy, limits: &limits };
        decide(&rules, OWN, &Identity::for_test(|_| ()), None, Machine { accounts: &People, ..Machine::THIS })
    };
    // Both are uid 1001.
    for hook in ["arthur", "adent"] {
        let error = decided(hook).expect_err("the hook's own").to_string();
        assert!(error.contains("no job becomes it"), "{error}");
    }
    assert!(decided("ford").is_ok());
}

#[test]
fn a_job_that_asks_for_an_account_has_that_one_whatever_a_hook_says() {
    let answer = |name: &'static str| move || Ok(Answer { verdict: named(name), message: None, reason: None });
    let rule = "[[map]]\nrun_as = \"adent\"\nmay_request = [\"ford\", \"arthur\"]\n";
    let (admission, asked) = ask_with(rule, Some("ford"), &NoApprovals, answer("ford"), |_| ());
    assert_eq!(admission.expect("admitted").account().name(), "ford");
    assert_eq!(asked, [("ford".to_owned(), Some("ford".to_owned()))]);
    let (admission, _) = ask_with(rule, Some("ford"), &NoApprovals, answer("arthur"), |_| ());
    let error = admission.expect_err("another one").to_string();
    assert!(error.contains("the job asks for another one"), "{error}");
}

#[test]
fn a_hook_gives_no_account_of_a_project_to_the_code_of_a_fork() {
    let merge_request = |facts: &mut serde_json::Value| facts["pipeline_source"] = "merge_request_event".into();
    // A person's own account, and beside it one that is not.
    let rule = "[[map]]\nrun_as = \"{gitlab_user}\"\nmay_request = [\"ford\"]\n";
    assert_eq!(ask(rule, &Verdict::Accept, merge_request).0.expect("himself").account().name(), "adent");
    assert_eq!(ask(rule, &named("ford"), |_| ()).0.expect("own code").account().name(), "ford");
    let error = ask(rule, &named("ford"), merge_request).0.expect_err("perhaps a fork's").to_string();
    assert!(error.contains("the code may come from a fork"), "{error}");
}

#[test]
fn an_account_that_a_hook_names_needs_an_approval_of_its_own() {
    let rule = "[[map]]\nrun_as = \"arthur\"\nmay_request = [\"ford\"]\napproved_by = \"crew\"\n";
    let answer = || Ok(Answer { verdict: named("ford"), message: None, reason: None });
    let error = ask_with(rule, None, &For("arthur"), answer, |_| ()).0.expect_err("not approved for it").to_string();
    assert!(error.contains("approved_by does not hold"), "{error}");
    assert_eq!(ask_with(rule, None, &Both, answer, |_| ()).0.expect("both").account().name(), "ford");
}

#[test]
fn a_refusal_by_a_hook_reads_as_every_other_but_for_its_own_words_to_the_author() {
    let refuses = |message: Option<&'static str>| {
        move || {
            let (message, reason) = (message.map(str::to_owned), Some("expired contract".to_owned()));
            Ok(Answer { verdict: Verdict::Refuse, message, reason })
        }
    };
    let silent = ask_with(RULE, None, &NoApprovals, refuses(None), |_| ()).0.expect_err("refused");
    let by_rule = ask("[[map]]\nwhen = { user = \"nobody\" }\nrun_as = \"arthur\"\n", &Verdict::Accept, |_| ()).0;
    assert_eq!(silent.for_author(), by_rule.expect_err("no rule").for_author());
    let told = ask_with(RULE, None, &NoApprovals, refuses(Some("ask your PI")), |_| ()).0.expect_err("refused");
    assert_eq!(told.for_author().replace("The site says: ask your PI\n", ""), silent.for_author());
    assert!(
        told.to_string().contains("the hook refuses it: expired contract; it tells the author: ask your PI"),
        "{told}"
    );
    assert_eq!(told.kind(), FailureKind::Build);
}

#[test]
fn a_hook_that_gives_no_answer_admits_nobody_and_refuses_nobody() {
    let digest = settings::Digest([0; 32]);
    let errors: [fn(settings::Digest) -> HookError; 3] = [
        |_| HookError::NoAnswer { path: "/etc/hook".into(), why: "no answer within 10 s".into() },
        |pinned| HookError::OtherDigest { path: "/etc/hook".into(), found: settings::Digest([1; 32]), pinned },
        |_| HookError::Untold("a name".into()),
    ];
    for error in errors {
        let (admission, _) = ask_with(RULE, None, &NoApprovals, || Err(error(digest)), |_| ());
        let error = admission.expect_err("no answer");
        assert_eq!(error.kind(), FailureKind::System, "{error}");
        assert!(!error.for_author().contains("/etc/hook"), "{}", error.for_author());
    }
    let (admission, _) = ask_with(RULE, None, &NoApprovals, || Err(HookError::NoLogin(7)), |_| ());
    let error = admission.expect_err("no login");
    assert!(error.kind() == FailureKind::Build && error.to_string().contains("only the number 7 is known"), "{error}");
}

#[test]
fn a_hook_gives_no_account_that_the_job_would_not_have_by_asking_for_it() {
    let pool = [
        "[[map]]\nrun_as = \"{gitlab_user}\"\nmay_request = [\"ford\"]\n",
        "[[map]]\nwhen = { user = \"adent\" }\nrun_as = \"arthur\"\nmay_request = [\"ford\", \"locked\"]\n",
        "[[map]]\nwhen = { ref_protected = true }\nrun_as = \"ford\"\nmay_request = [\"arthur\"]\n",
        "[[map]]\nmay_request = [\"arthur\", \"ford\"]\n",
        "[[map]]\nwhen = { project_id = 22 }\nrun_as = \"arthur\"\nmay_request = [\"ford\"]\napproved_by = \"crew\"\n",
        "[[map]]\nwhen = { from_fork = true }\nrun_as = \"arthur\"\nmay_request = [\"ford\"]\n",
    ];
    let changes: [fn(&mut serde_json::Value); 3] = [
        |_| (),
        |facts| facts["pipeline_source"] = "merge_request_event".into(),
        |facts| facts["user_login"] = "ford".into(),
    ];
    let mut named_ones = 0;
    for (first, second, third) in (0..6).flat_map(|a| (0..6).flat_map(move |b| (0..6).map(move |c| (a, b, c)))) {
        let config = [pool[first], pool[second], pool[third]].concat();
        for (change, name) in
            changes.into_iter().flat_map(|change| ["arthur", "ford", "locked"].map(|name| (change, name)))
        {
            let plain = ask(&config, &Verdict::Accept, change).0;
            let Ok(by_hook) = ask_with(&config, None, &For("ford"), || Ok(answer(named(name))), change).0 else {
                continue;
            };
            let same = |admission: &Admission| admission.account().name() == by_hook.account().name();
            if plain.as_ref().is_ok_and(same) {
                continue;
            }
            named_ones += 1;
            let asking = ask_with(&config, Some(name), &For("ford"), || Ok(answer(Verdict::Accept)), change).0;
            assert_eq!(asking.expect("by asking").account().name(), by_hook.account().name(), "{name}:\n{config}");
        }
    }
    assert!(named_ones > 50, "{named_ones}");
}

fn answer(verdict: Verdict) -> Answer {
    Answer { verdict, message: None, reason: None }
}
