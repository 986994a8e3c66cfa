//! `[hook]`: the site's own program that has a say in who runs as whom.

pub mod manual;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Section, values};

/// How long it may take, unless the site says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `[hook]`
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// The program.
    pub program: PathBuf,
    /// The digest that its bytes must have.
    pub sha256: Digest,
    /// As whom it runs.
    pub account: String,
    /// How long it may take.
    pub timeout: Duration,
    /// How it is asked, and how it answers.
    pub form: Form,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `hook.form`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// JSON on standard input and on standard output.
    #[default]
    Json,
    /// Names as arguments, and a status: that of RunAs validation scripts of Jacamar CI.
    Arguments,
}

/// Reads the section, which is there.
pub fn read_hook(mut section: Section<'_>) -> Option<HookSettings> {
    let program = section.required("program", "\"/etc/motmot/hook\"", values::absolute_path);
    let sha256 = section.required("sha256", "\"...\", the digest that sha256sum prints", digest);
    let account = section.required("account", "\"motmot-hook\"", account);
    let timeout = section.duration_up_to("timeout", 1, "the runner waits meanwhile");
    let form = section.choice("form", &[("json", Form::Json), ("argv", Form::Arguments)]).unwrap_or_default();
    section.finish();
    Some(HookSettings {
        program: program?,
        sha256: sha256?,
        account: account?,
        timeout: timeout.unwrap_or(TIMEOUT),
        form,
    })
}

fn digest(text: &str) -> Result<Digest, String> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let bytes: Option<Vec<u8>> = digits
        .map(|digits| digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect());
    match bytes.and_then(|bytes| bytes.try_into().ok()).filter(|_| text.len() == 64) {
        Some(bytes) => Ok(Digest(bytes)),
        None => Err(format!("must be a SHA-256 digest in 64 hexadecimal digits, as sha256sum prints it: {text:?}")),
    }
}

fn account(text: &str) -> Result<String, String> {
    match text {
        "root" => Err("must not be root; make an account for it that owns nothing".to_owned()),
        _ => values::visible_text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits_and_nothing_else() {
        let zeros = "0".repeat(62);
        let read = digest(&format!("{zeros}aF")).expect("a digest");
        assert_eq!((read.0[31], read.to_string()), (0xaf, format!("{zeros}af")));
        for text in [
            String::new(),
            zeros.clone(),
            format!("{zeros}0"),
            format!("{zeros}000"),
            format!("{zeros}0g"),
            format!("{zeros} 0"),
            format!("{zeros}é"),
        ] {
            assert!(digest(&text).is_err(), "{text:?}");
        }
    }
}
