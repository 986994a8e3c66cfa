//! Accounts that a job may become, and those that nobody may.

use std::fmt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::rules::{NotNamable, PassedOver};
use crate::policy::settings::{AccountLimits, LoginSessions};
use crate::report::{Audience, FailureKind, Fault, one_line};
use crate::sys::accounts::{AccountDb, LookupError, PasswdEntry};
use crate::sys::login::{Barred, LoginRules};
use crate::sys::pam;
use crate::sys::privilege::{Become, NeverRoot};

/// A local account that policy has admitted. There is no other way to get one, and no other way to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    entry: PasswdEntry,
    target: Become,
}

/// What came of [`for_cleanup`](super::for_cleanup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForCleanup {
    /// The account.
    Account(Account),
    /// That name does not have that number any more.
    Gone,
    /// Nobody becomes it, not even to clean up.
    Never,
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
    /// What a child has to become to be this account.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a `Become` is made: an account is admitted here"
    )]
    fn target(self, entry: &PasswdEntry, groups: Vec<Gid>) -> Result<Become, NeverRoot> {
        match self {
            Self::ChangeUser { .. } => Become::account(entry, groups),
            Self::OnlySelf(_) => Ok(Become::same()),
        }
    }

    /// As whom a site's hook runs: looked up like other accounts, but by limits of its own, since it is none for jobs.
    pub fn hook_account(self, name: &str, db: &dyn AccountDb) -> Result<Become, HookAccountError> {
        let entry = db.by_name(name)?.filter(|entry| entry.name() == name);
        let entry = entry.ok_or_else(|| HookAccountError::Missing(name.to_owned()))?;
        let (uid, name) = (entry.uid(), || name.to_owned());
        match self {
            _ if uid.is_root() => return Err(HookAccountError::Root(name())),
            // It has the driver's keys and sessions.
            Self::ChangeUser { own } if uid == own => return Err(HookAccountError::Runner(name())),
            Self::OnlySelf(own) if uid != own => return Err(HookAccountError::NotTheOwner(name(), own.as_raw())),
            Self::ChangeUser { .. } | Self::OnlySelf(_) => {}
        }
        let groups = db.groups(&entry)?;
        self.target(&entry, groups).map_err(|NeverRoot| HookAccountError::Root(name()))
    }

    /// Who is asked whether an account may begin a session.
    pub fn login_rules(self, limits: &AccountLimits) -> Option<LoginRules> {
        match self {
            Self::ChangeUser { own } => Some(limits.pam_service.rules(|service| {
                // Most modules answer nobody but root; who names a service knows of others.
                own.is_root() && pam::service_file(service).is_some()
            })),
            Self::OnlySelf(_) => None,
        }
    }

    /// The service of PAM whose session phase surrounds each worker, if the site wants that.
    pub fn login_session(self, limits: &AccountLimits) -> Result<Option<String>, NoLoginSessions> {
        match (limits.login_sessions, self) {
            (LoginSessions::None, _) => Ok(None),
            (LoginSessions::EachWorker, Self::ChangeUser { own }) if own.is_root() => {
                Ok(limits.pam_service.for_sessions().map(str::to_owned))
            }
            (LoginSessions::EachWorker, Self::ChangeUser { own } | Self::OnlySelf(own)) => Err(NoLoginSessions(own)),
        }
    }

    /// Who reads why a job is refused.
    pub fn audience(self) -> Audience {
        match self {
            Self::ChangeUser { .. } => Audience::Public,
            Self::OnlySelf(_) => Audience::Owner,
        }
    }
}

/// Only root opens sessions for others. To go on without would be a weaker limit than the one that the site has set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "accounts.pam_session = true takes a runner that is root and changes user, and this one is uid {0}: only root can open sessions for others; take the key away, or run gitlab-runner as root"
)]
pub struct NoLoginSessions(Uid);

