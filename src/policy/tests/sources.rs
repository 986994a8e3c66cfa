//! Facts that only some sources know.

use serde_json::{Value, json};

use super::{account, decide_with, merge_request, rule};
use crate::policy::Mode;

/// What GitLab has signed for a job of project 22: whose code it is, and of which branch.
fn signed(source: u64, git_ref: &str) -> Value {
    json!({
        "source": {"id": source, "path": "stranger/model", "namespace_id": 9}, "git_ref": git_ref, "ref_type": "branch",
        "ref_protected": true, "environment": null, "groups_direct": null, "project_visibility": null,
        "ci_config_ref_uri": null, "ci_config_sha": null,
    })
}

fn merge_request_of(source: u64, git_ref: &'static str) -> impl Fn(&mut Value) {
    move |facts| {
        merge_request(facts);
        facts["signed"] = signed(source, git_ref);
    }
}

#[test]
fn a_merge_request_of_the_projects_own_is_known_by_what_gitlab_has_signed_and_one_of_a_fork_too() {
    let service = "[[map]]\nwhen = { project_id = 22, ref = \"main\", ref_protected = true }\nrun_as = \"arthur\"\n";
    assert_eq!(account(service, merge_request), None, "nobody has said");
    assert_eq!(account(service, merge_request_of(22, "main")).as_deref(), Some("arthur"));
    assert_eq!(account(service, merge_request_of(22, "feature")), None, "of another branch");
    assert_eq!(account(service, merge_request_of(22, "refs/merge-requests/7/head")), None, "no branch");
    assert_eq!(account(service, merge_request_of(99, "main")), None, "main of a fork");
    for (when, own, fork) in [("from_fork = true", false, true), ("from_fork = false", true, false)] {
        let config = rule(when);
        assert_eq!(account(&config, merge_request_of(22, "feature")).is_some(), own, "{when}");
        assert_eq!(account(&config, merge_request_of(99, "feature")).is_some(), fork, "{when}");
        assert_eq!(account(&config, merge_request), None, "{when}: nobody has said");
    }
}

#[test]
fn a_pipeline_that_seems_to_be_the_projects_own_is_none_where_gitlab_has_signed_another_source() {
    let push_of_a_fork = |facts: &mut Value| facts["signed"] = signed(99, "main");
    let service = "[[map]]\nwhen = { project_id = 22 }\nrun_as = \"arthur\"\n";
    assert_eq!(account(service, |_| ()).as_deref(), Some("arthur"));
    assert_eq!(account(service, push_of_a_fork), None);
    assert_eq!(account(&rule("ref = \"main\""), push_of_a_fork), None);
}

#[test]
fn a_user_of_whom_only_the_number_is_known_matches_rules_that_name_it_and_is_no_account() {
    let nameless = |facts: &mut Value| facts["user_login"] = Value::Null;
    assert!(account("[[map]]\nwhen = { user_id = 42 }\nrun_as = \"arthur\"\n", nameless).is_some());
    assert!(account("[[map]]\nwhen = { user_id = 42, project_id = 22 }\nrun_as = \"arthur\"\n", nameless).is_some());
    for when in [
        "",
        "user = \"adent\"",
        "user_id = 43",
        "project_id = 22",
        "bot = true",
        "bot = false",
        "user_id = 42, bot = false",
        "user_id = 42, not = { user = \"ford\" }",
    ] {
        let config = format!("[[map]]\nwhen = {{ {when} }}\nrun_as = \"arthur\"\n");
        assert_eq!(account(&config, nameless), None, "{when}");
    }
    let own = "[[map]]\nwhen = { user_id = 42 }\nrun_as = \"{gitlab_user}\"\n";
    let mode = Mode::ChangeUser { own: nix::unistd::Uid::from_raw(1009) };
    let refused = decide_with(mode, own, nameless).expect_err("nobody").to_string();
    assert!(refused.contains("GitLab user number 42") && refused.contains("only the number 42 is known"), "{refused}");
}
