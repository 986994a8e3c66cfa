//! Of which groups the user of a job is a member, asked of GitLab with a token of the site's own (`gitlab.groups_token`).
//!
//! Who is a member counts as long as GitLab lets him: as Guest or more, directly, by a group above or by one that was invited; not
//! while he waits to be let in, not from the day on that his membership ends, and not while he is blocked. An answer that does not
//! say all of it is none. That there is none is a failure of the site: who is no member may be somebody for whom another rule is,
//! and nobody may come to that by keeping GitLab from answering.

mod kept;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use zeroize::Zeroizing;

use self::kept::KeptAnswers;
use super::http::{self, BadCertificates, Got, TRIES, Tried};
use super::memberships::Memberships;
use super::settings::GitLabSettings;
use crate::report::{FailureKind, Fault};
use crate::sys::files::{Secrecy, Trust, read_trusted};
use crate::sys::installed::Prize;

/// Longest answer that is read. A real one has a few kilobytes.
const MAX_ANSWER: u64 = 1 << 20;
/// Longest file with a token.
const MAX_TOKEN: usize = 4096;
/// Guest. Whoever has less (Minimal Access) sees nothing of a group.
const LEAST_LEVEL: u64 = 10;

/// It cannot be found out who is in a group.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// There is no token to ask with.
    #[error("the token in {} (gitlab.groups_token), with which GitLab is asked who is in a group, cannot be used: {why}", path.display())]
    Token {
        /// `gitlab.groups_token`
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// GitLab does not accept it.
    #[error("GitLab ({url}) does not accept the token in {} (gitlab.groups_token; HTTP {status}): it takes one with read_api, of somebody who is in the group {group:?}", path.display())]
    Refused {
        /// `gitlab.url`
        url: String,
        /// `gitlab.groups_token`
        path: PathBuf,
        /// The group that it was asked for.
        group: String,
        /// The HTTP status.
        status: u16,
    },
    /// There is none of that name, or it is hidden from whose token it is. That is not the same as nobody being in it.
    #[error(
        "GitLab ({url}) knows no group {group:?}, or hides it from whoever has the token of gitlab.groups_token; look at the rules with gitlab_group = {group:?}"
    )]
    Hidden {
        /// `gitlab.url`
        url: String,
        /// The group.
        group: String,
    },
    /// No answer: network, TLS, time-out, or a server error, after all tries.
    #[error("GitLab ({url}) did not say who is in the group {group:?}: {why} (asked {TRIES} times)")]
    Unreachable {
        /// `gitlab.url`
        url: String,
        /// The group.
        group: String,
        /// The last failure.
        why: String,
    },
    /// An answer that is none.
    #[error("GitLab ({url}) gave no usable answer about who is in the group {group:?}: {why}")]
    Unusable {
        /// `gitlab.url`
        url: String,
        /// The group.
        group: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates of the configuration are not usable.
    #[error(transparent)]
    CaFile(#[from] BadCertificates),
    /// Answers cannot be kept: then each job would ask GitLab for each group.
    #[error("what GitLab said of groups cannot be kept in {path} (jobs.state_dir): {why}")]
    NotKept {
        /// Where.
        path: String,
        /// Why not.
        why: String,
    },
}

impl Fault for GroupsError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    /// Of which groups rules speak is nobody's business, nor where a secret lies.
    fn for_author(&self) -> String {
        "this machine could not find out in which groups of GitLab the user of this job is; that is a failure of the machine or of GitLab, not of the job".to_owned()
    }
}

/// Who is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who is asked.
    pub gitlab: &'a GitLabSettings,
    /// The user, by GitLab's number.
    pub user_id: u64,
    /// A directory of this driver's own for answers; without one each job asks.
    pub kept: Option<&'a Path>,
    /// The time.
    pub now: Timestamp,
}

/// Asks whether a user is in each of some groups, but for those of which the answer is at hand.
pub fn ask(question: &Question<'_>, groups: &BTreeSet<&str>) -> Result<Memberships, GroupsError> {
    let Question { gitlab, user_id, kept, now } = *question;
    let mut known = Memberships::default();
    let Some(file) = gitlab.groups_token.as_deref() else { return Ok(known) };
    let mut asker = None;
    for group in groups {
        let kept = kept.map(|dir| KeptAnswers::of(gitlab, group, dir));
        if let Some(is_member) = kept.as_ref().and_then(|kept| kept.at_hand(user_id, now)) {
            known.add(group, is_member);
            continue;
        }
        // Only who asks needs a token.
        let asker = match &mut asker {
            Some(asker) => asker,
            none => none.insert(Asker::new(gitlab, file)?),
        };
        let is_member = asker.is_member(group, user_id, now)?;
        kept.map_or(Ok(()), |kept| kept.keep(user_id, is_member, now))?;
        known.add(group, is_member);
    }
    Ok(known)
}

/// Whether the token can be read; asks nobody.
pub fn check_token(file: &Path) -> Result<(), GroupsError> {
    token(file).map(drop)
}

