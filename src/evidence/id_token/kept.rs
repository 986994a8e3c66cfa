//! GitLab's keys between two jobs, in a file of the driver's own: so that a job costs GitLab no question, and goes on through a short
//! outage of it.
//!
//! Whoever could write the file could sign as GitLab. So it lies in a directory that nobody else can look into, it is read as a key
//! would be, and what is wrong with it in any way is as good as absent: then GitLab is asked, and the file is replaced. What it was is
//! told in the audit log before that, since nothing else would be left of an attempt.

use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jose::KeySet;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::IdTokenError;
use super::provider::{self, MAX_KEYS};
use crate::evidence::settings::GitLabSettings;
use crate::report::events::AuditEvent;
use crate::sys::atomic::{self, Kind};
use crate::sys::files::{Distrust, Secrecy, Trust, TrustError, read_trusted};
use crate::sys::installed::Prize;

/// So long keys are believed without asking, in seconds: a key that GitLab has given up is no key for longer than that.
const FRESH: i64 = 15 * 60;
/// So long they are where GitLab cannot be reached.
const USABLE: i64 = 4 * 60 * 60;
/// A token that names a key which is not known may mean that there is a new one, or nothing: anybody can write one. So GitLab is
/// asked for it no more often than this, whatever jobs there are.
const PAUSE: i64 = 30;
/// Whoever waits for another's question has looked at the clock before that was answered: by so much what is recorded may lie ahead
/// of him. More than that, and the clock was set back.
const AHEAD: i64 = 120;

/// What the file says.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// `gitlab.url`
    issuer: String,
    /// When GitLab was asked, in seconds since 1970: when that was over, if it is.
    asked: i64,
    /// When it answered.
    fetched: i64,
    /// What it answered.
    keys: String,
    /// Why it could not be reached when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
}

/// The keys of one GitLab.
pub(super) struct KeptKeys<'a> {
    gitlab: &'a GitLabSettings,
    dir: &'a Path,
    path: PathBuf,
}

/// What is at hand without asking.
pub(super) struct Keys {
    /// None where there are none, or none that are young enough for any use.
    pub(super) set: Option<KeySet>,
    /// Whether GitLab need not be asked.
    pub(super) fresh: bool,
}

impl<'a> KeptKeys<'a> {
    /// Those of this GitLab, in this directory of the driver's own.
    pub(super) fn of(gitlab: &'a GitLabSettings, dir: &'a Path) -> Self {
        // Two servers have two files, whatever their addresses look like as a name.
        let digest = Sha256::digest(gitlab.url.as_str());
        let name = URL_SAFE_NO_PAD.encode(&digest[..16]);
        Self { gitlab, dir, path: dir.join(name + ".json") }
    }

    /// What is at hand.
    pub(super) fn at_hand(&self, now: Timestamp) -> Keys {
        // Of one that is not believed whoever replaces it tells, with the lock: once, and not of a file that is just being replaced.
        let record = self.record().ok().flatten();
        record.map_or(Keys { set: None, fresh: false }, |record| record.at_hand(now))
    }

    /// Keys from GitLab itself, unless it was asked a moment ago; then what it said. If it cannot be reached, those at hand.
    ///
    /// One asks, and whoever waits for it meanwhile takes what it has got, be it nothing: a GitLab that does not answer takes the
    /// time of each try, and jobs that tried one behind the other would wait for the sum of it.
    pub(super) fn renewed(&self, now: Timestamp) -> Result<KeySet, IdTokenError> {
        let _lock = self.lock()?;
        let record = self.record().unwrap_or_else(|reason| {
            AuditEvent::KeysDistrusted { file: &self.path.display().to_string(), reason: &reason }.log();
            None
        });
        let record = record.unwrap_or_default();
        let Keys { set, fresh } = record.at_hand(now);
        let since = now.as_second().saturating_sub(record.asked);
        if (-AHEAD..PAUSE).contains(&since) {
            match (&set, &record.unreachable) {
                (Some(set), _) if fresh => return Ok(set.clone()),
                (Some(set), Some(_)) => return Ok(set.clone()),
                // Who has not waited asks: whatever was in the way may be mended.
                (None, Some(why)) if since <= 0 => return Err(self.unreachable(why.clone())),
                _ => {}
            }
        }
        let (second, began) = (now.as_second(), Instant::now());
        // Before asking: a stage that is killed meanwhile has asked, too.
        let asking = Record { issuer: self.issuer(), asked: second, unreachable: None, ..record };
        self.write(&asking)?;
        let fetched = provider::fetch(self.gitlab);
        let asked = second.saturating_add_unsigned(began.elapsed().as_secs());
        match fetched {
            Ok(fetched) => {
                let keys = String::from_utf8_lossy(&fetched.document).into_owned();
                self.write(&Record { asked, fetched: second, keys, ..asking })?;
                Ok(fetched.keys)
            }
            Err(IdTokenError::Unreachable { why, .. }) => {
                self.write(&Record { asked, unreachable: Some(why.clone()), ..asking })?;
                set.ok_or_else(|| self.unreachable(why))
            }
            Err(error) => Err(error),
        }
    }

