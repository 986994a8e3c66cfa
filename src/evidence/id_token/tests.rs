//! Tokens and answers of an attacker, and of a GitLab that is not quite right. The signatures are made without our own code.

mod claims;
mod keys;
mod outage;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::config::{self, Source};
use crate::evidence::settings::read_gitlab;

/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000;
const AUDIENCE: &str = "https://ci.hpc.example";

/// GitLab's key, and somebody else's.
static KEYS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| KeyPair::generate(KeySize::Rsa2048).expect("a key")));

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn gitlab(url: &str) -> GitLabSettings {
    let text = format!(
        "[gitlab]\nurl = {url:?}\ntimeout = \"2s\"\nidentity = \"id-token\"\nid_token_audience = {AUDIENCE:?}\n"
    );
    config::read(&Source::new("c.toml", text), |mut root| read_gitlab(root.section("gitlab"))).expect("valid")
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key set in which a key has this name.
fn jwks(pair: &KeyPair, kid: &str) -> String {
    let key = pair.public_key();
    let [n, e] = [key.modulus(), key.exponent()].map(|number| b64(number.big_endian_without_leading_zero()));
    json!({"keys": [{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": n, "e": e}]}).to_string()
}

/// What GitLab says of job 101, with what is different about it.
fn claims(issuer: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "iss": issuer, "aud": AUDIENCE, "sub": "project_path:group/project:ref_type:branch:ref:main",
        "iat": NOW - 10, "nbf": NOW - 15, "exp": NOW + 3590, "jti": "1",
        "job_id": "101", "user_id": "42", "user_login": "adent", "pipeline_id": "55", "pipeline_source": "push",
        "project_id": "7", "project_path": "group/project", "namespace_id": "3",
        "job_project_id": "7", "job_project_path": "group/project", "job_namespace_id": "3",
        "ref": "main", "ref_type": "branch", "ref_protected": "true", "runner_id": 1,
    });
    change(&mut claims);
    claims
}

fn signed(pair: &KeyPair, kid: &str, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": kid});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    format!("{message}.{}", b64(signature))
}

fn payload() -> Payload {
    Payload::parse(br#"{"id":101,"token":"t","job_info":{"project_id":7,"user_id":42,"pipeline_id":55}}"#)
        .expect("valid")
}

fn verdict(gitlab: &GitLabSettings, token: &str, keys: Option<&Path>, now: i64) -> Result<Bound, IdTokenError> {
    jose::install_crypto();
    let settings = gitlab.identity.id_token().expect("id tokens");
    let verified = verify(gitlab, settings, token, keys, at(now))?;
    bind(&verified, &payload())
}

/// A server that answers each path as it is told to, and remembers which were asked for.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Status line and further headers, and the body.
type Answer = (String, String);

impl Server {
    /// `answer` gets the server's address and the path.
    fn new(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (asked, own) = (Arc::new(Mutex::new(Vec::new())), url.clone());
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                let request: Vec<String> = lines.collect();
                let path = request.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
                seen.lock().expect("paths").push(path.clone());
                let (head, body) = answer(&own, &path);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url, asked }
    }

    /// A GitLab with this key set.
    fn with_keys(keys: impl Fn() -> String + Send + 'static) -> Self {
        Self::new(move |url, path| match path {
            "/.well-known/openid-configuration" => ok(&discovery(url)),
            "/oauth/discovery/keys" => ok(&keys()),
            _ => ("404 Not Found".into(), String::new()),
        })
    }

    /// How often keys were asked for.
    fn questions(&self) -> usize {
        self.asked.lock().expect("paths").iter().filter(|path| path.contains("openid-configuration")).count()
    }
}

fn ok(body: &str) -> Answer {
    ("200 OK".into(), body.to_owned())
}

fn discovery(url: &str) -> String {
    json!({"issuer": url, "jwks_uri": format!("{url}/oauth/discovery/keys")}).to_string()
}
