use serde_json::{Value, json};

use super::*;
use crate::scheduler::slurm::KIND;

/// 2023-11-14T22:13:20Z
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) fn settings() -> Issuance {
    Issuance {
        issuer: "https://ci.hpc.example".into(),
        audience: "https://hpc.example".into(),
        ttl: Ttl::DEFAULT,
        upstream_iss: "https://gitlab.example.com".into(),
    }
}

pub(crate) fn account() -> Account {
    Account::for_test("arthur")
}

pub(crate) fn stage() -> StageContext {
    StageContext {
        executor_stage: "build_script".into(),
        site: None,
        cluster: Some("alps".into()),
        placement: Placement::Batch(BatchPlacement {
            kind: KIND,
            account: Some("g33".into()),
            partition: Some("debug".into()),
            qos: None,
            job_id: JobId::parse("1234_5"),
        }),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Of a job that differs from an ordinary one in this.
fn made(change: impl FnOnce(&mut Value), stage: &StageContext) -> Result<Claims, ClaimsError> {
    Claims::new(&settings(), &Identity::for_test(change), &account(), stage, at(NOW))
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    serde_json::to_value(made(change, &stage()).unwrap()).unwrap()
}

#[test]
fn a_full_token_has_gitlabs_names_and_types() {
    let mut value = claims(|_| ());
    let jti = value.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(Uuid::parse_str(jti.as_str().unwrap()).unwrap().get_version_num(), 7);
    assert_eq!(
        value,
        json!({
            "iss": "https://ci.hpc.example",
            "sub": "project_path:climate/core/model:ref_type:branch:ref:main",
            "aud": "https://hpc.example",
            "exp": NOW + 900, "iat": NOW, "nbf": NOW - 60,
            "namespace_id": "7", "namespace_path": "climate/core",
            "project_id": "22", "project_path": "climate/core/model",
            "job_namespace_id": "7", "job_namespace_path": "climate/core",
            "job_project_id": "22", "job_project_path": "climate/core/model",
            "user_id": "42", "user_login": "adent",
            "pipeline_id": "99", "pipeline_source": "push", "job_id": "4711",
            "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "runner_environment": "self-hosted", "upstream_iss": "https://gitlab.example.com",
            "assurance": "job-api", "identity_type": "job",
            "hpc": {
                "local_user": "arthur", "cluster": "alps", "scheduler": "slurm", "account": "g33",
                "partition": "debug", "job_id": "1234_5", "executor_stage": "build_script",
                "ci_stage": "build", "job_name": "build: [gcc]",
            },
        })
    );
}

#[test]
fn unknown_facts_are_left_out_and_never_become_defaults() {
    let bare = |facts: &mut Value| {
        for name in
            ["job_name", "ci_stage", "project_path", "pipeline_id", "git_ref", "ref_type", "ref_protected", "sha"]
        {
            facts[name] = Value::Null;
        }
        facts["namespace_id"] = 0.into();
        facts["pipeline_source"] = "".into();
    };
    let shell = StageContext { placement: Placement::Shell, cluster: None, ..stage() };
    let value = serde_json::to_value(made(bare, &shell).unwrap()).unwrap();
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "assurance",
            "aud",
            "exp",
            "hpc",
            "iat",
            "identity_type",
            "iss",
            "job_id",
            "job_project_id",
            "jti",
            "nbf",
            "runner_environment",
            "sub",
            "upstream_iss",
            "user_id",
            "user_login",
        ]
    );
    assert_eq!(value["sub"], "job_project_id:22:pipeline:unknown");
    let hpc = json!({"local_user": "arthur", "scheduler": "none", "executor_stage": "build_script"});
    assert_eq!(value["hpc"], hpc);
}

/// A pipeline's source, its ref, and the end of its subject.
const FOREIGN: [(&str, &str, &str); 5] = [
    ("merge_request_event", "refs/merge-requests/3/head", "merge_request"),
    ("merge_request_event", "refs/merge-requests/3/train", "merge_request"),
    // With old settings of GitLab: the name of a branch, which may be the fork's.
    ("merge_request_event", "main", "merge_request"),
    // A child pipeline of one of the above.
    ("parent_pipeline", "refs/merge-requests/3/head", "merge_request"),
    ("", "main", "unknown"),
];

