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
