//! Private keys in PEM files.

use jose::SigningKey;
use p256::NistP256;
use p256::elliptic_curve::ALGORITHM_OID;
use p256::pkcs8::{AlgorithmIdentifierRef, AssociatedOid, PrivateKeyInfo, SecretDocument};
use thiserror::Error;

/// What to do about a key that is damaged or gone. Nothing is made where keys are already: a second key there could not be told
/// from an attempt to replace the first.
pub(super) const RESTORE: &str = "restore it from a backup, or make a new key in a new directory (motmot keys init --dir NEW), publish its public half, and name that directory in token.keys";

/// Why a file holds no usable key. No message has any part of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PemError {
    /// No PEM block, or text around it.
    #[error("is not a PEM file with a private key and nothing else: {RESTORE}")]
    NotPem,
    /// Which of them would sign?
    #[error("has more than one PEM block: keep one private key per file")]
    Several,
    /// Nobody is there to type a password.
    #[error("is encrypted: a stage cannot ask for a password, decrypt it with `openssl pkcs8 -in FILE -out NEW`")]
    Encrypted,
    /// RSA, another curve, or a public half that is not the private half's.
    #[error("is not a valid elliptic curve key on P-256, which ES256 needs: {RESTORE}")]
    NotP256,
}

/// Reads one P-256 key: PKCS#8 (RFC 5958) or, as `openssl ecparam -genkey` writes it, SEC1 (RFC 5915), there possibly with
/// a block of curve parameters before it.
///
/// A public half in the file is compared with the private one: a signature under a mismatched pair can give a key away.
pub(super) fn signing_key(content: &[u8]) -> Result<SigningKey, PemError> {
    let text = std::str::from_utf8(content).map_err(|_| PemError::NotPem)?;
    let (label, block) = single_block(without_parameters(text.trim()))?;
    match label {
        "PRIVATE KEY" => from_pkcs8(block).ok_or(PemError::NotP256),
        "EC PRIVATE KEY" if block.contains("Proc-Type:") => Err(PemError::Encrypted),
        "EC PRIVATE KEY" => from_sec1(block).ok_or(PemError::NotP256),
        "ENCRYPTED PRIVATE KEY" => Err(PemError::Encrypted),
        label if label.ends_with("PRIVATE KEY") => Err(PemError::NotP256),
        _ => Err(PemError::NotPem),
    }
}

fn from_pkcs8(block: &str) -> Option<SigningKey> {
    let (_, document) = SecretDocument::from_pem(block).ok()?;
    let info: PrivateKeyInfo = document.decode_msg().ok()?;
    info.algorithm.assert_oids(ALGORITHM_OID, NistP256::OID).ok()?;
    from_ec_private_key(info.private_key)
}

fn from_sec1(block: &str) -> Option<SigningKey> {
    let (_, document) = SecretDocument::from_pem(block).ok()?;
    from_ec_private_key(document.as_bytes())
}

/// What both forms have in them, an `ECPrivateKey`, in the one form that the library which signs reads. It judges the rest: a
/// key of another curve that says so inside is none here.
fn from_ec_private_key(key: &[u8]) -> Option<SigningKey> {
    let algorithm = AlgorithmIdentifierRef { oid: ALGORITHM_OID, parameters: Some((&NistP256::OID).into()) };
    let document = SecretDocument::encode_msg(&PrivateKeyInfo::new(algorithm, key)).ok()?;
    SigningKey::from_pkcs8_der(document.as_bytes()).ok()
}

/// The label and the text of the only PEM block (RFC 7468), with nothing before or after it.
fn single_block(text: &str) -> Result<(&str, &str), PemError> {
    if text.matches("-----BEGIN ").count() > 1 {
        return Err(PemError::Several);
    }
    let after = text.strip_prefix("-----BEGIN ").ok_or(PemError::NotPem)?;
    let (label, _) = after.split_once("-----").ok_or(PemError::NotPem)?;
    if text.ends_with(&format!("-----END {label}-----")) { Ok((label, text)) } else { Err(PemError::NotPem) }
}

