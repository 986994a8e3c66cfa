//! `motmot completions`: what a shell completes, made from the command line itself.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::terminal::answer;

/// Arguments of `motmot completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: For,
}

/// Shells that HPC sites have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script on standard output.
pub fn main(args: &CompletionsArgs, mut program: Command) -> ExitCode {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "motmot", &mut script);
    answer(&String::from_utf8_lossy(&script), ExitCode::SUCCESS)
}
