use super::*;
use crate::config::{self, Source};

fn gitlab(text: &str) -> Result<GitLabSettings, String> {
    let source = Source::new("c.toml", text);
    config::read(&source, |mut root| read_gitlab(root.section("gitlab"))).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_says_what_is_missing() {
    let error = gitlab("").unwrap_err();
    assert!(error.contains("c.toml:1:1: the section [gitlab] is missing (add [gitlab] with url"), "{error}");
}

#[test]
fn the_address_of_the_api_is_told_to_be_that_of_gitlab() {
    for (url, front) in [
        ("https://g.example/api/v4", "https://g.example"),
        ("https://g.example/api/v4/", "https://g.example"),
        ("https://g.example/git/api/v4/job", "https://g.example/git"),
    ] {
        let error = gitlab(&format!("[gitlab]\nurl = {url:?}\n")).expect_err(url);
        assert!(error.contains("not of ") && error.ends_with(&format!("write {front:?}")), "{error}");
    }
    assert!(gitlab("[gitlab]\nurl = \"https://g.example/api/v4beta\"\n").is_ok());
}

#[test]
fn a_question_to_gitlab_is_bounded() {
    let url = "[gitlab]\nurl = \"https://g.example\"\n";
    assert_eq!(gitlab(url).expect("valid").timeout, Duration::from_secs(10));
    assert_eq!(gitlab(&format!("{url}timeout = \"1m\"\n")).expect("valid").timeout, Duration::from_mins(1));
    let error = gitlab(&format!("{url}timeout = \"61s\"\n")).unwrap_err();
    assert!(error.contains(":3:11: `gitlab.timeout` must be 1m or less: the runner waits meanwhile"), "{error}");
}

#[test]
fn sources_that_must_agree_are_a_list_and_an_id_token_is_for_somebody() {
    let read =
        |lines: &str| gitlab(&format!("[gitlab]\nurl = \"https://g.example\"\n{lines}")).map(|read| read.identity);
    let token = |variable: &str| IdTokenSettings { variable: variable.into(), audience: "https://ci.example".into() };
    let audience = "id_token_audience = \"https://ci.example\"";
    assert_eq!(read(""), Ok(Sources::JobApi));
    assert_eq!(read("identity = [\"job-api\"]"), Ok(Sources::JobApi));
    assert_eq!(read("identity = \"payload\""), Ok(Sources::Payload));
    assert_eq!(read(&format!("identity = \"id-token\"\n{audience}")), Ok(Sources::IdToken(token(DEFAULT_VARIABLE))));
    for list in ["[\"id-token\", \"job-api\"]", "[\"job-api\", \"id-token\", \"job-api\"]"] {
        let both = read(&format!("identity = {list}\n{audience}\nid_token_variable = \"T\""));
        assert_eq!(both, Ok(Sources::JobApiAndIdToken(token("T"))));
    }
    for (lines, said) in [
        ("identity = \"id-token\"", "`gitlab.id_token_audience` is missing"),
        ("identity = \"id-token\"\nid_token_audience = \"\"", "`gitlab.id_token_audience` "),
        ("identity = []", "`gitlab.identity` is a list of none"),
        ("identity = \"variables\"", "`gitlab.identity` is \"variables\", but must be \"job-api\" or"),
        ("identity = [\"payload\", \"job-api\"]", "names \"payload\" beside others"),
        ("id_token_variable = \"A B\"", "`gitlab.id_token_variable` is not the name of a variable"),
        ("id_token_variable = \"1A\"", "`gitlab.id_token_variable` is not the name of a variable"),
    ] {
        let error = read(lines).expect_err(lines);
        assert!(error.contains(said), "{lines}: {error}");
    }
}
