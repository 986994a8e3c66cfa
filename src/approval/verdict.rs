//! The judgement of one approval.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::Approval;
use super::signature;
use super::signers::{Signers, fingerprint};
use super::statement::{LONGEST, Statement, Subject};
use super::unapproved::Unapproved;

/// Who has approved what a job runs, and by which key. Only [`judge`] makes one. The session keeps it for people to read, which is
/// what serde is for here: nobody decides by it again.
#[must_use = "an approval that nobody looks at approves nothing"]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    principal: String,
    key: String,
    until: Timestamp,
}

impl Approver {
    /// The name in the file of signers.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The fingerprint of the key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Judges an approval: whether it is for this subject, in this namespace, by one of these approvers, now. Nothing of it is believed
/// before.
pub fn judge(
    approval: &Approval,
    subject: &Subject,
    namespace: &str,
    signers: &Signers,
    wanted: &[String],
    now: Timestamp,
) -> Result<Approver, Unapproved> {
    let statement = approval.statement();
    is_for(statement, subject)?;
    let key = signature::verify(approval.armor(), namespace, statement.message().as_bytes())?;
    let principal = signers.principal(&key, wanted, namespace, now)?.to_owned();
    let until = statement.not_after();
    if now > until {
        return Err(Unapproved::Expired);
    }
    if until.duration_since(now) > LONGEST {
        return Err(Unapproved::TooLong);
    }
    Ok(Approver { principal, key: fingerprint(&key), until })
}

/// The names under which whoever signed an approval is known, if the signature is good: for people to read.
pub fn signed_by(approval: &Approval, namespace: &str, signers: &Signers) -> Result<(String, Vec<String>), Unapproved> {
    let key = signature::verify(approval.armor(), namespace, approval.statement().message().as_bytes())?;
    Ok((fingerprint(&key), signers.names_of(&key)))
}

fn is_for(statement: &Statement, subject: &Subject) -> Result<(), Unapproved> {
    let found = statement.subject();
    let why = if found.gitlab() != subject.gitlab() {
        Unapproved::OtherGitLab
    } else if found.project_id() != subject.project_id() {
        Unapproved::OtherProject
    } else if found.sha() != subject.sha() {
        Unapproved::OtherCommit
    } else if found.account() != subject.account() {
        Unapproved::OtherAccount
    } else {
        return Ok(());
    };
    Err(why)
}
