//! How long a token lives, and when its successor is due. Pure functions: the clock and the dice are arguments.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use p256::elliptic_curve::rand_core::{OsRng, RngCore};
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

    /// As a duration that is compared with differences of times.
    pub fn signed(self) -> SignedDuration {
        SignedDuration::from_secs(self.as_secs())
    }
}

impl TryFrom<SignedDuration> for Ttl {
    type Error = TtlError;

    fn try_from(life: SignedDuration) -> Result<Self, TtlError> {
        Self::new(life)
    }
}

/// By how much a refresh is moved, so that a thousand jobs which started together do not ask together: -10 % to +10 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter(i64);

impl Jitter {
    /// A shift for a random number; every number is as good.
    pub fn from_random(number: u32) -> Self {
        Self(i64::from(number % 2001) - 1000)
    }

    /// A shift by the operating system's dice.
    pub fn random() -> Self {
        Self::from_random(OsRng.next_u32())
    }
}

/// How long to wait before the next token: until half of its life is over, more or less by the jitter, and at least 1 s.
///
/// The bounds hold whatever the clock does. Set back, it would put the refresh off until the token has expired; set
/// forward, it would make the delay zero or negative, and a loop that waits for that either spins or never runs again.
pub fn refresh_delay(issued_at: Timestamp, now: Timestamp, ttl: Ttl, jitter: Jitter) -> Duration {
    let half = ttl.as_secs() * 1000 / 2;
    // Ten-thousandths: Jitter counts from -1000 to 1000.
    let target = half + half * jitter.0 / 10_000;
    let age = now.as_millisecond().saturating_sub(issued_at.as_millisecond());
    let delay = target.saturating_sub(age).clamp(1000, half + half / 10);
    Duration::from_millis(delay.unsigned_abs())
}

/// How long to wait after so many failures in a row: 1, 2, 4, 8, 16, then 30 s. Never zero.
pub fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1_u64 << failures.saturating_sub(1).min(5)).min(Duration::from_secs(30))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use jiff::SignedDuration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ttl(secs: i64) -> Ttl {
        Ttl::new(SignedDuration::from_secs(secs)).unwrap()
    }

    #[test]
    fn a_life_out_of_bounds_is_refused_and_not_clamped() {
        for bad in [i64::MIN, -900, -1, 0, 1, 59, 21_601, 86_400, i64::MAX] {
            assert!(Ttl::new(SignedDuration::from_secs(bad)).is_err(), "{bad}");
        }
        assert_eq!(ttl(60), Ttl::MIN);
        assert_eq!(ttl(21_600), Ttl::MAX);
        assert!(matches!(Ttl::new(SignedDuration::from_millis(60_500)), Err(TtlError::Fraction(_))));
        let message = Ttl::new(SignedDuration::from_hours(24)).unwrap_err().to_string();
        assert!(message.contains("24h") && message.contains("60s to 6h"), "{message}");
    }

    #[test]
    fn a_fresh_token_is_refreshed_at_half_its_life() {
        assert_eq!(refresh_delay(at(1000), at(1000), ttl(900), Jitter(0)), Duration::from_secs(450));
        assert_eq!(refresh_delay(at(1000), at(1100), ttl(900), Jitter(0)), Duration::from_secs(350));
        assert_eq!(refresh_delay(at(1000), at(1000), ttl(900), Jitter(-1000)), Duration::from_secs(405));
        assert_eq!(refresh_delay(at(1000), at(1100), ttl(900), Jitter(1000)), Duration::from_secs(395));
    }

    #[test]
    fn a_clock_that_was_set_gives_neither_zero_nor_an_eternity() {
        for now in [-377_705_023_201, -1, 0, 900] {
            assert_eq!(refresh_delay(at(1000), at(now), ttl(900), Jitter(0)), Duration::from_secs(495));
        }
        for now in [1450, 1900, 5_000_000_000, 253_402_207_200] {
            assert_eq!(refresh_delay(at(1000), at(now), ttl(900), Jitter(0)), Duration::from_secs(1));
        }
    }

    #[test]
    fn the_pause_after_failures_grows_from_one_to_thirty_seconds() {
        let pauses: Vec<_> = (0..8).map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(back_off(u32::MAX).as_secs(), 30);
    }

    proptest! {
        #[test]
        fn the_delay_is_always_within_its_bounds(
            issued in -377_705_023_201_i64..253_402_207_200, now in -377_705_023_201_i64..253_402_207_200,
            life in 60_i64..=21_600, dice: u32,
        ) {
            let delay = refresh_delay(at(issued), at(now), ttl(life), Jitter::from_random(dice));
            prop_assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(u64::from(ttl(life).0)) * 55 / 100);
        }

        #[test]
        fn jitter_stays_within_ten_percent(dice: u32) {
            prop_assert!(Jitter::from_random(dice).0.abs() <= 1000);
        }
    }
}
