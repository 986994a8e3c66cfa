//! The keys a verifier believes, read from a published document (JWKS, RFC 7517).

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::jwk::{Jwks, Kid, public_key};
use crate::rsa;
use crate::strict_json::StrictObject;

/// Largest document in bytes.
pub const MAX_DOCUMENT: usize = 1024 * 1024;
/// Most keys in one document.
pub const MAX_KEYS: usize = 16;

/// Public keys by name, each with the one algorithm it serves.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

/// A public key and its algorithm. The algorithm comes from here and never from a token (RFC 8725, section 3.1).
#[derive(Clone, Debug)]
pub(crate) struct VerifyingKey {
    pub(crate) kid: Kid,
    pub(crate) algorithm: Algorithm,
    /// The algorithm as a token's header must spell it.
    pub(crate) algorithm_name: &'static str,
    pub(crate) key: DecodingKey,
}

/// Why a document of keys is refused, as a whole: half of a key set is not what its publisher meant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Over [`MAX_DOCUMENT`].
    #[error("the key set is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// Not JSON, or a member appears twice.
    #[error("the key set is not a JSON object with each member once")]
    Json,
    /// No `keys`, or none in it.
    #[error("the key set has no keys")]
    Empty,
    /// Over [`MAX_KEYS`].
    #[error("the key set has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
    /// Two keys of one name.
    #[error("the key set has two keys with the id {0}")]
    SameKid(Kid),
    /// Keys, but none that could verify a token.
    #[error(
        "the key set has no key that can be used: none is for ES256 (P-256), with a `kid`, and meant for signatures"
    )]
    NoneUsable,
    /// The same of a provider's keys, which may be of two kinds.
    #[error(
        "the key set has no key that can be used: none is for RS256 (RSA, at least 2048 bits) or ES256 (P-256), with a `kid`, and meant for signatures"
    )]
    NoneUsableOfProvider,
    /// One key is not as it must be.
    #[error("key {} of the key set: {problem}", index + 1)]
    Key {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        problem: KeyProblem,
    },
}

/// What is wrong with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// Not an object.
    #[error("is not a JSON object")]
    NotObject,
    /// A member has another value than the one it must have.
    #[error("`{member}` must be \"{wanted}\"")]
    Member {
        /// Which.
        member: &'static str,
        /// Its only value.
        wanted: &'static str,
    },
    /// No `kid`, or one that is too long or of other characters.
    #[error("`kid` must be 1 to 64 characters of A-Z a-z 0-9 - _")]
    Kid,
    /// `x` and `y` are not two 32-byte numbers that lie on the curve.
    #[error("`x` and `y` are not a point of P-256")]
    Point,
    /// `n` and `e` are not an RSA key of a size that is still safe, in its one spelling.
    #[error("`n` and `e` are not an RSA key of 2048 to 8192 bits with an ordinary exponent")]
    Modulus,
    /// `key_ops` (RFC 7517, section 4.3) says what it may do, and that is something else.
    #[error("`key_ops` must be a list with \"verify\" in it, or absent")]
    Operations,
    /// A secret where only public keys belong.
    #[error(
        "is symmetric (`oct`): whoever can verify with it can sign with it, and everybody can read this set; replace it at once by a pair of keys"
    )]
    Symmetric,
    /// The private half was published.
    #[error("has a private member: this key is known to others now, replace it at once")]
    Private,
}

/// What becomes of keys that are not usable here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Refused,
    LeftOut,
}

/// Which keys are usable here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    Es256,
    Es256AndRs256,
}

impl KeyProblem {
    /// Whether such a key may well be right for somebody else. A point that is off its curve is for nobody.
    fn is_of_another(self) -> bool {
        match self {
            // A short RSA key may have its place elsewhere; here it is no key, and what it has signed is signed by nobody.
            Self::Member { .. } | Self::Kid | Self::Operations | Self::Modulus => true,
            Self::NotObject | Self::Point | Self::Symmetric | Self::Private => false,
        }
    }
}

impl KeySet {
    /// Reads a document. Every key in it must be an ES256 key in full: `kty`, `crv`, `x`, `y`, `alg`, `use`, `kid`.
    pub fn from_json(document: &[u8]) -> Result<Self, KeySetError> {
        Self::read(document, Others::Refused, Kinds::Es256)
    }

    /// Reads a document in which there may be keys beside those that are usable here: of other algorithms, curves and uses. Of
    /// an ES256 key `alg` and `use` may be missing, as RFC 7517 has it. Secrets are refused all the same.
    pub fn from_json_among_others(document: &[u8]) -> Result<Self, KeySetError> {
        Self::read(document, Others::LeftOut, Kinds::Es256)
    }

    /// Reads the document of an OpenID provider, whose tokens may be signed with RS256, too (RSA keys of at least 2048 bits;
    /// RFC 7518, section 6.3.1). Each key serves its one algorithm. What else is in it is left out as in
    /// [`KeySet::from_json_among_others`].
    pub fn of_provider(document: &[u8]) -> Result<Self, KeySetError> {
        Self::read(document, Others::LeftOut, Kinds::Es256AndRs256)
    }