impl Fault for NoLoginSessions {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

/// Why a hook cannot run as the account that the configuration names.
#[derive(Debug, thiserror::Error)]
pub enum HookAccountError {
    /// Nobody has this name.
    #[error("there is no local account {0:?} (hook.account); make one for the hook that owns nothing")]
    Missing(String),
    /// uid 0.
    #[error("the account {0:?} (hook.account) is root, which no hook runs as; make one for it that owns nothing")]
    Root(String),
    /// That of the driver.
    #[error(
        "the account {0:?} (hook.account) is the one that the driver runs as; make one for the hook that owns nothing"
    )]
    Runner(String),
    /// The runner belongs to somebody else.
    #[error("this runner runs as uid {1} (jobs.downscope = \"none\") and cannot run the hook as {0:?} (hook.account)")]
    NotTheOwner(String, u32),
    /// It could not be found out.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// Why an account is not admitted. For the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// No rule matched, and why the first of them did not.
    NoRule(PassedOver),
    /// The user is no person: it acts for another one, who has this number; and why no rule matched.
    ActsForAnother(u64, PassedOver),
    /// The rule gives the account of the user's own name, and of him, or of the human for whom he acts, only this number is known.
    NoLogin(u64),
    /// The job asks for the first account, and the rule gives it the second one.
    NotRequestable(String, String),
    /// A rule matched, but its account is not admitted.
    ByRule {
        /// The rule.
        rule: String,
        /// The reason.
        why: Box<NotAdmitted>,
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
    /// The machine's own rules for logging in keep it out.
    Barred(String, Barred),
    /// The site's hook runs as it.
    Hook(String),
    /// The hook refuses the job; what it says to the author, and to the administrators.
    ByHook(Option<String>, Option<String>),
    /// The hook names this account, which the job cannot have.
    HookNames(String, NotNamable),
    /// The hook takes a login name, and of the user only this number is known.
    NoLoginForHook(u64),
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule(why) => write!(f, "no [[map]] rule matches, and who is not mapped is refused{why}"),
            Self::ActsForAnother(id, why) => write!(
                f,
                "this is the service account of an AI agent that acts for GitLab user number {id} (composite identity), and no rule gives such jobs an account{why}"
            ),
            Self::NoLogin(id) => write!(
                f,
                "only the number {id} is known (of a human for whom an agent acts; of everybody where gitlab.identity is \"payload\"), and {{gitlab_user}} is a name; give the account by user_id"
            ),
            Self::NotRequestable(wanted, given) => write!(
                f,
                "the job asks for the account {wanted:?}, which is not in may_request; it would have {given:?}, and who asks for one gets that one or none"
            ),
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
            Self::Barred(name, why) => write!(f, "the account {name:?} may not begin a session here: {why}"),
            Self::Hook(name) => {
                write!(
                    f,
                    "the account {name:?} is the one that the site's hook runs as (hook.account); no job becomes it"
                )
            }
            Self::ByHook(message, reason) => {
                write!(f, "the hook refuses it: {}", reason.as_deref().unwrap_or("it does not say why"))?;
                message.as_ref().map_or(Ok(()), |message| write!(f, "; it tells the author: {message}"))
            }
            Self::HookNames(name, why) => {
                write!(f, "the hook names the account {:?}, ", one_line(name))?;
                match why {
                    NotNamable::NotInRule => f.write_str("which is not in may_request of the rule"),
                    NotNamable::NotRequested => {
                        f.write_str("and the job asks for another one; who asks for one gets that one or none")
                    }
                    NotNamable::Mismatch(why) => write!(f, "which the rule does not give to this job: {why}"),
                }
            }
            Self::NoLoginForHook(id) => write!(
                f,
                "the hook takes a login name (hook.form = \"argv\"), and of this user only the number {id} is known"
            ),
            Self::NotTheOwner(name, uid) => {
                write!(f, "this runner runs as uid {uid} (jobs.downscope = \"none\") and cannot run a job as {name:?}")
            }
        }
    }
}

impl NotAdmitted {
    /// What its author may read beyond that he is refused: the site's own words for him, if there are such.
    pub fn words_for_author(&self) -> Option<&str> {
        match self {
            Self::ByRule { why, .. } => why.words_for_author(),
            Self::ByHook(message, _) => message.as_deref(),
            _ => None,
        }
    }
}

