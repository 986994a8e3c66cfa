use super::*;

#[test]
fn an_issuer_with_a_slash_at_its_end_is_refused() {
    assert!(Issuer::parse("https://ci.example/").is_err());
    assert!(Issuer::parse("https://ci.example/a").is_ok());
}

#[test]
fn the_variable_of_the_token_means_nothing_else() {
    for good in ["CI_JOB_JWT", "HPC_TOKEN", "ID_TOKEN_1", "PATHS", "HOMES", "LDAP_TOKEN"] {
        assert_eq!(token_variable(good).as_deref(), Ok(good));
    }
    for bad in [
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "LD_X",
        "BASH_ENV",
        "ENV",
        "IFS",
        "GIT_ASKPASS",
        "PYTHONPATH",
        "SHELLOPTS",
        "CI_JOB_TOKEN",
    ] {
        let error = token_variable(bad).expect_err(bad);
        assert!(error.contains("means something already") && error.contains("CI_JOB_JWT"), "{error}");
    }
    for kind in kinds() {
        assert!(token_variable(&format!("{}_JWT", kind.word().to_uppercase())).is_err(), "{}", kind.word());
    }
    assert!(token_variable("A-B").is_err());
}