    fn read(document: &[u8], others: Others, kinds: Kinds) -> Result<Self, KeySetError> {
        if document.len() > MAX_DOCUMENT {
            return Err(KeySetError::TooLarge);
        }
        let StrictObject(document) = serde_json::from_slice(document).map_err(|_| KeySetError::Json)?;
        let listed =
            document.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty()).ok_or(KeySetError::Empty)?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(listed.len()));
        }
        let mut keys: Vec<VerifyingKey> = Vec::with_capacity(listed.len());
        for (index, listed) in listed.iter().enumerate() {
            let key = match VerifyingKey::read(listed, others, kinds) {
                Ok(key) => key,
                Err(problem) if others == Others::LeftOut && problem.is_of_another() => continue,
                Err(problem) => return Err(KeySetError::Key { index, problem }),
            };
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeySetError::SameKid(key.kid));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(match kinds {
                Kinds::Es256 => KeySetError::NoneUsable,
                Kinds::Es256AndRs256 => KeySetError::NoneUsableOfProvider,
            });
        }
        Ok(Self { keys })
    }

    /// The keys of a set that is about to be published, by way of the very document that others read.
    pub fn from_jwks(jwks: &Jwks) -> Result<Self, KeySetError> {
        Self::from_json(&serde_json::to_vec(jwks).map_err(|_| KeySetError::Json)?)
    }

    /// The names of the keys.
    pub fn kids(&self) -> impl Iterator<Item = &Kid> {
        self.keys.iter().map(|key| &key.kid)
    }

    pub(crate) fn find(&self, kid: &Kid) -> Option<&VerifyingKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }
}

impl VerifyingKey {
    fn read(listed: &Value, others: Others, kinds: Kinds) -> Result<Self, KeyProblem> {
        let listed = listed.as_object().ok_or(KeyProblem::NotObject)?;
        if text(listed, "kty") == Some("oct") {
            return Err(KeyProblem::Symmetric);
        }
        // `d` of EC and RSA keys, `k` of symmetric ones (RFC 7518, section 6).
        if listed.contains_key("d") || listed.contains_key("k") {
            return Err(KeyProblem::Private);
        }
        if kinds == Kinds::Es256AndRs256 && text(listed, "kty") == Some("RSA") {
            let kid = named(listed, others, &[("alg", "RS256"), ("use", "sig")])?;
            let (n, e) = text(listed, "n").zip(text(listed, "e")).ok_or(KeyProblem::Modulus)?;
            let key = rsa::public_key(n, e).ok_or(KeyProblem::Modulus)?;
            return Ok(Self { kid, algorithm: Algorithm::RS256, algorithm_name: "RS256", key });
        }
        let kid = named(listed, others, &[("kty", "EC"), ("crv", "P-256"), ("alg", "ES256"), ("use", "sig")])?;
        let (x, y) = text(listed, "x").zip(text(listed, "y")).ok_or(KeyProblem::Point)?;
        public_key(x, y).ok_or(KeyProblem::Point)?;
        let key = DecodingKey::from_ec_components(x, y).map_err(|_| KeyProblem::Point)?;
        Ok(Self { kid, algorithm: Algorithm::ES256, algorithm_name: "ES256", key })
    }
}

/// The name of a key that says these things of itself.
fn named(
    listed: &Map<String, Value>,
    others: Others,
    members: &[(&'static str, &'static str)],
) -> Result<Kid, KeyProblem> {
    for &(member, wanted) in members {
        // Absent is not another value; what kind of key it is must be said.
        let left_open = others == Others::LeftOut && matches!(member, "alg" | "use") && !listed.contains_key(member);
        if !left_open && text(listed, member) != Some(wanted) {
            return Err(KeyProblem::Member { member, wanted });
        }
    }
    let operations =
        listed.get("key_ops").map(|list| list.as_array().is_some_and(|list| list.contains(&"verify".into())));
    if operations == Some(false) {
        return Err(KeyProblem::Operations);
    }
    text(listed, "kid").and_then(Kid::new).ok_or(KeyProblem::Kid)
}

