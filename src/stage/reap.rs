//! `motmot reap`: cleaning up by the word of an admin, or of a timer.
//!
//! The program `motmot-cleanup` does it, since its file is the one that has the rights that this takes (file capabilities),
//! and the state belongs to the account that it runs as. It is asked on its command line, behind its own options:
//! `motmot-cleanup --config FILE reap [--dry-run | --session NAME | --forget NAME]`. GitLab Runner adds no argument to `cleanup_exec`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, Parser};

use super::account::sessions;
use super::edge::Arguments;
use super::recorded;
use super::sweep::{AttemptDir, REMOVAL, Swept, sweep};
use super::sweeper::{self, SweeperEnd};
use super::whose::{refuse_other_cluster, session_scheduler, why_left_alone};
use crate::report::events::AuditEvent;
use crate::report::{Failure, about_in_words, counted, one_line, tell, unless_nobody_reads};
use crate::session::{Claim, Holder, LeftBehind, Session, SessionError, Sessions};
use crate::settings::Settings;

/// How long one session may take. A tree that takes longer to remove is smaller the next time.
const SESSION: Duration = Duration::from_mins(5);
/// How long all sessions of one account may take.
const ACCOUNT: Duration = Duration::from_mins(20);
/// How many accounts are cleaned up after at a time: one whose home directory does not answer waits for itself.
const AT_ONCE: usize = 16;

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
    /// Give this one up: it is never tried again, and what its job left stays where it is
    #[arg(long, value_name = "NAME", conflicts_with_all = ["dry_run", "session"])]
    forget: Option<String>,
}

