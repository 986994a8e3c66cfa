//! A GitLab of the harness that signs id tokens, and says what it is told to say. Made without the driver's code.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::gitlab::{GitLab, answer_about};

/// What the driver asks each id token to be for.
pub const AUDIENCE: &str = "https://ci.hpc.example";

/// The key of our GitLab, and that of another.
static KEYS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| KeyPair::generate(KeySize::Rsa2048).expect("a key")));

/// Whose key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    OurGitLab,
    Another,
}

/// A GitLab with job 101 of a user.
pub struct Instance {
    gitlab: GitLab,
    login: String,
    answer: Arc<Mutex<Value>>,
}

impl Instance {
    pub fn of(login: &str) -> Self {
        let answer = Arc::new(Mutex::new(answer_about(login)));
        let shown = Arc::clone(&answer);
        let gitlab = GitLab::by_request(move |request| {
            let host = request.lines().find_map(|line| line.strip_prefix("Host: ").or(line.strip_prefix("host: ")));
            let url = format!("http://{}", host.unwrap_or_default().trim());
            match request.split(' ').nth(1).unwrap_or_default() {
                "/.well-known/openid-configuration" => {
                    json!({"issuer": url, "jwks_uri": format!("{url}/oauth/discovery/keys")})
                }
                "/oauth/discovery/keys" => jwks(),
                _ => shown.lock().expect("answer").clone(),
            }
        });
        Self { gitlab, login: login.to_owned(), answer }
    }

    pub fn url(&self) -> &str {
        &self.gitlab.url
    }

    /// How often this path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        let begin = format!("GET {path} ");
        self.gitlab.requests.lock().expect("requests").iter().filter(|request| request.starts_with(&begin)).count()
    }

    /// What the job API says from now on.
    pub fn answers(&self, answer: Value) {
        *self.answer.lock().expect("answer") = answer;
    }

    /// What it says in an id token of job 101.
    pub fn claims(&self) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        json!({
            "iss": self.url(), "aud": AUDIENCE, "sub": "project_path:group/project:ref_type:branch:ref:main",
            "iat": now, "nbf": now - 5, "exp": now + 3600, "jti": "1",
            "job_id": "101", "user_id": "42", "user_login": self.login, "pipeline_id": "55", "pipeline_source": "push",
            "project_id": "7", "project_path": "group/project", "namespace_id": "3", "namespace_path": "group",
            "job_project_id": "7", "job_project_path": "group/project", "job_namespace_id": "3",
            "ref": "main", "ref_type": "branch", "ref_protected": "true", "runner_id": 1,
        })
    }
}

fn jwks() -> Value {
    let key = KEYS[0].public_key();
    let [n, e] = [key.modulus(), key.exponent()]
        .map(|number| BASE64_URL_SAFE_NO_PAD.encode(number.big_endian_without_leading_zero()));
    json!({"keys": [{"kty": "RSA", "kid": "gitlab", "use": "sig", "alg": "RS256", "n": n, "e": e}]})
}

/// A token with this header and these claims, signed with RS256.
pub fn signed(signer: Signer, header: &Value, claims: &Value) -> String {
    let pair = &KEYS[usize::from(signer == Signer::Another)];
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The header of GitLab's tokens.
pub fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "gitlab"})
}

/// What GitLab's public key is, as text: for who takes it for a secret.
pub fn public_modulus() -> String {
    jwks()["keys"][0]["n"].as_str().expect("a modulus").to_owned()
}