    fn unreachable(&self, why: String) -> IdTokenError {
        IdTokenError::Unreachable { url: self.issuer(), why }
    }

    fn issuer(&self) -> String {
        self.gitlab.url.as_str().to_owned()
    }

    /// What the file says, if it can be believed; nothing where there is none.
    ///
    /// # Errors
    /// In words what is wrong with it, without any of its own: they are whoever's that has written it.
    fn record(&self) -> Result<Option<Record>, String> {
        let owner = Prize::of_this_process().believed();
        // Twice the keys: as a text in JSON they have escapes.
        let most = usize::try_from(2 * MAX_KEYS + 4096).unwrap_or(usize::MAX);
        let bytes = match read_trusted(&self.path, Trust { owner, secrecy: Secrecy::Private }, most) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(without_advice(&error, &self.path)),
        };
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|error| format!("it is no record of keys (line {}, column {})", error.line(), error.column()))?;
        if record.issuer != self.gitlab.url.as_str() {
            return Err("it is about another GitLab".to_owned());
        }
        // There are none before GitLab has answered for the first time.
        if !record.keys.is_empty() && KeySet::of_provider(record.keys.as_bytes()).is_err() {
            return Err("what it has in the place of keys is no set of them".to_owned());
        }
        Ok(Some(record))
    }

    fn write(&self, record: &Record) -> Result<(), IdTokenError> {
        let text = serde_json::to_vec(record).map_err(|error| not_kept(&self.path, &error))?;
        atomic::replace(&self.path, &text, Kind::Passing).map_err(|error| not_kept(&self.path, &error))
    }

    fn lock(&self) -> Result<Flock<File>, IdTokenError> {
        let path = self.dir.join("lock");
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| not_kept(&path, &error))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| not_kept(&path, &error.desc()))
    }
}

/// What is wrong with a file that will be replaced. Whoever followed the advice for one that stays (`chown`, `chmod`) would believe what
/// somebody else has written.
fn without_advice(error: &TrustError, file: &Path) -> String {
    let what = match &error.fault {
        Distrust::Owner { found, .. } => format!("belongs to {found}"),
        Distrust::NotPrivate { mode, owner, .. } | Distrust::Writable { mode, owner, .. } => {
            format!("has mode {mode:04o} (owner {owner})")
        }
        Distrust::Symlink => "is a symbolic link".to_owned(),
        Distrust::HardLinks { count } => format!("has {count} hard links"),
        other => other.to_string(),
    };
    if error.path == file { format!("it {what}") } else { format!("{} {what}", error.path.display()) }
}

fn not_kept(path: &Path, why: &dyn Display) -> IdTokenError {
    IdTokenError::NotKept { path: path.display().to_string(), why: why.to_string() }
}

impl Record {
    fn at_hand(&self, now: Timestamp) -> Keys {
        // From far in the future: the clock was set, and how old they are nobody knows.
        let age = now.as_second().saturating_sub(self.fetched);
        let young = |limit| (-AHEAD..limit).contains(&age);
        let set = if young(USABLE) { KeySet::of_provider(self.keys.as_bytes()).ok() } else { None };
        Keys { fresh: set.is_some() && young(FRESH), set }
    }
}
