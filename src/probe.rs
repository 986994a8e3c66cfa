//! What the project's own tests and benchmarks need from the inside, where no other program has a door. Nothing here is of use
//! to anybody else.

#[cfg(any(test, fuzzing))]
pub mod fuzz;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jose::install_crypto;
use nix::unistd::geteuid;
use p256::SecretKey;
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::EncodePrivateKey;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{PrivatePkcs8KeyDer, SignatureVerificationAlgorithm};
use rustls::sign::Signer;

use crate::identity::Identity;
use crate::issuer::keys::KeyRing;
use crate::policy::{self, Machine, Mode};
use crate::scheduler::Placement;
use crate::settings::Settings;
use crate::stage;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::files::Owner;
use crate::token::{Issuance, StageContext, Ttl, mint};

/// What a token costs. Medians, taken in turn, so that whatever else the machine does falls on all of them.
#[derive(Clone, Copy, Debug)]
pub struct Minting {
    /// A signature and its verification, by the library that signs tokens: what nobody can save.
    pub bare: Duration,
    /// A token, self-check included.
    pub token: Duration,
    /// A ring of keys, read from its directory and checked.
    pub ring: Duration,
    /// The first ring and the first token of a process: what a stage pays.
    pub first: Duration,
}

/// Mints so many tokens for an invented job of this very account, with the key in `ring`. It must be a throw-away, so that no
/// token of it is worth anything.
pub fn minting(ring: &Path, tokens: usize) -> Result<Minting, Box<dyn Error>> {
    install_crypto();
    let login = Nss.by_uid(geteuid())?.ok_or("this account has no entry in the password database")?.name().to_owned();
    let identity: Identity = serde_json::from_value(serde_json::json!({
        "facts": {
            "job_id": 1, "project_id": 7, "project_path": "group/project", "namespace_id": 3, "user_id": 42, "user_login": login,
            "pipeline_id": 55, "pipeline_source": "push", "git_ref": "main", "ref_type": "branch", "ref_protected": true,
            "sha": "0123456789012345678901234567890123456789"
        },
        "assurance": "job-api"
    }))?;
    let config = "[gitlab]\nurl = \"https://gitlab.example\"\n[[map]]\nrun_as = \"{gitlab_user}\"\n";
    let settings = Settings::parse(Path::new("bench.toml"), config)?;
    let admission = policy::decide(&settings.rules(), Mode::OnlySelf(geteuid()), &identity, None, Machine::THIS)?;
    let settings = Issuance {
        issuer: "https://ci.example".into(),
        audience: "https://a.example".into(),
        ttl: Ttl::DEFAULT,
        upstream_iss: "https://gitlab.example".into(),
    };
    let stage =
        StageContext { executor_stage: "build_script".into(), site: None, cluster: None, placement: Placement::Shell };
    let load = || KeyRing::load(ring, Owner::RootOrSelf);
    let mint =
        |keys: &KeyRing| mint(keys.active(), &settings, &identity, admission.account(), &stage, Timestamp::now());
    let start = Instant::now();
    let keys = load()?;
    let message = mint(&keys)?;
    let first = start.elapsed();
    let bare = Bare::new()?;
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..tokens {
        let [bares, minted, rings] = &mut samples;
        bares.push(timed(|| bare.sign_and_verify(message.as_str().as_bytes()))?);
        minted.push(timed(|| mint(&keys))?);
        rings.push(timed(load)?);
    }
    let [bare, token, ring] = samples.map(|mut samples| {
        samples.sort_unstable();
        samples.get(samples.len() / 2).copied().unwrap_or_default()
    });
    Ok(Minting { bare, token, ring, first })
}

/// The library that signs tokens, by way of another of its users: what is measured beside our code has none of it.
struct Bare {
    signer: Box<dyn Signer>,
    verifier: &'static dyn SignatureVerificationAlgorithm,
    public: Box<[u8]>,
}

impl Bare {
    fn new() -> Result<Self, Box<dyn Error>> {
        const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        let key = SecretKey::random(&mut OsRng);
        let der = key.to_pkcs8_der().map_err(|_| "the key cannot be encoded")?;
        let signing = any_ecdsa_type(&PrivatePkcs8KeyDer::from(der.as_bytes()).into())?;
        let known = default_provider().signature_verification_algorithms.mapping;
        let known = known.iter().find(|(scheme, _)| *scheme == SCHEME);
        let verifier = known.and_then(|(_, verifiers)| verifiers.first()).ok_or("no verifier for ES256")?;
        let signer = signing.choose_scheme(&[SCHEME]).ok_or("no signer for ES256")?;
        Ok(Self { signer, verifier: *verifier, public: key.public_key().to_sec1_bytes() })
    }

    fn sign_and_verify(&self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        let signature = self.signer.sign(message)?;
        Ok(self.verifier.verify_signature(&self.public, message, &signature).map_err(|_| "a wrong signature")?)
    }
}

fn timed<T, E>(act: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    drop(act()?); // to wipe it is part of the price
    Ok(start.elapsed())
}

/// Where a stage panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panicking {
    /// In the thread that tells its story.
    MainThread,
    /// In another one.
    OtherThread,
}

/// A stage with a bug in it, to be the whole of a process: no real one panics at will.
pub fn panicking_stage(place: Panicking, words: &'static str) -> ExitCode {
    stage::main("test", move |_| {
        if place == Panicking::OtherThread {
            let _ = std::thread::spawn(move || panic!("{words}")).join();
        }
        panic!("{words}");
    })
}
