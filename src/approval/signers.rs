//! The approvers: a file of public keys in the format that ssh-keygen(1) calls ALLOWED SIGNERS, so that `ssh-keygen -Y verify`
//! judges as this does.
//!
//! Read strictly. What would make a key that of more people than are named is refused in words (patterns, certificate
//! authorities), and so is what two readers could take for two things (times without a zone).

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use super::signature::judge_key;
use super::unapproved::Unapproved;

/// Largest file.
pub const MAX_BYTES: usize = 1 << 20;

/// The keys of approvers.
#[derive(Clone, Debug, Default)]
pub struct Signers {
    lines: Vec<Signer>,
}

/// One line.
#[derive(Clone, Debug)]
struct Signer {
    principals: Vec<String>,
    options: Options,
    key: KeyData,
}

/// What narrows the use of a key.
#[derive(Clone, Debug, Default)]
struct Options {
    /// None: whatever it signs.
    namespaces: Option<Vec<String>>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

/// A line that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct SignersError {
    path: PathBuf,
    line: usize,
    why: String,
}

impl fmt::Display for SignersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.why)
    }
}

impl std::error::Error for SignersError {}

impl Signers {
    /// Reads the text of a file; `path` is for messages.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, SignersError> {
        let mut lines = Vec::new();
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let error = |why: String| SignersError { path: path.to_owned(), line: number, why };
            let line = std::str::from_utf8(line).map_err(|_| error("is not UTF-8".to_owned()))?.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(signer(line).map_err(error)?);
            }
        }
        Ok(Self { lines })
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether somebody of this name could approve anything now; else why not.
    pub fn standing(&self, principal: &str, namespace: &str, now: Timestamp) -> Result<(), Unapproved> {
        let keys = self.lines.iter().filter(|line| line.principals.iter().any(|name| name == principal));
        let mut closest = Unapproved::UnknownKey;
        for key in keys {
            match key.options.keep_out(namespace, now) {
                Some(why) => closest = closest.max(why),
                None => return Ok(()),
            }
        }
        Err(closest)
    }

    /// As which of these names a key speaks now, in this namespace.
    pub fn principal(
        &self,
        key: &KeyData,
        wanted: &[String],
        namespace: &str,
        now: Timestamp,
    ) -> Result<&str, Unapproved> {
        let mut closest = Unapproved::UnknownKey;
        for line in self.lines.iter().filter(|line| line.key == *key) {
            let why = match line.principals.iter().find(|principal| wanted.contains(principal)) {
                None => Unapproved::OtherApprover,
                Some(principal) => match line.options.keep_out(namespace, now) {
                    Some(why) => why,
                    None => return Ok(principal),
                },
            };
            closest = closest.max(why);
        }
        Err(closest)
    }

    /// All names that a key has, whatever it may be used for.
    pub fn names_of(&self, key: &KeyData) -> Vec<String> {
        self.lines.iter().filter(|line| line.key == *key).flat_map(|line| line.principals.clone()).collect()
    }
}

impl Options {
    /// Why a key with them may not sign here and now, if so.
    fn keep_out(&self, namespace: &str, now: Timestamp) -> Option<Unapproved> {
        if self.namespaces.as_ref().is_some_and(|all| !all.iter().any(|one| one == namespace)) {
            Some(Unapproved::KeyNotForThis)
        } else if self.valid_after.is_some_and(|after| now < after) {
            Some(Unapproved::KeyNotYet)
        } else if self.valid_before.is_some_and(|before| now >= before) {
            Some(Unapproved::KeyExpired)
        } else {
            None
        }
    }
}

/// As ssh-keygen shows it.
pub fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

const NO_KEY: &str = "has no public key as ssh-keygen writes it behind its names and options: ssh-ed25519 AAAA...";

fn signer(line: &str) -> Result<Signer, String> {
    let (names, rest) = line.split_once([' ', '\t']).ok_or("has nothing but names; write: NAMES KEY")?;
    let principals = names.split(',').map(principal).collect::<Result<Vec<_>, _>>()?;
    let rest = rest.trim_start();
    let read = |text: &str| PublicKey::from_openssh(text).ok().map(|key| key.key_data().clone());
    let mut options = Options::default();
    let key = match read(rest) {
        Some(key) => key,
        None if ["ssh-", "ecdsa-", "sk-"].iter().any(|begin| rest.starts_with(begin)) => return Err(NO_KEY.to_owned()),
        None => {
            let (words, key) = split_options(rest)?;
            for word in words {
                options.take(&word)?;
            }
            read(key).ok_or(NO_KEY)?
        }
    };
    judge_key(&key).map_err(|_| {
        format!(
            "has a key with which nobody approves here ({}): Ed25519, ECDSA, RSA of 2048 to 8192 bits, and security keys are good",
            key.algorithm()
        )
    })?;
    Ok(Signer { principals, options, key })
}

