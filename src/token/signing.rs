//! Making tokens.

use std::fmt;

use jiff::Timestamp;
use jose::{Kid, SignError, SigningKey, Verifier, VerifyError};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::claims::{Claims, ClaimsError, Issuance, StageContext};
use crate::identity::Identity;
use crate::policy::Account;

/// No token is longer than this many bytes.
pub const MAX_MINTED: usize = 8 * 1024;

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
    /// See [`SignError`].
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Over [`MAX_MINTED`].
    #[error(
        "the token would have {0} bytes, more than {MAX_MINTED}: shorten the names of job and stage in .gitlab-ci.yml"
    )]
    TooLarge(usize),
    /// The fresh token does not pass our own verifier: a fault of memory, of a library, or of ours.
    #[error("the fresh token is not accepted by our own verifier")]
    SelfCheck(#[from] VerifyError),
    /// The fresh token says something else than it was asked to say.
    #[error("the fresh token does not say what it should")]
    SelfCheckClaims,
}

/// Makes a token for one stage of a job: of an identity that evidence has established, for the account that policy has
/// admitted, and of nothing looser.
///
/// What was signed is then judged by the code that strangers' tokens meet, with the key from the document that others
/// read, and compared with what it should say: a fault in signing must not leave the house (a wrong ECDSA signature can
/// give the private key away).
#[expect(clippy::disallowed_methods, reason = "the one place where something is signed")]
pub fn mint(
    key: &SigningKey,
    settings: &Issuance,
    identity: &Identity,
    account: &Account,
    stage: &StageContext,
    now: Timestamp,
) -> Result<Token, TokenError> {
    let claims = Claims::new(settings, identity, account, stage, now)?;
    let compact = key.sign(&claims)?;
    if compact.len() > MAX_MINTED {
        return Err(TokenError::TooLarge(compact.len()));
    }
    let ours = Verifier::new(key.published().clone(), &settings.issuer, &settings.audience, settings.ttl.signed());
    let verified = ours.verify(&compact, now)?;
    let said = serde_json::to_value(&claims).map_err(|_| TokenError::SelfCheckClaims)?;
    if said.as_object() != Some(verified.claims()) || verified.claims_as().ok().as_ref() != Some(&claims) {
        return Err(TokenError::SelfCheckClaims);
    }
    let (issued_at, expires_at, kid) = (verified.issued_at(), verified.expires_at(), verified.kid().clone());
    Ok(Token { compact, claims, issued_at, expires_at, kid })
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jose::{Jwks, KeySet};
    use serde_json::Value;

    use super::*;
    use crate::token::claims::tests::{NOW, account, settings, stage};

    /// Tokens should stay below this many bytes: proxies, cookies and PAM conversations cut longer ones.
    const USUAL_TOKEN: usize = 4 * 1024;

    /// A fixed private key; different numbers are different keys.
    pub(crate) fn key(number: u8) -> SigningKey {
        SigningKey::new(&p256::SecretKey::from_slice(&[number; 32]).unwrap()).unwrap()
    }

    pub(crate) fn token() -> Token {
        mint(
            &key(1),
            &settings(),
            &Identity::for_test(|_| ()),
            &account(),
            &stage(),
            Timestamp::from_second(NOW).unwrap(),
        )
        .unwrap()
    }

    fn json_part(text: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
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
    fn a_token_cannot_be_printed() {
        let token = token();
        let shown = format!("{token:?}");
        assert!(!shown.contains(token.signature()) && !shown.contains("eyJ"), "{shown}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a stranger who has the key")]
    fn a_token_is_read_back_as_what_it_was_asked_to_say_and_a_strangers_is_not() {
        let keys = KeySet::from_jwks(&Jwks::new(vec![key(1).public_jwk().clone()])).unwrap();
        let verifier = Verifier::new(keys, settings().issuer, settings().audience, crate::token::Ttl::MAX.signed());
        let now = Timestamp::from_second(NOW).unwrap();
        let minted = verifier.verify(token().as_str(), now).unwrap();
        assert_eq!(minted.claims_as::<Claims>().unwrap().user_login.as_deref(), Some("adent"));
        let mut more = minted.claims().clone();
        more.insert("more".into(), Value::Null);
        let stranger = verifier.verify(&key(1).sign(&more).unwrap(), now).unwrap();
        assert_eq!(stranger.claims_as::<Claims>(), Err(jose::ClaimProblem::Form));
    }

    #[test]
    fn a_token_up_to_8_kib_is_allowed_and_no_larger() {
        let mint = |length| {
            let identity = Identity::for_test(|facts| facts["job_name"] = "j".repeat(length).into());
            mint(&key(1), &settings(), &identity, &account(), &stage(), Timestamp::from_second(NOW).unwrap())
        };
        assert!(mint(4000).unwrap().as_str().len() > USUAL_TOKEN);
        assert!(matches!(mint(7000), Err(TokenError::TooLarge(_))));
    }

    #[test]
    fn every_life_within_bounds_can_be_minted() {
        for ttl in [crate::token::Ttl::MIN, crate::token::Ttl::MAX] {
            let settings = Issuance { ttl, ..settings() };
            mint(
                &key(2),
                &settings,
                &Identity::for_test(|_| ()),
                &account(),
                &stage(),
                Timestamp::from_second(NOW).unwrap(),
            )
            .unwrap();
        }
    }
}
