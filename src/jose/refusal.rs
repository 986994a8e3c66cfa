//! Why a token is refused: types that tell kinds apart, with words for whoever holds the token.

use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

use crate::jwk::Kid;

/// Longest text that is looked at, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

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
        found: FoundClaim,
    },
    /// `aud`
    #[error("the token's audience is {found}, expected {expected:?}, character by character and nothing besides")]
    Audience {
        /// For whom it should be.
        expected: String,
        /// What is there.
        found: FoundClaim,
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
    /// Together they do not have the form that the reader asked for.
    #[error("the claims do not have the form that is expected")]
    Form,
}

/// What stands in a claim that should be a certain string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundClaim {
    /// Nothing.
    Missing,
    /// A list, a number, ...
    NotAString,
    /// Another string.
    Text(String),
}

impl fmt::Display for FoundClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NotAString => f.write_str("not a single string"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}