impl Account {
    /// Looks the name up and holds it against every limit. The outer error is the name service's failure.
    pub(super) fn admit(
        name: &str,
        limits: &AccountLimits,
        mode: Mode,
        db: &dyn AccountDb,
    ) -> Result<Result<Self, NotAdmitted>, LookupError> {
        // Some name services take a number for a uid; an option or a path is no name either.
        let plausible = name.len() <= 256
            && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
            && !name.bytes().all(|byte| byte.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b','));
        if !plausible {
            return Ok(Err(NotAdmitted::BadName(name.to_owned())));
        }
        let Some(entry) = db.by_name(name)? else {
            return Ok(Err(NotAdmitted::NoAccount(name.to_owned())));
        };
        let groups = db.groups(&entry)?;
        let judged = match mode {
            Mode::ChangeUser { own } => judge(name, &entry, &groups, own, limits, db)?,
            Mode::OnlySelf(own) if entry.uid() != own => {
                Err(NotAdmitted::NotTheOwner(entry.name().to_owned(), own.as_raw()))
            }
            Mode::OnlySelf(_) => Ok(()),
        };
        Ok(judged.and_then(|()| {
            if !entry.home().is_absolute() {
                return Err(NotAdmitted::NoHome(name.to_owned()));
            }
            let target = mode.target(&entry, groups).map_err(|NeverRoot| NotAdmitted::Root(name.to_owned()))?;
            Ok(Self { entry, target })
        }))
    }

    /// Whether the machine's own rules for logging in let it begin a session now. One user's own runner has none: it runs in a
    /// session that has begun already.
    pub(super) fn may_begin(
        &self,
        rules: Option<LoginRules>,
        db: &dyn AccountDb,
    ) -> Result<Result<(), Barred>, LookupError> {
        rules.map_or(Ok(Ok(())), |rules| db.may_begin(&self.entry, &rules))
    }

    /// See [`for_cleanup`](super::for_cleanup).
    pub(super) fn admit_for_cleanup(
        name: &str,
        uid: Uid,
        mode: Mode,
        db: &dyn AccountDb,
    ) -> Result<ForCleanup, LookupError> {
        let Some(entry) = db.by_name(name)?.filter(|entry| entry.uid() == uid) else { return Ok(ForCleanup::Gone) };
        let admitted = match mode {
            Mode::ChangeUser { own } => !uid.is_root() && uid != own,
            Mode::OnlySelf(own) => uid == own,
        };
        if !admitted {
            return Ok(ForCleanup::Never);
        }
        let groups = db.groups(&entry)?;
        Ok(match mode.target(&entry, groups) {
            Ok(target) => ForCleanup::Account(Self { entry, target }),
            Err(NeverRoot) => ForCleanup::Never,
        })
    }

    /// What the name service says of it.
    pub(super) fn entry(&self) -> &PasswdEntry {
        &self.entry
    }

    /// Login name.
    pub fn name(&self) -> &str {
        self.entry.name()
    }

    /// User id.
    pub fn uid(&self) -> Uid {
        self.entry.uid()
    }

    /// Home directory.
    pub fn home(&self) -> &Path {
        self.entry.home()
    }

    /// Login shell.
    pub fn shell(&self) -> &Path {
        self.entry.shell()
    }

    /// What a child has to become to be this account.
    pub fn to_become(&self) -> Become {
        self.target.clone()
    }

    /// An account for a test that has none: a worker for it stays what it is.
    #[cfg(test)]
    #[expect(clippy::disallowed_methods, reason = "no change of user in a test")]
    pub(crate) fn for_test(name: &str) -> Self {
        Self { entry: PasswdEntry::for_test(name, 1001, 100, "/bin/bash"), target: Become::same() }
    }
}

fn judge(
    name: &str,
    entry: &PasswdEntry,
    groups: &[Gid],
    own: Uid,
    limits: &AccountLimits,
    db: &dyn AccountDb,
) -> Result<Result<(), NotAdmitted>, LookupError> {
    if entry.name() != name {
        return Ok(Err(NotAdmitted::OtherSpelling(name.to_owned(), entry.name().to_owned())));
    }
    let name = || entry.name().to_owned();
    if entry.uid().is_root() {
        return Ok(Err(NotAdmitted::Root(name())));
    }
    if entry.uid() == own {
        return Ok(Err(NotAdmitted::Runner(name())));
    }
    // Who runs as it could trace the hook, and answer in its stead. By number: an account can have several names.
    if let Some(hook) = &limits.hook_account
        && db.by_name(hook)?.is_some_and(|hook| hook.uid() == entry.uid())
    {
        return Ok(Err(NotAdmitted::Hook(name())));
    }
    if entry.uid().as_raw() < limits.min_uid {
        return Ok(Err(NotAdmitted::SystemAccount(name(), entry.uid().as_raw(), limits.min_uid)));
    }
    // A uid may have several names; each of them is denied with the account.
    let primary = db.by_uid(entry.uid())?;
    for denied in &limits.deny_users {
        if denied == entry.name() || primary.as_ref().is_some_and(|primary| primary.name() == denied) {
            return Ok(Err(NotAdmitted::DeniedUser(name())));
        }
    }
    if !limits.deny_groups.is_empty() {
        for gid in groups {
            if let Some(group) = db.group_name(*gid)?
                && limits.deny_groups.contains(&group)
            {
                return Ok(Err(NotAdmitted::DeniedGroup(name(), group)));
            }
        }
    }
    let allowed = if limits.shells.is_empty() {
        // An account that may not log in may not run jobs, unless the site lists its shell.
        !entry.shell().file_name().is_some_and(|shell| shell == "nologin" || shell == "false")
    } else {
        limits.shells.iter().any(|shell| shell == entry.shell())
    };
    Ok(if allowed { Ok(()) } else { Err(NotAdmitted::Shell(name(), entry.shell().to_owned())) })
}