#[test]
fn a_merge_requests_pipeline_speaks_for_no_branch_of_the_project_it_runs_in() {
    for (source, git_ref, end) in FOREIGN {
        let value = claims(|facts| {
            facts["pipeline_source"] = source.into();
            facts["git_ref"] = git_ref.into();
        });
        let names = value.as_object().unwrap().keys();
        let told: Vec<_> = names
            .filter(|name| ["project_", "namespace_", "ref"].iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        assert!(told.is_empty(), "{source} {git_ref}: {told:?}");
        assert_eq!(value["sub"], format!("job_project_path:climate/core/model:pipeline:{end}"));
        assert_eq!(
            ["job_namespace_id", "job_namespace_path", "job_project_id", "job_project_path"].map(|name| &value[name]),
            ["7", "climate/core", "22", "climate/core/model"]
        );
        assert_eq!((&value["user_login"], &value["job_id"]), (&json!("adent"), &json!("4711")));
    }
}

#[test]
fn no_name_that_others_take_for_a_login_is_at_top_level() {
    let value = claims(|_| ());
    for name in ["sun", "username", "uid", "gid", "groups", "scope", "name", "id"] {
        assert!(value.get(name).is_none(), "{name}");
    }
}

#[test]
fn the_full_ref_is_given_only_where_it_is_certain() {
    let path = |git_ref: &str, ref_type| {
        claims(|facts| (facts["git_ref"], facts["ref_type"]) = (git_ref.into(), json!(ref_type)))
            .get("ref_path")
            .cloned()
    };
    assert_eq!(path("v1", Some(RefType::Tag)), Some(json!("refs/tags/v1")));
    assert_eq!(path("refs/merge-requests/3/head", Some(RefType::Branch)), None);
    assert_eq!(path("main", None), None);
}

#[test]
fn protection_is_a_string_or_absent() {
    let claim = |fact: Option<bool>| claims(|facts| facts["ref_protected"] = fact.into()).get("ref_protected").cloned();
    assert_eq!(claim(Some(false)), Some(json!("false")));
    assert_eq!(claim(None), None);
}

#[test]
fn a_job_of_nobody_gets_no_token() {
    for (name, bad) in [
        ("user_id", json!(0)),
        ("job_id", json!(0)),
        ("project_id", json!(0)),
        ("user_login", json!("")),
        ("project_path", json!("")),
        ("git_ref", json!("")),
    ] {
        assert!(made(|facts| facts[name] = bad, &stage()).is_err(), "{name}");
    }
    let nobody = Account::for_test("");
    assert!(Claims::new(&settings(), &Identity::for_test(|_| ()), &nobody, &stage(), at(NOW)).is_err());
}

#[test]
fn a_clock_before_1970_gets_no_token() {
    for second in [-5, 0, 60] {
        let claims = Claims::new(&settings(), &Identity::for_test(|_| ()), &account(), &stage(), at(second));
        assert!(matches!(claims, Err(ClaimsError::Clock(_))));
    }
}

#[test]
fn each_token_has_an_id_of_its_own() {
    assert_ne!(claims(|_| ())["jti"], claims(|_| ())["jti"]);
}

#[test]
fn a_job_of_an_agent_is_its_humans_and_says_who_acts() {
    let value = claims(|facts| facts["scoped_user_id"] = 7.into());
    assert_eq!(value["user_id"], "7");
    assert!(value.get("user_login").is_none(), "GitLab does not tell it: {value}");
    assert_eq!(value["act"], json!({"sub": "42", "user_login": "adent"}));
    assert!(claims(|_| ()).get("act").is_none(), "whoever starts his own jobs acts for nobody");
}

/// What GitLab has signed for a job of project 22, whose code is that of this project.
fn signed(id: u64, path: &str) -> Value {
    json!({
        "source": {"id": id, "path": path, "namespace_id": 9}, "git_ref": "feature", "ref_type": "branch", "ref_protected": false,
        "environment": {"name": "production", "protected": true, "tier": "production"},
        "groups_direct": ["climate"], "project_visibility": "private", "ci_config_ref_uri": null, "ci_config_sha": null,
    })
}

#[test]
fn where_gitlab_has_signed_whose_code_it_is_a_token_says_the_same_as_gitlabs() {
    for (source, git_ref) in [
        ("merge_request_event", "refs/merge-requests/7/head"),
        ("parent_pipeline", "refs/merge-requests/7/head"),
        ("merge_request_event", "main"),
    ] {
        let value = claims(|facts| {
            facts["signed"] = signed(99, "stranger/model");
            facts["pipeline_source"] = source.into();
            facts["git_ref"] = git_ref.into();
        });
        // `main` is the target, or a name that a stranger chose: what was signed is the branch of the fork.
        assert_eq!(value["sub"], "project_path:stranger/model:ref_type:branch:ref:feature", "{source} {git_ref}");
        for (claim, said) in [
            ("project_id", "99"),
            ("project_path", "stranger/model"),
            ("namespace_id", "9"),
            ("namespace_path", "stranger"),
            ("job_project_id", "22"),
            ("job_project_path", "climate/core/model"),
            ("job_namespace_id", "7"),
            ("ref", "feature"),
            ("ref_type", "branch"),
            ("ref_path", "refs/heads/feature"),
            ("ref_protected", "false"),
            ("environment", "production"),
            ("environment_protected", "true"),
            ("deployment_tier", "production"),
            ("project_visibility", "private"),
        ] {
            assert_eq!(value[claim], said, "{source} {git_ref}: {claim}");
        }
        assert_eq!(value["groups_direct"], json!(["climate"]));
        assert!(value.get("ci_config_sha").is_none());
    }
    let own = claims(|facts| {
        facts["signed"] = signed(22, "climate/core/model");
        facts["pipeline_source"] = "merge_request_event".into();
    });
    assert_eq!(own["sub"], "project_path:climate/core/model:ref_type:branch:ref:feature");
}

#[test]
fn groups_that_are_too_many_for_a_token_are_left_out_as_a_whole() {
    let with = |groups: usize| {
        claims(|facts| {
            facts["signed"] = signed(22, "climate/core/model");
            facts["signed"]["groups_direct"] = json!(vec!["group/of/people"; groups]);
        })
    };
    assert_eq!(with(50)["groups_direct"].as_array().map(Vec::len), Some(50));
    assert!(with(60).get("groups_direct").is_none());
}

#[test]
fn of_a_job_whose_users_name_nobody_knows_a_token_says_the_number() {
    let value = claims(|facts| facts["user_login"] = Value::Null);
    assert_eq!((value["user_id"].as_str(), value.get("user_login")), (Some("42"), None));
}
