//! `motmot audit`: what the audit log says, and whether it is whole.

mod decisions;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lines;
mod show;
mod verify;
mod wanted;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

pub use self::decisions::{Decided, decisions};
use self::files::LogFiles;
use self::show::{Form, Shown};
use self::wanted::Wanted;
use super::terminal::{Patient, complain};

/// Nothing was found, or something that should not be.
const NOT_SO: u8 = 1;
/// Words that do not go together.
const WRONG_USAGE: u8 = 2;
/// The log cannot be read.
const UNREADABLE: u8 = 3;

/// Arguments of `motmot audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    #[command(flatten)]
    wanted: Wanted,
    /// Print the lines as they are in the log
    #[arg(long, conflicts_with = "timeline")]
    json: bool,
    /// Print all of each run of a job of which something is wanted, with the time between its events
    #[arg(long)]
    timeline: bool,
    /// Read this file, not the log of the configuration; more than once for several, "-" for standard input
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Print what has become of one job: like --timeline --job NUMBER
    Job {
        /// Its number
        number: u64,
        /// Read this file, not the log of the configuration
        #[arg(long = "file", value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Look whether a line of the log was changed, removed, moved or added
    Verify {
        /// Look at these files of one log [default: those of the configuration, with what logrotate has renamed]; "-" is standard input
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Exit codes: 0 found, or whole; 1 nothing found, or not whole; 3 the log cannot be read.
pub fn main(args: AuditArgs, config: &Path) -> ExitCode {
    // clap's own way to say this (args_conflicts_with_subcommands) takes --config for one of them.
    if args.verb.is_some() && (args.wanted != Wanted::default() || args.json || args.timeline) {
        let words =
            "what is wanted, --json and --timeline are for motmot audit alone: leave them away, or the subcommand";
        return complain(&words, ExitCode::from(WRONG_USAGE));
    }
    let done = match args.verb {
        Some(AuditVerb::Verify { files }) => verify(&[args.files, files].concat(), config),
        Some(AuditVerb::Job { number, files }) => {
            show(&[args.files, files].concat(), &Wanted::job(number), Form::Timeline, config)
        }
        None => {
            let form = match (args.json, args.timeline) {
                (true, _) => Form::Json,
                (false, true) => Form::Timeline,
                (false, false) => Form::Table,
            };
            show(&args.files, &args.wanted, form, config)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_SO),
        Err(error) => complain(&error, ExitCode::from(UNREADABLE)),
    }
}

fn verify(files: &[PathBuf], config: &Path) -> anyhow::Result<bool> {
    let mut out = output();
    let whole = verify::verify(&LogFiles::find(files, config)?, &mut out)?;
    out.flush()?;
    Ok(whole)
}

fn show(files: &[PathBuf], wanted: &Wanted, form: Form, config: &Path) -> anyhow::Result<bool> {
    let mut out = output();
    let Shown { found, unreadable, first_unreadable } =
        show::show(&LogFiles::find(files, config)?, wanted, form, &mut out)?;
    out.flush()?;
    if let Some(first) = first_unreadable {
        complain(
            &format_args!("{unreadable} lines are no records, the first in {first}; motmot audit verify says more"),
            ExitCode::SUCCESS,
        );
    }
    Ok(found > 0)
}

fn output() -> impl Write {
    BufWriter::new(Patient(io::stdout()))
}
