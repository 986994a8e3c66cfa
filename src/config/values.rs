//! Values of the configuration that are more than their text: checked once, here.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ureq::http::Uri;

/// Address of a GitLab: https, or http on the loopback interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    loopback: bool,
}

impl BaseUrl {
    /// Checks an address. A GitLab below a path (`https://example.com/gitlab`) is fine.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| Err(format!("{why}: {text:?}; write it like \"https://gitlab.example.com\""));
        let Ok(uri) = text.parse::<Uri>() else { return bad("is not a URL") };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return bad("has no host") };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return bad("must not contain a user or password");
        }
        if uri.query().is_some() || text.contains('#') {
            return bad("must not have a query or fragment");
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            // Job tokens would cross the network in clear.
            Some("http") if loopback => {}
            Some("http") => return bad("must be https (plain http is for 127.0.0.1, ::1 and localhost only)"),
            _ => return bad("must begin with https://"),
        }
        Ok(Self { text: text.trim_end_matches('/').to_owned(), loopback })
    }

    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is this machine: such requests never go through a proxy.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// A path with `{home}`, `{user}` and `{uid}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Checks that it leads to an absolute path and climbs nowhere.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Nobody expands them here: this is no shell, and the driver's own HOME would be the wrong one.
        for (there, ours) in [
            ("$HOME", "{home}"),
            ("${HOME}", "{home}"),
            ("~", "{home}"),
            ("$USER", "{user}"),
            ("${USER}", "{user}"),
            ("$UID", "{uid}"),
        ] {
            if text.split('/').any(|part| part == there) {
                return Err(format!("does not know {there}: {text:?}; write {:?}", text.replacen(there, ours, 1)));
            }
        }
        if !text.starts_with('/') && !text.starts_with("{home}") {
            return Err(format!("must begin with / or {{home}}: {text:?}"));
        }
        if text.split('/').any(|part| part == "..") || text.contains('\0') {
            return Err(format!("must not contain \"..\": {text:?}"));
        }
        let rest = text.replace("{home}", "").replace("{user}", "").replace("{uid}", "");
        if rest.contains(['{', '}']) {
            return Err(format!("knows {{home}}, {{user}} and {{uid}} only: {text:?}"));
        }
        Ok(Self(text.to_owned()))
    }

    /// One of our own, which needs no check.
    pub fn known(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// As the configuration has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of the path for one account that is not that account's own: what is above its home, and its home; above the
    /// first name with its name or number. Without any of them nothing but `/`.
    pub fn above_own(&self, home: &Path) -> PathBuf {
        if self.0.starts_with("{home}") {
            return home.to_owned();
        }
        let is_own = |part: &std::path::Component<'_>| part.as_os_str().to_string_lossy().contains('{');
        let parts: Vec<_> = Path::new(&self.0).components().collect();
        let count = parts.iter().position(is_own).unwrap_or(0).max(1);
        parts[..count].iter().collect()
    }

    /// The path for one account.
    pub fn expand(&self, home: &Path, user: &str, uid: u32) -> PathBuf {
        // {home} last: a home directory with braces in its name is not expanded again.
        let text = self.0.replace("{user}", user).replace("{uid}", &uid.to_string());
        match text.strip_prefix("{home}") {
            Some(rest) => home.join(rest.trim_start_matches('/')),
            None => PathBuf::from(text.replace("{home}", &home.to_string_lossy())),
        }
    }
}

/// A path from the root.
pub fn absolute_path(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err(format!("must be an absolute path: {text:?}"))
    }
}

/// Units of amounts of memory, each 1024 times the one before.
const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];

/// An amount of memory in bytes: "512M", "8G". Only nothing has no unit.
pub fn bytes(text: &str) -> Result<u64, String> {
    let number = |digits: &str| if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    let unit = text.chars().last().and_then(|last| UNITS.iter().position(|unit| *unit == last));
    let amount = match unit {
        Some(place) => number(&text[..text.len() - 1])
            .and_then(|number: u64| number.checked_mul(1024_u64.checked_pow(u32::try_from(place).ok()? + 1)?)),
        None if text == "0" => Some(0),
        None if number(text).is_some() => {
            return Err(format!("has no unit: {text:?}; write \"{text}M\" or \"{text}G\""));
        }
        None => None,
    };
    amount.ok_or_else(|| format!("is no amount of memory: {text:?}; write \"512M\" or \"8G\""))
}

/// An amount of memory as [`bytes`] reads it.
pub fn shown_bytes(amount: u64) -> String {
    let mut shown = (amount, String::new());
    for unit in UNITS {
        if shown.0 == 0 || !shown.0.is_multiple_of(1024) {
            break;
        }
        shown = (shown.0 / 1024, unit.to_string());
    }
    format!("{}{}", shown.0, shown.1)
}

/// One word, printable.
pub fn visible_text(text: &str) -> Result<String, String> {
    // What is ASCII, and that is nearly all, is judged byte by byte.
    let visible =
        text.bytes().all(|b| b.is_ascii_graphic()) || !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if text.is_empty() || !visible {
        return Err(format!("must not be empty or contain spaces or control characters: {text:?}"));
    }
    Ok(text.to_owned())
}

/// A name that a shell takes for a variable.
pub fn variable_name(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let good = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(()) } else { Err(format!("is not the name of a variable: {text:?}; letters, digits and _ only")) }
}

/// The `iss` of tokens: an https URL that verifiers compare byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Checks it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(
                "must not be empty: services trust tokens by this address; write \"https://ci.hpc.example\"".to_owned()
            );
        }
        let url = BaseUrl::parse(text)?;
        if url.as_str() != text {
            return Err(format!("must not end in a slash: {text:?}; verifiers compare it byte for byte"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read_as_they_are_shown_and_need_a_unit() {
        for (text, amount) in [("0", 0), ("1K", 1024), ("1536M", 1536 << 20), ("8G", 8 << 30), ("2T", 2 << 40)] {
            assert_eq!(bytes(text), Ok(amount), "{text}");
            assert_eq!(shown_bytes(amount), text);
        }
        for text in ["", "G", "8", "8GB", "8 G", "-1G", "+1G", "1.5G", "8g", "99999999999T", "٣G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
