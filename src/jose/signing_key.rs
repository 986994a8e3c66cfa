//! Private keys, and what is signed with them.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey;
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::jwk::{Kid, PublicJwk};

/// A private key for ES256. It wipes its memory when dropped and cannot be printed, copied or serialized.
pub struct SigningKey {
    public: PublicJwk,
    secret: EncodingKey,
}

/// A private key that cannot be put into the form the signer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the private key cannot be encoded")]
pub struct SigningKeyError;

/// The crypto library refused to sign, or the claims have no JSON form.
#[derive(Debug, Error)]
#[error("the token cannot be signed")]
pub struct SignError(#[source] jsonwebtoken::errors::Error);

impl SigningKey {
    /// Wraps a private key.
    ///
    /// # Errors
    /// The key has no PKCS#8 form (RFC 5958); every key on P-256 has one.
    pub fn new(key: &p256::SecretKey) -> Result<Self, SigningKeyError> {
        let der = key.to_pkcs8_der().map_err(|_| SigningKeyError)?; // wipes itself
        Ok(Self { public: PublicJwk::new(&key.public_key()), secret: EncodingKey::from_ec_der(der.as_bytes()) })
    }

    /// The key's name.
    pub fn kid(&self) -> &Kid {
        self.public.kid()
    }

    /// The public half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// A JWT with these claims (RFC 7519), in compact form: whoever holds it can be the one it speaks of.
    ///
    /// Its header has `typ`, `alg` and `kid`. What the claims say is the caller's; a [`Verifier`](crate::Verifier) tells
    /// whether it will be believed.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(&self, claims: &impl Serialize) -> Result<Zeroizing<String>, SignError> {
        let header = Header { kid: Some(self.kid().as_str().to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.secret).map(Zeroizing::new).map_err(SignError)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid().as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use p256::ecdsa::signature::Verifier as _;
    use serde_json::{Value, json};

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