/// Whether GitLab shows a group to whoever has the token, for a look while there is no job.
pub fn probe(gitlab: &GitLabSettings, group: &str) -> Result<(), GroupsError> {
    let Some(file) = gitlab.groups_token.as_deref() else { return Ok(()) };
    Asker::new(gitlab, file)?.is_shown(group)
}

fn token(file: &Path) -> Result<Zeroizing<String>, GroupsError> {
    let wrong = |why: String| GroupsError::Token { path: file.to_owned(), why };
    let trust = Trust { owner: Prize::of_this_process().believed(), secrecy: Secrecy::Private };
    let bytes = Zeroizing::new(read_trusted(file, trust, MAX_TOKEN).map_err(|error| wrong(error.to_string()))?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_ascii_end();
    // It becomes a header.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("it must be one token of GitLab in one line, and nothing else".to_owned()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// What GitLab says of one member (GitLab API, "Group members").
#[derive(Deserialize)]
struct Member {
    id: u64,
    state: String,
    access_level: u64,
    expires_at: Option<String>,
    membership_state: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    full_path: String,
}

struct Asker<'a> {
    gitlab: &'a GitLabSettings,
    file: &'a Path,
    agent: ureq::Agent,
    token: Zeroizing<String>,
}

impl<'a> Asker<'a> {
    fn new(gitlab: &'a GitLabSettings, file: &'a Path) -> Result<Self, GroupsError> {
        Ok(Self { gitlab, file, agent: http::agent(gitlab)?, token: token(file)? })
    }

    fn is_member(&self, group: &str, user_id: u64, now: Timestamp) -> Result<bool, GroupsError> {
        let Some(body) = self.fetch(group, &format!("/members/all/{user_id}"))? else {
            // He is not in it, if there is such a group.
            return self.is_shown(group).map(|()| false);
        };
        // Its words are not repeated: whatever answers there may repeat the token.
        let member: Member = serde_json::from_slice(&body)
            .map_err(|error| self.unusable(group, format!("not the JSON of a member (line {})", error.line())))?;
        if member.id != user_id {
            return Err(self.unusable(group, format!("it is about user {} and not {user_id}", member.id)));
        }
        let has_ended = match member.expires_at {
            None => false,
            // The day is GitLab's, which may be elsewhere: what is not certain to last is over.
            Some(day) => {
                let day: Date = day.parse().map_err(|_| self.unusable(group, "expires_at is no day".to_owned()))?;
                day <= now.to_zoned(TimeZone::UTC).date()
            }
        };
        let is_active = member.state == "active" && member.membership_state.is_none_or(|state| state == "active");
        Ok(is_active && member.access_level >= LEAST_LEVEL && !has_ended)
    }

    fn is_shown(&self, group: &str) -> Result<(), GroupsError> {
        let hidden = || GroupsError::Hidden { url: self.url(), group: group.to_owned() };
        let body = self.fetch(group, "?with_projects=false")?.ok_or_else(hidden)?;
        let found: Group = serde_json::from_slice(&body)
            .map_err(|error| self.unusable(group, format!("not the JSON of a group (line {})", error.line())))?;
        if found.full_path == group { Ok(()) } else { Err(hidden()) }
    }

    /// The answer about something of a group; `None` where GitLab does not have it.
    fn fetch(&self, group: &str, what: &str) -> Result<Option<Vec<u8>>, GroupsError> {
        // Nothing else in a path of GitLab's has a meaning in a URL.
        let at = format!("{}/api/v4/groups/{}{what}", self.gitlab.url.as_str(), group.replace('/', "%2F"));
        let once = || match http::get(self.agent.get(&at).header("PRIVATE-TOKEN", &*self.token), MAX_ANSWER) {
            Got::Answer(body) => Tried::Over(Ok(Some(body))),
            Got::Status(404) => Tried::Over(Ok(None)),
            Got::Status(status @ (401 | 403)) => {
                let (path, group) = (self.file.to_owned(), group.to_owned());
                Tried::Over(Err(GroupsError::Refused { url: self.url(), path, group, status }))
            }
            Got::Redirect(status) => Tried::Over(Err(self.unusable(
                group,
                format!("it redirects (HTTP {status}), and a token is not carried to another address"),
            ))),
            Got::Status(status) => Tried::Over(Err(self.unusable(group, format!("HTTP {status}")))),
            Got::TooLong => Tried::Over(Err(self.unusable(group, "the answer is longer than 1 MiB".to_owned()))),
            Got::Nothing(why) => Tried::Again(why.replace(&**self.token, "[MASKED]")),
        };
        let unreachable = |why| GroupsError::Unreachable { url: self.url(), group: group.to_owned(), why };
        http::persistently(once).unwrap_or_else(|why| Err(unreachable(why)))
    }

    fn url(&self) -> String {
        self.gitlab.url.as_str().to_owned()
    }

    fn unusable(&self, group: &str, why: String) -> GroupsError {
        GroupsError::Unusable { url: self.url(), group: group.to_owned(), why }
    }
}

#[cfg(test)]
mod tests;