impl ReapArgs {
    /// As arguments of `motmot-cleanup`, behind its own options.
    pub fn request(&self) -> Vec<OsString> {
        let mut request = vec![WORD.into()];
        if self.dry_run {
            request.push("--dry-run".into());
        }
        for (option, name) in [("session", &self.session), ("forget", &self.forget)] {
            // In one word: whatever the name begins with.
            request.extend(name.iter().map(|name| format!("--{option}={name}").into()));
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
    let settings = arguments.settings_of_all()?;
    let sessions = sessions(&settings, arguments)?;
    match request {
        ReapArgs { session: Some(name), .. } => one(arguments, &settings, &sessions, name),
        ReapArgs { forget: Some(name), .. } => forget(&sessions, name),
        ReapArgs { dry_run: true, .. } => list(&settings, &sessions),
        _ => all(arguments, &sessions),
    }
}

/// What was left behind, for whoever wants to know before it goes.
fn list(settings: &Settings, sessions: &Sessions) -> Result<(), Failure> {
    let scheduler = |session: &Session| settings.batch_of_left_jobs(session_scheduler(session)).kind().name();
    let line = |session: &Session| {
        let jobs: Vec<String> =
            session.jobs().into_iter().map(|job| job.id.map_or(job.name.to_string(), |id| id.to_string())).collect();
        let jobs =
            if jobs.is_empty() { String::new() } else { format!(", {} jobs: {}", scheduler(session), jobs.join(" ")) };
        let (job_id, account, data) =
            (session.facts().job_id(), session.decision().account(), session.directories().data.display());
        let trouble = trouble(session).map(|words| format!("; {words}")).unwrap_or_default();
        // A line for each: no name of a directory may begin another one.
        one_line(&format!("{}: job {job_id} as {account}, below {data}{jobs}{trouble}", session.name())) + "\n"
    };
    let LeftBehind { ours, others } = sessions.left_behind();
    let lines: String = ours.iter().map(line).collect();
    let written = std::io::stdout().write_all(lines.as_bytes()).or_else(unless_nobody_reads);
    tell_others(&others);
    tell_idle(sessions);
    written.map_err(|error| Failure::site(format!("the list cannot be written: {error}")))?;
    if lines.is_empty() && others.is_empty() { Ok(()) } else { Err(Failure::noted("")) }
}

/// Why a session is still there, and when it is tried again.
fn trouble(session: &Session) -> Option<String> {
    let trouble = session.trouble().read()?;
    let next = match trouble.pause(SystemTime::now()) {
        Some(pause) => format!("the next in {}", about_in_words(pause)),
        None => "the next is due".to_owned(),
    };
    Some(format!("failed cleanups: {}, {next}; the last: {}", trouble.tries(), trouble.why()))
}

/// What another configuration has left behind, or has batch jobs of which ours knows nothing.
fn tell_others(others: &[Session]) {
    for session in others {
        let (name, job) = (session.name(), session.facts().job_id());
        tell(format_args!("left alone: {name} (job {job}): {}", why_left_alone(session).unwrap_or_default()));
    }
}

/// A runner between two stages looks the same as one that is gone, unless its process is known. So nothing is said to be left.
fn tell_idle(sessions: &Sessions) -> bool {
    let idle = sessions.idle();
    for session in &idle {
        let (name, job) = (session.name(), session.facts().job_id());
        let then = match why_left_alone(session) {
            None => format!("if it does not: motmot reap --session {name}"),
            Some(why) => format!("and {why}"),
        };
        tell(format_args!(
            "left alone: {name} (job {job}): no stage of it runs, and whether its runner lives is not known; {then}"
        ));
    }
    !idle.is_empty()
}

/// All that was left behind, the accounts beside each other.
fn all(arguments: &Arguments, sessions: &Sessions) -> Result<(), Failure> {
    let now = SystemTime::now();
    let mut accounts = HashMap::<_, Vec<Session>>::new();
    let LeftBehind { ours, others } = sessions.left_behind();
    // What may not be touched here stays all the same.
    let (mut done, mut left) = (0, others.len());
    for session in ours {
        if session.trouble().read().is_none_or(|trouble| trouble.is_over(now)) {
            accounts.entry(session.decision().uid()).or_default().push(session);
        } else {
            left += 1;
            tell_left(&session, &trouble(&session).unwrap_or_default());
        }
    }
    beside_each_other(arguments, accounts.into_values().collect(), |session, swept| match swept {
        None => {
            left += 1;
            tell_left(&session, "others of its account have taken too long; it is tried the next time");
        }
        Some(swept) => match swept.finish(&session) {
            Swept::CleanedUp => done += 1,
            // It has been told.
            Swept::Failed => left += 1,
            Swept::Alone if !session.is_left_behind() => {}
            Swept::Alone => {
                left += 1;
                tell_left(&session, "a stage or another cleanup of it runs");
            }
        },
    });
    tell_others(&others);
    let idle = tell_idle(sessions);
    match (done, left) {
        (0, 0) if idle => {}
        (0, 0) => tell("nothing was left behind"),
        (_, 0) => tell(format_args!("cleaned up after {}", counted(done, "job"))),
        _ => {
            return Err(Failure::noted(format!(
                "cleaned up after {}; of {left} something is left",
                counted(done, "job")
            )));
        }
    }
    Ok(())
}

fn tell_left(session: &Session, why: &str) {
    let (name, job, account) = (session.name(), session.facts().job_id(), session.decision().account());
    tell(format_args!(
        "left: {name} (job {job} as {account}): {why}. To try it now: motmot reap --session {name}; to give it up: motmot reap --forget {name}"
    ));
}

/// Has the sessions of each account cleaned up one by one, and those of several accounts at a time. `None` for one that its
/// account has left no time for.
fn beside_each_other(
    arguments: &Arguments,
    accounts: Vec<Vec<Session>>,
    mut done: impl FnMut(Session, Option<SweeperEnd>),
) {
    let slots = accounts.len().min(AT_ONCE);
    let (queue, (results, inbox)) = (Mutex::new(accounts), channel());
    let configuration = arguments.of_configuration();
    std::thread::scope(|scope| {
        for _ in 0..slots {
            let (queue, results, configuration) = (&queue, results.clone(), &configuration);
            scope.spawn(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(sessions) = next() {
                    let start = Instant::now();
                    for session in sessions {
                        let limit = ACCOUNT.checked_sub(start.elapsed()).map(|left| left.min(SESSION));
                        let swept = limit.map(|limit| sweeper::sweep(configuration, &session, limit));
                        let _ = results.send((session, swept));
                    }
                }
            });
        }
        drop(results);
        for (session, swept) in inbox {
            done(session, swept);
        }
    });
}

/// The session of that name, for whoever has typed it.
fn named(sessions: &Sessions, name: &str) -> Result<Session, Failure> {
    match sessions.find(name) {
        Err(SessionError::Unknown(name)) => Err(Failure::site(format!(
            "there is no session {name:?}: it is cleaned up, or has another name (motmot reap --dry-run)"
        ))),
        found => Ok(found?),
    }
}

/// One session: whoever names it knows that its runner is gone.
fn one(arguments: &Arguments, settings: &Settings, sessions: &Sessions, name: &str) -> Result<(), Failure> {
    let session = named(sessions, name)?;
    refuse_other_cluster(&session)?;
    match session.claim()? {
        Claim::Mine(_claim) => session.close()?,
        Claim::Busy(Holder::Stages) if session.runner_is_gone() => session.close()?,
        Claim::Busy(_) => return Err(in_use(name)),
        Claim::Gone => return Ok(()),
    }
    sweep(arguments, settings, session, AttemptDir::Remove, REMOVAL)?;
    tell(format_args!("cleaned up after session {name}"));
    Ok(())
}

/// Gives a session up: whoever names it knows better than we do what becomes of the rest.
fn forget(sessions: &Sessions, name: &str) -> Result<(), Failure> {
    let session = named(sessions, name)?;
    let _claim = match session.claim()? {
        Claim::Mine(claim) => claim,
        Claim::Busy(_) => return Err(in_use(name)),
        Claim::Gone => return Ok(()),
    };
    let (job_id, account) = (session.facts().job_id(), session.decision().account());
    recorded::of_session(&session);
    AuditEvent::Forgotten { job_id, account, session: name }.log();
    tell(format_args!(
        "session {name} (job {job_id} as {account}) is forgotten; what its job has left stays below {}",
        session.directories().data.display()
    ));
    session.remove();
    Ok(())
}

fn in_use(name: &str) -> Failure {
    Failure::site(format!("a stage or a cleanup of session {name} runs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_arrives_as_it_was_meant() {
        let session = |name: &str| ReapArgs { session: Some(name.into()), ..ReapArgs::default() };
        for asked in [
            ReapArgs::default(),
            ReapArgs { dry_run: true, ..ReapArgs::default() },
            ReapArgs { forget: Some("--session".into()), ..ReapArgs::default() },
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
        for words in [["reap", "s1"].as_slice(), &["reap", "--session"], &["reap", "--forget=s1", "--session=s1"]] {
            asked(words).expect_err("not cleaned up by mistake");
        }
    }
}
