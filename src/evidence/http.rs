//! GitLab asked over HTTP: one client, its TLS, and bounds on what an answer may be.

use std::time::Duration;

use ureq::RequestBuilder;
use ureq::typestate::WithoutBody;

use crate::evidence::settings::GitLabSettings;
use crate::sys::files::{Owner, Secrecy, Trust, read_trusted};

/// Largest file of certificates.
const MAX_CA_FILE: usize = 4 << 20;
/// How often a question is asked when GitLab does not answer it.
pub(super) const TRIES: u32 = 3;
/// Wait before the second try; doubled before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The certificates of the configuration are not usable.
#[derive(Debug, thiserror::Error)]
#[error("the certificates in {path} (`gitlab.ca_file`) are not usable: {why}")]
pub struct BadCertificates {
    /// `gitlab.ca_file`
    path: String,
    /// Why.
    why: String,
}

/// The client that asks GitLab, with the certificates of the configuration. It follows no redirect: that would carry a token, or
/// our belief, to wherever it points.
pub(super) fn agent(gitlab: &GitLabSettings) -> Result<ureq::Agent, BadCertificates> {
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
    let roots = match &gitlab.ca_file {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let bad = |why: String| BadCertificates { path: path.display().to_string(), why };
            let trust = Trust { owner: Owner::RootOrSelf, secrecy: Secrecy::Public };
            let pem = read_trusted(path, trust, MAX_CA_FILE).map_err(|error| bad(error.to_string()))?;
            let mut certificates = Vec::new();
            for item in ureq::tls::parse_pem(&pem) {
                if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(bad("it has no PEM certificate".into()));
            }
            RootCerts::from(certificates)
        }
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(roots)
        .build();
    // The runner's own proxy settings (HTTPS_PROXY, NO_PROXY) hold for us too, but never for this machine.
    let proxy = if gitlab.url.is_loopback() { None } else { ureq::Proxy::try_from_env() };
    Ok(ureq::Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(gitlab.timeout))
        .user_agent(concat!("motmot/", env!("CARGO_PKG_VERSION")))
        .build()
        .into())
}

/// What came of one question.
pub(super) enum Got {
    /// HTTP 200, and all of its body.
    Answer(Vec<u8>),
    /// Another address.
    Redirect(u16),
    /// Another status, which asking again would not change.
    Status(u16),
    /// A body that no honest answer has.
    TooLong,
    /// No answer, or that of a server in trouble. In the words of a library, which may repeat what was sent.
    Nothing(String),
}

/// Asks once. Of an answer at most `most` bytes are read.
pub(super) fn get(request: RequestBuilder<WithoutBody>, most: u64) -> Got {
    let mut response = match request.header("Accept", "application/json").call() {
        Ok(response) => response,
        Err(error) => return Got::Nothing(error.to_string()),
    };
    match response.status().as_u16() {
        200 => {}
        code @ 300..=399 => return Got::Redirect(code),
        code @ (408 | 429 | 500..=599) => return Got::Nothing(format!("HTTP {code}")),
        code => return Got::Status(code),
    }
    match response.body_mut().with_config().limit(most).read_to_vec() {
        Ok(body) => Got::Answer(body),
        Err(ureq::Error::BodyExceedsLimit(_)) => Got::TooLong,
        Err(error) => Got::Nothing(error.to_string()),
    }
}

/// What one try led to.
pub(super) enum Tried<T> {
    Over(T),
    Again(String),
}

/// Tries up to [`TRIES`] times, with pauses. The error is what was wrong the last time.
pub(super) fn persistently<T>(once: impl Fn() -> Tried<T>) -> Result<T, String> {
    let mut pause = FIRST_PAUSE;
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(pause);
            pause *= 2;
        }
        match once() {
            Tried::Over(result) => return Ok(result),
            Tried::Again(why) => last = why,
        }
    }
    Err(last)
}
