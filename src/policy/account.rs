//! Accounts that a job may become, and those that nobody may.

use std::fmt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::Audience;
use crate::policy::settings::AccountLimits;
use crate::sys::accounts::{AccountDb, LookupError, PasswdEntry};
use crate::sys::privilege::Become;

/// A local account that policy has admitted. There is no other way to get one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    entry: PasswdEntry,
    groups: Vec<Gid>,
    target: Target,
}

/// What came of [`Account::for_cleanup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForCleanup {
    /// The account.
    Account(Account),
    /// That name does not have that number any more.
    Gone,
    /// Nobody becomes it, not even to clean up.
    NotAdmitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Other,
    Same,
}

/// Under which rules accounts are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The driver changes user: every limit holds, and its own account is none for jobs either: who runs as it has its
    /// keys, its sessions, and its capabilities.
    ChangeUser {
        /// The driver's own account.
        own: Uid,
    },
    /// One user's own runner: this account, and no other.
    OnlySelf(Uid),
}

impl Mode {
    fn target(self) -> Target {
        match self {
            Self::ChangeUser { .. } => Target::Other,
            Self::OnlySelf(_) => Target::Same,
        }
    }

    pub(super) fn audience(self) -> Audience {
        match self {
            Self::ChangeUser { .. } => Audience::Public,
            Self::OnlySelf(_) => Audience::Owner,
        }
    }
}

/// Why an account is not admitted. For the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No rule matched.
    NoRule,
    /// A rule matched, but its account is not admitted.
    ByRule {
        /// The rule.
        rule: String,
        /// The reason.
        why: Box<Refused>,
    },
    /// The name is not one that an account has.
    BadName(String),
    /// No such account.
    NoAccount(String),
    /// The name service spells the name in another way.
    OtherSpelling(String, String),
    /// uid 0.
    Root(String),
    /// Below `accounts.min_uid`.
    SystemAccount(String, u32, u32),
    /// In `accounts.deny_users`.
    DeniedUser(String),
    /// Member of a group in `accounts.deny_groups`.
    DeniedGroup(String, String),
    /// Its login shell is not allowed.
    Shell(String, PathBuf),
    /// Its home directory is not an absolute path.
    NoHome(String),
    /// The account that the driver itself runs as.
    Runner(String),
    /// The runner belongs to somebody else.
    NotTheOwner(String, u32),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => write!(f, "no [[map]] rule matches, and who is not mapped is refused"),
            Self::ByRule { rule, why } => write!(f, "rule {rule}: {why}"),
            Self::BadName(name) => write!(f, "{name:?} cannot be the name of a local account"),
            Self::NoAccount(name) => write!(f, "there is no local account {name:?}"),
            Self::OtherSpelling(name, found) => {
                write!(f, "the name service answers for {name:?} with {found:?}; names must be equal")
            }
            Self::Root(name) => write!(f, "the account {name:?} is root (uid 0), which no job becomes"),
            Self::SystemAccount(name, uid, min) => {
                write!(f, "the account {name:?} has uid {uid}, below accounts.min_uid = {min}")
            }
            Self::DeniedUser(name) => write!(f, "the account {name:?} is in accounts.deny_users"),
            Self::DeniedGroup(name, group) => {
                write!(f, "the account {name:?} is in group {group:?}, which is in accounts.deny_groups")
            }
            Self::Shell(name, shell) => {
                write!(f, "the login shell {} of account {name:?} is not allowed (accounts.shells)", shell.display())
            }
            Self::NoHome(name) => write!(f, "the account {name:?} has no home directory"),
            Self::Runner(name) => {
                write!(f, "the account {name:?} is the one that the driver runs as; no job becomes it")
            }
            Self::NotTheOwner(name, uid) => {
                write!(f, "this runner runs as uid {uid} (jobs.downscope = \"none\") and cannot run a job as {name:?}")
            }
        }
    }
}

