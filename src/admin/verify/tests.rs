use clap::Parser;
use jose::Jwks;
use tempfile::TempDir;

use super::*;
use crate::token::claims::tests::{NOW, settings};
use crate::token::signing::tests::{key, token};

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    args: VerifyArgs,
}

struct Scratch {
    dir: TempDir,
    now: i64,
}

impl Scratch {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), now: NOW };
        place.write("keys", &serde_json::to_string(&Jwks::new(vec![key(1).public_jwk().clone()])).unwrap());
        place.write("token", token().as_str());
        place
    }

    fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The exit code with further arguments; later ones win.
    fn code(&self, more: &[&str]) -> u8 {
        self.judge(more).map_or_else(|refusal| refusal.code(), |_| 0)
    }

    fn judge(&self, more: &[&str]) -> Result<Verified, Refusal> {
        let (keys, file) = (self.path("keys"), self.path("token"));
        let (issuer, audience) = (settings().issuer, settings().audience);
        let usual = [
            "--jwks-file",
            keys.to_str().unwrap(),
            "--issuer",
            &issuer,
            "--audience",
            &audience,
            "--token-file",
            file.to_str().unwrap(),
        ];
        // An option that is given again replaces the usual one.
        let usual = usual.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten();
        let words = ["verify"].iter().chain(usual).chain(more);
        judge(&CommandLine::try_parse_from(words).unwrap().args, Timestamp::from_second(self.now).unwrap())
    }
}

#[test]
fn a_good_token_is_verified_with_or_without_a_line_end() {
    let place = Scratch::new();
    assert_eq!(place.code(&[]), 0);
    place.write("token", &format!("{}\r\n", token().as_str()));
    assert_eq!(place.code(&["--claim", "hpc.local_user=arthur", "--claim", "project_id=22"]), 0);
    place.write("token", &format!(" {}", token().as_str()));
    assert_eq!(place.code(&[]), UNTRUSTED);
}

#[test]
fn each_kind_of_refusal_has_its_exit_code() {
    let place = Scratch::new();
    assert_eq!(place.code(&["--issuer", "https://evil"]), PARTY);
    assert_eq!(place.code(&["--audience", "https://evil"]), PARTY);
    assert_eq!(place.code(&["--max-age", "10m"]), TIME);
    assert_eq!(place.code(&["--claim", "hpc.local_user=ford"]), CLAIMS);
    assert_eq!(place.code(&["--claim", "hpc.site="]), CLAIMS, "missing is not empty");
    assert_eq!(place.code(&["--jwks-file", "/nonexistent"]), KEYS_UNAVAILABLE);
    assert_eq!(place.code(&["--token-file", "/nonexistent"]), USAGE);
    place.write("token", "not a token");
    assert_eq!(place.code(&[]), UNTRUSTED);
    place.write("token", &"a".repeat(MAX_TOKEN * 2));
    assert_eq!(place.code(&[]), USAGE);
    place.write("keys", "{}");
    assert_eq!(place.code(&[]), KEYS_UNAVAILABLE);
    assert_eq!(Scratch::new().at(NOW + 3600).code(&[]), TIME);
    assert_eq!(Scratch::new().at(NOW - 3600).code(&[]), TIME);
    let other = Scratch::new();
    other.write("keys", &serde_json::to_string(&Jwks::new(vec![key(2).public_jwk().clone()])).unwrap());
    assert_eq!(other.code(&[]), UNTRUSTED);
}

#[test]
fn no_refusal_prints_the_token() {
    let place = Scratch::new();
    let secret = token();
    for more in [["--issuer", "x"], ["--max-age", "1s"], ["--claim", "sub=x"], ["--jwks-file", "/nonexistent"]] {
        let refusal = place.judge(&more).unwrap_err();
        assert!(
            !format!("{refusal} {refusal:?}").contains("eyJ") && !format!("{refusal}").contains(secret.signature())
        );
    }
}

#[test]
fn the_command_line_takes_one_source_for_the_token_and_never_the_token() {
    let parse = |words: &[&str]| {
        let usual = ["--jwks-file=k", "--issuer=i", "--audience=a"];
        let usual = usual.iter().filter(|usual| !words.iter().any(|word| word.starts_with(&usual[..usual.len() - 2])));
        CommandLine::try_parse_from(["verify"].iter().chain(usual).chain(words))
    };
    assert!(parse(&["--token-file", "-"]).is_ok());
    assert!(parse(&["--token-env", "CI_JOB_JWT"]).is_ok());
    for bad in [
        &[][..],
        &["--token-file", "-", "--token-env", "X"],
        &["--token", "x"],
        &["eyJ"],
        &["--token-file", "-", "--issuer", ""],
        &["--token-file", "-", "--audience="],
        &["--token-file", "-", "--audience", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"],
        &["--token-file", "-", "--issuer=eyJhbGciOiJFUzI1NiJ9.e30.c2ln"],
        &["--token-file", "-", "--claim", "sub=eyJhbGciOiJFUzI1NiJ9.e30.c2ln"],
        &["--token-file", "-", "--profile", "loose"],
        &["--token-file", "-", "--claim", "x"],
        &["--token-file", "-", "--claim", "=x"],
        &["--token-file", "-", "--max-age", "0s"],
        &["--token-file", "-", "--max-age", "soon"],
        &["--token-file", "-", "--max-age=-5m"],
    ] {
        let code = parse(bad).unwrap_err().exit_code();
        assert_eq!(code, i32::from(USAGE), "{bad:?}");
    }
    let split = parse(&["--token-file", "-", "--claim", "a.b=c=d"]).unwrap().args.claims;
    assert_eq!(split, [Expectation { path: "a.b".into(), value: "c=d".into() }]);
}

#[test]
fn a_variable_that_is_not_set_is_a_usage_error() {
    let place = Scratch::new();
    let words = [
        "verify",
        "--jwks-file",
        place.path("keys").to_str().unwrap(),
        "--issuer",
        "i",
        "--audience",
        "a",
        "--token-env",
        "MOTMOT_TEST_NOT_SET",
    ]
    .map(ToOwned::to_owned);
    let refusal = judge(&CommandLine::try_parse_from(words).unwrap().args, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(refusal.code(), USAGE);
}

#[test]
fn a_key_set_with_keys_of_others_is_read_where_that_is_asked_for() {
    let place = Scratch::new();
    let mut set = serde_json::to_value(Jwks::new(vec![key(1).public_jwk().clone()])).unwrap();
    let other = serde_json::json!({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB", "alg": "RS256", "use": "sig"});
    set["keys"].as_array_mut().unwrap().push(other);
    place.write("keys", &set.to_string());
    assert_eq!(place.code(&[]), KEYS_UNAVAILABLE);
    assert_eq!(place.code(&["--profile", "oidc"]), 0);
    assert_eq!(place.code(&["--profile", "oidc", "--claim", "/hpc/local_user=arthur"]), 0);
    assert_eq!(place.code(&["--profile", "oidc", "--audience", "https://evil"]), PARTY);
}

#[test]
fn keys_and_token_do_not_share_standard_input() {
    let refusal = Scratch::new().judge(&["--jwks-file", "-", "--token-file", "-"]).unwrap_err();
    assert_eq!((refusal.code(), refusal.to_string().contains("either the keys or the token")), (USAGE, true));
}