/// A name, and no pattern of names.
fn principal(name: &str) -> Result<String, String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) || name.contains(['"', '\'', '\\']) {
        return Err(format!(
            "names an approver {name:?}: visible ASCII characters, separated by commas, without quotes"
        ));
    }
    if name.contains(['*', '?', '!']) {
        return Err(format!(
            "has the pattern {name:?}, and so would be the key of every approver whose name is like it: write their names"
        ));
    }
    if name.starts_with('@') {
        return Err(format!("names an approver {name:?}: what begins with @ is a group of the configuration"));
    }
    Ok(name.to_owned())
}

/// Options up to the first space that is not in quotes, and what comes behind.
fn split_options(text: &str) -> Result<(Vec<String>, &str), String> {
    let (mut options, mut quoted, mut from) = (Vec::new(), false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            // OpenSSH has \" within them; no name or time needs that.
            b'\\' => return Err("has a backslash among its options".to_owned()),
            b',' if !quoted => {
                options.push(text[from..at].to_owned());
                from = at + 1;
            }
            b' ' | b'\t' if !quoted => {
                options.push(text[from..at].to_owned());
                return Ok((options, text[at..].trim_start()));
            }
            _ => {}
        }
    }
    Err(NO_KEY.to_owned())
}

impl Options {
    fn take(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = match option.split_once('=') {
            None => (option, None),
            Some((name, value)) => {
                let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                let inner = inner.filter(|inner| !inner.contains('"'));
                (name, Some(inner.ok_or_else(|| format!("has the option {name} without quotes around its value"))?))
            }
        };
        let twice = || Err(format!("has the option {name} twice"));
        match (name.to_ascii_lowercase().as_str(), value) {
            ("namespaces", Some(_)) if self.namespaces.is_some() => twice(),
            ("namespaces", Some(value)) => {
                let all: Vec<String> = value.split(',').map(str::to_owned).collect();
                if let Some(pattern) = all.iter().find(|one| one.is_empty() || one.contains(['*', '?', '!'])) {
                    return Err(format!("has the pattern {pattern:?} in namespaces: write the names"));
                }
                self.namespaces = Some(all);
                Ok(())
            }
            ("valid-after", Some(_)) if self.valid_after.is_some() => twice(),
            ("valid-after", Some(value)) => {
                self.valid_after = Some(time(name, value)?);
                Ok(())
            }
            ("valid-before", Some(_)) if self.valid_before.is_some() => twice(),
            ("valid-before", Some(value)) => {
                self.valid_before = Some(time(name, value)?);
                Ok(())
            }
            ("cert-authority", None) => Err(
                "has a certificate authority, which could make any number of approvers: write the approvers' own keys"
                    .to_owned(),
            ),
            _ => Err(format!(
                "has the unknown option {option:?}: there are namespaces=\"...\", valid-after=\"...\", valid-before=\"...\""
            )),
        }
    }
}

/// `20261231Z`, `202612312359Z`, `20261231235959Z`
fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    let digits = text.strip_suffix('Z');
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = |from: usize, to: usize| digits?.get(from..to)?.parse::<i8>().ok();
    let known = || {
        let digits = digits?;
        let year = digits.get(..4)?.parse().ok()?;
        let (hour, minute, second) = match digits.len() {
            8 => (0, 0, 0),
            12 => (number(8, 10)?, number(10, 12)?, 0),
            14 => (number(8, 10)?, number(10, 12)?, number(12, 14)?),
            _ => return None,
        };
        let time = DateTime::new(year, number(4, 6)?, number(6, 8)?, hour, minute, second, 0).ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    known().ok_or_else(|| {
        format!("has {name}={text:?}: write it in UTC, with the Z: 20261231Z or 20261231235959Z (without it, it would be a time of whoever reads it)")
    })
}

#[cfg(test)]
mod tests;
