//! What a token must say.

use super::*;

/// A token of GitLab that says this.
fn of(change: impl FnOnce(&mut Value)) -> Result<Bound, IdTokenError> {
    static GITLAB: LazyLock<Server> = LazyLock::new(|| Server::with_keys(|| jwks(&KEYS[0], "gitlab")));
    let gitlab = gitlab(&GITLAB.url);
    verdict(&gitlab, &signed(&KEYS[0], "gitlab", &claims(&GITLAB.url, change)), None, NOW)
}

#[test]
fn a_genuine_token_of_this_job_brings_its_user_and_whose_code_it_is() {
    let bound = of(|_| ()).expect("it holds");
    assert_eq!((bound.user_id(), bound.user_login.as_str(), bound.pipeline_source.as_str()), (42, "adent", "push"));
    assert_eq!(bound.facts.source().map(SourceProject::id), Some(7));
    assert_eq!(bound.runner_id, Some(1));
    assert!(of(|claims| claims["aud"] = json!([AUDIENCE])).is_ok(), "a list of one");
    let fork = of(|claims| {
        claims["project_id"] = json!("9");
        claims["project_path"] = json!("stranger/project");
        claims["environment"] = json!("production");
        claims["environment_protected"] = json!("true");
        claims["groups_direct"] = json!(["a", "b/c"]);
    });
    let fork = fork.expect("it holds");
    assert_eq!(fork.project_path.as_deref(), Some("group/project"));
    let source = fork.facts.source().expect("known");
    assert_eq!((source.id(), source.path()), (9, Some("stranger/project")));
    let environment = fork.facts.environment().expect("known");
    assert_eq!((environment.name(), environment.protected(), environment.tier()), ("production", Some(true), None));
    assert_eq!(fork.facts.groups_direct(), Some(&["a".to_owned(), "b/c".to_owned()][..]));
}

#[test]
fn a_token_of_another_job_user_pipeline_or_project_is_refused() {
    for (claim, other) in [("job_id", "102"), ("user_id", "43"), ("pipeline_id", "56"), ("job_project_id", "8")] {
        let error = of(|claims| claims[claim] = json!(other)).unwrap_err();
        assert!(matches!(error, IdTokenError::Mismatch { .. }), "{claim}: {error}");
        assert_eq!(error.kind(), FailureKind::Build);
    }
}

#[test]
fn a_claim_that_is_missing_or_of_another_form_is_refused() {
    for claim in ["job_id", "user_id", "pipeline_id", "project_id", "user_login", "pipeline_source"] {
        for bad in
            [json!(null), json!(""), json!(101), json!("0"), json!(" 101"), json!("+101"), json!(["101"]), json!("٣")]
        {
            // Of names any text is one, of numbers none of these.
            if claim.ends_with("_id") || !bad.is_string() || bad == "" {
                let error = of(|claims| claims[claim] = bad.clone()).unwrap_err();
                assert!(matches!(error, IdTokenError::Claim(named) if named == claim), "{claim} {bad}: {error}");
            }
        }
    }
    for (claim, bad) in [
        ("job_project_id", json!(7)),
        ("runner_id", json!("1")),
        ("runner_id", json!(0)),
        ("runner_id", json!(-1)),
        ("ref_protected", json!(true)),
        ("ref_protected", json!("yes")),
        ("environment", json!(7)),
        ("groups_direct", json!("a")),
        ("groups_direct", json!([1])),
        ("groups_direct", json!(vec!["a"; 201])),
    ] {
        assert!(matches!(of(|claims| claims[claim] = bad.clone()), Err(IdTokenError::Claim(_))), "{claim} {bad}");
    }
}

#[test]
fn a_token_for_another_audience_for_others_as_well_of_another_issuer_or_time_is_refused() {
    let others = of(|claims| claims["aud"] = json!([AUDIENCE, "https://evil.example"])).unwrap_err();
    assert!(matches!(others, IdTokenError::ForOthers), "{others}");
    for (claim, other) in [
        ("aud", json!("https://evil.example")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("iss", json!("https://gitlab.example")),
        ("iss", json!(null)),
        ("exp", json!(NOW - 31)),
        ("exp", json!(NOW + 40 * 86_400)),
        ("nbf", json!(NOW + 31)),
        ("iat", json!(NOW + 31)),
        ("exp", json!("never")),
        ("sub", json!("")),
    ] {
        let error = of(|claims| claims[claim] = other.clone()).unwrap_err();
        assert!(matches!(error, IdTokenError::NotVerified(_)), "{claim} {other}: {error}");
        assert_eq!(error.kind(), FailureKind::Build);
    }
}

#[test]
fn a_gitlab_that_does_not_tell_running_and_source_project_apart_leaves_the_source_unknown() {
    let older = |claims: &mut Value| {
        for claim in ["job_project_id", "job_project_path", "job_namespace_id"] {
            claims.as_object_mut().expect("claims").remove(claim);
        }
    };
    let bound = of(older).expect("it holds");
    assert_eq!((bound.facts.source(), bound.project_path.as_deref()), (None, Some("group/project")));
    let elsewhere = of(|claims| {
        older(claims);
        claims["project_id"] = json!("9");
    });
    assert!(matches!(elsewhere, Err(IdTokenError::Mismatch { what: "the project", .. })));
}

#[test]
fn a_fork_is_one_by_whichever_claim_names_it() {
    let source = |project: &str, source: &str| {
        of(|claims| {
            claims["project_id"] = json!(project);
            claims["source_project_id"] = json!(source);
        })
        .map(|bound| bound.facts.source().expect("known").id())
    };
    assert_eq!(source("7", "9").ok(), Some(9));
    assert_eq!(source("9", "9").ok(), Some(9));
    assert_eq!(source("7", "7").ok(), Some(7));
    assert!(matches!(source("9", "7"), Err(IdTokenError::Claim("source_project_id"))));
    assert!(matches!(source("9", "8"), Err(IdTokenError::Claim("source_project_id"))));
}

#[test]
fn what_is_too_long_to_be_a_name_is_not_known() {
    let bound = of(|claims| {
        claims["ref"] = json!("r".repeat(2000));
        claims["environment"] = json!("e".repeat(2000));
    });
    let bound = bound.expect("it holds");
    assert_eq!((bound.facts.git_ref, bound.facts.environment), (None, None));
}
