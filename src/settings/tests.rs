use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(Path::new("/etc/motmot/config.toml"), text).map_err(|error| error.to_string())
}

const MINIMAL: &str = "[gitlab]\nurl = \"https://gitlab.example.com/\"\n";

#[test]
fn a_minimal_file_gets_safe_defaults() {
    let settings = parse(MINIMAL).expect("valid");
    assert_eq!(settings.gitlab.url.as_str(), "https://gitlab.example.com");
    assert_eq!(settings.jobs.downscope, Downscope::Setuid);
    assert_eq!(settings.accounts.min_uid, 1000);
    assert_eq!(settings.jobs.kill_timeout, Duration::from_mins(1));
    assert!(settings.token.is_none());
    assert!(settings.map.is_empty(), "without a rule nobody is mapped");
}

#[test]
fn all_problems_are_told_at_once() {
    let error = parse("[gitlab]\nurl = \"http://gitlab.example.com\"\nidentity = \"guess\"\n[jobs]\nkill_timeout = \"9m\"\n[token]\nttl = \"10s\"\n[[map]]\nrun_as = \"root\"\n").unwrap_err();
    for part in [
        "7 problems",
        ":2:7: `gitlab.url` must be https",
        ":3:12: `gitlab.identity`",
        ":5:16: `jobs.kill_timeout` must be 3m",
        "`token.issuer` is missing",
        "`token.audience` is missing",
        ":7:7: `token.ttl`: a token's life of 10s is too short",
        ":9:10: `map.run_as` must not be root",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
