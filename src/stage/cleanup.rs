//! `cleanup_exec`: nothing of the job is left, whatever happened before: no session, a failed config, a crash, a stage
//! that is still dying, or a cleanup that has run already.

use std::time::{Duration, Instant};

use super::account::sessions;
use super::edge::Arguments;
use super::reap;
use super::sweep::{REMOVAL, sweep, sweep_left_behind};
use crate::report::Failure;
use crate::session::{Session, SessionError, Sessions};
use crate::settings::Settings;

/// How long all sessions together may take that others have left behind.
const OTHERS: Duration = Duration::from_mins(1);

/// The stage. What it says goes to the runner's own log, not to the job's.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(request) = reap::requested(&arguments.rest)? {
        return reap::main(arguments, &request);
    }
    let settings = arguments.settings()?;
    let sessions = sessions(&settings)?;
    for session in find(&sessions, arguments)? {
        session.close()?;
        sweep(arguments, &settings, session, REMOVAL)?;
    }
    clean_up_after_others(arguments, &settings, &sessions)
}

/// After a runner that crashed, or a cleanup that failed, nobody else would. Not for long: GitLab shows this job as running.
fn clean_up_after_others(arguments: &Arguments, settings: &Settings, sessions: &Sessions) -> Result<(), Failure> {
    let start = Instant::now();
    for session in sessions.left_behind() {
        let Some(left) = OTHERS.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else { break };
        sweep_left_behind(arguments, settings, session, left)?;
    }
    Ok(())
}

/// The session that `job_env` names, or those that a config stage left whose answer never arrived.
fn find(sessions: &Sessions, arguments: &Arguments) -> Result<Vec<Session>, Failure> {
    if let Ok(name) = arguments.contract.session() {
        return match sessions.find(name) {
            Ok(session) => Ok(vec![session]),
            // Cleaned up before.
            Err(SessionError::Unknown(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
    }
    // Config did not succeed, or did not even start; then there may be no payload either.
    let Ok(file) = arguments.contract.job_response_file() else { return Ok(Vec::new()) };
    let Ok(payload) = arguments.payload() else { return Ok(Vec::new()) };
    Ok(sessions.of_attempt(payload.job_id, file.parent().unwrap_or(file)))
}
