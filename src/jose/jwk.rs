//! Public keys as others see them: JSON Web Keys (RFC 7517) on the curve P-256 (RFC 7518, section 6.2.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Bytes of one coordinate.
const COORDINATE: usize = 32;

/// Which key: the name that a token's header and a key set share.
///
/// One to 64 characters of the base64url alphabet. That is all it can be: it never serves as a path, a query or a
/// pattern, whatever a forged header may hold (RFC 8725, section 3.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(String);

impl Kid {
    /// Accepts a name of this length and alphabet, and no other.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let accepted = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        accepted.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Kid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The public half of a signing key.
///
/// It can be made from a public key only, so that nothing private can slip into a published document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: Kid,
}

impl PublicJwk {
    /// Describes a public key. `use` and `alg` are always there: strict readers (Azure, Slurm) insist on them.
    pub fn new(key: &p256::PublicKey) -> Self {
        let point = key.to_encoded_point(false);
        // Uncompressed: 0x04, then both coordinates in full length; leading zeros stay (RFC 7518, section 6.2.1.2).
        let (x, y) = point.as_bytes()[1..].split_at(COORDINATE);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let kid = thumbprint(&x, &y);
        Self { kty: "EC", crv: "P-256", x, y, usage: "sig", alg: "ES256", kid }
    }

    /// The public key at two coordinates, base64url, if they are complete, canonical and on the curve.
    pub fn from_coordinates(x: &str, y: &str) -> Option<Self> {
        public_key(x, y).map(|key| Self::new(&key))
    }

    /// The key's name, the thumbprint of the rest.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Both coordinates, base64url.
    pub fn coordinates(&self) -> (&str, &str) {
        (&self.x, &self.y)
    }
}

/// A document of public keys (RFC 7517, section 5), as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwks {
    keys: Vec<PublicJwk>,
}

impl Jwks {
    /// A set of keys, in the order given.
    pub fn new(keys: Vec<PublicJwk>) -> Self {
        Self { keys }
    }

    /// The keys in it.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }
}

/// The key's name that follows from the key itself: RFC 7638, section 3, with SHA-256.
///
/// Two keys never share one, and anybody can compute it from the published document. Members in lexical order, no white
/// space; base64url needs no escapes in JSON.
fn thumbprint(x: &str, y: &str) -> Kid {
    let digest = Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
    Kid(URL_SAFE_NO_PAD.encode(digest))
}

/// The public key at two coordinates, if they are complete, canonical and on the curve.
///
/// A point off the curve would open the door to invalid-curve attacks; that is why it is checked even for public keys.
pub(crate) fn public_key(x: &str, y: &str) -> Option<p256::PublicKey> {
    let (x, y) = (URL_SAFE_NO_PAD.decode(x).ok()?, URL_SAFE_NO_PAD.decode(y).ok()?);
    if x.len() != COORDINATE || y.len() != COORDINATE {
        return None;
    }
    p256::PublicKey::from_sec1_bytes(&[&[4], x.as_slice(), y.as_slice()].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    #[test]
    fn the_thumbprint_is_recomputed_by_hand() {
        // The key of RFC 7517, appendix A.1; the digest was computed with openssl over the text in RFC 7638's form.
        let jwk = PublicJwk::from_coordinates(X, Y).unwrap();
        let text = [r#"{"crv":"P-256","kty":"EC","x":""#, X, r#"","y":""#, Y, r#""}"#].concat();
        let by_hand = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
        assert_eq!(jwk.kid().as_str(), by_hand);
        assert_eq!(jwk.kid().as_str(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
        assert_eq!(jwk.coordinates(), (X, Y));
    }

    #[test]
    fn a_published_key_has_exactly_the_public_members() {
        let value = serde_json::to_value(PublicJwk::from_coordinates(X, Y).unwrap()).unwrap();
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }

    #[test]
    fn a_point_off_the_curve_or_of_the_wrong_length_is_no_key() {
        assert!(PublicJwk::from_coordinates(X, X).is_none());
        assert!(PublicJwk::from_coordinates(X, &Y[..40]).is_none());
        assert!(PublicJwk::from_coordinates(X, &format!("{Y}=")).is_none());
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        assert!(PublicJwk::from_coordinates(&zero, &zero).is_none());
    }

    #[test]
    fn a_key_id_is_short_and_of_one_alphabet() {
        assert!(Kid::new(&"a".repeat(64)).is_some());
        for bad in ["", "../../etc/passwd", "a b", "a\0", "é", "' OR 1=1", &"a".repeat(65)] {
            assert!(Kid::new(bad).is_none(), "{bad}");
        }
    }
}
