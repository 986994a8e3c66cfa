//! What GitLab has said of the members of a group, for some minutes: so that a user with a hundred jobs is asked for once.
//!
//! Whoever could write the file could be in any group. So it is believed as the file of GitLab's keys is, and what is wrong with it in
//! any way is as good as absent. An answer is never believed for longer because GitLab cannot be reached: who was put out of a group
//! would be in it for as long as somebody keeps GitLab from answering.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::GroupsError;
use crate::evidence::settings::GitLabSettings;
use crate::sys::atomic::{self, Kind};
use crate::sys::files::{Secrecy, Trust, read_trusted};
use crate::sys::installed::Prize;

/// So long an answer is believed, in seconds.
const FRESH: i64 = 5 * 60;
/// By so much an answer may be from the future: who waits for another one has looked at the clock before. More, and it was set back.
const AHEAD: i64 = 120;
/// Of so many users an answer is kept for one group; further ones are asked for each time.
const MOST_USERS: usize = 10_000;
/// Longest file: that many, and room for a long path.
const MAX_BYTES: usize = 1 << 20;

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// `gitlab.url`
    gitlab: String,
    group: String,
    users: BTreeMap<u64, Answer>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    is_member: bool,
    /// When GitLab was asked, in seconds since 1970.
    asked: i64,
}

impl Answer {
    fn is_fresh(self, now: Timestamp) -> bool {
        (-AHEAD..FRESH).contains(&now.as_second().saturating_sub(self.asked))
    }
}

/// Answers about one group of one GitLab.
pub(super) struct KeptAnswers<'a> {
    gitlab: &'a GitLabSettings,
    group: &'a str,
    dir: &'a Path,
    path: PathBuf,
}

impl<'a> KeptAnswers<'a> {
    /// Those in this directory of the driver's own.
    pub(super) fn of(gitlab: &'a GitLabSettings, group: &'a str, dir: &'a Path) -> Self {
        // No address has a line break in it: two of these are never one.
        let digest = Sha256::digest(format!("{}\n{group}", gitlab.url.as_str()));
        let name = URL_SAFE_NO_PAD.encode(&digest[..16]);
        Self { gitlab, group, dir, path: dir.join(name + ".json") }
    }

    /// Whether a user is a member, if that was said a moment ago.
    pub(super) fn at_hand(&self, user_id: u64, now: Timestamp) -> Option<bool> {
        let answer = self.record()?.users.get(&user_id).copied()?;
        answer.is_fresh(now).then_some(answer.is_member)
    }

    /// Keeps what GitLab has just said.
    pub(super) fn keep(&self, user_id: u64, is_member: bool, now: Timestamp) -> Result<(), GroupsError> {
        let _lock = self.lock()?;
        let mut users = self.record().unwrap_or_default().users;
        users.retain(|_, answer| answer.is_fresh(now));
        if users.len() >= MOST_USERS {
            return Ok(());
        }
        users.insert(user_id, Answer { is_member, asked: now.as_second() });
        let record = Record { gitlab: self.gitlab.url.as_str().to_owned(), group: self.group.to_owned(), users };
        let text = serde_json::to_vec(&record).map_err(|error| not_kept(&self.path, &error))?;
        atomic::replace(&self.path, &text, Kind::Passing).map_err(|error| not_kept(&self.path, &error))
    }

    /// What the file says, if it can be believed.
    fn record(&self) -> Option<Record> {
        let trust = Trust { owner: Prize::of_this_process().believed(), secrecy: Secrecy::Private };
        let record: Record = serde_json::from_slice(&read_trusted(&self.path, trust, MAX_BYTES).ok()?).ok()?;
        (record.gitlab == self.gitlab.url.as_str() && record.group == self.group).then_some(record)
    }

    fn lock(&self) -> Result<Flock<File>, GroupsError> {
        let path = self.dir.join("lock");
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| not_kept(&path, &error))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| not_kept(&path, &error.desc()))
    }
}

fn not_kept(path: &Path, why: &dyn Display) -> GroupsError {
    GroupsError::NotKept { path: path.display().to_string(), why: why.to_string() }
}
