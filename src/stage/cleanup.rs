//! `cleanup_exec`: nothing of the job is left, whatever happened before: no session, a failed config, a crash, a stage
//! that is still dying, or a cleanup that has run already.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Uid;

use super::account::sessions;
use super::edge::Arguments;
use super::sweep::{AttemptDir, REMOVAL, sweep};
use super::whose::{refuse_other_cluster, why_left_alone};
use super::{lines, reap, sweeper};
use crate::report::{Failure, tell};
use crate::session::{LeftBehind, Session, SessionError, Sessions};

/// How long all sessions together may take that earlier jobs of the same account have left behind.
const EARLIER: Duration = Duration::from_secs(2);

/// How many sessions are named that are another configuration's.
const NAMED: usize = 5;

/// The stage. What it says goes to the runner's own log, not to the job's.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(request) = reap::requested(&arguments.rest)? {
        return reap::main(arguments, &request);
    }
    if let Some(request) = sweeper::requested(&arguments.rest) {
        return sweeper::main(arguments, &request);
    }
    let settings = arguments.settings_of_all()?;
    lines::refuse_arguments("cleanup", &arguments.rest)?;
    let sessions = sessions(&settings, arguments)?;
    let mut accounts = HashSet::new();
    for session in find(&sessions, arguments)? {
        accounts.insert(session.decision().uid());
        refuse_other_cluster(&session)?;
        session.close()?;
        sweep(arguments, &settings, session, AttemptDir::Leave, REMOVAL)?;
    }
    clean_up_after_earlier_jobs(arguments, &sessions, &accounts);
    Ok(())
}

/// After a runner that crashed, or a cleanup that failed, nobody else would before the next `motmot reap`. Not for long:
/// GitLab shows this job as running. And only for accounts of this job: another account can make its own cleanup last, with
/// a file system that does not answer or a worker that it stops, and that is no business of this job's.
fn clean_up_after_earlier_jobs(arguments: &Arguments, sessions: &Sessions, accounts: &HashSet<Uid>) {
    let start = Instant::now();
    let of_this_job = |session: &Session| accounts.contains(&session.decision().uid());
    let LeftBehind { ours, others } = sessions.left_behind();
    for session in others.iter().filter(|session| of_this_job(session)).take(NAMED) {
        if let Some(why) = why_left_alone(session) {
            tell(format_args!("left alone: {}: {why}", session.name()));
        }
    }
    let due = |session: &Session| session.trouble().read().is_none_or(|trouble| trouble.is_over(SystemTime::now()));
    for session in ours.into_iter().filter(|session| of_this_job(session) && due(session)) {
        let Some(left) = EARLIER.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else { break };
        sweeper::sweep(&arguments.of_configuration(), &session, left).finish(&session);
    }
}

/// The session that `job_env` names, or those that a config stage left whose answer never arrived.
fn find(sessions: &Sessions, arguments: &Arguments) -> Result<Vec<Session>, Failure> {
    // Config did not succeed, or did not even start: then there may be no payload.
    let payload = arguments.payload().ok();
    if let Ok(name) = arguments.contract.session() {
        match sessions.find(name) {
            // Not that of a job in which this runner was started: without an answer of config the variable is still that one's. There
            // may be sessions of this attempt all the same.
            Ok(session) if payload.as_ref().is_some_and(|payload| payload.job_id != session.facts().job_id()) => {}
            Ok(session) => return Ok(vec![session]),
            // Cleaned up before; or likewise that one's.
            Err(SessionError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (Ok(file), Some(payload)) = (arguments.contract.job_response_file(), payload) else { return Ok(Vec::new()) };
    Ok(sessions.of_attempt(payload.job_id, file.parent().unwrap_or(file)))
}
