//! Tokens: what they say ([`claims`]), who they speak for ([`subject`]), how long they live ([`lifetime`]), how they are
//! made ([`signing`]). How they are judged, here and elsewhere, is [`jose`]'s.
//!
//! A token is a JWT (RFC 7519) in compact form, signed with ES256 (RFC 7518, section 3.4). RFC 8725 says what goes wrong
//! with those; its advice is followed on both sides, and what is minted must pass our own verifier before it is let go.

pub mod claims;
pub mod lifetime;
pub mod settings;
pub mod signing;
pub mod subject;

pub use claims::{Issuance, StageContext};
pub use lifetime::{Jitter, Ttl, back_off, refresh_delay};
pub use signing::{Token, TokenError, mint};

#[cfg(test)]
mod tests {
    #[test]
    fn this_build_does_not_gather_jitter_entropy_in_every_process() {
        // Set in .cargo/config.toml. Without it every stage that signs takes about 30 ms longer to start.
        assert_eq!(option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY"), Some("1"));
    }

    #[test]
    fn this_build_has_the_crypto_librarys_fast_form_of_the_curve() {
        // Set there, too. Without it aws-lc takes `opt-level = "s"` for a wish to leave out its assembly: four times as slow.
        assert_eq!(option_env!("AWS_LC_SYS_SMALL"), Some("0"));
    }
}
