//! Making tokens.

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey;
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::claims::{Claims, ClaimsError, Issuance, StageContext};
use super::jwk::{Jwks, Kid, PublicJwk};
use super::key_set::{KeySet, KeySetError};
use super::verification::{Verifier, VerifyError};
use crate::evidence::JobFacts;

/// Tokens should stay below this many bytes: proxies, cookies and PAM conversations cut longer ones.
pub const USUAL_TOKEN: usize = 4 * 1024;
/// No token is longer than this many bytes.
pub const MAX_MINTED: usize = 8 * 1024;

/// A private key for ES256. It wipes its memory when dropped and cannot be printed, copied or serialized.
pub struct SigningKey {
    public: PublicJwk,
    secret: EncodingKey,
}

/// A private key that cannot be put into the form the signer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the private key cannot be encoded")]
pub struct SigningKeyError;

impl SigningKey {
    /// Wraps a private key.
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
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid().as_str()).finish_non_exhaustive()
    }
}

/// A token that was minted here: whoever holds it is the job. Only [`mint`] makes one.
///
/// It wipes its memory when dropped, and only [`Token::as_str`] shows it: no `Display`, no serialization, a `Debug`
/// without the secret, so that no log line can hold it by accident.
pub struct Token {
    compact: Zeroizing<String>,
    claims: Claims,
    issued_at: Timestamp,
    expires_at: Timestamp,
    kid: Kid,
}

impl Token {
    /// The secret itself, in compact form (RFC 7515, section 7.1).
    pub fn as_str(&self) -> &str {
        &self.compact
    }

    /// The last of its three parts. Together with the whole it is what output must be searched for: the other two parts
    /// say nothing that is secret.
    pub fn signature(&self) -> &str {
        self.compact.rsplit('.').next().unwrap_or_default()
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When it was made, to the second.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Its own number, for the audit log.
    pub fn jti(&self) -> Uuid {
        self.claims.jti
    }

    /// The key that signed it.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Who it speaks for.
    pub fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// Everything it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("jti", &self.jti()).field("kid", &self.kid.as_str()).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// See [`ClaimsError`].
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The crypto library refused.
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// Over [`MAX_MINTED`].
    #[error(
        "the token would have {0} bytes, more than {MAX_MINTED}: shorten the names of job and stage in .gitlab-ci.yml"
    )]
    TooLarge(usize),
    /// Our own public key does not pass our own reader.
    #[error("the public half of the signing key is not accepted")]
    OwnKey(#[from] KeySetError),
    /// The fresh token does not pass our own verifier: a fault of memory, of a library, or of ours.
    #[error("the fresh token is not accepted by our own verifier")]
    SelfCheck(#[from] VerifyError),
    /// The fresh token says something else than it was asked to say.
    #[error("the fresh token does not say what it should")]
    SelfCheckClaims,
}

/// Makes a token for one stage of a job.
///
/// What was signed is then judged by the code that strangers' tokens meet, with the key from the document that others
/// read, and compared with what it should say: a fault in signing must not leave the house (a wrong ECDSA signature can
/// give the private key away).
pub fn mint(
    key: &SigningKey,
    settings: &Issuance,
    facts: &JobFacts,
    stage: &StageContext,
    now: Timestamp,
) -> Result<Token, TokenError> {
    let claims = Claims::new(settings, facts, stage, now)?;
    let header = Header { kid: Some(key.kid().as_str().to_owned()), ..Header::new(Algorithm::ES256) };
    let compact = Zeroizing::new(jsonwebtoken::encode(&header, &claims, &key.secret).map_err(TokenError::Sign)?);
    if compact.len() > MAX_MINTED {
        return Err(TokenError::TooLarge(compact.len()));
    }
    let keys = KeySet::from_jwks(&Jwks::new(vec![key.public.clone()]))?;
    let verified = Verifier::new(keys, &settings.issuer, &settings.audience)
        .with_max_life(settings.ttl.as_secs())
        .verify(&compact, now)?;
    let said = serde_json::to_value(&claims).map_err(|_| TokenError::SelfCheckClaims)?;
    if said.as_object() != Some(verified.claims()) || verified.job_claims().ok().as_ref() != Some(&claims) {
        return Err(TokenError::SelfCheckClaims);
    }
    let time = |second| Timestamp::from_second(second).map_err(|_| TokenError::SelfCheckClaims);
    Ok(Token { issued_at: time(claims.iat)?, expires_at: time(claims.exp)?, kid: key.kid().clone(), claims, compact })
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use p256::ecdsa::signature::Verifier as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::token::claims::tests::{NOW, facts, settings, stage};

    /// A fixed private key; different numbers are different keys.
    pub(crate) fn secret(number: u8) -> p256::SecretKey {
        p256::SecretKey::from_slice(&[number; 32]).unwrap()
    }

    pub(crate) fn key(number: u8) -> SigningKey {
        SigningKey::new(&secret(number)).unwrap()
    }

    pub(crate) fn token() -> Token {
        mint(&key(1), &settings(), &facts(), &stage(), Timestamp::from_second(NOW).unwrap()).unwrap()
    }

    fn json_part(text: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn another_crypto_library_accepts_the_signature() {
        let token = token();
        let (message, signature) = token.as_str().rsplit_once('.').unwrap();
        let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let public = p256::ecdsa::VerifyingKey::from(secret(1).public_key());
        public.verify(message.as_bytes(), &signature).unwrap();
        public.verify(b"something else", &signature).unwrap_err();
    }

    #[test]
    fn the_header_holds_three_members() {
        let token = token();
        let header = json_part(token.as_str().split('.').next().unwrap());
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": key(1).kid().as_str()}));
    }

    #[test]
    fn a_token_tells_what_the_audit_log_needs() {
        let token = token();
        let payload = json_part(token.as_str().split('.').nth(1).unwrap());
        assert_eq!(payload["jti"], token.jti().to_string());
        assert_eq!(payload["sub"], token.subject());
        assert_eq!(token.issued_at().as_second(), NOW);
        assert_eq!(token.expires_at().as_second(), NOW + 900);
        assert_eq!(token.kid(), key(1).kid());
        assert!(token.as_str().ends_with(&format!(".{}", token.signature())) && token.signature().len() == 86);
        assert!(token.as_str().len() < USUAL_TOKEN);
    }

    #[test]
    fn neither_key_nor_token_can_be_printed() {
        let (token, key) = (token(), key(1));
        let (shown, shown_key) = (format!("{token:?}"), format!("{key:?}"));
        assert!(!shown.contains(token.signature()) && !shown.contains("eyJ"), "{shown}");
        assert!(!shown_key.contains("1, 1, 1") && !shown_key.contains("0101"), "{shown_key}");
    }

    #[test]
    fn a_token_up_to_8_kib_is_allowed_and_no_larger() {
        let mint = |length| {
            let facts = JobFacts { job_name: Some("j".repeat(length)), ..facts() };
            mint(&key(1), &settings(), &facts, &stage(), Timestamp::from_second(NOW).unwrap())
        };
        assert!(mint(4000).unwrap().as_str().len() > USUAL_TOKEN);
        assert!(matches!(mint(7000), Err(TokenError::TooLarge(_))));
    }

    #[test]
    fn every_life_within_bounds_can_be_minted() {
        for ttl in [crate::token::Ttl::MIN, crate::token::Ttl::MAX] {
            let settings = Issuance { ttl, ..settings() };
            mint(&key(2), &settings, &facts(), &stage(), Timestamp::from_second(NOW).unwrap()).unwrap();
        }
    }
}
