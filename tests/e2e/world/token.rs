//! Reading a token that a job has shown, with other libraries than the driver's.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::World;

/// The token that a job wrote to the log, disguised against masking: one character a line.
pub fn disguise(name: &str) -> String {
    format!("printf '%s' \"$CI_JOB_JWT\" | rev | base64 -w0 | sed 's/^/{name}=/'; echo")
}

pub fn revealed(value: &str) -> String {
    let bytes = base64::prelude::BASE64_STANDARD.decode(value).expect("base64");
    String::from_utf8(bytes).expect("text").trim_end().chars().rev().collect()
}

pub fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// Checks the signature with another library than the driver uses, with the key of the JWKS that the `kid` names, and
/// that the `kid` is the thumbprint of RFC 7638.
pub fn check_signature(world: &World, token: &str) {
    let jwks: Value = serde_json::from_slice(&fs::read(world.jwks_file()).expect("jwks")).expect("JSON");
    let header = part(token, 0);
    assert_eq!(header["alg"], "ES256");
    let key = jwks["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .expect("the key is published");
    let canonical = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{},\"y\":{}}}", key["x"], key["y"]);
    assert_eq!(header["kid"], BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)));
    let coordinate =
        |name: &str| BASE64_URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a coordinate")).expect("base64url");
    let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
    let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a point of the curve");
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let signature = p256::ecdsa::Signature::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url"))
        .expect("64 bytes");
    public.verify(signed.as_bytes(), &signature).expect("the signature holds");
}
