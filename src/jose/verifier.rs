//! The one place where a token is believed.
//!
//! The library checks the signature. Everything else is checked here, because left to itself it accepts tokens without an
//! audience, lists where one issuer is due, any `crit`, and lives of ten years. Order: form, header, key,
//! signature, and only then what the payload says; nothing of an unsigned payload ever reaches a decision or a message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::jwk::Kid;
use crate::key_set::{KeySet, VerifyingKey};
use crate::refusal::{ClaimProblem, FoundClaim, MAX_TOKEN, PartyProblem, TimeProblem, Untrusted, VerifyError};
use crate::strict_json::StrictObject;

/// By how much clocks may differ, in seconds.
pub const LEEWAY: i64 = 30;

/// What is expected of a token.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: KeySet,
    issuer: String,
    audience: String,
    max_life: SignedDuration,
    profile: Profile,
}

/// How much form a token must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// As this crate writes them: one audience, `typ` "JWT" or none, `nbf` always.
    #[default]
    Strict,
    /// As OpenID Connect and RFC 7519 let issuers write them: `aud` may be a list that contains the audience, `typ` may be one of
    /// the names for a JWT (RFC 7515, section 4.1.9, RFC 9068), `nbf` may be missing. All else is as strict.
    Oidc,
}

/// A token's claims after every check was passed. Only a [`Verifier`] makes it.
#[derive(Clone, Debug)]
pub struct Verified {
    claims: Map<String, Value>,
    subject: String,
    times: Times,
    kid: Kid,
}

/// The time claims, RFC 7519, section 4.1: integers, within the years 1970 to 9999.
#[derive(Clone, Copy, Debug)]
struct Times {
    exp: Timestamp,
    iat: Timestamp,
    nbf: Timestamp,
}

impl Verifier {
    /// Believes tokens that `issuer` made for `audience` with one of `keys`, and that live at most `max_life` from issue to
    /// expiry, in whole seconds. There is no life that is right for everybody, so none is assumed.
    pub fn new(keys: KeySet, issuer: impl Into<String>, audience: impl Into<String>, max_life: SignedDuration) -> Self {
        Self { keys, issuer: issuer.into(), audience: audience.into(), max_life, profile: Profile::Strict }
    }

    /// The same for tokens of this profile.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
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
        let times = Times::read(&claims, self.profile)?;
        self.judge_times(times, now)?;
        let subject = text_at(&claims, "sub")?.to_owned();
        if subject.is_empty() {
            return Err(ClaimProblem::Missing("sub".to_owned()).into());
        }
        Ok(Verified { claims, subject, times, kid: key.kid.clone() })
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
        if header.get("typ").is_some_and(|typ| !self.profile.accepts_typ(typ)) {
            return Err(Untrusted::Typ);
        }
        let kid = header.get("kid").and_then(Value::as_str).and_then(Kid::new).ok_or(Untrusted::NoKid)?;
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
            Some(Value::String(found)) => Some(FoundClaim::Text(found.clone())),
            Some(_) => Some(FoundClaim::NotAString), // a list of one too: who lists, may list more tomorrow
            None => Some(FoundClaim::Missing),
        };
        if let Some(found) = differs("iss", &self.issuer) {
            return Err(PartyProblem::Issuer { expected: self.issuer.clone(), found });
        }
        if self.profile == Profile::Oidc
            && let Some(Value::Array(list)) = claims.get("aud")
        {
            // RFC 7519, section 4.1.3: strings, and we must be among them.
            let listed = list.iter().all(Value::is_string) && list.iter().any(|one| *one == self.audience);
            let found = FoundClaim::NotAString;
            return if listed {
                Ok(())
            } else {
                Err(PartyProblem::Audience { expected: self.audience.clone(), found })
            };
        }
        if let Some(found) = differs("aud", &self.audience) {
            return Err(PartyProblem::Audience { expected: self.audience.clone(), found });
        }
        Ok(())
    }

    fn judge_times(&self, Times { exp, iat, nbf }: Times, now: Timestamp) -> Result<(), TimeProblem> {
        // All within the years 1970 to 9999, so that no sum below can overflow.
        let (life, max) = (exp.as_second() - iat.as_second(), self.max_life.as_secs());
        if !(1..=max).contains(&life) {
            return Err(TimeProblem::Life { life, max });
        }
        let now = now.as_second();
        if now >= exp.as_second() + LEEWAY {
            return Err(TimeProblem::Expired(exp));
        }
        if iat.as_second() > now + LEEWAY {
            return Err(TimeProblem::IssuedInFuture(iat));
        }
        if nbf.as_second() > now + LEEWAY {
            return Err(TimeProblem::NotYet(nbf));
        }
        Ok(())
    }
}

impl Times {
    fn read(claims: &Map<String, Value>, profile: Profile) -> Result<Self, Untrusted> {
        let time = |name| numeric_date(claims, name).ok_or(Untrusted::NotATime(name));
        let iat = time("iat")?;
        let nbf = if profile == Profile::Oidc && !claims.contains_key("nbf") { iat } else { time("nbf")? };
        Ok(Self { exp: time("exp")?, iat, nbf })
    }
}

impl Profile {
    fn accepts_typ(self, typ: &Value) -> bool {
        match self {
            Self::Strict => typ == "JWT",
            // Media types: no letter case, and "application/" may be left out.
            Self::Oidc => typ.as_str().is_some_and(|typ| {
                let typ = typ.to_ascii_lowercase();
                matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
            }),
        }
    }
}

impl Verified {
    /// All claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// All claims, as a type of the caller's.
    ///
    /// # Errors
    /// [`ClaimProblem::Form`] if they do not fit it.
    pub fn claims_as<T: DeserializeOwned>(&self) -> Result<T, ClaimProblem> {
        T::deserialize(&self.claims).map_err(|_| ClaimProblem::Form)
    }

    /// `sub`: who the token speaks for. Never empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `iat`: when it was made.
    pub fn issued_at(&self) -> Timestamp {
        self.times.iat
    }

    /// `exp`: when it ends.
    pub fn expires_at(&self) -> Timestamp {
        self.times.exp
    }

    /// The key that signed.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Insists on a claim, by its dotted path (`address.country`), or where a name has dots itself by its JSON pointer
    /// (RFC 6901: `/https:~1~1example.org~1role`): a string, equal in every character.
    ///
    /// # Errors
    /// It is missing, not a string, or another one.
    pub fn require(&self, path: &str, expected: &str) -> Result<(), ClaimProblem> {
        let found = text_at(&self.claims, path)?;
        if found == expected {
            return Ok(());
        }
        Err(ClaimProblem::Differs { name: path.to_owned(), expected: expected.to_owned(), found: found.to_owned() })
    }
}

/// The string at a dotted path or a JSON pointer.
fn text_at<'a>(claims: &'a Map<String, Value>, path: &str) -> Result<&'a str, ClaimProblem> {
    let names: Vec<String> = match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
        None => path.split('.').map(str::to_owned).collect(),
    };
    let mut names = names.iter();
    let first = names.next().and_then(|name| claims.get(name));
    let value = names.fold(first, |value, name| value?.as_object()?.get(name));
    let value = value.ok_or_else(|| ClaimProblem::Missing(path.to_owned()))?;
    value.as_str().ok_or_else(|| ClaimProblem::NotAString(path.to_owned()))
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