/// `openssl ecparam -genkey` puts the name of the curve first; the key repeats it, so nothing depends on it.
fn without_parameters(text: &str) -> &str {
    let rest = text.strip_prefix("-----BEGIN EC PARAMETERS-----");
    rest.and_then(|rest| rest.split_once("-----END EC PARAMETERS-----")).map_or(text, |(_, rest)| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use jose::{Kid, PublicJwk};
    use p256::SecretKey;
    use p256::pkcs8::{EncodePrivateKey, LineEnding};

    use super::*;

    fn secret(number: u8) -> SecretKey {
        SecretKey::from_slice(&[number; 32]).unwrap()
    }

    // Made with openssl 3 for these tests: `genrsa 1024`, `ecparam -genkey`, `genpkey`, `pkcs8 -topk8`.
    const RSA: &str = include_str!("../../tests/keys/rsa-pkcs8.pem");
    const RSA_OLD: &str = include_str!("../../tests/keys/rsa-pkcs1.pem");
    const P384: &str = include_str!("../../tests/keys/p384-pkcs8.pem");
    const P384_SEC1: &str = include_str!("../../tests/keys/p384-sec1.pem");
    const P256_ECPARAM: &str = include_str!("../../tests/keys/p256-ecparam.pem");
    const P256_GENPKEY: &str = include_str!("../../tests/keys/p256-genpkey.pem");
    const ENCRYPTED: &str = include_str!("../../tests/keys/p256-encrypted.pem");
    const ENCRYPTED_OLD: &str = include_str!("../../tests/keys/p256-encrypted-sec1.pem");

    fn read(text: &str) -> Result<Kid, PemError> {
        signing_key(text.as_bytes()).map(|key| key.kid().clone())
    }

    fn name(secret: &SecretKey) -> Kid {
        PublicJwk::new(&secret.public_key()).kid().clone()
    }

    fn block(label: &str, der: &[u8]) -> String {
        let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    #[test]
    fn keys_from_openssl_are_read_in_both_forms() {
        read(P256_ECPARAM).unwrap();
        read(P256_GENPKEY).unwrap();
        let (_, bare) = P256_ECPARAM.split_once("-----END EC PARAMETERS-----\n").unwrap();
        assert_eq!(read(bare), read(P256_ECPARAM));
        assert_eq!(read(&secret(1).to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap(), name(&secret(1)));
        assert_eq!(read(&secret(1).to_sec1_pem(LineEnding::LF).unwrap()).unwrap(), name(&secret(1)));
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        assert_eq!(read(RSA), Err(PemError::NotP256));
        assert_eq!(read(RSA_OLD), Err(PemError::NotP256));
        assert_eq!(read(P384), Err(PemError::NotP256));
        assert_eq!(read(P384_SEC1), Err(PemError::NotP256));
    }

    #[test]
    fn encrypted_keys_are_refused() {
        assert_eq!(read(ENCRYPTED), Err(PemError::Encrypted));
        assert_eq!(read(ENCRYPTED_OLD), Err(PemError::Encrypted));
    }

    #[test]
    fn a_file_holds_one_key_and_nothing_else() {
        assert_eq!(read(&P256_GENPKEY.repeat(2)), Err(PemError::Several));
        assert_eq!(read(&format!("{P256_GENPKEY}{P256_ECPARAM}")), Err(PemError::Several));
        assert_eq!(read(&format!("words\n{P256_GENPKEY}")), Err(PemError::NotPem));
        assert_eq!(read(&format!("{P256_GENPKEY}words")), Err(PemError::NotPem));
        let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        for bad in ["", "\n", "-----BEGIN PRIVATE KEY-----", public, "\u{feff}", "-----BEGIN EC PARAMETERS-----"] {
            assert_eq!(read(bad), Err(PemError::NotPem), "{bad}");
        }
        assert_eq!(signing_key(&[0xff, 0xfe]).err(), Some(PemError::NotPem));
    }

    #[test]
    fn a_public_half_that_is_not_the_private_halfs_is_refused() {
        let (mine, other) = (secret(1).to_pkcs8_der().unwrap(), secret(2).public_key().to_sec1_bytes());
        let mut der = mine.as_bytes().to_vec();
        let start = der.len() - other.len();
        der[start..].copy_from_slice(&other);
        let forged = block("PRIVATE KEY", &der);
        assert_eq!(read(&forged), Err(PemError::NotP256));
    }

    #[test]
    fn a_public_half_may_be_missing_and_a_curve_must_be_this_one_wherever_it_is_said() {
        // ECPrivateKey (RFC 5915, section 3): version, private key; then the curve, if it is said here.
        let bare = |number: &[u8; 32]| [&[0x30, 0x25, 2, 1, 1, 4, 32][..], number].concat();
        let key = bare(&[1; 32]);
        assert_eq!(read(&block("EC PRIVATE KEY", &key)).unwrap(), name(&secret(1)));
        let of = |curve: &[u8]| {
            let length = u8::try_from(curve.len()).unwrap();
            let curve = [&[0xa0, length + 2, 6, length], curve].concat();
            [&[0x30, 0x25 + length + 4][..], &key[2..], &curve].concat()
        };
        let (p256, secp256k1) = ([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], [0x2b, 0x81, 4, 0, 10]);
        assert_eq!(read(&block("EC PRIVATE KEY", &of(&p256))).unwrap(), name(&secret(1)));
        assert_eq!(read(&block("EC PRIVATE KEY", &of(&secp256k1))), Err(PemError::NotP256));
        // The order of the curve (FIPS 186-4, D.1.2.3): its keys are the numbers between zero and that.
        let order: [u8; 32] = *b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
        for number in [[0; 32], order] {
            assert_eq!(read(&block("EC PRIVATE KEY", &bare(&number))), Err(PemError::NotP256));
        }
    }
}
