//! What the project's own tests and benchmarks need from the inside, where no other program has a door. Nothing here is of use
//! to anybody else.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jose::{SigningKey, install_crypto};
use nix::unistd::geteuid;
use p256::SecretKey;
use p256::elliptic_curve::rand_core::OsRng;

use crate::identity::Identity;
use crate::policy::{self, Mode};
use crate::scheduler::Placement;
use crate::settings::Settings;
use crate::stage;
use crate::sys::accounts::{AccountDb, Nss};
use crate::token::{Issuance, StageContext, Ttl, mint};

/// How long it takes to mint one token, self-check included: the mean of so many. The key is a throw-away, so that no
/// token of it is worth anything, and the job is an invented one of this very account.
pub fn minting(tokens: u32) -> Result<Duration, Box<dyn std::error::Error>> {
    install_crypto();
    let key = SigningKey::new(&SecretKey::random(&mut OsRng))?;
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
    let Settings { map, accounts, .. } = Settings::parse(Path::new("bench.toml"), config)?;
    let admission = policy::decide(&map, &accounts, Mode::OnlySelf(geteuid()), &identity, &Nss)?;
    let settings = Issuance {
        issuer: "https://ci.example".into(),
        audience: "https://a.example".into(),
        ttl: Ttl::DEFAULT,
        upstream_iss: "https://gitlab.example".into(),
    };
    let stage =
        StageContext { executor_stage: "build_script".into(), site: None, cluster: None, placement: Placement::Shell };
    let start = Instant::now();
    for _ in 0..tokens {
        mint(&key, &settings, &identity, admission.account(), &stage, Timestamp::now())?;
    }
    Ok(start.elapsed() / tokens)
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
