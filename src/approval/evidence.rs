//! What there is to show for a job: where its approvals can be, and what comes of them.

use std::cell::OnceCell;

use jiff::Timestamp;

use super::document::{self, Approval};
use super::settings::ApprovalSettings;
use super::signers::{self, Signers, SignersError};
use super::statement::{Subject, namespace};
use super::store;
use super::unapproved::Unapproved;
use super::verdict::{Approver, judge};
use crate::config::values::BaseUrl;
use crate::report::{FailureKind, Fault};
use crate::sys::files::{Owner, Secrecy, Trust, TrustError, read_trusted};

/// What is needed to judge approvals is not there, or cannot be believed. The site's affair: no job gets another account by it.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// A file or directory.
    #[error("approvals cannot be judged: {0}")]
    Untrusted(#[from] TrustError),
    /// A line of the approvers' keys.
    #[error("approvals cannot be judged: {0}")]
    Signers(#[from] SignersError),
    /// A rule asks for what the configuration does not have. The reader of the configuration refuses that.
    #[error("a rule has approved_by, but there is no [approvals] section")]
    NotConfigured,
}

impl Fault for ApprovalError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn for_author(&self) -> String {
        "what this runner's driver judges approvals by is not usable; its administrators find the reason in their audit log"
            .to_owned()
    }
}

/// What somebody asks who gives an account to approved commits only.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// GitLab's number of the project.
    pub project_id: u64,
    /// The commit, if it is known.
    pub sha: Option<&'a str>,
    /// The account that it would run as.
    pub account: &'a str,
    /// Of these one has to have approved that.
    pub wanted: &'a [String],
}

/// Who has approved it, or why it does not count as approved; unless that cannot be said.
pub type Answer<A = Approver> = Result<Result<A, Unapproved>, ApprovalError>;

/// Who says whether a commit is approved.
pub trait Approvals {
    /// Answers.
    fn approver(&self, asked: Asked<'_>) -> Answer;
}

/// There is no evidence, and no place for it.
#[derive(Clone, Copy, Debug)]
pub struct NoApprovals;

impl Approvals for NoApprovals {
    fn approver(&self, _: Asked<'_>) -> Answer {
        Err(ApprovalError::NotConfigured)
    }
}

/// All that there is about one job: looked for when a rule asks, the keys and the variable once.
pub struct Evidence<'a, V> {
    settings: &'a ApprovalSettings,
    gitlab: &'a BaseUrl,
    owner: Owner,
    /// What the job has in a variable: all values, as several may have one name.
    variable: V,
    signers: OnceCell<Signers>,
    /// Of the variable that the settings name. The payload that they are in may be large, and each rule asks.
    written: OnceCell<Vec<String>>,
}

impl<'a, V: Fn(&str) -> Vec<String>> Evidence<'a, V> {
    /// Of a job of this GitLab.
    pub fn new(settings: &'a ApprovalSettings, gitlab: &'a BaseUrl, owner: Owner, variable: V) -> Self {
        Self { settings, gitlab, owner, variable, signers: OnceCell::new(), written: OnceCell::new() }
    }

    fn signers(&self) -> Result<&Signers, ApprovalError> {
        if let Some(signers) = self.signers.get() {
            return Ok(signers);
        }
        let signers = load_signers(self.settings, self.owner)?;
        Ok(self.signers.get_or_init(|| signers))
    }
}

/// The approvers' keys, as the configuration names them.
pub fn load_signers(settings: &ApprovalSettings, owner: Owner) -> Result<Signers, ApprovalError> {
    let trust = Trust { owner, secrecy: Secrecy::Public };
    let text = read_trusted(&settings.allowed_signers, trust, signers::MAX_BYTES)?;
    Ok(Signers::parse(&settings.allowed_signers, &text)?)
}

impl<V: Fn(&str) -> Vec<String>> Approvals for Evidence<'_, V> {
    fn approver(&self, asked: Asked<'_>) -> Answer {
        let Asked { project_id, sha, account, wanted } = asked;
        // First: whether a site's file is broken does not depend on what a job says.
        let signers = self.signers()?;
        let Some(subject) = sha.and_then(|sha| Subject::new(self.gitlab, project_id, sha, account).ok()) else {
            return Ok(Err(Unapproved::NoSubject));
        };
        let (now, namespace) = (Timestamp::now(), namespace(&self.settings.issuer));
        let mut closest = Unapproved::Nothing;
        let kept = match &self.settings.dir {
            Some(dir) => store::read(dir, &subject, self.owner)?,
            None => None,
        };
        let written =
            self.written.get_or_init(|| self.settings.variable.as_deref().map(&self.variable).unwrap_or_default());
        // What root keeps comes first; then the last of several entries, which is the one that a job itself would see.
        // A job cannot have it look at more and more of them.
        for text in kept.iter().chain(written.iter().rev()).take(document::MOST) {
            let Ok(approvals) = Approval::parse_all(text) else {
                closest = closest.max(Unapproved::Form);
                continue;
            };
            for approval in approvals {
                match judge(&approval, &subject, &namespace, signers, wanted, now) {
                    Ok(approver) => return Ok(Ok(approver)),
                    Err(why) => closest = closest.max(why),
                }
            }
        }
        Ok(Err(closest))
    }
}
