//! Id tokens and key sets: whatever the bytes are.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::pkcs8::EncodePrivateKey;

use super::*;

/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://gitlab.example";
const AUDIENCE: &str = "https://ci.hpc.example";
const HEADER: &str = r#"{"alg":"ES256","typ":"JWT","kid":"gitlab"}"#;

/// GitLab's key, as far as this target goes; everybody knows it.
static GITLAB: LazyLock<(EcdsaKeyPair, KeySet)> = LazyLock::new(|| {
    jose::install_crypto();
    let secret = SecretKey::from_slice(&[7; 32]).expect("a number below the order of the curve");
    let der = secret.to_pkcs8_der().expect("a key has an encoding");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_bytes()).expect("a key");
    let point = secret.public_key().to_sec1_bytes();
    let [x, y] = [&point[1..33], &point[33..]].map(|number| URL_SAFE_NO_PAD.encode(number));
    let document = serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "gitlab", "x": x, "y": y}]});
    (pair, KeySet::of_provider(document.to_string().as_bytes()).expect("a key set"))
});

/// Begins with `{`: claims, and in a second line perhaps a header, which GitLab signs. Else a token, and behind the first line
/// break the keys of some provider.
///
/// Nothing panics, nobody's token holds that GitLab has not signed, and of what holds a second reading finds that it is this job's,
/// ours and of now.
///
/// # Panics
/// Where that is not so.
pub fn id_token(bytes: &[u8]) {
    let (first, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let rest = rest.strip_prefix(b"\n").unwrap_or_default();
    if first.starts_with(b"{") {
        signed(first, if rest.is_empty() { HEADER.as_bytes() } else { rest });
    } else {
        foreign(&String::from_utf8_lossy(first), rest);
    }
}

fn verified(keys: &KeySet, token: &str) -> Result<Verified, VerifyError> {
    let now = Timestamp::from_second(NOW).expect("a time");
    Verifier::new(keys.clone(), ISSUER, AUDIENCE, LONGEST_LIFE).with_profile(Profile::Oidc).verify(token, now)
}

fn payload() -> Payload {
    Payload::parse(br#"{"id":101,"token":"t","job_info":{"project_id":7,"user_id":42,"pipeline_id":55}}"#)
        .expect("a payload")
}

fn signed(claims: &[u8], header: &[u8]) {
    let (pair, keys) = &*GITLAB;
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).expect("signed");
    let token = match verified(keys, &format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))) {
        Err(error) => return assert!(!error.to_string().contains(char::is_control), "{error}"),
        Ok(token) => token,
    };
    let header: Value = serde_json::from_slice(header).expect("a header that was read");
    assert!(header["alg"] == "ES256" && header["kid"] == "gitlab" && header.get("crit").is_none(), "{header}");
    let claims: Value = serde_json::from_slice(claims).expect("claims that were read");
    assert_eq!(&claims, &Value::Object(token.claims().clone()), "two readers of one text");
    assert_eq!(claims["iss"], ISSUER);
    let ours = |aud: &Value| *aud == AUDIENCE || aud.as_array().is_some_and(|list| list.contains(&AUDIENCE.into()));
    assert!(ours(&claims["aud"]) && claims["sub"].as_str().is_some_and(|sub| !sub.is_empty()), "{claims}");
    let second = |claim: &str| claims[claim].as_i64();
    let (exp, iat) = second("exp").zip(second("iat")).expect("whole seconds");
    assert!(exp > NOW - jose::LEEWAY && iat <= NOW + jose::LEEWAY && exp > iat, "{claims}");
    assert!(exp - iat <= LONGEST_LIFE.as_secs(), "{claims}");
    assert!(claims.get("nbf").is_none() || second("nbf").is_some_and(|nbf| nbf <= NOW + jose::LEEWAY), "{claims}");

    let Ok(bound) = bind(&token, &payload()) else { return };
    let number = |claim: &str| claims[claim].as_str().and_then(|digits| digits.parse::<u64>().ok());
    assert!(claims["aud"].as_array().is_none_or(|list| list.len() == 1), "for others, too: {claims}");
    assert_eq!([number("job_id"), number("user_id"), number("pipeline_id")], [Some(101), Some(42), Some(55)]);
    assert_eq!(bound.user_id(), 42);
    assert_eq!(Some(bound.user_login.as_str()), claims["user_login"].as_str());
    assert_eq!(Some(bound.pipeline_source.as_str()), claims["pipeline_source"].as_str());
    assert_eq!(number("job_project_id").or(number("project_id")), Some(7), "the project that runs the job");
    let Some(source) = bound.facts.source() else {
        // A GitLab that does not tell the two from each other.
        return assert!(claims["job_project_id"].is_null(), "{claims}");
    };
    // Whoever is named beside the running project is the one: no fork passes for it.
    let others = [number("project_id"), number("source_project_id")].into_iter().flatten().filter(|id| *id != 7);
    assert!(others.clone().all(|id| id == source.id()), "{claims}");
    assert!(others.count() > 0 || source.id() == 7, "{claims}");
}

fn foreign(token: &str, document: &[u8]) {
    let (_, keys) = &*GITLAB;
    let verdict = verified(keys, token);
    assert!(verdict.is_err(), "GitLab has not signed this");
    let Ok(keys) = KeySet::of_provider(document) else { return };
    let kids: std::collections::BTreeSet<String> = keys.kids().map(ToString::to_string).collect();
    assert!((1..=jose::MAX_KEYS).contains(&kids.len()) && kids.len() == keys.kids().count(), "{kids:?}");
    let read: Value = serde_json::from_slice(document).expect("a document that was read");
    let secret = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
    assert!(!read["keys"].as_array().is_some_and(|keys| keys.iter().any(secret)), "a secret is public");
    if let Ok(token) = verified(&keys, token) {
        let _ = bind(&token, &payload());
    }
}
