//! The command line of `motmot`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::{check, demo, jwks, keys, simulate, verify};
use crate::config::{DEFAULT_PATH, Settings};

/// A GitLab Runner custom executor for HPC sites: every CI job runs as the right local account, and every stage of it has
/// a short-lived token of its own.
#[derive(Parser)]
#[command(name = "motmot", version)]
struct Program {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", env = "MOTMOT_CONFIG", default_value = DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run one complete job with a throw-away key and configuration, and verify its token
    Demo(demo::DemoArgs),
    /// Look at the configuration, the keys and this machine, and say what is wrong
    Check(check::CheckArgs),
    /// Play GitLab and GitLab Runner for one job against the configuration
    Simulate(Box<simulate::SimulateArgs>),
    /// Make and list signing keys
    Keys(keys::KeysArgs),
    /// Print the public keys (JWKS) that tokens verify with
    Jwks(jwks::JwksArgs),
    /// Verify a token against public keys
    Verify(verify::VerifyArgs),
}

/// The whole program.
pub fn main() -> ExitCode {
    crate::token::install_crypto();
    let program = Program::parse();
    let config = program.config;
    let keys_of_config = || {
        let settings = Settings::load(&config).map_err(|error| anyhow::anyhow!(error.render()))?;
        let token = settings.token.ok_or_else(|| {
            anyhow::anyhow!("{} has no [token] section, so it names no keys; use --dir", config.display())
        })?;
        Ok(token.keys)
    };
    match program.verb {
        Verb::Demo(args) => demo::main(&args),
        Verb::Check(args) => check::main(&args, &config),
        Verb::Simulate(args) => simulate::main(*args, &config),
        Verb::Keys(args) => keys::run(args, keys_of_config),
        Verb::Jwks(args) => jwks::run(args, keys_of_config),
        Verb::Verify(args) => verify::run(&args),
    }
}

/// The man pages: the name of each file, and what `render` makes of its command.
pub fn man_pages(render: impl Fn(clap::Command) -> String) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let program = Program::command();
    for verb in program.get_subcommands() {
        let name = format!("motmot-{}", verb.get_name());
        let page =
            verb.clone().name(Box::leak(name.clone().into_boxed_str()) as &str).version(env!("CARGO_PKG_VERSION"));
        pages.push((format!("{name}.1"), render(page)));
    }
    pages.push(("motmot.1".to_owned(), render(program)));
    pages.push(("motmot-stages.8".to_owned(), render(crate::stage::command().name("motmot-stages"))));
    pages
}
