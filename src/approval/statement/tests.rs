use proptest::prelude::*;

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn url(text: &str) -> BaseUrl {
    BaseUrl::parse(text).expect("an address")
}

fn statement() -> Statement {
    let subject = Subject::new(&url("https://gitlab.example.com"), 22, SHA, "svc-climate").expect("a subject");
    Statement::new(subject, Timestamp::from_second(1_800_000_000).expect("a time"))
}

#[test]
fn the_line_is_the_one_that_the_documentation_shows() {
    let line = format!(
        r#"{{"upstream_iss":"https://gitlab.example.com","project_id":22,"sha":"{SHA}","run_as":"svc-climate","not_after":1800000000}}"#
    );
    assert_eq!(statement().message(), format!("{line}\n"));
    assert_eq!(Statement::parse(&line), Ok(statement()));
    assert_eq!(namespace("https://ci.hpc.example"), "motmot-approve@https://ci.hpc.example");
}

#[test]
fn there_is_no_second_way_to_write_a_statement() {
    let message = statement().message();
    let line = message.trim_end();
    for (from, to) in [
        ("{\"upstream_iss\"", "{ \"upstream_iss\""),
        ("22", "22.0"),
        ("22", "022"),
        ("22", "\"22\""),
        ("svc-climate", "svc\\u002dclimate"),
        ("svc-climate\"", "svc-climate\",\"run_as\":\"arthur\""),
        ("\"not_after\":1800000000", "\"not_after\":1800000000,\"x\":1"),
        ("\"not_after\":1800000000", "\"not_after\":1.8e9"),
        (",\"not_after\":1800000000", ""),
        ("https://gitlab.example.com", "https://gitlab.example.com/"),
        ("https://gitlab.example.com", "https://GitLab.example.com"),
        ("https://gitlab.example.com", "https://gitlab.example.com:443"),
        ("https://gitlab.example.com", "http://gitlab.example.com"),
        ("0123456789abcdef0123", "0123456789ABCDEF0123"),
        (SHA, "0123456"),
        ("\"project_id\":22", "\"project_id\":0"),
        ("svc-climate", ""),
        ("svc-climate", "svc\\nclimate"),
        ("svc-climate", "svc-clim\u{430}te"),
        ("}", "} "),
        ("}", "}\n"),
    ] {
        let forged = line.replacen(from, to, 1);
        assert_ne!(forged, line, "{from}");
        assert_eq!(Statement::parse(&forged), Err(NotCanonical), "{forged}");
    }
}

#[test]
fn one_gitlab_has_one_name_and_two_have_two() {
    let of = |text: &str| Subject::new(&url(text), 1, SHA, "a").expect("a subject").gitlab;
    assert_eq!(of("https://GitLab.Example.com:443/Sub/"), "https://gitlab.example.com/Sub");
    let all = ["https://a.example", "https://a.example/sub", "https://a.example/Sub", "https://a.example:8443"];
    for (at, one) in all.iter().enumerate() {
        assert!(all[at + 1..].iter().all(|other| of(one) != of(other)), "{one}");
    }
}

#[test]
fn names_with_line_breaks_and_look_alikes_are_no_subject() {
    let gitlab = url("https://gitlab.example.com");
    for account in ["", "svc\nclimate", "svc climate", "svc-clim\u{430}te", "svc\0", "../root", "a\u{202e}b"] {
        assert_eq!(Subject::new(&gitlab, 1, SHA, account), Err(NoSubject::Account), "{account:?}");
    }
    for sha in ["", "main", &SHA[..39], &format!("{SHA}0"), &SHA.to_uppercase(), &SHA.replace('0', "\n")] {
        assert_eq!(Subject::new(&gitlab, 1, sha, "a"), Err(NoSubject::Commit), "{sha:?}");
    }
    assert!(Subject::new(&gitlab, 1, &SHA.repeat(2)[..64], "a").is_ok(), "SHA-256 repositories");
    assert_eq!(Subject::new(&gitlab, 0, SHA, "a"), Err(NoSubject::Project));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_statements_are_never_one_line_nor_one_name(
        a in ("[a-c]{1,3}", 1_u64..30, "[01]{40}", "[!-.0-~]{1,8}", 0_i64..9),
        b in ("[a-c]{1,3}", 1_u64..30, "[01]{40}", "[!-.0-~]{1,8}", 0_i64..9),
    ) {
        let of = |(host, project, sha, account, until): &(String, u64, String, String, i64)| {
            let subject = Subject::new(&url(&format!("https://{host}.example")), *project, sha, account).expect("a subject");
            Statement::new(subject, Timestamp::from_second(*until).expect("a time"))
        };
        let (one, two) = (of(&a), of(&b));
        prop_assert_eq!(one.message() == two.message(), a == b);
        prop_assert_eq!(one.subject.digest() == two.subject.digest(), one.subject == two.subject);
        prop_assert_eq!(Statement::parse(one.message().trim_end_matches('\n')), Ok(one));
    }
}
