//! Tokens: what they say ([`claims`]), who they speak for ([`subject`]), how long they live ([`lifetime`]), how they are
//! made ([`signing`]) and how they are judged ([`verification`], with the public keys of [`key_set`]).
//!
//! A token is a JWT (RFC 7519) in compact form, signed with ES256 (RFC 7518, section 3.4). RFC 8725 says what goes wrong
//! with those; its advice is followed on both sides, and what is minted must pass our own verifier before it is let go.

pub mod claims;
pub mod jwk;
pub mod key_set;
pub mod lifetime;
pub mod settings;
pub mod signing;
mod strict_json;
pub mod subject;
pub mod verification;

pub use claims::{Claims, StageContext, TokenSettings};
pub use jwk::{Jwks, Kid, PublicJwk};
pub use key_set::{KeySet, KeySetError};
pub use lifetime::{Jitter, Ttl, back_off, refresh_delay};
pub use signing::{SigningKey, Token, TokenError, mint};
pub use subject::Subject;
pub use verification::{Verified, Verifier, VerifyError};

/// Chooses the crypto library of the process. The first act of every `main`; more than once does no harm.
///
/// Without it the library guesses from the features that some dependency happened to switch on, and panics at the first
/// signature if there is more than one candidate.
pub fn install_crypto() {
    // Refused means that a provider is installed already: ours, as nothing else in this program installs one.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_crypto_library_can_be_chosen_twice() {
        super::install_crypto();
        super::install_crypto();
        super::signing::tests::token();
    }

    #[test]
    fn this_build_does_not_gather_jitter_entropy_in_every_process() {
        // Set in .cargo/config.toml. Without it every stage that signs takes about 30 ms longer to start.
        assert_eq!(option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY"), Some("1"));
    }
}
