//! What GitLab publishes about the keys that it signs id tokens with: OpenID discovery, and the key set that this leads to.

use jose::KeySet;
use serde::Deserialize;
use ureq::http::Uri;

use super::IdTokenError;
use crate::evidence::http::{self, Got, TRIES, Tried};
use crate::evidence::settings::GitLabSettings;

/// Longest discovery document. GitLab's has two kilobytes.
const MAX_DISCOVERY: u64 = 64 << 10;
/// Longest key set. GitLab's has a few keys of half a kilobyte.
pub(super) const MAX_KEYS: u64 = 256 << 10;

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// GitLab's keys, as it published them a moment ago.
pub struct ProviderKeys {
    /// Those that can be used here.
    pub keys: KeySet,
    /// The document that they were read from.
    pub(super) document: Vec<u8>,
}

/// Fetches the keys. The address is that of the configuration, and nothing leads away from it: what a token names (`jku`, `iss`) is
/// never asked, redirects are not followed, and the key set must be at the same scheme, host and port.
pub fn fetch(gitlab: &GitLabSettings) -> Result<ProviderKeys, IdTokenError> {
    let url = gitlab.url.as_str();
    let unusable = |why: String| IdTokenError::Unusable { url: url.to_owned(), why };
    let agent = http::agent(gitlab)?;
    let document = |at: &str, most: u64| {
        let once = || match http::get(agent.get(at), most) {
            Got::Answer(body) => Tried::Over(Ok(body)),
            Got::Redirect(code) => {
                Tried::Over(Err(unusable(format!("{at} redirects (HTTP {code}), which is not followed"))))
            }
            Got::Status(code) => Tried::Over(Err(unusable(format!("{at} answers with HTTP {code}")))),
            Got::TooLong => Tried::Over(Err(unusable(format!("{at} is longer than {most} bytes")))),
            Got::Nothing(why) => Tried::Again(why),
        };
        http::persistently(once).unwrap_or_else(|why| {
            Err(IdTokenError::Unreachable { url: url.to_owned(), why: format!("{why} (asked {TRIES} times)") })
        })
    };
    let body = document(&format!("{url}/.well-known/openid-configuration"), MAX_DISCOVERY)?;
    let discovery: Discovery = serde_json::from_slice(&body).map_err(|error| {
        unusable(format!("its OpenID discovery document is none (line {}, column {})", error.line(), error.column()))
    })?;
    if discovery.issuer != url {
        return Err(unusable(format!(
            "it calls itself {:?} (`issuer` of its OpenID discovery document), and gitlab.url must be that, character by character",
            discovery.issuer
        )));
    }
    if !same_origin(&discovery.jwks_uri, url) {
        return Err(unusable(format!(
            "it names {:?} for its keys (`jwks_uri`), which is not on the same scheme, host and port",
            discovery.jwks_uri
        )));
    }
    let document = document(&discovery.jwks_uri, MAX_KEYS)?;
    let keys = KeySet::of_provider(&document).map_err(|error| unusable(error.to_string()))?;
    Ok(ProviderKeys { keys, document })
}

/// Whether two addresses have scheme, host and port in common (RFC 6454, section 5).
fn same_origin(one: &str, other: &str) -> bool {
    let origin = |text: &str| {
        let uri: Uri = text.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?);
        // `https://gitlab.example.com@evil.example` has another host than it seems.
        if authority.as_str().contains('@') || text.contains('#') {
            return None;
        }
        let port = authority.port_u16().or(match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        })?;
        Some((scheme, authority.host().to_ascii_lowercase(), port))
    };
    origin(one).is_some_and(|origin_of_one| origin(other) == Some(origin_of_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_that_only_looks_like_it() {
        let ours = "https://gitlab.example.com/git";
        for same in [
            "https://gitlab.example.com/oauth/discovery/keys",
            "https://gitlab.example.com:443/keys",
            "https://GitLab.example.com/keys",
        ] {
            assert!(same_origin(same, ours), "{same}");
        }
        for other in [
            "http://gitlab.example.com/keys",
            "https://gitlab.example.com:8443/keys",
            "https://gitlab.example.com.evil.example/keys",
            "https://evil.example/gitlab.example.com",
            "https://gitlab.example.com@evil.example/keys",
            "https://evil.example#@gitlab.example.com/keys",
            "https://gitlab.example.com\\@evil.example/keys",
            "//gitlab.example.com/keys",
            "/oauth/discovery/keys",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!same_origin(other, ours), "{other}");
        }
    }
}
