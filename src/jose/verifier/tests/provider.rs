//! Tokens of an OpenID provider that signs with RS256, as GitLab does.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};

use super::*;
use crate::key_set::{KeyProblem, KeySetError};

/// A key of the provider, and one of somebody else.
static KEYS: LazyLock<[KeyPair; 2]> = LazyLock::new(|| [(); 2].map(|()| KeyPair::generate(KeySize::Rsa2048).unwrap()));

fn jwk(pair: &KeyPair, kid: &str) -> Value {
    let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
    json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
        "n": b64(n.big_endian_without_leading_zero()), "e": b64(e.big_endian_without_leading_zero())})
}

/// The provider's keys: one for RS256, one for ES256, and one of a kind that is not known here.
fn document() -> Value {
    let es256 = serde_json::to_value(key(1).public_jwk()).unwrap();
    json!({"keys": [jwk(&KEYS[0], "rsa"), es256, {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "ed"}]})
}

fn provider(document: &Value) -> Verifier {
    let keys = KeySet::of_provider(document.to_string().as_bytes()).unwrap();
    Verifier::new(keys, ISSUER, AUDIENCE, SIX_HOURS).with_profile(Profile::Oidc)
}

fn rs256(pair: &KeyPair, padding: &'static dyn RsaEncoding, header: &Value, payload: &Value) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", b64(signature))
}

fn rsa_header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "rsa"})
}

fn judged(token: &str) -> Result<(), VerifyError> {
    provider(&document()).verify(token, at(NOW)).map(drop)
}

#[test]
fn each_key_of_a_provider_verifies_what_it_has_signed_with_its_own_algorithm() {
    assert_eq!(judged(&rs256(&KEYS[0], &RSA_PKCS1_SHA256, &rsa_header(), &payload())), Ok(()));
    assert_eq!(judged(&signed(header(), payload())), Ok(()));
}

#[test]
fn an_rsa_key_is_no_secret_and_no_other_algorithm_is_believed_for_it() {
    let pem = KEYS[0].public_key().as_der().unwrap();
    let message = |alg: &str| {
        format!("{}.{}", b64(with(rsa_header(), "alg", json!(alg)).to_string()), b64(payload().to_string()))
    };
    let wrong = Err(Untrusted::Algorithm("RS256").into());
    for alg in ["HS256", "none", "ES256", "PS256", "RS512", "rs256", ""] {
        let message = message(alg);
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, pem.as_ref());
        let tag = aws_lc_rs::hmac::sign(&hmac, message.as_bytes());
        assert_eq!(judged(&format!("{message}.{}", b64(tag))), wrong, "{alg}");
        assert_eq!(judged(&format!("{message}.")), wrong, "{alg} without a signature");
    }
    // The right word over a signature of another kind: HMAC, PSS, another digest, nothing.
    let message = message("RS256");
    for signature in [vec![], vec![0; 256], vec![0xff; 256], vec![1; 32]] {
        assert_eq!(judged(&format!("{message}.{}", b64(signature))), Err(Untrusted::Signature.into()));
    }
    for padding in
        [&aws_lc_rs::signature::RSA_PSS_SHA256 as &'static dyn RsaEncoding, &aws_lc_rs::signature::RSA_PKCS1_SHA512]
    {
        let token = rs256(&KEYS[0], padding, &rsa_header(), &payload());
        assert_eq!(judged(&token), Err(Untrusted::Signature.into()));
    }
}

#[test]
fn a_signature_of_another_key_is_wrong_whatever_name_it_gives() {
    let token = |kid: &str| rs256(&KEYS[1], &RSA_PKCS1_SHA256, &with(rsa_header(), "kid", json!(kid)), &payload());
    assert_eq!(judged(&token("rsa")), Err(Untrusted::Signature.into()));
    assert!(matches!(judged(&token("other")), Err(VerifyError::Untrusted(Untrusted::UnknownKid(_)))));
    for kid in ["../../etc/passwd", "rsa\0", "' OR 1=1 --", "", &"r".repeat(65)] {
        assert_eq!(judged(&token(kid)), Err(Untrusted::NoKid.into()), "{kid}");
    }
    // An RSA signature under the name of the ES256 key.
    let es256 = with(rsa_header(), "kid", json!(key(1).kid().as_str()));
    assert_eq!(
        judged(&rs256(&KEYS[0], &RSA_PKCS1_SHA256, &es256, &payload())),
        Err(Untrusted::Algorithm("ES256").into())
    );
    let es256 = with(es256, "alg", json!("ES256"));
    assert_eq!(judged(&rs256(&KEYS[0], &RSA_PKCS1_SHA256, &es256, &payload())), Err(Untrusted::Signature.into()));
}

#[test]
fn a_short_rsa_key_is_left_out_and_a_private_one_spoils_the_set() {
    let of = |document: &Value| KeySet::of_provider(document.to_string().as_bytes()).map(|set| set.kids().count());
    assert_eq!(of(&document()), Ok(2));
    let mut short = document();
    short["keys"][0]["n"] = json!(b64([0xff; 128]));
    assert_eq!(of(&short), Ok(1));
    let alone = json!({"keys": [short["keys"][0]]});
    assert_eq!(of(&alone), Err(KeySetError::NoneUsableOfProvider));
    for (member, other) in [("alg", "RS512"), ("alg", "PS256"), ("use", "enc")] {
        let mut set = document();
        set["keys"][0][member] = json!(other);
        assert_eq!(of(&set), Ok(1), "{member} {other}");
    }
    let mut published = document();
    published["keys"][0]["d"] = json!("AAAA");
    assert_eq!(of(&published), Err(KeySetError::Key { index: 0, problem: KeyProblem::Private }));
    let mut twice = document();
    twice["keys"].as_array_mut().unwrap().push(jwk(&KEYS[1], "rsa"));
    assert!(matches!(of(&twice), Err(KeySetError::SameKid(_))));
    // Our own documents and those of other issuers of ES256 are read as before.
    assert!(KeySet::from_json(document().to_string().as_bytes()).is_err());
    let among = KeySet::from_json_among_others(document().to_string().as_bytes()).unwrap();
    assert_eq!(among.kids().collect::<Vec<_>>(), [key(1).kid()]);
}
