//! `motmot reap`: cleaning up by the word of an admin, or of a timer.
//!
//! The program `motmot-cleanup` does it, since its file is the one that has the rights that this takes (file capabilities),
//! and the state belongs to the account that it runs as. It is asked on its command line, behind its own options:
//! `motmot-cleanup --config FILE reap [--dry-run | --session NAME]`. GitLab Runner adds no argument to `cleanup_exec`.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use clap::{Args, Parser};

use super::account::sessions;
use super::edge::Arguments;
use super::sweep::{REMOVAL, Swept, sweep, sweep_left_behind};
use crate::report::{Failure, printable, tell};
use crate::session::{Claim, Session, Sessions};
use crate::settings::Settings;

/// The word that tells a request from the arguments that a site may have written for the stage (`cleanup_args`).
const WORD: &str = "reap";

/// Arguments of `motmot reap`, and of the program that it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ReapArgs {
    /// Only list what would be cleaned up
    #[arg(long)]
    dry_run: bool,
    /// Clean up this one, although it is not known whether its runner lives: you know that it does not
    #[arg(long, value_name = "NAME", conflicts_with = "dry_run")]
    session: Option<String>,
}

impl ReapArgs {
    /// As arguments of `motmot-cleanup`, behind its own options.
    pub fn request(&self) -> Vec<OsString> {
        let mut request = vec![WORD.into()];
        if self.dry_run {
            request.push("--dry-run".into());
        }
        if let Some(name) = &self.session {
            // In one word: whatever the name begins with.
            request.push(format!("--session={name}").into());
        }
        request
    }
}

#[derive(Parser)]
#[command(name = "motmot-cleanup reap", no_binary_name = true)]
struct Request {
    #[command(flatten)]
    args: ReapArgs,
}

/// What `motmot reap` asks for; `None` in a cleanup stage.
pub(super) fn requested(rest: &[OsString]) -> Result<Option<ReapArgs>, Failure> {
    match rest {
        [word, args @ ..] if word == OsStr::new(WORD) => {
            let request = Request::try_parse_from(args).map_err(|error| Failure::site(error.to_string()))?;
            Ok(Some(request.args))
        }
        _ => Ok(None),
    }
}

/// Does it.
pub(super) fn main(arguments: &Arguments, request: &ReapArgs) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let sessions = sessions(&settings)?;
    match &request.session {
        Some(name) => one(arguments, &settings, &sessions, name),
        None if request.dry_run => {
            list(&settings, &sessions);
            Ok(())
        }
        None => all(arguments, &settings, &sessions),
    }
}

/// What was left behind, for whoever wants to know before it goes.
fn list(settings: &Settings, sessions: &Sessions) {
    let scheduler = settings.batch_of_left_jobs().kind().name();
    let line = |session: &Session| {
        let jobs: Vec<String> =
            session.jobs().into_iter().map(|job| job.id.map_or(job.name.to_string(), |id| id.to_string())).collect();
        let jobs = if jobs.is_empty() { String::new() } else { format!(", {scheduler} jobs: {}", jobs.join(" ")) };
        let (job_id, account, data) =
            (session.facts().job_id(), session.decision().account(), session.directories().data.display());
        format!("{}: job {job_id} as {account}, below {data}{jobs}\n", session.name())
    };
    let lines: String = sessions.left_behind().iter().map(line).collect();
    let _ = std::io::stdout().write_all(printable(&lines).as_bytes());
}

/// All that was left behind, however long it takes.
fn all(arguments: &Arguments, settings: &Settings, sessions: &Sessions) -> Result<(), Failure> {
    let (mut done, mut failed) = (0, 0);
    for session in sessions.left_behind() {
        match sweep_left_behind(arguments, settings, session, REMOVAL)? {
            Swept::CleanedUp => done += 1,
            Swept::Alone => {}
            Swept::Failed => failed += 1,
        }
    }
    // A runner between two stages looks the same as one that is gone, unless its process is known.
    let idle = sessions.idle();
    for session in &idle {
        let (name, job) = (session.name(), session.facts().job_id());
        tell(format_args!(
            "left alone: {name} (job {job}): no stage of it runs, and whether its runner lives is not known; if it does not: motmot reap --session {name}"
        ));
    }
    match (done, failed) {
        (0, 0) if !idle.is_empty() => {}
        (0, 0) => tell("nothing was left behind"),
        (_, 0) => tell(format_args!("cleaned up after {done} jobs")),
        _ => return Err(Failure::site(format!("cleaned up after {done} jobs, and failed to after {failed}"))),
    }
    Ok(())
}

/// One session: whoever names it knows that its runner is gone.
fn one(arguments: &Arguments, settings: &Settings, sessions: &Sessions, name: &str) -> Result<(), Failure> {
    let session = sessions.find(name)?;
    match session.claim()? {
        Claim::Mine(_claim) => session.close()?,
        Claim::Busy => return Err(Failure::site(format!("a stage or a cleanup of session {name} runs"))),
        Claim::Gone => return Ok(()),
    }
    sweep(arguments, settings, session, REMOVAL)?;
    tell(format_args!("cleaned up after session {name}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_arrives_as_it_was_meant() {
        let session = |name: &str| ReapArgs { session: Some(name.into()), dry_run: false };
        for asked in [
            ReapArgs::default(),
            ReapArgs { dry_run: true, session: None },
            session("s1"),
            session("dry-run"),
            session("--dry-run"),
            session("-x y"),
            session(""),
        ] {
            assert_eq!(requested(&asked.request()).expect("understood"), Some(asked));
        }
    }

    #[test]
    fn arguments_that_a_site_wrote_for_its_stage_ask_for_nothing_and_half_a_request_is_refused() {
        let asked = |words: &[&str]| requested(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for words in [[].as_slice(), &["verbose"], &["--session", "reap"]] {
            assert_eq!(asked(words).expect("a stage"), None);
        }
        for words in [["reap", "s1"].as_slice(), &["reap", "--session"], &["reap", "--dry-run", "--session=s1"]] {
            asked(words).expect_err("not cleaned up by mistake");
        }
    }
}
