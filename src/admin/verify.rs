//! `motmot verify`: judge a token, for people and scripts.
//!
//! The key set, the issuer and the audience are given by the caller; nothing is looked up by what the token itself says.
//! The token comes from a file, standard input or a named variable, never from the command line, which every user of the
//! machine can read in /proc. It is never printed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use jose::{ClaimProblem, KeySet, KeySetError, MAX_DOCUMENT, MAX_TOKEN, Profile, Verified, Verifier, VerifyError};
use thiserror::Error;
use zeroize::Zeroizing;

use super::terminal::{answer, complain};
use super::wrong_usage::{has_long_word, has_token, shown};

/// Arguments that make no sense, or an input that cannot be read.
pub const USAGE: u8 = 2;
/// Signature, algorithm, key or form.
pub const UNTRUSTED: u8 = 3;
/// Expired, not yet valid, or living too long.
pub const TIME: u8 = 4;
/// Wrong issuer or audience.
pub const PARTY: u8 = 5;
/// A claim is missing or different.
pub const CLAIMS: u8 = 6;
/// The keys cannot be read or are not usable.
pub const KEYS_UNAVAILABLE: u8 = 7;

/// Arguments of `motmot verify`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("token").required(true),
    after_help = "Exit codes: 0 verified, 2 usage, 3 not trusted (signature, algorithm, key, form), 4 expired or not yet \
                  valid, 5 wrong issuer or audience, 6 claims, 7 keys unavailable"
)]
pub struct VerifyArgs {
    /// The issuer's public keys (JWKS); `-` is standard input
    #[arg(long, value_name = "FILE")]
    jwks_file: PathBuf,
    /// Who must have issued the token, compared character by character
    #[arg(long, value_name = "URL", value_parser = not_empty)]
    issuer: String,
    /// For whom it must be, compared character by character
    #[arg(long, value_name = "AUDIENCE", value_parser = not_empty)]
    audience: String,
    /// Read the token from a file; `-` is standard input
    #[arg(long, value_name = "FILE", group = "token")]
    token_file: Option<PathBuf>,
    /// Read the token from this environment variable
    #[arg(long, value_name = "NAME", group = "token")]
    token_env: Option<String>,
    /// How much form is insisted on
    #[arg(long, value_enum, default_value_t = Form::Strict)]
    profile: Form,
    /// Insist on a claim, such as `hpc.local_user=arthur`: a string, equal in every character; repeatable. A name that has dots
    /// itself is written as a JSON pointer: `/https:~1~1example.org~1role=admin`
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = expectation)]
    claims: Vec<Expectation>,
    /// The longest life accepted, from issue to expiry
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = positive)]
    max_age: SignedDuration,
    /// Write the claims as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// How much form is insisted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// As motmot writes tokens and key sets
    Strict,
    /// As other good issuers do, too: a list of audiences, other names for a JWT, no `nbf`, keys of other kinds in the set
    Oidc,
}

/// A claim, by its dotted path or its JSON pointer, and its only accepted value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expectation {
    path: String,
    value: String,
}

