//! `motmot policy`: the rules as a whole, before they are those of jobs.

mod apply;
mod diff;
mod replay;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::terminal::{answer, complain};
use crate::policy::Machine;
use crate::policy::assertions::{Judged, judge};
use crate::report::{counted, indented, printable};
use crate::settings::Settings;

/// Arguments of `motmot policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    /// Judge every [[test]] and [[never]] of the configuration
    Test,
    /// Install a file as the configuration, if it is valid and all of its tests and nevers hold
    Apply(apply::ApplyArgs),
    /// Say whose account changes from one configuration to another
    Diff(diff::DiffArgs),
}

/// Exit code 0 if all is as it is said to be, 1 if not, 2 for wrong usage.
pub fn main(args: &PolicyArgs, config: &Path) -> ExitCode {
    match &args.verb {
        PolicyVerb::Test => test(config),
        PolicyVerb::Apply(args) => apply::main(args, config),
        PolicyVerb::Diff(args) => diff::main(args),
    }
}

fn test(config: &Path) -> ExitCode {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => return complain(&error.render(), ExitCode::from(2)),
    };
    let (mut text, good) = judged(&settings);
    if good {
        match settings.remember_tested(config) {
            Ok(None) => {}
            Ok(Some(record)) => {
                let _ = writeln!(text, "recorded in {}", record.display()); // into a string: cannot fail
            }
            Err(error) => return complain(&format!("{text}this cannot be recorded: {error}"), ExitCode::from(2)),
        }
    }
    answer(&text, if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that the configuration says of its own rules, for each GitLab by the rules for that one.
pub(super) fn all_judged(settings: &Settings) -> Vec<Judged> {
    let each = settings.of_each_gitlab();
    each.flat_map(|of| judge(&of.rules(), &of.gitlab, &of.assertions, Machine::THIS.tables)).collect()
}

/// A line for each of them, and how many there were.
fn judged(settings: &Settings) -> (String, bool) {
    let all = all_judged(settings);
    let mut text = String::new();
    for Judged { what, result } in &all {
        let (mark, words) = match result {
            Ok(()) => ("ok", String::new()),
            Err(words) => ("FAILED", format!(": {}", indented(&printable(words)))),
        };
        let _ = writeln!(text, "{mark:<8} {what}{words}"); // into a string: cannot fail, as below
    }
    let failed = all.iter().filter(|judged| judged.result.is_err()).count();
    let tests = counted(settings.assertions.tests.len(), "test");
    let nevers = counted(settings.assertions.nevers.len(), "never");
    let _ = writeln!(text, "{tests}, {nevers}, {failed} failed");
    (text, failed == 0)
}
