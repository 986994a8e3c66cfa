//! The events of the audit log: all there are, with all their fields.
//!
//! Values are borrowed from types that hold no secret, or are numbers and words of ours (`&'static str`); what went wrong comes
//! as a [`Failure`], whose words for the admin were made for this log. There is no field for a token, a script or a
//! variable, and no way to log anything else. The administrator's page on the audit log has a table of them, held by a test.

use uuid::Uuid;

use super::audit::{self, AuditError, Written};
use super::settings::OnFailure;
use super::{Failure, FailureKind, printable, tell};

/// Something that the audit log is to say.
#[derive(Debug)]
pub enum AuditEvent<'a> {
    /// A job may run.
    Accepted {
        /// Whose job it is.
        job: JobOf<'a>,
        /// Number of the GitLab user.
        user_id: u64,
        /// Login name of the GitLab user, where it is known.
        user: Option<&'a str>,
        /// Number of the human for whom that one acts.
        acting_for: Option<u64>,
        /// What vouches for them.
        assurance: &'static str,
        /// The local account.
        account: &'a str,
        /// Its number.
        uid: u32,
        /// Name and line of the rule that decided.
        rule: &'a str,
        /// Who had approved the commit, and by which key, where the rule asks for that.
        approver: Option<(&'a str, &'a str)>,
        /// Name of the session.
        session: &'a str,
    },
    /// A job may not run; or, where the failure is one of the site, that could not be decided.
    NotAccepted {
        /// Whose job it is.
        job: JobOf<'a>,
        /// Number and, where it is known, login name of the GitLab user; nothing where GitLab has not said whose job it is.
        user: Option<(u64, Option<&'a str>)>,
        /// For one that nobody vouches for, since it is played.
        assurance: Option<&'static str>,
        /// Why.
        failure: &'a Failure,
    },
    /// A token was signed.
    Minted {
        /// Number of the job.
        job_id: u64,
        /// The script that it is for.
        sub_stage: &'a str,
        /// The local account.
        account: &'a str,
        /// The token's number.
        jti: Uuid,
        /// The key's name.
        kid: &'a str,
        /// The token's subject.
        sub: &'a str,
        /// For whom it is.
        aud: &'a str,
        /// Until when it is good, in seconds since 1970.
        exp: i64,
    },
    /// A script of a job is over.
    Ended {
        /// Number of the job.
        job_id: u64,
        /// The local account.
        account: &'a str,
        /// Name of the session.
        session: &'a str,
        /// The script.
        sub_stage: &'a str,
        /// How it ended.
        end: AuditedEnd<'a>,
    },
    /// A limit that every job has by default does not hold for this one.
    NotLimited {
        /// Number of the job.
        job_id: u64,
        /// The local account.
        account: &'a str,
        /// Name of the session.
        session: &'a str,
        /// Which limit, and why.
        reason: &'a str,
    },
    /// A stage has failed, other than by its script.
    Failed {
        /// Number of the job, if the stage has one.
        job_id: Option<u64>,
        /// The stage.
        stage: &'static str,
        /// Name of the session, if the stage has one.
        session: Option<&'a str>,
        /// Why.
        failure: &'a Failure,
    },
    /// An admin has given a session up; what its job left stays where it is.
    Forgotten {
        /// Number of the job.
        job_id: u64,
        /// The local account.
        account: &'a str,
        /// Name of the session.
        session: &'a str,
    },
    /// A script of a job is about to run as its account.
    Started {
        /// Number of the job.
        job_id: u64,
        /// The local account.
        account: &'a str,
        /// Name of the session.
        session: &'a str,
        /// The script.
        sub_stage: &'a str,
    },
    /// Nothing is left of a job.
    CleanedUp {
        /// Number of the job.
        job_id: u64,
        /// The local account.
        account: &'a str,
        /// Name of the session.
        session: &'a str,
    },
    /// Keys of GitLab's that were kept are not believed, and are about to be replaced by what it says itself.
    KeysDistrusted {
        /// The file that they were in.
        file: &'a str,
        /// What is wrong with it.
        reason: &'a str,
    },
    /// The site's hook was asked about a job.
    HookAnswered {
        /// Number of the job.
        job_id: u64,
        /// The local account that the job would have.
        account: &'a str,
        /// Name and line of the rule that gives it.
        rule: &'a str,
        /// In one word.
        answer: &'static str,
        /// The account that it has named instead.
        named: Option<&'a str>,
        /// What it says to the author.
        message: Option<&'a str>,
        /// What it says to the administrators, or why there is no answer.
        reason: Option<&'a str>,
    },
}

/// A job, as GitLab knows it.
#[derive(Clone, Copy, Debug)]
pub struct JobOf<'a> {
    /// Its number.
    pub job_id: u64,
    /// Number of its project.
    pub project_id: u64,
    /// Path of its project.
    pub project: Option<&'a str>,
    /// Which GitLab.
    pub gitlab: &'a str,
}

/// How a script ended.
#[derive(Clone, Copy, Debug)]
pub enum AuditedEnd<'a> {
    /// In a shell on this machine.
    Shell {
        /// In one word.
        outcome: &'static str,
        /// Its exit status.
        exit_code: Option<u8>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// In a batch job.
    Batch {
        /// The scheduler's number of it.
        slurm_job_id: Option<&'a str>,
        /// In one or two words.
        outcome: &'static str,
        /// Its exit status.
        exit_code: Option<u8>,
    },
}

