//! Keys and signatures as the world knows them: what a service needs to believe a JSON Web Token, and an issuer to sign one.
//!
//! * Keys: JSON Web Keys and key sets (RFC 7517) on P-256 (RFC 7518, section 6.2.1), named by their thumbprint (RFC 7638).
//! * Tokens: JSON Web Tokens (RFC 7519) in compact form (RFC 7515, section 7.1), signed with ES256 (RFC 7518, section 3.4).
//! * Of an OpenID provider also RSA keys and tokens signed with RS256 ([`KeySet::of_provider`]), to verify them.
//!
//! RFC 8725 says what goes wrong with those, and its advice is followed. Nothing is looked up by what a token says: keys,
//! issuer and audience are the caller's. The key alone says which algorithm is right. JSON with a member twice is no
//! JSON, sizes and numbers have bounds, and every refusal is a type of its own ([`VerifyError`]).
//!
//! # To verify a token
//!
//! The issuer's key set, read from the place where it is published, is all that is needed:
//!
//! ```
//! use jiff::{SignedDuration, Timestamp};
//! use jose::{KeySet, Verifier, VerifyError};
//!
//! # #[derive(serde::Serialize)]
//! # struct Claims { iss: &'static str, aud: &'static str, sub: &'static str, iat: i64, nbf: i64, exp: i64 }
//! # let now = Timestamp::from_second(1_700_000_000).unwrap();
//! # let iat = now.as_second();
//! # let (iss, aud, sub) = ("https://issuer.example", "https://service.example", "alice");
//! # let key = jose::SigningKey::new(&p256::SecretKey::from_slice(&[1; 32]).unwrap()).unwrap();
//! # let token = key.sign(&Claims { iss, aud, sub, iat, nbf: iat, exp: iat + 900 }).unwrap();
//! # let document = serde_json::to_vec(&jose::Jwks::new(vec![key.public_jwk().clone()])).unwrap();
//! jose::install_crypto();
//! let keys = KeySet::from_json(&document)?;
//! let longest = SignedDuration::from_hours(1);
//! let verifier = Verifier::new(keys, "https://issuer.example", "https://service.example", longest);
//!
//! let verified = verifier.verify(&token, now)?;
//! assert_eq!(verified.subject(), "alice");
//!
//! let late = now + SignedDuration::from_hours(1);
//! assert!(matches!(verifier.verify(&token, late), Err(VerifyError::Time(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod jwk;
mod key_set;
mod refusal;
mod rsa;
mod signing_key;
mod strict_json;
mod verifier;

pub use jwk::{Jwks, Kid, PublicJwk};
pub use key_set::{KeyProblem, KeySet, KeySetError, MAX_DOCUMENT, MAX_KEYS};
pub use refusal::{ClaimProblem, FoundClaim, MAX_TOKEN, PartyProblem, TimeProblem, Untrusted, VerifyError};
pub use signing_key::{SignError, SigningKey, SigningKeyError};
pub use verifier::{LEEWAY, Profile, Verified, Verifier};

/// Chooses the crypto library of the process. To be called before the first signature is made or judged, best as the first
/// act of `main`; more than once does no harm.
///
/// Without it the library guesses from the features that some dependency happened to switch on, and panics at the first
/// signature if there is more than one candidate.
pub fn install_crypto() {
    // Refused means that a provider is installed already: whoever did that has chosen.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

#[cfg(test)]
mod test_keys {
    //! Keys for the tests of this crate.

    use crate::SigningKey;

    /// A fixed private key; different numbers are different keys.
    pub(crate) fn secret(number: u8) -> p256::SecretKey {
        p256::SecretKey::from_slice(&[number; 32]).unwrap()
    }

    pub(crate) fn key(number: u8) -> SigningKey {
        SigningKey::new(&secret(number)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_crypto_library_can_be_chosen_twice() {
        super::install_crypto();
        super::install_crypto();
        super::test_keys::key(1).sign(&serde_json::json!({})).unwrap();
    }
}
