//! Attacks. A forger can write any header and payload; in half of these he even signs with the right key.

use std::sync::LazyLock;

use p256::ecdsa::signature::Signer;
use serde_json::json;

use super::*;
use crate::jwk::Jwks;
use crate::test_keys::{key, secret};

/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://service.example";
const SIX_HOURS: SignedDuration = SignedDuration::from_hours(6);

mod claims;
mod forgeries;
mod provider;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn verifier(max_life: SignedDuration) -> Verifier {
    let keys = KeySet::from_jwks(&Jwks::new(vec![key(1).public_jwk().clone(), key(2).public_jwk().clone()])).unwrap();
    Verifier::new(keys, ISSUER, AUDIENCE, max_life)
}

fn verify(token: &str) -> Result<Verified, VerifyError> {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| verifier(SIX_HOURS));
    VERIFIER.verify(token, at(NOW))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": key(1).kid().as_str()})
}

fn payload() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice",
           "exp": NOW + 900, "iat": NOW, "nbf": NOW - 60, "n": {"s": "x", "empty": "", "one": 1}})
}

/// Signs any text with key 1, without our own code and without the library under test.
#[expect(clippy::needless_pass_by_value, reason = "text and JSON alike, made on the spot")]
fn signed(header: impl ToString, payload: impl ToString) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
    let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from(secret(1)).sign(message.as_bytes());
    format!("{message}.{}", b64(signature.to_bytes()))
}

fn untrusted(token: &str) -> Untrusted {
    match verify(token) {
        Err(VerifyError::Untrusted(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member);
    object
}
