//! Cleaning up one session: its batch jobs are given back, its processes end, its files go.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::account::mode;
use super::attempt;
use super::edge::Arguments;
use super::scheduled::give_back;
use super::{recorded, survivors};
use crate::launch::supervise::{Launch, Outcome, Run};
use crate::launch::workplace::{Roster, Start};
use crate::order::directories::Directories;
use crate::order::{CleanUpOrder, Order};
use crate::policy::{self, Account, ForCleanup, PolicyError};
use crate::report::events::AuditEvent;
use crate::report::{Failure, tell};
use crate::session::{Claim, Holder, Session, Whose};
use crate::settings::Settings;
use crate::sys::accounts::Nss;
use crate::sys::cgroup::JobGroup;
use crate::sys::spawn::WorkerProgram;

/// How long the end of a stage that is still dying is awaited.
const DYING_STAGE: Duration = Duration::from_mins(1);
/// How long a stage may then take to notice that its worker was ended, and to end.
const STAGE_WITHOUT_WORKER: Duration = Duration::from_secs(30);
/// How long ending the processes may take.
const PROCESSES: Duration = Duration::from_secs(30);
/// How long a scheduler is asked about the jobs of a session. A later cleanup goes on with what is left then.
const GIVING_BACK: Duration = Duration::from_mins(5);
/// How long removing the files may take.
pub(super) const REMOVAL: Duration = Duration::from_mins(20);

/// What becomes of the runner's directory of the attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptDir {
    /// The runner removes it.
    Leave,
    /// The runner is gone.
    Remove,
}

/// Ends and removes what is left of a closed session. Where that fails, the session says why.
pub(super) fn sweep(
    arguments: &Arguments,
    settings: &Settings,
    session: Session,
    attempt: AttemptDir,
    removal: Duration,
) -> Result<(), Failure> {
    let trouble = session.trouble();
    recorded::of_session(&session);
    sweep_once(arguments, settings, session, attempt, removal).inspect_err(|failure| {
        // One that was asked to end has met no trouble.
        if arguments.termination.asked().is_none() {
            trouble.add(failure.for_admin());
        }
    })
}

