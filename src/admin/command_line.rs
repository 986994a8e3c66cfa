//! The command line of `motmot`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::unistd::geteuid;

use super::man::{self, Page};
use super::terminal::Colours;
use super::{
    approve, audit, check, completions, demo, explain, jwks, keys, policy, reap, simulate, terminal, verify, who_can,
    wrong_usage,
};
use crate::launch::settings::Downscope;
use crate::settings::{DEFAULT_PATH, Settings, config_file};
use crate::stage::reap::ReapArgs;

/// A GitLab Runner custom executor for HPC sites: every CI job runs as the right local account, and every stage of it has
/// a short-lived token of its own.
#[derive(Parser)]
#[command(name = "motmot", version)]
struct Program {
    /// Configuration file; what is in it: motmot-config.toml(5)
    #[arg(long, global = true, value_name = "FILE", env = "MOTMOT_CONFIG", default_value = DEFAULT_PATH, value_parser = OsStringValueParser::new().try_map(config_file))]
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
    /// Say as whom a job would run, by which rule, and why by no other
    Explain(Box<explain::ExplainArgs>),
    /// Say every way to become an account, of all jobs that there could be
    WhoCan(who_can::WhoCanArgs),
    /// Judge the rules as a whole, and install new ones
    Policy(policy::PolicyArgs),
    /// Clean up after jobs whose runner is gone: cancel their Slurm jobs, remove what they left
    Reap(ReapArgs),
    /// Make and list signing keys
    Keys(keys::KeysArgs),
    /// Print the public keys (JWKS) that tokens verify with
    Jwks(jwks::JwksArgs),
    /// Verify a token against public keys
    Verify(verify::VerifyArgs),
    /// Approve a commit for an account with your SSH key, and keep such approvals
    Approve(Box<approve::ApproveArgs>),
    /// Say what the audit log knows, and whether it is whole
    Audit(Box<audit::AuditArgs>),
    /// Print what a shell needs to complete this program's words
    Completions(completions::CompletionsArgs),
}

/// What clap is to know.
fn command() -> Command {
    // It goes with every verb, and means nothing to these. Named all the same it is no mistake.
    let unread = Arg::new("config").long("config").value_name("FILE").hide(true);
    let unread = unread.value_parser(OsStringValueParser::new().map(PathBuf::from));
    let reads_none = |verb: &Command| ["demo", "verify", "completions"].contains(&verb.get_name());
    Program::command().mut_subcommands(|verb| if reads_none(&verb) { verb.arg(unread.clone()) } else { verb })
}

/// The whole program.
pub fn main() -> ExitCode {
    jose::install_crypto();
    let parsed = command().try_get_matches().and_then(|words| Program::from_arg_matches(&words));
    let program = match parsed {
        Ok(program) => program,
        // Help and version are answers like others: a full disk is told, a closed pipe is not.
        Err(words) if !words.use_stderr() => {
            let text = words.render();
            let text = if Colours::of_output() == Colours::Some { text.ansi().to_string() } else { text.to_string() };
            return terminal::answer(&text, ExitCode::SUCCESS);
        }
        Err(words) => wrong_usage::without_secrets(words).exit(),
    };
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
        Verb::Simulate(args) => match fit_for_simulation(&config, &args) {
            Ok(()) => simulate::main(*args, &config),
            Err(words) => terminal::complain(&words, ExitCode::from(2)),
        },
        Verb::Explain(args) => explain::main(&args, &config),
        Verb::WhoCan(args) => who_can::main(&args, &config),
        Verb::Policy(args) => policy::main(&args, &config),
        Verb::Reap(args) => reap::main(&args, &config),
        Verb::Keys(args) => keys::run(args, keys_of_config),
        Verb::Jwks(args) => jwks::run(args, keys_of_config),
        Verb::Verify(args) => verify::run(&args),
        Verb::Approve(args) => approve::main(&args, &config),
        Verb::Audit(args) => audit::main(*args, &config),
        Verb::Completions(args) => completions::main(&args, command()),
    }
}

/// Whether a simulation can say anything about this configuration: otherwise its faults would be told three times over, by
/// stages that were tried again.
fn fit_for_simulation(config: &Path, args: &simulate::SimulateArgs) -> Result<(), String> {
    let configured_gitlab = args.uses_configured_gitlab();
    let settings = Settings::load(config).and_then(|settings| settings.for_gitlab(config, args.name_of_gitlab()));
    let settings = settings.map_err(|error| error.render())?;
    if settings.jobs.downscope == Downscope::Setuid && !geteuid().is_root() && !configured_gitlab {
        return Err(
            "jobs.downscope is \"setuid\": run this as root, with --runner-account ACCOUNT if the runner is not root"
                .into(),
        );
    }
    Ok(())
}

/// The man pages of this program and of the stages.
pub fn man_pages() -> Vec<Page> {
    man::pages(command(), crate::stage::command())
}
