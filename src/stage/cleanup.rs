//! `cleanup_exec`: nothing of the job is left, whatever happened before: no session, a failed config, a crash, a stage
//! that is still dying, or a cleanup that has run already.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use super::edge::Arguments;
use super::scheduled::give_back;
use super::{mode, sessions};
use crate::evidence::payload::Payload;
use crate::launch::supervise::{self, Outcome, Run};
use crate::order::directories::Directories;
use crate::order::{CleanUpOrder, Order};
use crate::policy::{Account, ForCleanup, PolicyError};
use crate::report::{Failure, printable, tell};
use crate::runner::Contract;
use crate::session::{Claim, Session, SessionError, Sessions};
use crate::settings::Settings;
use crate::sys::accounts::Nss;
use crate::sys::cgroup::JobGroup;
use crate::sys::spawn::WorkerProgram;

/// The argument with which `motmot reap` starts this program.
pub const REAP: &str = "reap";
/// Behind it: only list.
pub const DRY_RUN: &str = "dry-run";
/// How long the end of a stage that is still dying is awaited.
const DYING_STAGE: Duration = Duration::from_mins(1);
/// How long ending the processes may take.
const PROCESSES: Duration = Duration::from_secs(30);
/// How long a scheduler is asked about the jobs of a session. A later cleanup goes on with what is left then.
const GIVING_BACK: Duration = Duration::from_mins(5);
/// How long removing the files may take.
const REMOVAL: Duration = Duration::from_mins(20);
/// How long all sessions together may take that others have left behind.
const OTHERS: Duration = Duration::from_mins(1);

/// The stage. What it says goes to the runner's own log, not to the job's.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let sessions = sessions(&settings)?;
    match arguments.rest.iter().map(|word| word.to_str()).collect::<Vec<_>>()[..] {
        [Some(REAP)] => return reap(arguments, &settings, &sessions),
        [Some(REAP), Some(DRY_RUN)] => {
            list(&sessions);
            return Ok(());
        }
        [Some(REAP), Some(name)] => return reap_one(arguments, &settings, &sessions, name),
        _ => {}
    }
    for session in find(&sessions, &arguments.contract)? {
        session.close()?;
        clean_up(arguments, &settings, session, REMOVAL)?;
    }
    clean_up_after_others(arguments, &settings, &sessions)
}

/// What was left behind, for whoever wants to know before it goes.
fn list(sessions: &Sessions) {
    use std::io::Write;
    let line = |session: &Session| {
        let record = session.record();
        let jobs: Vec<String> =
            session.jobs().into_iter().map(|job| job.id.map_or(job.name.to_string(), |id| id.to_string())).collect();
        let jobs = if jobs.is_empty() { String::new() } else { format!(", Slurm jobs: {}", jobs.join(" ")) };
        let (job_id, account, data) = (record.facts.job_id, &record.account, record.directories.data.display());
        format!("{}: job {job_id} as {account}, below {data}{jobs}\n", session.name())
    };
    let lines: String = sessions.left_behind().iter().map(line).collect();
    let _ = std::io::stdout().write_all(printable(&lines).as_bytes());
}

/// All that was left behind, however long it takes. For an admin, or a timer.
fn reap(arguments: &Arguments, settings: &Settings, sessions: &Sessions) -> Result<(), Failure> {
    let (mut done, mut failed) = (0, 0);
    for session in sessions.left_behind() {
        match clean_up_left_behind(arguments, settings, session, REMOVAL)? {
            Left::CleanedUp => done += 1,
            Left::Alone => {}
            Left::Failed => failed += 1,
        }
    }
    // A runner between two stages looks the same as one that is gone, unless its process is known.
    let idle = sessions.idle();
    for session in &idle {
        let (name, job) = (session.name(), session.record().facts.job_id);
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

/// One session, by the word of an admin.
fn reap_one(arguments: &Arguments, settings: &Settings, sessions: &Sessions, name: &str) -> Result<(), Failure> {
    let session = sessions.find(name)?;
    match session.claim()? {
        Claim::Mine(_claim) => session.close()?,
        Claim::Busy => return Err(Failure::site(format!("a stage or a cleanup of session {name} runs"))),
        Claim::Gone => return Ok(()),
    }
    clean_up(arguments, settings, session, REMOVAL)?;
    tell(format_args!("cleaned up after session {name}"));
    Ok(())
}

/// After a runner that crashed, or a cleanup that failed, nobody else would. Not for long: GitLab shows this job as running.
fn clean_up_after_others(arguments: &Arguments, settings: &Settings, sessions: &Sessions) -> Result<(), Failure> {
    let start = Instant::now();
    for session in sessions.left_behind() {
        let Some(left) = OTHERS.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else { break };
        clean_up_left_behind(arguments, settings, session, left)?;
    }
    Ok(())
}

/// What became of a session that was left behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    CleanedUp,
    /// Somebody else was quicker, or it is not left behind after all.
    Alone,
    Failed,
}

/// Cleans up one of them. What goes wrong is told, and does not keep others from being cleaned up.
fn clean_up_left_behind(
    arguments: &Arguments,
    settings: &Settings,
    session: Session,
    limit: Duration,
) -> Result<Left, Failure> {
    // Asked once more when nobody else can begin with it.
    match session.claim()? {
        Claim::Mine(_claim) if session.is_left_behind() => session.close()?,
        _ => return Ok(Left::Alone),
    }
    let name = session.name().to_owned();
    let Err(failure) = clean_up(arguments, settings, session, limit) else { return Ok(Left::CleanedUp) };
    let reason = failure.for_admin();
    tracing::warn!(event = "failed", stage = "cleanup", session = name, kind = failure.kind().as_str(), reason);
    tell(format_args!("the left-over session {name} could not be cleaned up: {reason}"));
    Ok(Left::Failed)
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
            give_back(settings, &session, None, &arguments.termination, removal.min(GIVING_BACK))?;
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
    let mut cancelled = false;
    let _claim = loop {
        match session.claim()? {
            Claim::Mine(claim) => break Some(claim),
            Claim::Gone => return Ok(()),
            Claim::Busy if Instant::now() >= patience => break None,
            Claim::Busy => {}
        }
        // A stage that follows a batch job ends with that. What goes wrong here is told below.
        if !cancelled {
            cancelled = true;
            let _ = give_back(settings, &session, Some(&broom.account), &arguments.termination, PROCESSES);
        }
        end_group(&session)?;
        broom.work(Vec::new(), PROCESSES)?;
        std::thread::sleep(Duration::from_millis(100)); // a lock of another process: nothing tells when it is released
    };
    end_group(&session)?;
    if session.jobs().iter().any(|job| job.id.is_none()) {
        // It may be about to be submitted.
        broom.work(Vec::new(), PROCESSES)?;
    }
    // Before the files: a job that runs still writes to them.
    give_back(settings, &session, Some(&broom.account), &arguments.termination, removal.min(GIVING_BACK))?;
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
