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
