//! Ending what has outlived its stage, before a session is given up: an exit code of 0 means that nothing is left.

use std::time::Duration;

use crate::report::Failure;
use crate::session::Session;
use crate::sys::offspring::{STAGE, Seeker};
use crate::sys::process;

/// How long a worker whose stage is gone may take to end its job by itself, as it does unless somebody has stopped it.
const BY_ITSELF: Duration = Duration::from_secs(1);
/// How long SIGKILL may take.
const KILLED: Duration = Duration::from_secs(10);

/// Ends the workers of a session that have no stage any more. What they leave are orphans, which the next worker finds.
///
/// Not those of a stage or of another cleanup, which end their own.
pub(super) fn end_abandoned_workers(session: &Session) -> Result<(), Failure> {
    let uid = session.decision().uid();
    for worker in session.workers() {
        let has_stage = || worker.name_of_parent().is_some_and(|name| name.starts_with(STAGE));
        if !has_stage() && !worker.ends_within(BY_ITSELF) && !worker.end_as(uid, KILLED) {
            return Err(not_ended(session));
        }
    }
    Ok(())
}

/// Ends all workers of a session, and so the stages that wait for them.
pub(super) fn end_workers(session: &Session) -> Result<(), Failure> {
    let uid = session.decision().uid();
    let ended = session.workers().iter().all(|worker| worker.end_as(uid, KILLED));
    if ended { Ok(()) } else { Err(not_ended(session)) }
}

/// Ends what the jobs of an account have left that is none any more, so that no worker can.
pub(super) fn end_orphans(session: &Session) -> Result<(), Failure> {
    let (seeker, uid) = (Seeker::in_stage(), session.decision().uid());
    match process::end_all(KILLED, |pid| seeker.is_orphan_of(uid, pid)) {
        0 => Ok(()),
        _ => Err(not_ended(session)),
    }
}

pub(super) fn not_ended(session: &Session) -> Failure {
    Failure::site(format!(
        "processes of session {} could not be ended; they may hang in a file system that does not answer",
        session.name()
    ))
}
