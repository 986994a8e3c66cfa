//! What a genuine signature stands under.

use super::*;

#[test]
fn times_must_be_there_and_integers() {
    for claim in ["exp", "iat", "nbf"] {
        assert_eq!(untrusted(&signed(header(), without(payload(), claim))), Untrusted::NotATime(claim_name(claim)));
        for bad in [
            "1700000000.0",
            "1.7e9",
            "\"1700000000\"",
            "-1",
            "-1700000000",
            "18446744073709551615",
            "1e400",
            "9223372036854775807",
            "253402300800",
            "99999999999999999999999",
            "[1700000000]",
            "{}",
            "null",
            "true",
            "\"\"",
        ] {
            let text = with(payload(), claim, json!("@")).to_string().replace("\"@\"", bad);
            let why = verify(&signed(header(), text)).unwrap_err();
            let expected = [Untrusted::NotATime(claim_name(claim)), Untrusted::Json("payload")];
            assert!(expected.into_iter().any(|expected| why == expected.into()), "{claim} {bad}: {why:?}");
        }
    }
}

fn claim_name(name: &str) -> &'static str {
    ["exp", "iat", "nbf"].into_iter().find(|known| *known == name).unwrap()
}

#[test]
fn a_token_is_valid_only_between_its_times_give_or_take_thirty_seconds() {
    let good = signed(header(), payload());
    let judged = |now| verifier(SIX_HOURS).verify(&good, at(now)).map(|_| ());
    assert_eq!(judged(NOW + 900 + LEEWAY - 1), Ok(()));
    assert_eq!(judged(NOW + 900 + LEEWAY), Err(TimeProblem::Expired(at(NOW + 900)).into()));
    assert_eq!(judged(NOW - LEEWAY), Ok(()));
    assert_eq!(judged(NOW - LEEWAY - 1), Err(TimeProblem::IssuedInFuture(at(NOW)).into()));
    let later = signed(header(), with(payload(), "nbf", json!(NOW + 40)));
    assert_eq!(verifier(SIX_HOURS).verify(&later, at(NOW + 10)).map(|_| ()), Ok(()));
    assert_eq!(verifier(SIX_HOURS).verify(&later, at(NOW + 9)).unwrap_err(), TimeProblem::NotYet(at(NOW + 40)).into());
}

#[test]
fn a_life_that_is_too_long_or_not_positive_is_refused() {
    let life = |seconds: i64| signed(header(), with(payload(), "exp", json!(NOW + seconds)));
    assert!(verify(&life(21_600)).is_ok());
    for bad in [21_601, 10 * 365 * 86_400, 0, -10] {
        assert_eq!(verify(&life(bad)).unwrap_err(), TimeProblem::Life { life: bad, max: 21_600 }.into());
    }
    assert!(verifier(SignedDuration::from_secs(900)).verify(&life(900), at(NOW)).is_ok());
    assert!(verifier(SignedDuration::from_secs(899)).verify(&life(900), at(NOW)).is_err());
}

#[test]
fn issuer_and_audience_are_single_strings_compared_exactly() {
    for (claim, right) in [("iss", ISSUER), ("aud", AUDIENCE)] {
        for bad in [
            json!([right]),
            json!([right, "https://evil"]),
            json!(["https://evil", right]),
            json!(5),
            json!(null),
            json!({}),
            json!(""),
            json!(format!("{right}/")),
            json!(right.to_uppercase()),
            json!(format!("{right}\0")),
            json!("https://evil"),
        ] {
            let result = verify(&signed(header(), with(payload(), claim, bad.clone())));
            assert!(matches!(result, Err(VerifyError::Party(_))), "{claim} {bad}");
        }
        let result = verify(&signed(header(), without(payload(), claim)));
        assert!(matches!(result, Err(VerifyError::Party(_))), "{claim} missing");
    }
}

#[test]
fn a_token_needs_a_subject() {
    for bad in [without(payload(), "sub"), with(payload(), "sub", json!("")), with(payload(), "sub", json!(["a"]))] {
        assert!(matches!(verify(&signed(header(), bad)), Err(VerifyError::Claim(_))));
    }
}

