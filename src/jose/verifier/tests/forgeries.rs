//! Form, header and signature.

use p256::pkcs8::{EncodePublicKey, LineEnding};

use super::*;

#[test]
fn a_genuine_token_is_accepted_whoever_signed_it() {
    verify(&signed(header(), payload())).unwrap();
    verify(&signed(without(header(), "typ"), payload())).unwrap();
    let verified = verify(&key(1).sign(&payload()).unwrap()).unwrap();
    assert_eq!(verified.kid(), key(1).kid());
    assert_eq!(verified.claims(), payload().as_object().unwrap());
    assert_eq!(verified.subject(), "alice");
    assert_eq!((verified.issued_at(), verified.expires_at()), (at(NOW), at(NOW + 900)));
}

#[test]
fn an_unsigned_token_is_refused() {
    for alg in ["none", "None", "NONE", ""] {
        let forged = signed(with(header(), "alg", json!(alg)), payload());
        let unsigned = format!("{}.", forged.rsplit_once('.').unwrap().0);
        assert_eq!(untrusted(&forged), Untrusted::Algorithm("ES256"));
        assert_eq!(untrusted(&unsigned), Untrusted::Algorithm("ES256"));
    }
    let unsigned = format!("{}.", signed(header(), payload()).rsplit_once('.').unwrap().0);
    assert_eq!(untrusted(&unsigned), Untrusted::Signature);
}

#[test]
fn an_hmac_keyed_with_our_public_key_is_refused() {
    let public = secret(1).public_key();
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let der = public.to_public_key_der().unwrap();
    let jwk = serde_json::to_vec(key(1).public_jwk()).unwrap();
    for hmac_key in [pem.as_bytes(), pem.trim_end().as_bytes(), der.as_bytes(), &public.to_sec1_bytes(), &jwk] {
        let head = jsonwebtoken::Header {
            kid: Some(key(1).kid().as_str().into()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        };
        let forged =
            jsonwebtoken::encode(&head, &payload(), &jsonwebtoken::EncodingKey::from_secret(hmac_key)).unwrap();
        assert_eq!(untrusted(&forged), Untrusted::Algorithm("ES256"));
        // The same signature under a header that claims the right algorithm.
        let (_, signature) = forged.rsplit_once('.').unwrap();
        let lied = format!("{}.{}.{signature}", b64(header().to_string()), b64(payload().to_string()));
        assert_eq!(untrusted(&lied), Untrusted::Signature);
    }
}

#[test]
fn only_the_exact_name_of_the_keys_algorithm_is_accepted() {
    for alg in
        [json!("es256"), json!("ES256 "), json!("ES384"), json!("RS256"), json!(["ES256"]), json!(null), json!(1)]
    {
        assert_eq!(untrusted(&signed(with(header(), "alg", alg), payload())), Untrusted::Algorithm("ES256"));
    }
    assert_eq!(untrusted(&signed(without(header(), "alg"), payload())), Untrusted::Algorithm("ES256"));
}

#[test]
fn the_key_must_be_named_known_and_the_one_that_signed() {
    let with_kid = |kid| signed(with(header(), "kid", kid), payload());
    assert_eq!(untrusted(&signed(without(header(), "kid"), payload())), Untrusted::NoKid);
    for bad in [json!(""), json!(null), json!(1), json!(["a"]), json!("../../etc/passwd"), json!("a".repeat(65))] {
        assert_eq!(untrusted(&with_kid(bad)), Untrusted::NoKid);
    }
    assert_eq!(untrusted(&with_kid(json!(key(3).kid()))), Untrusted::UnknownKid(key(3).kid().clone()));
    assert_eq!(untrusted(&with_kid(json!(key(2).kid()))), Untrusted::Signature);
}

#[test]
fn degenerate_and_misshapen_signatures_are_refused() {
    let genuine = signed(header(), payload());
    let (message, signature) = genuine.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = [
        &[255; 4][..],
        &[0; 4],
        &[255; 8],
        &[0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84],
        &[0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51],
    ]
    .concat();
    let (r, s, zero) = (&raw[..32], &raw[32..], &[0_u8; 32][..]);
    let der = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
    for bad in [
        [zero, s].concat(),
        [r, zero].concat(),
        [zero, zero].concat(),
        [&order, s].concat(),
        [r, &order].concat(),
        [&order[..], &order[..]].concat(),
        [&[255; 32][..], s].concat(),
        raw[..63].to_vec(),
        raw[1..].to_vec(),
        [&raw[..], &[0]].concat(),
        [&[0], &raw[..]].concat(),
        der.as_bytes().to_vec(),
        vec![],
        raw.repeat(2),
        [s, r].concat(),
    ] {
        assert_eq!(untrusted(&format!("{message}.{}", b64(&bad))), Untrusted::Signature, "{bad:02x?}");
    }
}

#[test]
fn one_flipped_bit_anywhere_is_noticed() {
    let genuine = signed(header(), payload());
    let parts: Vec<Vec<u8>> = genuine.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    for part in 0..3 {
        for bit in 0..parts[part].len() * 8 {
            let mut forged = parts.clone();
            forged[part][bit / 8] ^= 1 << (bit % 8);
            untrusted(&forged.iter().map(b64).collect::<Vec<_>>().join("."));
        }
    }
}

#[test]
fn the_text_of_a_token_has_one_spelling() {
    let good = signed(header(), payload());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = message.split_once('.').unwrap();
    for bad in [
        format!("{good}="),
        format!("{good}=="),
        format!("{good} "),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}=.{signature}"),
        format!("{head} .{body}.{signature}"),
        format!("{good}A"),
        good.replace('_', "/"),
        good.replace('-', "+"),
        format!("{good}\0"),
    ] {
        if bad != good {
            untrusted(&bad);
        }
    }
    // The last character of a signature carries two bits; the other spellings of it are no signatures.
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let other = format!("{}{last}", &good[..good.len() - 1]);
        assert_eq!(verify(&other).is_ok(), other == good);
    }
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        head.into(),
        message.into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{head}..{signature}"),
        format!("{head}.{body}."),
    ] {
        untrusted(&bad);
    }
    assert_eq!(untrusted(message), Untrusted::Parts);
    assert_eq!(untrusted(&format!("{good}.{signature}")), Untrusted::Parts);
    assert_eq!(untrusted(&"a".repeat(MAX_TOKEN + 1)), Untrusted::TooLarge);
}