fn text<'a>(object: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    object.get(member).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_keys::key;

    fn document() -> Value {
        serde_json::to_value(Jwks::new(vec![key(1).public_jwk().clone()])).unwrap()
    }

    fn read(document: &Value) -> Result<KeySet, KeySetError> {
        KeySet::from_json(document.to_string().as_bytes())
    }

    #[test]
    fn a_published_set_is_read_back() {
        let set = read(&document()).unwrap();
        assert_eq!(set.kids().collect::<Vec<_>>(), [key(1).kid()]);
    }

    #[test]
    fn every_member_must_be_there_and_right() {
        for (member, bad) in [
            ("kty", json!("RSA")),
            ("kty", json!("oct")),
            ("crv", json!("P-384")),
            ("alg", json!("HS256")),
            ("alg", json!("es256")),
            ("alg", json!("none")),
            ("use", json!("enc")),
            ("kid", json!("../x")),
            ("kid", json!(5)),
            ("kid", json!("a".repeat(65))),
            ("x", json!("AAAA")),
            ("x", json!(1)),
            ("y", json!("")),
        ] {
            let mut with = document();
            with["keys"][0][member] = bad.clone();
            assert!(matches!(read(&with), Err(KeySetError::Key { index: 0, .. })), "{member} {bad}");
            let mut without = document();
            without["keys"][0].as_object_mut().unwrap().remove(member);
            assert!(matches!(read(&without), Err(KeySetError::Key { index: 0, .. })), "{member}");
        }
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut bad = document();
        bad["keys"][0]["y"] = bad["keys"][0]["x"].clone();
        assert_eq!(read(&bad).unwrap_err(), KeySetError::Key { index: 0, problem: KeyProblem::Point });
    }

    #[test]
    fn a_published_private_key_is_refused_loudly() {
        let mut bad = document();
        bad["keys"][0]["d"] = json!("AAAA");
        assert_eq!(read(&bad).unwrap_err(), KeySetError::Key { index: 0, problem: KeyProblem::Private });
    }

    #[test]
    fn a_symmetric_key_has_a_sentence_of_its_own() {
        let mut bad = document();
        bad["keys"].as_array_mut().unwrap().push(json!({"kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256"}));
        for read in [KeySet::from_json, KeySet::from_json_among_others] {
            let problem = read(bad.to_string().as_bytes()).unwrap_err();
            assert_eq!(problem, KeySetError::Key { index: 1, problem: KeyProblem::Symmetric });
            assert!(problem.to_string().contains("can sign with it"), "{problem}");
        }
    }

    #[test]
    fn what_a_key_may_do_is_honoured() {
        for (operations, good) in [
            (json!(["verify"]), true),
            (json!(["sign", "verify"]), true),
            (json!(["encrypt"]), false),
            (json!([]), false),
            (json!("verify"), false),
            (json!(null), false),
        ] {
            let mut set = document();
            set["keys"][0]["key_ops"] = operations.clone();
            let strict = read(&set).map(|_| ());
            let wrong = KeySetError::Key { index: 0, problem: KeyProblem::Operations };
            assert_eq!(strict, if good { Ok(()) } else { Err(wrong) }, "{operations}");
            let among = KeySet::from_json_among_others(set.to_string().as_bytes()).map(|_| ());
            assert_eq!(among, if good { Ok(()) } else { Err(KeySetError::NoneUsable) }, "{operations}");
        }
    }

    #[test]
    fn keys_of_others_are_left_out_where_that_is_asked_for_and_secrets_never() {
        let mut set = document();
        let other = |kty: &str, more: Value| {
            let mut key = json!({"kty": kty, "kid": "other", "use": "sig"});
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let own = set["keys"][0].clone();
        let keys = set["keys"].as_array_mut().unwrap();
        keys.insert(0, other("RSA", json!({"n": "AQAB", "e": "AQAB", "alg": "RS256"})));
        keys.push(other("EC", json!({"crv": "P-384", "x": "AAAA", "y": "AAAA", "alg": "ES384"})));
        keys.push(other("OKP", json!({"crv": "Ed25519", "x": "AAAA"})));
        let mut encrypting = own.clone();
        encrypting["use"] = json!("enc");
        keys.push(encrypting);
        let among = |set: &Value| KeySet::from_json_among_others(set.to_string().as_bytes());
        assert_eq!(among(&set).unwrap().kids().collect::<Vec<_>>(), [key(1).kid()]);
        assert!(matches!(read(&set), Err(KeySetError::Key { index: 0, .. })), "as a whole");
        for member in ["alg", "use"] {
            set["keys"][1].as_object_mut().unwrap().remove(member);
            assert!(among(&set).is_ok(), "{member}");
        }
        let mut published = set.clone();
        published["keys"][0]["d"] = json!("AAAA");
        assert_eq!(among(&published).unwrap_err(), KeySetError::Key { index: 0, problem: KeyProblem::Private });
        set["keys"].as_array_mut().unwrap().remove(1);
        assert_eq!(among(&set).unwrap_err(), KeySetError::NoneUsable);
    }

    #[test]
    fn two_keys_of_one_name_are_refused() {
        let mut bad = document();
        let copy = bad["keys"][0].clone();
        bad["keys"].as_array_mut().unwrap().push(copy);
        assert!(matches!(read(&bad), Err(KeySetError::SameKid(_))));
    }

    #[test]
    fn size_and_number_of_keys_are_limited_and_none_is_an_error() {
        assert_eq!(read(&json!({"keys": []})).unwrap_err(), KeySetError::Empty);
        assert_eq!(read(&json!({"keys": {}})).unwrap_err(), KeySetError::Empty);
        assert_eq!(read(&json!({})).unwrap_err(), KeySetError::Empty);
        assert_eq!(read(&json!({"keys": vec![1; 17]})).unwrap_err(), KeySetError::TooMany(17));
        assert_eq!(read(&json!([])).unwrap_err(), KeySetError::Json);
        assert_eq!(KeySet::from_json(&vec![b' '; MAX_DOCUMENT + 1]).unwrap_err(), KeySetError::TooLarge);
        assert_eq!(KeySet::from_json(br#"{"keys":[],"keys":[]}"#).unwrap_err(), KeySetError::Json);
    }
}
