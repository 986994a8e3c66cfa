//! `motmot explain`: as whom a job would run, by which rule, and why by no other.
//!
//! The job may be invented. What decides about it is what decides about jobs (`policy::explain`).

mod options;
mod words;

use std::path::Path;
use std::process::ExitCode;

use super::audit::Decided;
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
    let settings = Settings::load(config).map_err(|error| error.render())?;
    let named = settings.gitlab_of(args.gitlab()).filter(|_| args.gitlab().is_some());
    let decided = args.decided(config, named.map(|gitlab| gitlab.url.as_str()))?;
    // Where it comes from the log, that says of which GitLab it was.
    let of_log = decided.as_ref().and_then(|decided| {
        let of = settings.gitlabs.iter().find(|gitlab| gitlab.url.as_str() == decided.gitlab);
        of.and_then(|gitlab| gitlab.name.clone())
    });
    let settings = settings.for_gitlab(config, of_log.as_deref().or(args.gitlab())).map_err(|error| error.render())?;
    let runner = Runner::find(args.runner_account())?;
    let facts = args.job(decided.as_ref())?.facts();
    let requested = args.run_as().or(decided.as_ref().and_then(|decided| decided.requested.as_deref()));
    let asking = Asking { facts: &facts, requested };
    let approved_by: Vec<String> = match &decided {
        Some(Decided { approved_by: Some(name), .. }) if args.approved_by().is_empty() => vec![name.clone()],
        _ => args.approved_by().to_vec(),
    };
    let mode = runner.mode(&settings);
    let explained = policy::explain(&settings.rules(), mode, asking, &approved_by, Machine::THIS);
    let code = match &explained.verdict {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) if why.is_refusal() => ExitCode::FAILURE,
        Err(_) => ExitCode::from(3),
    };
    let document = words::document(&explained, &facts, &settings);
    let text = if args.json { format!("{document:#}\n") } else { words::text(&document) };
    Ok((text, code))
}
