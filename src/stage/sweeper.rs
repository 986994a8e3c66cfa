//! Cleaning up a session in a process of its own, with a limit: whatever hangs there, nobody else does.
//!
//! `motmot-cleanup --config FILE sweep NAME MILLISECONDS`, started by a cleanup stage and by `motmot reap`.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::account::sessions;
use super::edge::Arguments;
use super::recorded;
use super::sweep::{Swept, report_failure, sweep_left_behind};
use crate::report::Failure;
use crate::runner::is_of_a_job;
use crate::session::{Claim, Session};
use crate::sys::apart::{self, Apart, Program};

/// The word that tells a request from the arguments that a site may have written for the stage (`cleanup_args`).
const WORD: &str = "sweep";
/// Exit status for [`Swept::Alone`].
const ALONE: u8 = 3;

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    session: String,
    limit: Duration,
}

/// What a process of its own asks for; `None` in a cleanup stage.
pub(super) fn requested(rest: &[OsString]) -> Option<Request> {
    match rest {
        [word, session, limit] if word == OsStr::new(WORD) => {
            let limit = Duration::from_millis(limit.to_str()?.parse().ok()?);
            Some(Request { session: session.to_str()?.to_owned(), limit })
        }
        _ => None,
    }
}

/// Does it.
pub(super) fn main(arguments: &Arguments, request: &Request) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::site(format!("cannot watch the time of a cleanup: {error}"));
    apart::end_after(request.limit).map_err(failed)?;
    let settings = arguments.settings_of_all()?;
    let session = sessions(&settings, arguments)?.find(&request.session)?;
    // Whatever waits for less than all of the time can say what it has waited for.
    match sweep_left_behind(arguments, &settings, session, request.limit * 3 / 4)? {
        Swept::CleanedUp => Ok(()),
        Swept::Alone => std::process::exit(i32::from(ALONE)),
        // It has been told.
        Swept::Failed => Err(Failure::noted("")),
    }
}

/// What came of it, for the thread that has the audit log.
pub(super) enum SweeperEnd {
    /// It has said what there is to say.
    Told(Swept),
    /// It has not come to that.
    Not(Failure),
}

/// Has a process of its own clean the session up, within this time.
pub(super) fn sweep(configuration: &[OsString], session: &Session, limit: Duration) -> SweeperEnd {
    let request = [WORD.into(), session.name().into(), limit.as_millis().to_string().into()];
    let args = [configuration, &request].concat();
    match apart::run(Program::This, &args, is_of_a_job, limit) {
        Ok(Apart::Exited(0)) => SweeperEnd::Told(Swept::CleanedUp),
        Ok(Apart::Exited(ALONE)) => SweeperEnd::Told(Swept::Alone),
        Ok(Apart::Exited(_)) => SweeperEnd::Told(Swept::Failed),
        Ok(Apart::Over) => SweeperEnd::Not(Failure::site(format!(
            "it took longer than {} s; its directories are below {}",
            limit.as_secs_f32().ceil(),
            session.directories().data.display()
        ))),
        Err(error) => SweeperEnd::Not(Failure::site(format!("no process for it can be started: {error}"))),
    }
}

impl SweeperEnd {
    /// Writes down and tells what has not been told.
    pub(super) fn finish(self, session: &Session) -> Swept {
        match self {
            // It may have gone meanwhile.
            Self::Told(Swept::Alone) => match session.claim() {
                Ok(Claim::Gone) => Swept::CleanedUp,
                _ => Swept::Alone,
            },
            Self::Told(swept) => swept,
            Self::Not(failure) => {
                session.trouble().add(failure.for_admin());
                recorded::of_session(session);
                report_failure(session.name(), &failure);
                Swept::Failed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_wrote_for_its_stage_is_no_request() {
        let asked = |words: &[&str]| requested(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for words in [[].as_slice(), &["sweep"], &["sweep", "7-a"], &["sweep", "7-a", "soon"], &["7-a", "sweep", "9"]] {
            assert_eq!(asked(words), None);
        }
        let request = Request { session: "7-a".into(), limit: Duration::from_millis(1500) };
        assert_eq!(asked(&["sweep", "7-a", "1500"]), Some(request));
    }
}
