//! What the audit log keeps of a job, for other rules.

use crate::evidence::supposed::Supposed;
use crate::evidence::{Code, CodeOf, JobFacts, SignedFacts};
use crate::identity::Identity;

#[test]
fn what_the_log_keeps_of_a_job_is_all_that_rules_can_ask_of_it() {
    let identity = Identity::for_test(|facts| {
        facts["runner_id"] = 12.into();
        facts["groups"] = serde_json::json!({"member_of": ["a"], "not_of": {"These": ["b"]}});
        facts["signed"] = serde_json::json!({
            "source": {"id": 7, "path": "g/fork", "namespace_id": null}, "git_ref": "topic", "ref_type": null, "ref_protected": null,
            "environment": {"name": "production", "protected": true, "tier": "production"}, "groups_direct": ["c/d"],
            "project_visibility": null, "ci_config_ref_uri": null, "ci_config_sha": null,
        });
    });
    let facts = identity.facts();
    let kept = Supposed::of(facts).kept();
    assert!(kept.get("sha").is_none() && kept.get("job_name").is_none(), "{kept}");
    let read: Supposed = serde_json::from_value(kept).expect("its own words");
    let again = read.facts();
    assert_eq!((again.code(), again.own_ref(), again.human()), {
        let Code::Of(code) = facts.code() else { panic!("signed") };
        // Of which fork no rule asks.
        (Code::Of(CodeOf { project_path: None, ..code }), facts.own_ref(), facts.human())
    });
    assert_eq!(again.runner_id(), facts.runner_id());
    for group in ["a", "b", "c/d/e", "x"] {
        assert_eq!(again.is_in_group(group), facts.is_in_group(group), "{group}");
    }
    let environment = |facts: &JobFacts| {
        let found = facts.signed().and_then(SignedFacts::environment);
        found.map(|found| (found.name().to_owned(), found.protected()))
    };
    assert_eq!(environment(&again), environment(facts));
    assert_eq!(again.ci_stage(), facts.ci_stage());
    assert_eq!(again.ref_type(), facts.ref_type());
}
