//! `[token]`: what tokens say.

use std::path::PathBuf;

use super::lifetime::Ttl;
use crate::config::Section;
use crate::config::values::{self, BaseUrl};

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

/// The `iss` of tokens: an https URL that verifiers compare byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Checks it.
    pub fn parse(text: &str) -> Result<Self, String> {
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

/// Reads the section.
pub fn read_token(mut section: Section<'_>) -> Option<TokenSettings> {
    let issuer = section.required("issuer", "\"https://ci.hpc.example\"", Issuer::parse);
    let audience = section.required("audience", "\"https://hpc.example\"", values::visible_text);
    let ttl = section.duration("ttl").and_then(|at| {
        let life = jiff::SignedDuration::try_from(at.value).unwrap_or(jiff::SignedDuration::MAX);
        Ttl::new(life).map_err(|error| section.problem(&at.place, format!("`token.ttl`: {error}"))).ok()
    });
    let keys = section.parsed("keys", values::absolute_path);
    let variable = section.parsed("variable", |text| values::variable_name(text).map(|()| text.to_owned()));
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

#[cfg(test)]
mod tests;
