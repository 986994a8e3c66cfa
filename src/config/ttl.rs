//! How long a token lives.

use std::time::Duration;

use jiff::SignedDuration;
use thiserror::Error;

/// How long a token is valid after its issue: whole seconds, 60 s to 6 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u32);

/// A life that no token may have. It is refused, not corrected: an admin who asks for a day should know he got none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TtlError {
    /// Under a minute, clocks that differ a little make tokens useless.
    #[error("a token's life of {0:#} is too short: choose 60s to 6h")]
    TooShort(SignedDuration),
    /// Longer than services that follow the WLCG profile accept.
    #[error("a token's life of {0:#} is too long: choose 60s to 6h; long jobs get fresh tokens while they run")]
    TooLong(SignedDuration),
    /// A NumericDate of ours is an integer.
    #[error("a token's life of {0:#} is not a whole number of seconds")]
    Fraction(SignedDuration),
}

impl Ttl {
    /// Shortest life.
    pub const MIN: Self = Self(60);
    /// Longest life.
    pub const MAX: Self = Self(6 * 60 * 60);
    /// The life of a token where the site says nothing: 15 min.
    pub const DEFAULT: Self = Self(15 * 60);

    /// Accepts a life within the bounds.
    pub fn new(life: SignedDuration) -> Result<Self, TtlError> {
        if life < Self::MIN.signed() {
            Err(TtlError::TooShort(life))
        } else if life > Self::MAX.signed() {
            Err(TtlError::TooLong(life))
        } else if life.subsec_nanos() != 0 {
            Err(TtlError::Fraction(life))
        } else {
            u32::try_from(life.as_secs()).map(Self).map_err(|_| TtlError::TooLong(life))
        }
    }

    /// In seconds.
    pub fn as_secs(self) -> i64 {
        i64::from(self.0)
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }

    fn signed(self) -> SignedDuration {
        SignedDuration::from_secs(self.as_secs())
    }
}

impl TryFrom<SignedDuration> for Ttl {
    type Error = TtlError;

    fn try_from(life: SignedDuration) -> Result<Self, TtlError> {
        Self::new(life)
    }
}
