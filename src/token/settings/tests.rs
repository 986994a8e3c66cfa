use super::*;

#[test]
fn an_issuer_with_a_slash_at_its_end_is_refused() {
    assert!(Issuer::parse("https://ci.example/").is_err());
    assert!(Issuer::parse("https://ci.example/a").is_ok());
}
