//! Private keys, and what is signed with them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{JwtSigner, aws_lc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::{EncodePrivateKey, PrivateKeyInfo};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::jwk::{Jwks, Kid, PublicJwk};
use crate::key_set::{KeySet, KeySetError};

/// A private key for ES256. It wipes its memory when dropped and cannot be printed, copied or serialized.
///
/// All that does not depend on what is signed is done when it is made: reading and checking a key takes the library longer than
/// a signature.
pub struct SigningKey {
    public: PublicJwk,
    published: KeySet,
    /// The header of its tokens, encoded.
    header: String,
    signer: Box<dyn JwtSigner>,
}

/// A private key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// It cannot be put into the form the signer needs.
    #[error("the private key cannot be encoded")]
    Form,
    /// The signer does not take it.
    #[error("the private key is not accepted by the crypto library")]
    Signer,
    /// Its public half does not pass the reader that others' keys meet.
    #[error("the public half of the key is not accepted")]
    Public(#[from] KeySetError),
}

/// There is no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The claims have no JSON form.
    #[error("the claims of the token cannot be written as JSON")]
    Claims(#[source] serde_json::Error),
    /// The crypto library refused to sign.
    #[error("the token cannot be signed")]
    Library,
}

impl SigningKey {
    /// Wraps a private key.
    ///
    /// # Errors
    /// The key has no PKCS#8 form (RFC 5958); every key on P-256 has one. Or the library that signs does not take it.
    pub fn new(key: &p256::SecretKey) -> Result<Self, SigningKeyError> {
        let der = key.to_pkcs8_der().map_err(|_| SigningKeyError::Form)?; // wipes itself
        Self::from_pkcs8_der(der.as_bytes())
    }

    /// Reads a private key in the first version of PKCS#8 (RFC 5958, section 2), with or without its public half.
    ///
    /// The library that signs says whether it is a key on P-256 and computes the public half: `p256` takes ten times as long,
    /// which each stage of each job would wait for. A public half that is there must be that one.
    ///
    /// # Errors
    /// The library that signs does not take it.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SigningKeyError> {
        // The library would overlook what follows the key.
        PrivateKeyInfo::try_from(der).map_err(|_| SigningKeyError::Signer)?;
        let (library, secret) = (&aws_lc::DEFAULT_PROVIDER, EncodingKey::from_ec_der(der)); // wipes itself
        let signer = (library.signer_factory)(&Algorithm::ES256, &secret).map_err(|_| SigningKeyError::Signer)?;
        let (_, x, y) = (library.key_utils.ec_pub_components_from_private_key)(der, Algorithm::ES256)
            .map_err(|_| SigningKeyError::Signer)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let public = PublicJwk::from_coordinates(&x, &y).ok_or(SigningKeyError::Signer)?;
        let published = KeySet::from_jwks(&Jwks::new(vec![public.clone()]))?;
        let header = Header { kid: Some(public.kid().as_str().to_owned()), ..Header::new(Algorithm::ES256) };
        let header = serde_json::to_vec(&header).map_err(|_| SigningKeyError::Form)?;
        Ok(Self { public, published, header: URL_SAFE_NO_PAD.encode(header), signer })
    }

    /// The key's name.
    pub fn kid(&self) -> &Kid {
        self.public.kid()
    }

    /// The public half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// The public half as others have it: by way of the document that is published.
    pub fn published(&self) -> &KeySet {
        &self.published
    }

    /// A JWT with these claims (RFC 7519), in compact form: whoever holds it can be the one it speaks of.
    ///
    /// Its header has `typ`, `alg` and `kid`. What the claims say is the caller's; a [`Verifier`](crate::Verifier) tells
    /// whether it will be believed.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(&self, claims: &impl Serialize) -> Result<Zeroizing<String>, SignError> {
        let claims = serde_json::to_vec(claims).map_err(SignError::Claims)?;
        // As long as it will be: what grows leaves copies behind.
        let mut token = Zeroizing::new(String::with_capacity(self.header.len() + claims.len() * 4 / 3 + 96));
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signer.try_sign(token.as_bytes()).map_err(|_| SignError::Library)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid().as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::test_keys::{key, secret};

    fn signed() -> String {
        key(1).sign(&json!({"sub": "alice", "n": 1})).unwrap().to_string()
    }

    fn json_part(text: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn another_crypto_library_accepts_the_signature() {
        let token = signed();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let public = p256::ecdsa::VerifyingKey::from(secret(1).public_key());
        public.verify(message.as_bytes(), &signature).unwrap();
        public.verify(b"something else", &signature).unwrap_err();
    }

    #[test]
    fn another_crypto_library_computes_the_same_public_half() {
        for number in 1..=50 {
            assert_eq!(*key(number).public_jwk(), PublicJwk::new(&secret(number).public_key()));
        }
    }

    #[test]
    fn what_is_no_private_key_is_not_read() {
        let der = secret(1).to_pkcs8_der().unwrap();
        let (good, scalar) = (der.as_bytes(), [1; 32]);
        SigningKey::from_pkcs8_der(good).unwrap();
        let at = good.windows(32).position(|bytes| bytes == scalar).unwrap();
        let changed = |place: usize, bytes: &[u8]| {
            let mut bad = good.to_vec();
            bad[place..place + bytes.len()].copy_from_slice(bytes);
            bad
        };
        let last = good.len() - 1;
        for bad in [
            Vec::new(),
            good[..last].to_vec(),
            [good, &[0]].concat(),
            changed(at, &[2; 32]), // of another public half
            changed(last, &[good[last] ^ 1]),
        ] {
            assert_eq!(SigningKey::from_pkcs8_der(&bad).err(), Some(SigningKeyError::Signer), "{bad:?}");
        }
    }

    #[test]
    fn the_header_holds_three_members_and_the_payload_what_was_given() {
        let token = signed();
        let [header, payload, _] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(json_part(header), json!({"alg": "ES256", "typ": "JWT", "kid": key(1).kid().as_str()}));
        assert_eq!(json_part(payload), json!({"sub": "alice", "n": 1}));
    }

    #[test]
    fn a_key_cannot_be_printed() {
        let shown = format!("{:?}", key(1));
        assert!(shown.contains(key(1).kid().as_str()), "{shown}");
        assert!(!shown.contains("1, 1, 1") && !shown.contains("0101"), "{shown}");
    }
}