fn sweep_once(
    arguments: &Arguments,
    settings: &Settings,
    session: Session,
    attempt: AttemptDir,
    removal: Duration,
) -> Result<(), Failure> {
    let decision = session.decision();
    // It needs no account, and so is done whatever has become of that.
    end_group(&session)?;
    survivors::end_abandoned_workers(&session)?;
    // Not by policy: it may no longer admit the account, and then cleaning up matters all the more.
    let account = policy::for_cleanup(decision, mode(settings)?, &Nss);
    let account = match account.map_err(PolicyError::from)? {
        ForCleanup::Account(account) => account,
        ForCleanup::Gone => {
            survivors::end_orphans(&session)?;
            give_back(settings, &session, None, &arguments.termination, removal.min(GIVING_BACK))?;
            let (name, uid) = (decision.account(), decision.uid());
            tell(format_args!(
                "there is no account {name} (uid {uid}) any more; what its job has left stays where it is"
            ));
            session.remove();
            return Ok(());
        }
        ForCleanup::Never => {
            let (name, uid) = (decision.account(), decision.uid());
            return Err(Failure::site(format!(
                "the account {name} (uid {uid}) is root or this driver's own, which no job becomes"
            )));
        }
    };
    let broom =
        Broom { arguments, settings, program: WorkerProgram::beside_this_program()?, account, session: &session };
    // Processes first. While a stage is still dying it could make files anew, so its end is awaited; it comes with the end
    // of its processes.
    let mut patience = Instant::now() + DYING_STAGE;
    let (mut cancelled, mut without_workers) = (false, false);
    let _claim = loop {
        match session.claim()? {
            Claim::Mine(claim) => break Some(claim),
            Claim::Gone => return Ok(()),
            Claim::Busy(Holder::Cleanup) if Instant::now() >= patience => break None,
            Claim::Busy(Holder::Stages) if Instant::now() >= patience && without_workers => {
                return Err(survivors::not_ended(&session));
            }
            // It waits for a worker that its account has stopped.
            Claim::Busy(Holder::Stages) if Instant::now() >= patience => {
                without_workers = true;
                patience = Instant::now() + STAGE_WITHOUT_WORKER;
                survivors::end_workers(&session)?;
            }
            Claim::Busy(_) => {}
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
    survivors::end_abandoned_workers(&session)?;
    if session.jobs().iter().any(|job| job.id.is_none()) {
        // It may be about to be submitted.
        broom.work(Vec::new(), PROCESSES)?;
    }
    // Before the files: a job that runs still writes to them.
    give_back(settings, &session, Some(&broom.account), &arguments.termination, removal.min(GIVING_BACK))?;
    broom.work(leavings(session.directories(), session.temp_project_dir().as_deref()), removal)?;
    if attempt == AttemptDir::Remove {
        remove_attempt(&session)?;
    }
    let (job_id, account) = (session.facts().job_id(), decision.account());
    AuditEvent::CleanedUp { job_id, account, session: session.name() }.log();
    session.remove();
    Ok(())
}

/// What became of a session that was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    /// Nothing is left of it.
    CleanedUp,
    /// Somebody else was quicker, or it is not left behind after all.
    Alone,
    /// It stays; the reason has been told.
    Failed,
}

/// Cleans up a session that nobody else would. What goes wrong is told, and does not keep others from being cleaned up.
pub(super) fn sweep_left_behind(
    arguments: &Arguments,
    settings: &Settings,
    session: Session,
    limit: Duration,
) -> Result<Swept, Failure> {
    // Asked once more when nobody else can begin with it.
    match session.claim()? {
        // It has got its first batch job meanwhile, or is not named by anybody who knows whose it is.
        _ if session.whose() != Whose::Ours => return Ok(Swept::Alone),
        Claim::Mine(_claim) if session.is_left_behind() => session.close()?,
        // A stage goes on for a runner that is gone; nobody waits for it.
        Claim::Busy(Holder::Stages) if session.runner_is_gone() => session.close()?,
        Claim::Gone => return Ok(Swept::CleanedUp),
        _ => return Ok(Swept::Alone),
    }
    let name = session.name().to_owned();
    let attempt = if session.runner_is_gone() { AttemptDir::Remove } else { AttemptDir::Leave };
    let Err(failure) = sweep(arguments, settings, session, attempt, limit) else { return Ok(Swept::CleanedUp) };
    report_failure(&name, &failure);
    Ok(Swept::Failed)
}

/// A session that stays, for whoever asked and for the audit log.
pub(super) fn report_failure(session: &str, failure: &Failure) {
    AuditEvent::Failed { job_id: None, stage: "cleanup", session: Some(session), failure }.log();
    let reason = failure.for_admin();
    tell(format_args!("the left-over session {session} could not be cleaned up: {reason}"));
}

/// The directory of a runner that is gone holds the payload, the token of the job in it, and all scripts.
fn remove_attempt(session: &Session) -> Result<(), Failure> {
    let dir = session.attempt();
    let failed = |error: std::io::Error| {
        Failure::site(format!("the directory {} of a runner that is gone cannot be removed: {error}", dir.display()))
    };
    attempt::remove(dir, session.facts().job_id()).map_err(failed)
}

/// Ends all processes of a session's control group, where there is one.
fn end_group(session: &Session) -> Result<(), Failure> {
    let Some(group) = JobGroup::find(session.groups()) else { return Ok(()) };
    if !group.end(PROCESSES) {
        return Err(survivors::not_ended(session));
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
        let order = Order::CleanUp(CleanUpOrder {
            session: self.session.name().to_owned(),
            data: self.session.directories().data.clone(),
            group_writable: self.settings.jobs.data_dir_group_writable.clone(),
            remove,
        });
        let kill_timeout = self.settings.jobs.kill_timeout;
        // In no login session: a module that refuses or hangs, or a limit that holds in there, must not keep what is left.
        let start = Start::Directly(self.account.to_become());
        let roster: Option<&dyn Roster> = Some(self.session.roster());
        let run = Run { limit: Some(limit), ..Run::new(order, kill_timeout) };
        // Unless it is done the session stays, so that a later cleanup finds it.
        match (Launch { roster, ..Launch::new(&self.program, start) }).run(run, &self.arguments.termination)? {
            Outcome::Done | Outcome::Ended(_) => Ok(()),
            Outcome::Terminated => Err(Failure::site("asked to end while cleaning up")),
            Outcome::TookTooLong => {
                let (name, limit) = (self.session.name(), limit.as_secs());
                Err(Failure::site(format!(
                    "cleaning up session {name} took longer than {limit} s; its directories are below {}",
                    self.session.directories().data.display()
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
        let directories = Directories::lay_out("/d".into(), "h", None, 7, 0, "s");
        let removed = |temp: &str| leavings(&directories, Some(Path::new(temp)));
        assert!(removed("/d/builds/h/7/0/g/p.tmp").contains(&PathBuf::from("/d/builds/h/7/0/g/p.tmp")));
        for other in
            ["/etc", "/d/builds/h/7/0", "/d/builds/h/7/1/g/p.tmp", "/d/builds/h/7/0/../../x", "/d/builds/h/7/01/p"]
        {
            assert_eq!(removed(other), [PathBuf::from("/d/jobs/s")], "{other}");
        }
    }
}
