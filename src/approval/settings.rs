//! `[approvals]`: whose word it takes that a commit may run as an account.

pub mod manual;

use std::path::PathBuf;

use crate::config::Section;
use crate::config::values;

/// `[approvals]`
#[derive(Clone, Debug)]
pub struct ApprovalSettings {
    /// The approvers' keys.
    pub allowed_signers: PathBuf,
    /// What `motmot approve --install` writes to, and jobs' approvals are found in.
    pub dir: Option<PathBuf>,
    /// The CI variable that may have an approval in it.
    pub variable: Option<String>,
    /// Which site an approval is for.
    pub issuer: String,
}

/// What could stand for `approvals.issuer`.
#[derive(Clone, Copy, Debug)]
pub enum TokenIssuer<'t> {
    /// This one.
    Is(&'t str),
    /// The site has no tokens.
    None,
    /// What the file says of tokens is not valid, which is told already.
    Unknown,
}

/// Reads the section, which is there.
pub fn read_approvals(mut section: Section<'_>, of_tokens: TokenIssuer<'_>) -> Option<ApprovalSettings> {
    let allowed_signers = section.required("allowed_signers", "\"/etc/motmot/allowed_signers\"", values::absolute_path);
    let dir = section.parsed("dir", values::absolute_path);
    let variable = section.parsed("variable", |text| match text {
        "" => Ok(None),
        _ => values::variable_name(text).map(|()| Some(text.to_owned())),
    });
    let is_named = section.has("issuer");
    let named = section.parsed("issuer", site);
    let issuer = match of_tokens {
        _ if is_named => named,
        TokenIssuer::Unknown => None,
        TokenIssuer::Is(issuer) if site(issuer).is_ok() => Some(issuer.to_owned()),
        TokenIssuer::Is(_) | TokenIssuer::None => {
            section.problem_with_help(
                &section.place(),
                "`approvals.issuer` is missing, and there is no token.issuer that could stand for it",
                "it says for which site an approval is; for example: issuer = \"https://ci.hpc.example\"",
            );
            None
        }
    };
    section.finish();
    Some(ApprovalSettings {
        allowed_signers: allowed_signers?,
        dir,
        variable: variable.unwrap_or_else(|| Some("MOTMOT_APPROVAL".to_owned())),
        issuer: issuer?,
    })
}

/// It becomes part of a namespace, which OpenSSH has in a list with commas and patterns.
pub fn site(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'*' | b'?' | b'!' | b'"' | b'\\');
    if text.is_empty() || text.len() > 256 || !text.bytes().all(plain) {
        return Err(format!("must be the name of a site, such as \"https://ci.hpc.example\": {text:?}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
