//! `[token]`: what tokens say.

pub mod manual;

use std::path::PathBuf;

use super::lifetime::Ttl;
use crate::config::Section;
use crate::config::values;
pub use crate::config::values::Issuer;
use crate::scheduler::SchedulerKind;
use crate::scheduler::known::kinds;

/// `[token]`
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// `iss`
    pub issuer: Issuer,
    /// `aud`
    pub audience: String,
    /// Life of one token.
    pub ttl: Ttl,
    /// Directory of the signing keys.
    pub keys: PathBuf,
    /// Name of the variable that carries the token; the file's variable has `_FILE` behind it.
    pub variable: String,
    /// `hpc.site`
    pub site: Option<String>,
    /// `hpc.cluster`
    pub cluster: Option<String>,
}

/// Reads the section.
pub fn read_token(mut section: Section<'_>) -> Option<TokenSettings> {
    let issuer = section.required("issuer", "\"https://ci.hpc.example\"", Issuer::parse);
    let audience = section.required("audience", "\"https://hpc.example\"", values::visible_text);
    let ttl = section.duration("ttl").and_then(|at| {
        let life = jiff::SignedDuration::try_from(at.value).unwrap_or(jiff::SignedDuration::MAX);
        Ttl::new(life).map_err(|error| section.problem(&at.place, format!("`token.ttl`: {error}"))).ok()
    });
    let keys = section.parsed("keys", values::absolute_path);
    let variable = section.parsed("variable", token_variable);
    let site = section.parsed("site", values::visible_text);
    let cluster = section.parsed("cluster", values::visible_text);
    section.finish();
    Some(TokenSettings {
        issuer: issuer?,
        audience: audience?,
        ttl: ttl.unwrap_or(Ttl::DEFAULT),
        keys: keys.unwrap_or_else(|| PathBuf::from("/etc/motmot/keys")),
        variable: variable.unwrap_or_else(|| "CI_JOB_JWT".to_owned()),
        site,
        cluster,
    })
}

/// A variable that no program understands already: a token in `LD_PRELOAD` or `PATH` breaks every job, or runs what it names.
fn token_variable(text: &str) -> Result<String, String> {
    const TAKEN: &[&str] = &[
        "BASH",
        "BASHOPTS",
        "CDPATH",
        "CI_BUILDS_DIR",
        "CI_JOB_ID",
        "CI_JOB_TOKEN",
        "CI_PROJECT_DIR",
        "ENV",
        "FUNCNEST",
        "GLOBIGNORE",
        "HOME",
        "HOSTNAME",
        "IFS",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "MAIL",
        "OLDPWD",
        "PATH",
        "PROMPT_COMMAND",
        "PWD",
        "SHELL",
        "SHELLOPTS",
        "SHLVL",
        "TEMP",
        "TERM",
        "TMP",
        "TMPDIR",
        "TZ",
        "UID",
        "EUID",
        "PPID",
        "USER",
    ];
    const BEGINNINGS: &[&str] =
        &["BASH_", "DBUS_", "GIT_", "GLIBC_", "LC_", "LD_", "MALLOC_", "MOTMOT_", "PERL5", "PYTHON", "SSH_", "XDG_"];
    values::variable_name(text)?;
    let of_scheduler = |kind: SchedulerKind| text.starts_with(&format!("{}_", kind.word().to_ascii_uppercase()));
    if kinds().any(of_scheduler)
        || TAKEN.contains(&text)
        || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
    {
        return Err(format!("must not be a variable that means something already: {text:?}; write \"CI_JOB_JWT\""));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