fn expectation(text: &str) -> Result<Expectation, String> {
    match text.split_once('=') {
        Some((_, value)) if has_token(value) => Err("the value is a token, and not what a token should say".to_owned()),
        Some((path, value)) if !path.is_empty() => Ok(Expectation { path: path.to_owned(), value: value.to_owned() }),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Empty would be what a variable is that a script forgot to set: nobody means that. And nobody means a token (`--audience
/// "$CI_JOB_JWT"`), which would be told where the two differ.
fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else if has_token(text) {
        Err("is a token, and not what a token should say".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn positive(text: &str) -> Result<SignedDuration, String> {
    let life: SignedDuration = text.parse().map_err(|_| "write a duration such as 15m or 6h".to_owned())?;
    if life.as_secs() >= 1 { Ok(life) } else { Err("must be at least 1s".to_owned()) }
}

/// Why a token was not accepted.
#[derive(Debug, Error)]
enum Refusal {
    #[error("{source_name}: {error}")]
    Input { source_name: String, error: io::Error },
    #[error("standard input can be either the keys or the token: name a file for one of them")]
    OneInput,
    #[error("the environment variable {0} is not set, or is not text")]
    Variable(String),
    #[error("--token-env takes the name of a variable, such as CI_JOB_JWT, and not what is in it")]
    NoVariable,
    #[error("{}: {error}", shown(path))]
    KeyFile { path: PathBuf, error: io::Error },
    #[error("{}: {problem}", shown(path))]
    Keys { path: PathBuf, problem: KeySetError },
    #[error("token refused: {0}")]
    Token(#[from] VerifyError),
}

impl Refusal {
    fn code(&self) -> u8 {
        match self {
            Self::Input { .. } | Self::Variable(_) | Self::NoVariable | Self::OneInput => USAGE,
            Self::KeyFile { .. } | Self::Keys { .. } => KEYS_UNAVAILABLE,
            Self::Token(VerifyError::Untrusted(_)) => UNTRUSTED,
            Self::Token(VerifyError::Time(_)) => TIME,
            Self::Token(VerifyError::Party(_)) => PARTY,
            Self::Token(VerifyError::Claim(_)) => CLAIMS,
        }
    }
}

impl From<ClaimProblem> for Refusal {
    fn from(problem: ClaimProblem) -> Self {
        Self::Token(problem.into())
    }
}

/// Runs `motmot verify`; its exit codes are the constants of this module. Claims are printed only of a verified token.
pub fn run(args: &VerifyArgs) -> ExitCode {
    match judge(args, Timestamp::now()) {
        Ok(verified) => {
            let claims = serde_json::to_string_pretty(verified.claims()).unwrap_or_default();
            let last = if args.json { "" } else { "token verified\n" };
            answer(&format!("{claims}\n{last}"), ExitCode::SUCCESS)
        }
        Err(refusal) => complain(&refusal, ExitCode::from(refusal.code())),
    }
}

fn judge(args: &VerifyArgs, now: Timestamp) -> Result<Verified, Refusal> {
    let path = &args.jwks_file;
    let document = match path.to_str() {
        Some("-") if args.token_file.as_deref() == Some(path) => return Err(Refusal::OneInput),
        Some("-") => read_at_most(io::stdin().lock(), MAX_DOCUMENT),
        _ => File::open(path).and_then(|file| read_at_most(file, MAX_DOCUMENT)),
    };
    let document = document.map_err(|error| Refusal::KeyFile { path: path.clone(), error })?;
    let (read, profile): (fn(&[u8]) -> _, _) = match args.profile {
        Form::Strict => (KeySet::from_json, Profile::Strict),
        Form::Oidc => (KeySet::from_json_among_others, Profile::Oidc),
    };
    let keys = read(&document).map_err(|problem| Refusal::Keys { path: path.clone(), problem })?;
    let token = read_token(args)?;
    let verified =
        Verifier::new(keys, &args.issuer, &args.audience, args.max_age).with_profile(profile).verify(&token, now)?;
    for Expectation { path, value } in &args.claims {
        verified.require(path, value)?;
    }
    Ok(verified)
}

/// The token, without the line end that editors and `echo` put after it; white space anywhere else is not forgiven.
fn read_token(args: &VerifyArgs) -> Result<Zeroizing<String>, Refusal> {
    let mut text = match (&args.token_file, &args.token_env) {
        (Some(path), _) => {
            let name = if path == Path::new("-") { "standard input".to_owned() } else { shown(path) };
            read_token_file(path).map_err(|error| Refusal::Input { source_name: name, error })?
        }
        (None, Some(name)) => Zeroizing::new(
            std::env::var(name)
                .map_err(|_| if is_name(name) { Refusal::Variable(name.clone()) } else { Refusal::NoVariable })?,
        ),
        (None, None) => return Err(Refusal::Variable(String::new())), // clap insists on one of both
    };
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

/// Whether a variable may be called that, rather than hold it: a token has dots, other secrets are long.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !has_long_word(text)
}

fn read_token_file(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = match path.to_str() {
        Some("-") => read_at_most(io::stdin().lock(), MAX_TOKEN + 2)?,
        _ => read_at_most(File::open(path)?, MAX_TOKEN + 2)?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// All of it, or an error if that is more than `limit` bytes.
fn read_at_most(reader: impl Read, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    reader.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
