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
use crate::policy::{Account, PolicyError};
use crate::report::{Failure, tell};
use crate::runner::Contract;
use crate::session::{Session, SessionError};
use crate::sys::accounts::Nss;
use crate::sys::cgroup::JobGroup;
use crate::sys::spawn::WorkerProgram;

/// How many sessions that others have left behind one cleanup takes care of.
const OTHERS: usize = 10;
/// How long the end of a stage that is still dying is awaited.
const DYING_STAGE: Duration = Duration::from_mins(1);
/// How long ending the processes may take.
const PROCESSES: Duration = Duration::from_secs(30);
/// How long removing the files may take.
const REMOVAL: Duration = Duration::from_mins(20);
/// The same for files of a session that others have left behind.
const OTHERS_REMOVAL: Duration = Duration::from_mins(1);

/// The stage. What it says goes to the runner's own log, not to the job's.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    for session in find(&settings, &arguments.contract)? {
        clean_up(arguments, &settings, session, REMOVAL)?;
    }
    // After a runner that crashed, or a cleanup that failed, nobody else would.
    for session in sessions(&settings)?.left_behind(OTHERS) {
        let name = session.name().to_owned();
        if let Err(failure) = clean_up(arguments, &settings, session, OTHERS_REMOVAL) {
            tell(format_args!("the left-over session {name} could not be cleaned up: {}", failure.for_admin()));
            // What troubles one may trouble all, and GitLab shows this job as running meanwhile.
            break;
        }
    }
    Ok(())
}

/// The session that `job_env` names, or those that a config stage left whose answer never arrived.
fn find(settings: &Settings, contract: &Contract) -> Result<Vec<Session>, Failure> {
    let sessions = sessions(settings)?;
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

fn clean_up(arguments: &Arguments, settings: &Settings, session: Session, removal: Duration) -> Result<(), Failure> {
    session.close()?;
    let record = session.record();
    // Not by policy: it may no longer admit the account, and then cleaning up matters all the more.
    let account = Account::for_cleanup(&record.account, Uid::from_raw(record.uid), mode(settings)?, &Nss);
    let Some(account) = account.map_err(PolicyError::from)? else {
        tell(format_args!(
            "the account {} (uid {}) of session {} is no more; whatever it has left stays where it is",
            record.account,
            record.uid,
            session.name()
        ));
        session.remove();
        return Ok(());
    };
    let broom =
        Broom { arguments, settings, program: WorkerProgram::beside_this_program()?, account, session: &session };
    // Processes first. While a stage is still dying it could make files anew, so its end is awaited; it comes with the end
    // of its processes.
    let patience = Instant::now() + DYING_STAGE;
    while session.has_running_stage()? && Instant::now() < patience {
        broom.end_group()?;
        broom.work(Vec::new(), PROCESSES)?;
        std::thread::sleep(Duration::from_millis(100)); // a lock of another process: nothing tells when it is released
    }
    broom.end_group()?;
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

/// What sweeps up after one session.
struct Broom<'a> {
    arguments: &'a Arguments,
    settings: &'a Settings,
    program: WorkerProgram,
    account: Account,
    session: &'a Session,
}

impl Broom<'_> {
    /// Ends all processes of the session's control group, where there is one.
    fn end_group(&self) -> Result<(), Failure> {
        let Some(group) = JobGroup::find(&self.session.group_name()) else { return Ok(()) };
        if !group.end(PROCESSES) {
            let name = self.session.name();
            return Err(Failure::site(format!(
                "processes of session {name} could not be ended; they may hang in a file system that does not answer"
            )));
        }
        group.remove();
        Ok(())
    }

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
