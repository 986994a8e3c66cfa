//! `cleanup_exec`: nothing of the job is left, whatever happened before: no session, a failed config, a crash, a stage
//! that is still dying, or a cleanup that has run already.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use super::edge::Arguments;
use super::{mode, sessions};
use crate::config::Settings;
use crate::evidence::payload::Payload;
use crate::launch::plan::{CleanUpOrder, Directories, Order};
use crate::launch::supervise::{self, Outcome, Run};
use crate::policy::{Account, ForCleanup, PolicyError};
use crate::report::{Failure, tell};
use crate::runner::Contract;
use crate::session::{Claim, Session, SessionError, Sessions};
use crate::sys::accounts::Nss;
use crate::sys::cgroup::JobGroup;
use crate::sys::spawn::WorkerProgram;

/// How long the end of a stage that is still dying is awaited.
const DYING_STAGE: Duration = Duration::from_mins(1);
/// How long ending the processes may take.
const PROCESSES: Duration = Duration::from_secs(30);
/// How long removing the files may take.
const REMOVAL: Duration = Duration::from_mins(20);
/// How long all sessions together may take that others have left behind.
const OTHERS: Duration = Duration::from_mins(1);

/// The stage. What it says goes to the runner's own log, not to the job's.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let sessions = sessions(&settings)?;
    for session in find(&sessions, &arguments.contract)? {
        session.close()?;
        clean_up(arguments, &settings, session, REMOVAL)?;
    }
    clean_up_after_others(arguments, &settings, &sessions)
}

/// After a runner that crashed, or a cleanup that failed, nobody else would. Not for long: GitLab shows this job as running.
fn clean_up_after_others(arguments: &Arguments, settings: &Settings, sessions: &Sessions) -> Result<(), Failure> {
    let start = Instant::now();
    for session in sessions.left_behind() {
        let Some(left) = OTHERS.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else { break };
        // Asked once more when nobody else can begin with it.
        match session.claim()? {
            Claim::Mine(_claim) if session.is_left_behind() => session.close()?,
            _ => continue,
        }
        let name = session.name().to_owned();
        if let Err(failure) = clean_up(arguments, settings, session, left) {
            let reason = failure.for_admin();
            tracing::warn!(event = "failed", stage = "cleanup", session = name, kind = failure.kind().as_str(), reason);
            tell(format_args!("the left-over session {name} could not be cleaned up: {reason}"));
        }
    }
    Ok(())
}

