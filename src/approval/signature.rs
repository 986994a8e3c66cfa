//! SSHSIG: signatures as `ssh-keygen -Y sign` makes them (PROTOCOL.sshsig).
//!
//! Keys are read by ssh-key, the arithmetic is done by the library that tokens are signed with. The frames around them are walked
//! here, since the readers of the former take a length that says more than there is; and what it forgives is refused: a version
//! that is none, words in the reserved field, algorithms that do not belong to the key.

use std::ops::RangeInclusive;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use ssh_key::public::{EcdsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, SshSig};

/// `SSH_SK_USER_PRESENCE_REQD`: somebody has touched the security key.
const TOUCHED: u8 = 0x01;
/// Behind the signature of a security key: flags, and a counter of four bytes.
const TRAILER: usize = 5;
/// Bits of RSA keys: what smaller ones sign others can sign, and larger ones nobody here verifies.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// Why a signature is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSignature {
    /// It cannot be read.
    Form,
    /// It was made for something else: a git commit, a file.
    Namespace,
    /// A kind of key, or size, with which nobody signs here.
    Key,
    /// A security key that nobody has touched.
    Untouched,
    /// It is not that of this key over this message.
    Wrong,
}

/// Verifies a signature over a message, and says which key has made it. Nothing is known then of whose key that is.
pub fn verify(armor: &str, namespace: &str, message: &[u8]) -> Result<KeyData, BadSignature> {
    let signature = Signature::read(armor)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| BadSignature::Form);
    // Whatever a later version has in that field, it is not signed in this one.
    if signature.version != SshSig::VERSION.to_be_bytes() || !signature.reserved.is_empty() {
        return Err(BadSignature::Form);
    }
    if signature.namespace != namespace.as_bytes() {
        return Err(BadSignature::Namespace);
    }
    let hash = HashAlg::new(text(&signature.hash)?).map_err(|_| BadSignature::Form)?;
    let public = PublicKey::from_bytes(&signature.key).map_err(|_| BadSignature::Form)?;
    if public.to_bytes().ok().as_ref() != Some(&signature.key) {
        return Err(BadSignature::Form);
    }
    let key = public.key_data();
    judge_key(key)?;
    let algorithm = Algorithm::new(text(&signature.algorithm)?).map_err(|_| BadSignature::Key)?;
    let signed = SshSig::signed_data(namespace, hash, message).map_err(|_| BadSignature::Form)?;
    is_made_by(key, &algorithm, &signed, &signature)?;
    Ok(key.clone())
}

/// The key that a signature names. Nothing says that it has made it.
pub fn named_key(armor: &str) -> Option<Vec<u8>> {
    Signature::read(armor).ok().map(|signature| signature.key)
}

/// The parts of a signature. Nothing is between them, and nothing behind.
struct Signature {
    version: [u8; 4],
    key: Vec<u8>,
    namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash: Vec<u8>,
    algorithm: Vec<u8>,
    bytes: Vec<u8>,
    /// What a security key has behind them: flags, and a counter.
    trailer: Vec<u8>,
}

impl Signature {
    fn read(armor: &str) -> Result<Self, BadSignature> {
        let lines = armor.lines().filter(|line| !line.starts_with("-----"));
        let raw = STANDARD.decode(lines.collect::<String>()).map_err(|_| BadSignature::Form)?;
        Self::parts(&raw).ok_or(BadSignature::Form)
    }

    fn parts(raw: &[u8]) -> Option<Self> {
        let (version, mut rest) = raw.strip_prefix(b"SSHSIG")?.split_first_chunk::<4>()?;
        let [key, namespace, reserved, hash, mut signature] =
            [string(&mut rest)?, string(&mut rest)?, string(&mut rest)?, string(&mut rest)?, string(&mut rest)?];
        let (algorithm, bytes) = (string(&mut signature)?, string(&mut signature)?);
        rest.is_empty().then(|| Self {
            version: *version,
            key: key.to_vec(),
            namespace: namespace.to_vec(),
            reserved: reserved.to_vec(),
            hash: hash.to_vec(),
            algorithm: algorithm.to_vec(),
            bytes: bytes.to_vec(),
            trailer: signature.to_vec(),
        })
    }
}

/// The next one: its length, and as many bytes.
fn string<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (string, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(string)
}

/// Whether anybody may sign with such a key.
pub fn judge_key(key: &KeyData) -> Result<(), BadSignature> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) => match rsa.n.as_positive_bytes() {
            Some([first, rest @ ..]) if RSA_BITS.contains(&(rest.len() * 8 + 8 - first.leading_zeros() as usize)) => {
                Ok(())
            }
            _ => Err(BadSignature::Key),
        },
        _ => Err(BadSignature::Key),
    }
}

fn is_made_by(key: &KeyData, algorithm: &Algorithm, signed: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    let Signature { bytes, trailer, .. } = signature;
    let has_trailer = matches!(key, KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_));
    if trailer.len() != if has_trailer { TRAILER } else { 0 } {
        return Err(BadSignature::Form);
    }
    match (key, algorithm) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => check(&ED25519, &key.0, signed, bytes),
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == *curve => ecdsa(key, signed, bytes),
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => rsa(key, *hash, signed, bytes),
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            check(&ED25519, &key.public_key().0, &by_security_key(key.application(), signed, trailer)?, bytes)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let signed = by_security_key(key.application(), signed, trailer)?;
            ecdsa(&EcdsaPublicKey::NistP256(*key.ec_point()), &signed, bytes)
        }
        // `ssh-rsa` is SHA-1; and a key signs with its own algorithm.
        _ => Err(BadSignature::Key),
    }
}

fn check(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(algorithm, key).verify(signed, signature).map_err(|_| BadSignature::Wrong)
}

/// Two numbers, each with its length, become two of one length.
fn ecdsa(key: &EcdsaPublicKey, signed: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let (algorithm, size): (&'static dyn VerificationAlgorithm, usize) = match key.curve() {
        EcdsaCurve::NistP256 => (&ECDSA_P256_SHA256_FIXED, 32),
        EcdsaCurve::NistP384 => (&ECDSA_P384_SHA384_FIXED, 48),
        EcdsaCurve::NistP521 => (&ECDSA_P521_SHA512_FIXED, 66),
    };
    let mut fixed = Vec::with_capacity(2 * size);
    let mut rest = signature;
    for _ in 0..2 {
        let number = string(&mut rest).ok_or(BadSignature::Form)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        fixed.resize(fixed.len() + size.checked_sub(number.len()).ok_or(BadSignature::Form)?, 0);
        fixed.extend_from_slice(number);
    }
    if rest.is_empty() { check(algorithm, key.as_sec1_bytes(), signed, &fixed) } else { Err(BadSignature::Form) }
}

fn rsa(key: &RsaPublicKey, hash: HashAlg, signed: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let algorithm = match hash {
        HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(BadSignature::Key),
    };
    let (n, e) = key.n.as_positive_bytes().zip(key.e.as_positive_bytes()).ok_or(BadSignature::Key)?;
    RsaPublicKeyComponents { n, e }.verify(algorithm, signed, signature).map_err(|_| BadSignature::Wrong)
}

/// What a security key has signed in place of the message (PROTOCOL.u2f).
fn by_security_key(application: &str, signed: &[u8], trailer: &[u8]) -> Result<Vec<u8>, BadSignature> {
    if trailer.first().is_none_or(|flags| flags & TOUCHED == 0) {
        return Err(BadSignature::Untouched);
    }
    Ok([&Sha256::digest(application)[..], trailer, &Sha256::digest(signed)[..]].concat())
}
