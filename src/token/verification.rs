//! The one place where a token is believed.
//!
//! The library checks the signature. Everything else is checked here, because left to itself it accepts tokens without an
//! audience, lists where one issuer is due, any `crit`, and lives of ten years. Order: form, header, key,
//! signature, and only then what the payload says; nothing of an unsigned payload ever reaches a decision or a message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use super::claims::Claims;
use super::jwk::Kid;
use super::key_set::{KeySet, VerifyingKey};
use super::lifetime::Ttl;
use super::strict_json::StrictObject;

/// Longest text that is looked at, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// By how much clocks may differ, in seconds.
pub const LEEWAY: i64 = 30;

/// What is expected of a token.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: KeySet,
    issuer: String,
    audience: String,
    max_life: i64,
}

/// A token's claims after every check was passed. Only a [`Verifier`] makes it.
#[derive(Clone, Debug)]
pub struct Verified {
    claims: Map<String, Value>,
    kid: Kid,
}

/// Why a token is refused, by what its holder can do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Not signed by anyone we know, or not in a form anyone honest writes.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Not valid now.
    #[error(transparent)]
    Time(#[from] TimeProblem),
    /// From or for somebody else.
    #[error(transparent)]
    Party(#[from] PartyProblem),
    /// Says something else than needed.
    #[error(transparent)]
    Claim(#[from] ClaimProblem),
}

/// Form, header and signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// Over [`MAX_TOKEN`].
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLarge,
    /// Not three parts.
    #[error("the token does not have three parts with two dots between them")]
    Parts,
    /// Not base64url without padding (RFC 7515, section 2).
    #[error("the {0} of the token is not base64url without padding")]
    Encoding(&'static str),
    /// Not one JSON object, or a member appears twice.
    #[error("the {0} of the token is not a JSON object with each member once")]
    Json(&'static str),
    /// A header member beyond `alg`, `kid` and `typ`: none other is needed, and most exist to be abused.
    #[error("the header of the token has {0}; only `alg`, `kid` and `typ` are accepted")]
    HeaderMember(&'static str),
    /// Another kind of token than a JWT.
    #[error("the token's `typ` is not \"JWT\"")]
    Typ,
    /// No `kid`, or not of its alphabet.
    #[error("the token does not name its key (`kid`) in an accepted form")]
    NoKid,
    /// A key that is not in the set.
    #[error("the token is signed with key {0}, which is not in the key set; fetch the issuer's keys again")]
    UnknownKid(Kid),
    /// Another algorithm than the key's own.
    #[error("the token's algorithm is not {0}, the only one of its key")]
    Algorithm(&'static str),
    /// The signature is wrong.
    #[error("the signature of the token is wrong")]
    Signature,
    /// A time claim that is missing or not an integer: never read as "no limit".
    #[error("the claim `{0}` must be an integer number of seconds since 1970")]
    NotATime(&'static str),
}

/// Times of a genuine token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimeProblem {
    /// After `exp`.
    #[error("the token expired at {0}; get a fresh one")]
    Expired(Timestamp),
    /// Before `nbf`.
    #[error("the token is not valid before {0}; compare the clocks of both machines")]
    NotYet(Timestamp),
    /// `iat` lies in the future.
    #[error("the token was issued in the future, at {0}; compare the clocks of both machines")]
    IssuedInFuture(Timestamp),
    /// `exp` is not after `iat`, or too long after it.
    #[error("the token lives {life} s, accepted are 1 to {max} s")]
    Life {
        /// `exp - iat` in seconds.
        life: i64,
        /// The longest accepted.
        max: i64,
    },
}

/// Issuer and audience of a genuine token. Values are shown escaped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PartyProblem {
    /// `iss`
    #[error("the token's issuer is {found}, expected {expected:?}, character by character")]
    Issuer {
        /// Who should have issued it.
        expected: String,
        /// What is there.
        found: Found,
    },
    /// `aud`
    #[error("the token's audience is {found}, expected {expected:?}, character by character and nothing besides")]
    Audience {
        /// For whom it should be.
        expected: String,
        /// What is there.
        found: Found,
    },
}

/// Other claims of a genuine token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClaimProblem {
    /// Not there. A claim that is missing is not an empty one.
    #[error("the claim `{0}` is missing")]
    Missing(String),
    /// There, but not a string.
    #[error("the claim `{0}` is not a string")]
    NotAString(String),
    /// There, with another value.
    #[error("the claim `{name}` is {found:?}, expected {expected:?}")]
    Differs {
        /// Which claim.
        name: String,
        /// What it should say.
        expected: String,
        /// What it says.
        found: String,
    },
    /// Not the claims of one of our job tokens.
    #[error("the claims are not those of a job's token")]
    NotAJob,
}

/// What stands in a claim that should be a certain string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A list, a number, ...
    NotAString,
    /// Another string.
    Text(String),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NotAString => f.write_str("not a single string"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Verifier {
    /// Believes tokens that `issuer` made for `audience` with one of `keys`, and that live at most [`Ttl::MAX`].
    pub fn new(keys: KeySet, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { keys, issuer: issuer.into(), audience: audience.into(), max_life: Ttl::MAX.as_secs() }
    }

    /// Accepts other lives, `exp - iat` in seconds.
    #[must_use]
    pub fn with_max_life(self, seconds: i64) -> Self {
        Self { max_life: seconds, ..self }
    }

    /// Judges a token at the time `now`.
    ///
    /// # Errors
    /// The first check that fails. No error holds any part of the token, apart from an unknown key's id (of its narrow
    /// alphabet) and claims that a known key has signed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, VerifyError> {
        let (key, payload) = self.signed_payload(token)?;
        let StrictObject(claims) = serde_json::from_slice(&payload).map_err(|_| Untrusted::Json("payload"))?;
        self.judge_parties(&claims)?;
        self.judge_times(&claims, now)?;
        let verified = Verified { claims, kid: key.kid.clone() };
        match verified.text("sub")? {
            "" => Err(ClaimProblem::Missing("sub".to_owned()).into()),
            _ => Ok(verified),
        }
    }

    /// Judges form, header and signature: the key that signed, and the bytes that it signed.
    ///
    /// The library is asked for the signature alone. Its `decode` would read the claims a second time, by looser rules
    /// and its own clock; two readers of one text are what attackers look for.
    fn signed_payload(&self, token: &str) -> Result<(&VerifyingKey, Vec<u8>), Untrusted> {
        if token.len() > MAX_TOKEN {
            return Err(Untrusted::TooLarge);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header_text, payload, signature] = parts[..] else {
            return Err(Untrusted::Parts);
        };
        let decoded = |part, text| URL_SAFE_NO_PAD.decode(text).map_err(|_| Untrusted::Encoding(part));
        let body = decoded("payload", payload)?;
        decoded("signature", signature)?;
        let StrictObject(header) =
            serde_json::from_slice(&decoded("header", header_text)?).map_err(|_| Untrusted::Json("header"))?;
        if let Some(name) = header.keys().find(|name| !matches!(name.as_str(), "alg" | "kid" | "typ")) {
            return Err(Untrusted::HeaderMember(member_in_words(name)));
        }
        if header.get("typ").is_some_and(|typ| typ != "JWT") {
            return Err(Untrusted::Typ);
        }
        let kid =
            header.get("kid").and_then(Value::as_str).and_then(|kid| Kid::new(kid).ok()).ok_or(Untrusted::NoKid)?;
        let Some(key) = self.keys.find(&kid) else {
            return Err(Untrusted::UnknownKid(kid));
        };
        // The key says which algorithm is right, the header may only agree: `none`, or an HMAC keyed with our public
        // key, end here (RFC 8725, section 2.1).
        if header.get("alg").is_none_or(|alg| alg != key.algorithm_name) {
            return Err(Untrusted::Algorithm(key.algorithm_name));
        }
        let message = &token.as_bytes()[..header_text.len() + 1 + payload.len()];
        match jsonwebtoken::crypto::verify(signature, message, &key.key, key.algorithm) {
            Ok(true) => Ok((key, body)),
            Ok(false) | Err(_) => Err(Untrusted::Signature),
        }
    }

    fn judge_parties(&self, claims: &Map<String, Value>) -> Result<(), PartyProblem> {
        let differs = |name, expected: &String| match claims.get(name) {
            Some(Value::String(found)) if found == expected => None,
            Some(Value::String(found)) => Some(Found::Text(found.clone())),
            Some(_) => Some(Found::NotAString), // a list of one too: who lists, may list more tomorrow
            None => Some(Found::Missing),
        };
        if let Some(found) = differs("iss", &self.issuer) {
            return Err(PartyProblem::Issuer { expected: self.issuer.clone(), found });
        }
        if let Some(found) = differs("aud", &self.audience) {
            return Err(PartyProblem::Audience { expected: self.audience.clone(), found });
        }
        Ok(())
    }

    fn judge_times(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<(), VerifyError> {
        let time = |name| numeric_date(claims, name).ok_or(Untrusted::NotATime(name));
        let (exp, iat, nbf) = (time("exp")?, time("iat")?, time("nbf")?);
        // All within the years 1970 to 9999, so that no sum below can overflow.
        let life = exp.as_second() - iat.as_second();
        if !(1..=self.max_life).contains(&life) {
            return Err(TimeProblem::Life { life, max: self.max_life }.into());
        }
        let now = now.as_second();
        if now >= exp.as_second() + LEEWAY {
            return Err(TimeProblem::Expired(exp).into());
        }
        if iat.as_second() > now + LEEWAY {
            return Err(TimeProblem::IssuedInFuture(iat).into());
        }
        if nbf.as_second() > now + LEEWAY {
            return Err(TimeProblem::NotYet(nbf).into());
        }
        Ok(())
    }
}

impl Verified {
    /// All claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The key that signed.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The claims as those of one of our job tokens.
    pub fn job_claims(&self) -> Result<Claims, ClaimProblem> {
        serde_json::from_value(Value::Object(self.claims.clone())).map_err(|_| ClaimProblem::NotAJob)
    }

    /// Insists on a claim, by its dotted path (`hpc.local_user`): a string, equal in every character.
    pub fn require(&self, path: &str, expected: &str) -> Result<(), ClaimProblem> {
        let found = self.text(path)?;
        if found == expected {
            return Ok(());
        }
        Err(ClaimProblem::Differs { name: path.to_owned(), expected: expected.to_owned(), found: found.to_owned() })
    }

    fn text(&self, path: &str) -> Result<&str, ClaimProblem> {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| self.claims.get(name));
        let value = names.fold(first, |value, name| value?.as_object()?.get(name));
        let value = value.ok_or_else(|| ClaimProblem::Missing(path.to_owned()))?;
        value.as_str().ok_or_else(|| ClaimProblem::NotAString(path.to_owned()))
    }
}

/// A NumericDate, RFC 7519, section 2, without the fraction that it allows: `1.7e9` is a number that readers disagree on.
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    let second = claims.get(name)?.as_i64().filter(|second| *second >= 0)?;
    Timestamp::from_second(second).ok()
}

/// A forbidden header member for a message: known names as they are, others not at all, since nobody has signed them.
fn member_in_words(name: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["crit", "jku", "jwk", "x5u", "x5c", "x5t", "zip", "enc", "cty"];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("an unknown member")
}

#[cfg(test)]
mod tests;
