//! `motmot explain`: as whom a job would run, by which rule, and why by no other.
//!
//! The job may be invented. What decides about it is what decides about jobs (`policy::explain`).

mod options;
mod words;

use std::path::Path;
use std::process::ExitCode;

use super::check::Runner;
use super::terminal::{answer, complain};
use crate::policy::{self, Asking, Machine};
use crate::settings::Settings;

pub use options::ExplainArgs;

/// Exit code 0 if the job would run, 1 if it would be refused, 2 for wrong usage, 3 if it cannot be said.
pub fn main(args: &ExplainArgs, config: &Path) -> ExitCode {
    match explained(args, config) {
        Ok((text, code)) => answer(&text, code),
        Err(words) => complain(&words, ExitCode::from(2)),
    }
}

fn explained(args: &ExplainArgs, config: &Path) -> Result<(String, ExitCode), String> {
    let settings = Settings::load(config).and_then(|settings| settings.for_gitlab(config, args.gitlab()));
    let settings = settings.map_err(|error| error.render())?;
    let runner = Runner::find(args.runner_account())?;
    let facts = args.job()?.facts();
    let asking = Asking { facts: &facts, requested: args.run_as() };
    let mode = runner.mode(&settings);
    let explained = policy::explain(&settings.rules(), mode, asking, args.approved_by(), Machine::THIS);
    let code = match &explained.verdict {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) if why.is_refusal() => ExitCode::FAILURE,
        Err(_) => ExitCode::from(3),
    };
    let document = words::document(&explained, &facts, &settings);
    let text = if args.json { format!("{document:#}\n") } else { words::text(&document) };
    Ok((text, code))
}
