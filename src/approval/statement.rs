//! What an approver signs: one line that can be written in one way only.
//!
//! Two statements that differ in anything are two lines, and of each there is one spelling: what is read is written anew and has
//! to come out the same, byte for byte. So a signature is for exactly one statement, whatever a parser would forgive.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::values::BaseUrl;

/// An approval is for a year at most: nobody knows what its account will be good for then.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Longest name of an account, and address of a GitLab.
const MOST: usize = 256;

/// What an approval is for: this commit of this project, as this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    gitlab: String,
    project_id: u64,
    sha: String,
    account: String,
}

/// Why there can be no approval of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    /// Of no commit, or of part of one's number.
    #[error("the number of a commit has 40 (or 64) digits, 0-9 and a-f: git rev-parse HEAD says all of them")]
    Commit,
    /// Zero is what GitLab says where it says nothing.
    #[error("the number of a project is 1 or more")]
    Project,
    /// Not the name of an account.
    #[error("that is not the name of an account: visible ASCII characters, no /")]
    Account,
    /// No address of a GitLab.
    #[error("that is not the address of a GitLab: at most 256 visible ASCII characters")]
    GitLab,
}

impl Subject {
    /// Checks the parts.
    pub fn new(gitlab: &BaseUrl, project_id: u64, sha: &str, account: &str) -> Result<Self, NoSubject> {
        let visible =
            |text: &str| !text.is_empty() && text.len() <= MOST && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !matches!(sha.len(), 40 | 64) || !sha.bytes().all(is_hex) {
            return Err(NoSubject::Commit);
        }
        if project_id == 0 {
            return Err(NoSubject::Project);
        }
        // ASCII alone: of two names that look alike an approver would see one.
        if !visible(account) || account.contains('/') {
            return Err(NoSubject::Account);
        }
        let gitlab = one_spelling(gitlab);
        if !visible(&gitlab) {
            return Err(NoSubject::GitLab);
        }
        Ok(Self { gitlab, project_id, sha: sha.to_owned(), account: account.to_owned() })
    }

    /// Whether it is something of this GitLab.
    pub fn is_of(&self, gitlab: &BaseUrl) -> bool {
        self.gitlab == one_spelling(gitlab)
    }

    /// The address of the GitLab.
    pub fn gitlab(&self) -> &str {
        &self.gitlab
    }

    /// The number of the project there.
    pub fn project_id(&self) -> u64 {
        self.project_id
    }

    /// The commit.
    pub fn sha(&self) -> &str {
        &self.sha
    }

    /// The local account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The name under which approvals of it are kept: nobody has to look through others.
    pub fn digest(&self) -> String {
        let line = serde_json::json!([self.gitlab, self.project_id, self.sha, self.account]).to_string();
        format!("{:x}", Sha256::digest(line))
    }
}

/// Host names have no case, and 443 is where https is anyway.
fn one_spelling(gitlab: &BaseUrl) -> String {
    let text = gitlab.as_str();
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let host = if scheme == "https" { host.strip_suffix(":443").unwrap_or(&host) } else { &host };
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

/// An approval, before it is signed: a subject, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    subject: Subject,
    not_after: Timestamp,
}

/// The members, in the order of the line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    upstream_iss: String,
    project_id: u64,
    sha: String,
    run_as: String,
    not_after: i64,
}

/// The line is none, or not the one spelling of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCanonical;

impl Statement {
    /// Until a second.
    pub fn new(subject: Subject, not_after: Timestamp) -> Self {
        let not_after = Timestamp::from_second(not_after.as_second()).unwrap_or(not_after);
        Self { subject, not_after }
    }

    /// Reads a line, without its end.
    pub fn parse(line: &str) -> Result<Self, NotCanonical> {
        let read: Line = serde_json::from_str(line).map_err(|_| NotCanonical)?;
        let gitlab = BaseUrl::parse(&read.upstream_iss).map_err(|_| NotCanonical)?;
        let subject = Subject::new(&gitlab, read.project_id, &read.sha, &read.run_as).map_err(|_| NotCanonical)?;
        let not_after = Timestamp::from_second(read.not_after).map_err(|_| NotCanonical)?;
        let statement = Self { subject, not_after };
        if statement.message().strip_suffix('\n') == Some(line) { Ok(statement) } else { Err(NotCanonical) }
    }

    /// What is signed: the line and its end, as a file has it.
    pub fn message(&self) -> String {
        let line = Line {
            upstream_iss: self.subject.gitlab.clone(),
            project_id: self.subject.project_id,
            sha: self.subject.sha.clone(),
            run_as: self.subject.account.clone(),
            not_after: self.not_after.as_second(),
        };
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }

    /// What is approved.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The last second of it.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// For whoever signs it, or looks at it.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { gitlab, project_id, sha, account } = &self.subject;
        write!(
            f,
            "GitLab   {gitlab}\nproject  number {project_id}\ncommit   {sha}\naccount  {account}\nuntil    {}",
            self.not_after
        )
    }
}

/// What a signature is made for: approvals of this site, and nothing else that the key may sign. `issuer` is what names the site;
/// an approval for one is none for another that has an account of the same name.
pub fn namespace(issuer: &str) -> String {
    format!("motmot-approve@{issuer}")
}

#[cfg(test)]
mod tests;