impl Account {
    /// Looks the name up and holds it against every limit. The outer error is the name service's failure.
    pub fn admit(
        name: &str,
        limits: &AccountLimits,
        mode: Mode,
        db: &dyn AccountDb,
    ) -> Result<Result<Self, Refused>, LookupError> {
        // Some name services take a number for a uid; an option or a path is no name either.
        let plausible = name.len() <= 256
            && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
            && !name.bytes().all(|byte| byte.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b','));
        if !plausible {
            return Ok(Err(Refused::BadName(name.to_owned())));
        }
        let Some(entry) = db.by_name(name)? else {
            return Ok(Err(Refused::NoAccount(name.to_owned())));
        };
        let groups = db.groups(&entry)?;
        let judged = match mode {
            Mode::ChangeUser { own } => judge(name, &entry, &groups, own, limits, db)?,
            Mode::OnlySelf(own) if entry.uid != own => Err(Refused::NotTheOwner(entry.name.clone(), own.as_raw())),
            Mode::OnlySelf(_) => Ok(()),
        };
        let target = mode.target();
        Ok(judged.and_then(|()| {
            if entry.home.is_absolute() {
                Ok(Self { entry, groups, target })
            } else {
                Err(Refused::NoHome(name.to_owned()))
            }
        }))
    }

    /// The recorded account of a session that ends, whatever policy says of it by now: an account may have been closed,
    /// or may have changed its shell, and cleaning up after it matters all the more. It still is neither root nor the
    /// driver's own.
    pub fn for_cleanup(name: &str, uid: Uid, mode: Mode, db: &dyn AccountDb) -> Result<ForCleanup, LookupError> {
        let Some(entry) = db.by_name(name)?.filter(|entry| entry.uid == uid) else { return Ok(ForCleanup::Gone) };
        let admitted = match mode {
            Mode::ChangeUser { own } => !uid.is_root() && uid != own,
            Mode::OnlySelf(own) => uid == own,
        };
        if !admitted {
            return Ok(ForCleanup::NotAdmitted);
        }
        let groups = db.groups(&entry)?;
        Ok(ForCleanup::Account(Self { entry, groups, target: mode.target() }))
    }

    /// Login name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// User id.
    pub fn uid(&self) -> Uid {
        self.entry.uid
    }

    /// Primary group id.
    pub fn gid(&self) -> Gid {
        self.entry.gid
    }

    /// Home directory.
    pub fn home(&self) -> &Path {
        &self.entry.home
    }

    /// Login shell.
    pub fn shell(&self) -> &Path {
        &self.entry.shell
    }

    /// What a child has to become to be this account.
    pub fn to_become(&self) -> Become {
        match self.target {
            Target::Same => Become::Same,
            Target::Other => Become::Account { uid: self.entry.uid, gid: self.entry.gid, groups: self.groups.clone() },
        }
    }
}

fn judge(
    name: &str,
    entry: &PasswdEntry,
    groups: &[Gid],
    own: Uid,
    limits: &AccountLimits,
    db: &dyn AccountDb,
) -> Result<Result<(), Refused>, LookupError> {
    if entry.name != name {
        return Ok(Err(Refused::OtherSpelling(name.to_owned(), entry.name.clone())));
    }
    let name = || entry.name.clone();
    if entry.uid.is_root() {
        return Ok(Err(Refused::Root(name())));
    }
    if entry.uid == own {
        return Ok(Err(Refused::Runner(name())));
    }
    if entry.uid.as_raw() < limits.min_uid {
        return Ok(Err(Refused::SystemAccount(name(), entry.uid.as_raw(), limits.min_uid)));
    }
    // A uid may have several names; each of them is denied with the account.
    let primary = db.by_uid(entry.uid)?;
    for denied in &limits.deny_users {
        if *denied == entry.name || primary.as_ref().is_some_and(|primary| primary.name == *denied) {
            return Ok(Err(Refused::DeniedUser(name())));
        }
    }
    if !limits.deny_groups.is_empty() {
        for gid in groups {
            if let Some(group) = db.group_name(*gid)?
                && limits.deny_groups.contains(&group)
            {
                return Ok(Err(Refused::DeniedGroup(name(), group)));
            }
        }
    }
    let allowed = if limits.shells.is_empty() {
        // An account that may not log in may not run jobs, unless the site lists its shell.
        !entry.shell.file_name().is_some_and(|shell| shell == "nologin" || shell == "false")
    } else {
        limits.shells.contains(&entry.shell)
    };
    Ok(if allowed { Ok(()) } else { Err(Refused::Shell(name(), entry.shell.clone())) })
}
