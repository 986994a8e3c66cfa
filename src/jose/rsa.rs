//! RSA public keys (RFC 7518, section 6.3.1), to verify with; nothing here signs with one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

/// Bytes of a modulus: 2048 bits are the least that RFC 7518, section 3.3, allows; above 8192 the crypto library takes none, and a
/// forged key set could make every verification slow.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// The exponent that everybody uses, and the least. Smaller ones have let forged signatures pass in careless libraries.
const LEAST_EXPONENT: u32 = 65537;

/// The key with this modulus and this exponent, base64url, each in its one spelling: without leading zeros.
pub(crate) fn public_key(n: &str, e: &str) -> Option<DecodingKey> {
    let (modulus, exponent) = (URL_SAFE_NO_PAD.decode(n).ok()?, URL_SAFE_NO_PAD.decode(e).ok()?);
    // The first byte counts for a length in bits, too: 2047 bits are 256 bytes as well.
    let long_enough = modulus.len() > *MODULUS.start() || modulus.first().is_some_and(|first| first & 0x80 != 0);
    let whole = modulus.first().is_some_and(|first| *first != 0) && modulus.last().is_some_and(|last| last & 1 == 1);
    if !MODULUS.contains(&modulus.len()) || !long_enough || !whole {
        return None;
    }
    if !(3..=4).contains(&exponent.len()) || exponent[0] == 0 {
        return None;
    }
    let value = exponent.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    if value < LEAST_EXPONENT || value.is_multiple_of(2) {
        return None;
    }
    DecodingKey::from_rsa_components(n, e).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bytes: usize, first: u8, last: u8) -> String {
        let mut modulus = vec![0x55; bytes];
        (modulus[0], modulus[bytes - 1]) = (first, last);
        URL_SAFE_NO_PAD.encode(modulus)
    }

    #[test]
    fn a_short_an_even_or_a_padded_modulus_is_no_key() {
        for (bytes, first, last, good) in [
            (256, 0x80, 1, true),
            (256, 0x7f, 1, false),
            (255, 0xff, 1, false),
            (257, 0, 1, false),
            (257, 1, 1, true),
            (256, 0x80, 2, false),
            (1024, 0xff, 1, true),
            (1025, 0xff, 1, false),
            (128, 0xff, 1, false),
        ] {
            assert_eq!(public_key(&modulus(bytes, first, last), "AQAB").is_some(), good, "{bytes} {first} {last}");
        }
        let good = modulus(256, 0x80, 1);
        for bad in ["", "A", "=", &format!("{good}="), &format!("{good}AAAA*")] {
            assert!(public_key(bad, "AQAB").is_none(), "{bad}");
        }
    }

    #[test]
    fn an_exponent_that_is_small_even_long_or_padded_is_no_key() {
        let good = modulus(256, 0x80, 1);
        for (exponent, accepted) in [
            (&[1, 0, 1][..], true),
            (&[0xff, 0xff, 0xff, 0xff], true),
            (&[3], false),
            (&[1], false),
            (&[], false),
            (&[1, 0, 0], false),
            (&[0xff, 0xff], false),
            (&[0, 1, 0, 1], false),
            (&[1, 0, 0, 0, 1], false),
        ] {
            assert_eq!(public_key(&good, &URL_SAFE_NO_PAD.encode(exponent)).is_some(), accepted, "{exponent:?}");
        }
    }
}