/// The session that `job_env` names, or those that a config stage left whose answer never arrived.
fn find(sessions: &Sessions, contract: &Contract) -> Result<Vec<Session>, Failure> {
    if let Ok(name) = contract.session() {
        return match sessions.find(name) {
            Ok(session) => Ok(vec![session]),
            // Cleaned up before.
            Err(SessionError::Unknown(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
    }
    // Config did not succeed, or did not even start; then there may be no payload either.
    let Ok(file) = contract.job_response_file() else { return Ok(Vec::new()) };
    let Ok(payload) = Payload::read(file) else { return Ok(Vec::new()) };
    Ok(sessions.of_attempt(payload.job_id, file.parent().unwrap_or(file)))
}

/// Ends and removes what is left of a closed session.
fn clean_up(arguments: &Arguments, settings: &Settings, session: Session, removal: Duration) -> Result<(), Failure> {
    let record = session.record();
    // It needs no account, and so is done whatever has become of that.
    end_group(&session)?;
    // Not by policy: it may no longer admit the account, and then cleaning up matters all the more.
    let account = Account::for_cleanup(&record.account, Uid::from_raw(record.uid), mode(settings)?, &Nss);
    let account = match account.map_err(PolicyError::from)? {
        ForCleanup::Account(account) => account,
        ForCleanup::Gone => {
            let (name, uid) = (&record.account, record.uid);
            tell(format_args!(
                "there is no account {name} (uid {uid}) any more; what its job has left stays where it is"
            ));
            session.remove();
            return Ok(());
        }
        ForCleanup::NotAdmitted => {
            let (name, uid) = (&record.account, record.uid);
            return Err(Failure::site(format!(
                "the account {name} (uid {uid}) is root or this driver's own, which no job becomes"
            )));
        }
    };
    let broom =
        Broom { arguments, settings, program: WorkerProgram::beside_this_program()?, account, session: &session };
    // Processes first. While a stage is still dying it could make files anew, so its end is awaited; it comes with the end
    // of its processes.
    let patience = Instant::now() + DYING_STAGE;
    let _claim = loop {
        match session.claim()? {
            Claim::Mine(claim) => break Some(claim),
            Claim::Gone => return Ok(()),
            Claim::Busy if Instant::now() >= patience => break None,
            Claim::Busy => {}
        }
        end_group(&session)?;
        broom.work(Vec::new(), PROCESSES)?;
        std::thread::sleep(Duration::from_millis(100)); // a lock of another process: nothing tells when it is released
    };
    end_group(&session)?;
    broom.work(leavings(&record.directories, session.temp_project_dir().as_deref()), removal)?;
    tracing::info!(
        event = "cleaned up",
        job_id = record.facts.job_id,
        account = record.account,
        session = session.name()
    );
    session.remove();
    Ok(())
}

/// Ends all processes of a session's control group, where there is one.
fn end_group(session: &Session) -> Result<(), Failure> {
    let Some(group) = JobGroup::find(session.record().group.as_deref()) else { return Ok(()) };
    if !group.end(PROCESSES) {
        let name = session.name();
        return Err(Failure::site(format!(
            "processes of session {name} could not be ended; they may hang in a file system that does not answer"
        )));
    }
    group.remove();
    Ok(())
}

/// What sweeps up after one session.
struct Broom<'a> {
    arguments: &'a Arguments,
    settings: &'a Settings,
    program: WorkerProgram,
    account: Account,
    session: &'a Session,
}

impl Broom<'_> {
    /// Has a worker end the processes that carry the session's mark, and remove these directories.
    fn work(&self, remove: Vec<PathBuf>, limit: Duration) -> Result<(), Failure> {
        let order = Order::CleanUp(CleanUpOrder { session: self.session.name().to_owned(), remove });
        let kill_timeout = self.settings.jobs.kill_timeout;
        let run = Run { limit: Some(limit), ..Run::new(&self.program, self.account.to_become(), order, kill_timeout) };
        // Unless it is done the session stays, so that a later cleanup finds it.
        match supervise::run(run, &self.arguments.termination)? {
            Outcome::Done | Outcome::Ended(_) => Ok(()),
            Outcome::Terminated => Err(Failure::site("asked to end while cleaning up")),
            Outcome::TookTooLong => {
                let (name, limit) = (self.session.name(), limit.as_secs());
                Err(Failure::site(format!(
                    "cleaning up session {name} took longer than {limit} s; its directories are below {}",
                    self.session.record().directories.data.display()
                )))
            }
        }
    }
}

/// What a job leaves: its own directory, and the runner's temporary project directory with the file-type variables, which
/// the runner does not remove after a time-out or a hard cancel.
fn leavings(directories: &Directories, temp_project_dir: Option<&Path>) -> Vec<PathBuf> {
    let mut leavings = vec![directories.job.clone()];
    if let Some(temp) = temp_project_dir
        && temp.starts_with(&directories.builds)
        && temp != directories.builds
        && !temp.components().any(|part| part == std::path::Component::ParentDir)
    {
        leavings.push(temp.to_owned());
    }
    leavings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_jobs_own_builds_directory_is_removed() {
        let directories = Directories::lay_out("/d".into(), "h", 7, 0, "s");
        let removed = |temp: &str| leavings(&directories, Some(Path::new(temp)));
        assert!(removed("/d/builds/h/7/0/g/p.tmp").contains(&PathBuf::from("/d/builds/h/7/0/g/p.tmp")));
        for other in
            ["/etc", "/d/builds/h/7/0", "/d/builds/h/7/1/g/p.tmp", "/d/builds/h/7/0/../../x", "/d/builds/h/7/01/p"]
        {
            assert_eq!(removed(other), [PathBuf::from("/d/jobs/s")], "{other}");
        }
    }
}
