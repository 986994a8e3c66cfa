//! Facts that few rules ask for.

use serde_json::{Value, json};

use super::{account, merge_request, rule};

/// What GitLab has signed for a job that deploys to something.
fn deploys_to(name: &str, protected: Option<bool>) -> impl Fn(&mut Value) {
    let environment = json!({"name": name, "protected": protected, "tier": null});
    move |facts| facts["signed"] = json!({"environment": environment})
}

#[test]
fn what_a_job_deploys_to_is_what_gitlab_has_signed_and_otherwise_matches_nothing() {
    for (yes, no) in [
        ("environment = \"production/*\"", "environment = [\"production\", \"staging/**\"]"),
        ("environment_protected = true", "environment_protected = false"),
    ] {
        let production = deploys_to("production/eu", Some(true));
        for (conditions, wanted) in [(yes, true), (no, false)] {
            let not = format!("not = {{ {conditions} }}");
            assert_eq!(account(&rule(conditions), &production).is_some(), wanted, "{conditions}");
            assert_eq!(account(&rule(&not), &production).is_some(), !wanted, "{not}");
            // Without a token, and with one of a job that deploys to nothing.
            for rule in [rule(conditions), rule(&not)] {
                assert!(account(&rule, |_| ()).is_none(), "{rule}");
                assert!(account(&rule, |facts| facts["signed"] = json!({})).is_none(), "{rule}");
            }
        }
    }
    for conditions in ["environment_protected = true", "not = { environment_protected = true }"] {
        assert!(account(&rule(conditions), deploys_to("production", None)).is_none(), "{conditions}");
    }
    // Whoever opens a merge request from a fork names the environment, too.
    let fork = |facts: &mut Value| {
        deploys_to("production/eu", Some(true))(facts);
        merge_request(facts);
    };
    assert!(account(&rule("environment = \"production/*\", environment_protected = true"), fork).is_none());
}

#[test]
fn a_runner_is_the_one_that_has_the_job_and_is_unknown_where_nobody_says_so() {
    for (conditions, wanted) in [
        ("runner = 12", true),
        ("runner = [11, 12]", true),
        ("runner = [1, 122]", false),
        ("not = { runner = 12 }", false),
        ("not = { runner = [1, 2] }", true),
    ] {
        let on = |facts: &mut Value| facts["runner_id"] = 12.into();
        assert_eq!(account(&rule(conditions), on).is_some(), wanted, "{conditions}");
        assert!(account(&rule(conditions), |_| ()).is_none(), "{conditions}");
    }
}

/// What GitLab has answered: the groups that he is in, and others.
fn asked(member_of: &[&str], not_of: &[&str]) -> impl Fn(&mut Value) {
    let groups = json!({"member_of": member_of, "not_of": {"These": not_of}});
    move |facts| facts["groups"] = groups.clone()
}

/// What GitLab has signed.
fn listed(groups: &[&str]) -> impl Fn(&mut Value) {
    let signed = json!({"groups_direct": groups});
    move |facts| facts["signed"] = signed.clone()
}

#[test]
fn who_is_in_one_of_the_groups_is_a_member_and_who_is_none_is_known_of_each() {
    let (some, none) = (rule("gitlab_group = [\"a/b\", \"c\"]"), rule("not = { gitlab_group = [\"a/b\", \"c\"] }"));
    for (facts, is_member, is_none) in [
        (asked(&["c"], &["a/b"]), true, false),
        (asked(&["c"], &[]), true, false),
        (asked(&[], &["a/b", "c"]), false, true),
        (asked(&[], &["c"]), false, false),
        (asked(&["a", "a/b/c", "A/B", "c/a/b", "cc"], &[]), false, false),
        (asked(&[], &[]), false, false),
    ] {
        assert_eq!(account(&some, &facts).is_some(), is_member);
        assert_eq!(account(&none, &facts).is_some(), is_none);
    }
}

#[test]
fn an_id_token_says_of_groups_and_those_below_them_that_one_is_in_them_and_of_none_that_one_is_not() {
    let (some, none) = (rule("gitlab_group = \"a/b\""), rule("not = { gitlab_group = \"a/b\" }"));
    for (groups, is_member) in
        [(&["a/b"][..], true), (&["x", "a"], true), (&["a/b/c", "a/bc", "b", "/a/b", "a/"], false), (&[], false)]
    {
        assert_eq!(account(&some, listed(groups)).is_some(), is_member, "{groups:?}");
        assert!(account(&none, listed(groups)).is_none(), "{groups:?}: he may be by an invited group");
    }
    // What GitLab answers counts: the token may be of a member whose time is over.
    let both = |facts: &mut Value| {
        listed(&["a"])(facts);
        asked(&[], &["a/b"])(facts);
    };
    assert!(account(&some, both).is_none() && account(&none, both).is_some());
    // The groups of an agent are not those of whom it acts for.
    let agent = |facts: &mut Value| {
        listed(&["a/b"])(facts);
        facts["scoped_user_id"] = 7.into();
    };
    assert!(account(&rule("acting_for = true, gitlab_group = \"a/b\""), agent).is_none());
}

#[test]
fn the_path_of_a_group_is_a_path_and_nothing_else() {
    let read =
        |path: &str| std::panic::catch_unwind(|| account(&rule(&format!("gitlab_group = {path:?}")), |_| ())).is_ok();
    assert!(read("climate") && read("climate/core-1/x_y.z"));
    for bad in
        ["", "/", "a/", "/a", "a//b", "..", "a/../b", "a/.b", "a b", "a?x", "a#x", "a%2Fb", "a\\b", "kl\u{ef}ma", "a/*"]
    {
        assert!(!read(bad), "{bad}");
    }
}