impl AuditEvent<'_> {
    /// Writes it to the log that is open in this thread, before what it tells of is done; does nothing while none is. Where it
    /// cannot be written, that is told once; whoever ends or cleans up must go on.
    pub fn log(&self) {
        self.emit();
        if let Written::NotYetTold(problem, _) = audit::last_written() {
            tell(format_args!("warning: {problem}"));
        }
    }

    /// The same for what must not begin without a record, unless the site says otherwise.
    ///
    /// # Errors
    /// If it cannot be written, and `log.on_failure` is \"refuse\".
    pub fn log_or_refuse(&self) -> Result<(), AuditError> {
        self.emit();
        match audit::last_written() {
            Written::NotYetTold(problem, OnFailure::Refuse) | Written::Told(problem, OnFailure::Refuse) => Err(problem),
            Written::NotYetTold(problem, OnFailure::Warn) => {
                tell(format_args!("warning: {problem}"));
                Ok(())
            }
            Written::Told(_, OnFailure::Warn) | Written::Everywhere => Ok(()),
        }
    }

    /// Fields are written in this order, and those that are `None` not at all: `jq` and dashboards of a site read them.
    ///
    /// What others have named is made [`printable`]: JSON escapes line breaks, and not what turns a line around.
    fn emit(&self) {
        match *self {
            Self::Accepted { job, user_id, user, acting_for, assurance, account, uid, rule, approver, session } => {
                let JobOf { job_id, project_id, project, gitlab } = job;
                let (project, user, account, rule) =
                    (project.map(printable), user.map(printable), printable(account), printable(rule));
                let (approved_by, approval_key) = approver.map(|(who, key)| (printable(who), printable(key))).unzip();
                tracing::info!(
                    event = "accepted",
                    job_id,
                    project_id,
                    project,
                    user_id,
                    user,
                    acting_for,
                    gitlab,
                    assurance,
                    account,
                    uid,
                    rule,
                    approved_by,
                    approval_key,
                    session
                );
            }
            Self::NotAccepted { job, user, assurance, failure } => {
                let JobOf { job_id, project_id, project, gitlab } = job;
                // An outage is no refusal: nothing was decided about the job.
                let event = match failure.kind() {
                    FailureKind::Build => "refused",
                    FailureKind::System => "unavailable",
                };
                let (user_id, user) = user.unzip();
                let (project, user) = (project.map(printable), user.flatten().map(printable));
                let reason = printable(failure.for_admin());
                tracing::warn!(event, job_id, project_id, project, user_id, user, gitlab, assurance, reason);
            }
            Self::Minted { job_id, sub_stage, account, jti, kid, sub, aud, exp } => {
                let (sub_stage, account, sub) = (printable(sub_stage), printable(account), printable(sub));
                tracing::info!(event = "minted", job_id, sub_stage, account, %jti, kid, sub, aud, exp);
            }
            Self::Ended { job_id, account, session, sub_stage, end } => {
                let (account, sub_stage) = (printable(account), printable(sub_stage));
                let (slurm_job_id, outcome, exit_code, signal) = match end {
                    AuditedEnd::Shell { outcome, exit_code, signal } => (None, outcome, exit_code, signal),
                    AuditedEnd::Batch { slurm_job_id, outcome, exit_code } => (slurm_job_id, outcome, exit_code, None),
                };
                tracing::info!(
                    event = "ended",
                    job_id,
                    account,
                    session,
                    sub_stage,
                    slurm_job_id,
                    outcome,
                    exit_code,
                    signal
                );
            }
            Self::NotLimited { job_id, account, session, reason } => {
                let (account, reason) = (printable(account), printable(reason));
                tracing::warn!(event = "not limited", job_id, account, session, reason);
            }
            Self::Failed { job_id, stage, session, failure } => {
                let (kind, reason) = (failure.kind().as_str(), printable(failure.for_admin()));
                tracing::warn!(event = "failed", job_id, stage, session, kind, reason);
            }
            Self::Forgotten { job_id, account, session } => {
                let account = printable(account);
                tracing::warn!(event = "forgotten", job_id, account, session);
            }
            Self::Started { job_id, account, session, sub_stage } => {
                let (account, sub_stage) = (printable(account), printable(sub_stage));
                tracing::info!(event = "started", job_id, account, session, sub_stage);
            }
            Self::CleanedUp { job_id, account, session } => {
                let account = printable(account);
                tracing::info!(event = "cleaned up", job_id, account, session);
            }
            Self::KeysDistrusted { file, reason } => {
                let (file, reason) = (printable(file), printable(reason));
                tracing::warn!(event = "keys distrusted", file, reason);
            }
            Self::HookAnswered { job_id, account, rule, answer, named, message, reason } => {
                let (account, rule) = (printable(account), printable(rule));
                let (named, message, reason) = (named.map(printable), message.map(printable), reason.map(printable));
                tracing::info!(event = "hook answered", job_id, account, rule, answer, named, message, reason);
            }
        }
    }
}

#[cfg(test)]
mod tests;
