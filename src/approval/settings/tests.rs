use super::*;
use crate::config::{self, Source};

fn read(text: &str, of_tokens: TokenIssuer<'_>) -> Result<ApprovalSettings, String> {
    let source = Source::new("c.toml", format!("[approvals]\n{text}"));
    config::read(&source, |mut root| read_approvals(root.section("approvals"), of_tokens))
        .map_err(|error| error.to_string())
}

const SIGNERS: &str = "allowed_signers = \"/s\"\n";

#[test]
fn the_site_is_named_by_its_tokens_unless_it_is_said() {
    let issuer = |text: &str, of_tokens| read(&format!("{SIGNERS}{text}"), of_tokens).map(|settings| settings.issuer);
    assert_eq!(issuer("", TokenIssuer::Is("https://a")), Ok("https://a".to_owned()));
    assert_eq!(issuer("issuer = \"b\"", TokenIssuer::Is("https://a")), Ok("b".to_owned()));
    assert_eq!(issuer("issuer = \"b\"", TokenIssuer::None), Ok("b".to_owned()));
    // In a list of namespaces that would be two, or a pattern.
    for of_tokens in [TokenIssuer::None, TokenIssuer::Is("https://a,b"), TokenIssuer::Is("https://a/*")] {
        assert!(
            issuer("", of_tokens).is_err_and(|words| words.contains("`approvals.issuer` is missing")),
            "{of_tokens:?}"
        );
    }
    for name in ["", "a b", "a,b", "*", "a\\nb", "\u{430}"] {
        assert!(issuer(&format!("issuer = \"{name}\""), TokenIssuer::None).is_err(), "{name:?}");
    }
}

#[test]
fn the_variable_has_a_name_and_can_be_none() {
    let variable =
        |text: &str| read(&format!("{SIGNERS}{text}"), TokenIssuer::Is("a")).map(|settings| settings.variable);
    assert_eq!(variable(""), Ok(Some("MOTMOT_APPROVAL".to_owned())));
    assert_eq!(variable("variable = \"X\""), Ok(Some("X".to_owned())));
    assert_eq!(variable("variable = \"\""), Ok(None));
    assert!(variable("variable = \"a-b\"").is_err());
    assert!(read("", TokenIssuer::Is("a")).is_err_and(|words| words.contains("allowed_signers")));
    assert!(read("allowed_signers = \"s\"", TokenIssuer::Is("a")).is_err_and(|words| words.contains("absolute")));
}