#[test]
fn header_members_that_point_elsewhere_or_change_meaning_are_refused() {
    for (member, value) in [
        ("crit", json!(["exp2"])),
        ("crit", json!([])),
        ("jku", json!("https://evil")),
        ("x5u", json!("https://evil")),
        ("x5c", json!(["AAAA"])),
        ("jwk", json!(key(2).public_jwk())),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("x5t", json!("AA")),
        ("enc", json!("A128GCM")),
    ] {
        assert_eq!(untrusted(&signed(with(header(), member, value), payload())), Untrusted::HeaderMember(member));
    }
    let odd = untrusted(&signed(with(header(), "b64", json!(false)), payload()));
    assert_eq!(odd, Untrusted::HeaderMember("an unknown member"));
    for typ in [json!("at+jwt"), json!("jwt"), json!(""), json!(null), json!(1)] {
        assert_eq!(untrusted(&signed(with(header(), "typ", typ), payload())), Untrusted::Typ);
    }
}

#[test]
fn repeated_members_are_refused_in_header_and_payload() {
    let twice = |object: Value, extra: &str| format!("{},{extra}}}", object.to_string().strip_suffix('}').unwrap());
    assert_eq!(untrusted(&signed(twice(header(), r#""alg":"ES256""#), payload())), Untrusted::Json("header"));
    assert_eq!(untrusted(&signed(twice(header(), r#""ALG":"none""#), payload())), Untrusted::Json("header"));
    for extra in [r#""exp":99999999999"#, r#""aud":"https://evil""#, r#""Aud":"https://evil""#, r#""\u0061ud":1"#] {
        assert_eq!(untrusted(&signed(header(), twice(payload(), extra))), Untrusted::Json("payload"), "{extra}");
    }
    for odd in ["[]", "null", "1", "", "{}{}", "{} x", "\"{}\""] {
        assert_eq!(untrusted(&signed(odd, payload())), Untrusted::Json("header"), "{odd}");
        assert_eq!(untrusted(&signed(header(), odd)), Untrusted::Json("payload"), "{odd}");
    }
}

#[test]
fn no_message_holds_any_part_of_an_untrusted_token() {
    let secret = "Zm9vYmFyc2VjcmV0";
    for bad in [
        secret.to_owned(),
        format!("{secret}.{secret}.{secret}"),
        signed(with(header(), secret, json!(1)), payload()),
        signed(with(header(), "typ", json!(secret)), payload()),
    ] {
        let error = verify(&bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret));
    }
}
