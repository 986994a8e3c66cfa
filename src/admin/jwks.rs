//! `motmot jwks`: the public keys, for verifiers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::keys::{chosen, ring};
use super::terminal::{answer, complain};
use crate::issuer::jwks;

/// Arguments of `motmot jwks`.
#[derive(Debug, Args)]
pub struct JwksArgs {
    /// The directory of keys [default: token.keys of the configuration]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the public document (JWKS) of the keys on standard output.
///
/// Exit codes: 0 done, 7 no usable keys.
pub fn run(args: JwksArgs, configured_dir: impl FnOnce() -> anyhow::Result<PathBuf>) -> ExitCode {
    match chosen(args.dir, configured_dir).and_then(|dir| ring(&dir)) {
        Ok(ring) => answer(&(jwks::document(&ring) + "\n"), ExitCode::SUCCESS),
        Err(error) => complain(&error, ExitCode::from(super::verify::KEYS_UNAVAILABLE)),
    }
}
