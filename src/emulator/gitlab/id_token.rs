//! The id tokens of a job (`id_tokens:` in `.gitlab-ci.yml`), and the keys that they are verified with.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::job::{GitLabJob, random};
use crate::error::EmulatorError;

/// One entry below `id_tokens:`.
#[derive(Debug, Clone)]
pub struct IdToken {
    /// The variable that carries it.
    pub variable: String,
    /// `aud`
    pub audience: String,
}

/// The key of an instance: RSA with 2048 bits, fresh, as each GitLab makes it for itself.
#[derive(Debug)]
pub(crate) struct InstanceKey {
    pair: KeyPair,
    kid: String,
}

impl InstanceKey {
    pub(crate) fn generate() -> Result<Self, EmulatorError> {
        let failed = |_| EmulatorError::system("make a key for id tokens")(std::io::ErrorKind::Other.into());
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let [n, e] = public(&pair);
        // RFC 7638, as GitLab has it.
        let thumbprint = digest(&SHA256, format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes());
        Ok(Self { kid: URL_SAFE_NO_PAD.encode(thumbprint), pair })
    }

    /// What is at `/oauth/discovery/keys`.
    pub(crate) fn published(&self) -> Value {
        let [n, e] = public(&self.pair);
        json!({"keys": [{"kty": "RSA", "kid": self.kid, "e": e, "n": n, "use": "sig", "alg": "RS256"}]})
    }

    /// Signs an id token for a job of the instance at `url`, which may take so many seconds.
    pub(crate) fn id_token(
        &self,
        job: &GitLabJob,
        url: &str,
        audience: &str,
        timeout: i64,
    ) -> Result<String, EmulatorError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = json!({"kid": self.kid, "typ": "JWT", "alg": "RS256"});
        let message = format!("{}.{}", part(header), part(claims(job, url, audience, now, timeout)));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| EmulatorError::system("sign an id token")(std::io::ErrorKind::Other.into()))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What is at `/.well-known/openid-configuration`.
pub(crate) fn discovery(url: &str) -> Value {
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/oauth/authorize"),
        "token_endpoint": format!("{url}/oauth/token"),
        "jwks_uri": format!("{url}/oauth/discovery/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

/// Modulus and exponent, base64url.
fn public(pair: &KeyPair) -> [String; 2] {
    let key = pair.public_key();
    [key.modulus(), key.exponent()].map(|number| URL_SAFE_NO_PAD.encode(number.big_endian_without_leading_zero()))
}

/// With the names and types of GitLab 18.4: numbers and truth values are strings, but for `runner_id`.
fn claims(job: &GitLabJob, url: &str, audience: &str, now: i64, timeout: i64) -> Value {
    let namespace = |path: &str| path.rsplit_once('/').map_or_else(String::new, |(namespace, _)| namespace.to_owned());
    let (source_id, source) = match &job.source_project {
        Some(source) => (source.id, source.path.as_str()),
        None => (job.project_id, job.project_path.as_str()),
    };
    let source_namespace_id = if job.source_project.is_some() { "9" } else { "3" };
    let (ref_type, name) = (job.ref_type(), job.reference.as_str());
    let path = if job.tag { format!("refs/tags/{name}") } else { format!("refs/heads/{name}") };
    let mut claims = json!({
        "namespace_id": source_namespace_id,
        "namespace_path": namespace(source),
        "project_id": source_id.to_string(),
        "project_path": source,
        "job_namespace_id": "3",
        "job_namespace_path": namespace(&job.project_path),
        "job_project_id": job.project_id.to_string(),
        "job_project_path": job.project_path,
        "user_id": job.user_id.to_string(),
        "user_login": job.user_login,
        "user_email": format!("{}@gitlab.invalid", job.user_login),
        "user_access_level": "developer",
        "pipeline_id": job.pipeline_id.to_string(),
        "pipeline_source": job.pipeline_source,
        "job_id": job.id().to_string(),
        "ref": name,
        "ref_type": ref_type,
        "ref_path": path,
        "ref_protected": job.protected.unwrap_or_default().to_string(),
        "runner_id": job.runner_id,
        "runner_environment": "self-hosted",
        "sha": job.sha,
        "project_visibility": "private",
        "ci_config_ref_uri": format!("{}/{}//.gitlab-ci.yml@{path}", url.split("://").nth(1).unwrap_or(url), job.project_path),
        "ci_config_sha": job.sha,
        "jti": format!("{:016x}{:016x}", random(), random()),
        "iat": now,
        "nbf": now - 5,
        "exp": now + timeout,
        "iss": url,
        "sub": format!("project_path:{source}:ref_type:{ref_type}:ref:{name}"),
        "aud": audience,
    });
    // Only of a job that deploys to something.
    if let Some(environment) = &job.environment {
        claims["environment"] = environment.name.as_str().into();
        claims["environment_protected"] = environment.protected.to_string().into();
        claims["environment_action"] = "start".into();
    }
    // As a GitLab does that has the feature: of whoever is in any.
    if !job.groups.is_empty() {
        claims["groups_direct"] = json!(job.groups);
    }
    claims
}