#[test]
fn a_required_claim_must_be_there_a_string_and_equal() {
    let verified = verify(&signed(header(), payload())).unwrap();
    assert_eq!(verified.require("n.s", "x"), Ok(()));
    assert_eq!(verified.require("n.empty", ""), Ok(()));
    for missing in ["none", "n.none", "n.s.deeper", "", "n.", ".n", "n..s"] {
        assert_eq!(verified.require(missing, ""), Err(ClaimProblem::Missing(missing.into())));
    }
    assert_eq!(verified.require("n.one", "1"), Err(ClaimProblem::NotAString("n.one".into())));
    assert!(matches!(verified.require("n.s", "X"), Err(ClaimProblem::Differs { .. })));
}

#[test]
fn claims_are_read_as_the_callers_type_or_not_at_all() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Known {
        sub: String,
        exp: i64,
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        sub: String,
    }
    let verified = verify(&signed(header(), payload())).unwrap();
    assert_eq!(verified.claims_as(), Ok(Known { sub: "alice".into(), exp: NOW + 900 }));
    assert_eq!(verified.claims_as::<Whole>(), Err(ClaimProblem::Form));
}

#[test]
fn found_values_cannot_write_to_the_terminal() {
    let escape = with(payload(), "iss", json!("\u{1b}[2J"));
    assert!(!verify(&signed(header(), escape)).unwrap_err().to_string().contains('\u{1b}'));
}

fn oidc(token: &str) -> Result<Verified, VerifyError> {
    verifier(SIX_HOURS).with_profile(Profile::Oidc).verify(token, at(NOW))
}

#[test]
fn what_other_good_issuers_write_is_read_where_that_is_asked_for() {
    for typ in ["JWT", "jwt", "at+jwt", "application/jwt", "application/at+JWT"] {
        assert!(oidc(&signed(with(header(), "typ", json!(typ)), payload())).is_ok(), "{typ}");
    }
    for typ in [json!("dpop+jwt"), json!("logout+jwt"), json!(""), json!(null), json!(1), json!("text/jwt")] {
        assert!(oidc(&signed(with(header(), "typ", typ.clone()), payload())).is_err(), "{typ}");
    }
    for list in [json!([AUDIENCE]), json!(["https://other", AUDIENCE])] {
        let token = signed(header(), with(payload(), "aud", list.clone()));
        assert!(oidc(&token).is_ok(), "{list}");
        assert!(matches!(verify(&token), Err(VerifyError::Party(_))), "not of ours: {list}");
    }
    for list in [json!([]), json!(["https://other"]), json!([AUDIENCE, 1]), json!([[AUDIENCE]]), json!({AUDIENCE: 1})] {
        let refused = oidc(&signed(header(), with(payload(), "aud", list.clone())));
        assert!(matches!(refused, Err(VerifyError::Party(_))), "{list}");
    }
    assert!(oidc(&signed(header(), without(payload(), "nbf"))).is_ok());
    for nbf in [json!(null), json!("1"), json!(NOW + 3600)] {
        assert!(oidc(&signed(header(), with(payload(), "nbf", nbf.clone()))).is_err(), "{nbf}");
    }
    for claim in ["exp", "iat", "iss", "aud", "sub"] {
        assert!(oidc(&signed(header(), without(payload(), claim))).is_err(), "{claim}");
    }
    assert!(oidc(&signed(header(), with(payload(), "iss", json!([ISSUER])))).is_err());
}

#[test]
fn a_claim_with_dots_in_its_name_is_asked_for_by_its_pointer() {
    let mut claims = payload();
    claims["https://a.example/role"] = json!("admin");
    claims["a.b"] = json!({"c~d": "deep"});
    claims["a"] = json!({"b": "dotted"});
    let verified = verify(&signed(header(), claims)).expect("good");
    for (path, value) in [
        ("/https:~1~1a.example~1role", "admin"),
        ("/a.b/c~0d", "deep"),
        ("/a/b", "dotted"),
        ("a.b", "dotted"),
        ("/sub", "alice"),
    ] {
        assert_eq!(verified.require(path, value), Ok(()), "{path}");
    }
    for path in ["https://a.example/role", "/a.b", "/", "//", "/a.b/c~d", "/sub/0"] {
        assert!(verified.require(path, "admin").is_err(), "{path}");
    }
}
