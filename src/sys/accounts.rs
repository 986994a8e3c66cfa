//! Accounts and groups as the system's name service knows them (NSS: files, LDAP, SSSD, ...).

use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};

use super::login::{self, Barred, LoginRules};

/// One line of the password database (passwd(5)), as the name service gave it: nobody else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswdEntry {
    name: String,
    uid: Uid,
    gid: Gid,
    home: PathBuf,
    shell: PathBuf,
}

impl PasswdEntry {
    /// Login name, as the database spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// User id.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Primary group id.
    pub fn gid(&self) -> Gid {
        self.gid
    }

    /// Home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Login shell.
    pub fn shell(&self) -> &Path {
        &self.shell
    }

    /// Not `From`: that would be a door for everybody, since everybody can make a [`User`].
    fn told_by_nss(user: User) -> Self {
        Self { name: user.name, uid: user.uid, gid: user.gid, home: user.dir, shell: user.shell }
    }

    /// The line of a name service that a test plays.
    #[cfg(test)]
    pub(crate) fn for_test(name: &str, uid: u32, gid: u32, shell: &str) -> Self {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Self { name: name.into(), uid, gid, home: PathBuf::from(format!("/home/{name}")), shell: shell.into() }
    }
}

/// The system could not answer. It did not say "no": nothing may be concluded from it.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The name service.
    #[error("the name service (NSS) could not look up {what}: {source}")]
    Nss {
        /// What it was asked for.
        what: String,
        /// What it said.
        source: Errno,
    },
    /// Whoever says who may log in.
    #[error("it could not be found out whether account {name:?} may begin a session ({rules}): {why}")]
    Login {
        /// The account.
        name: String,
        /// Who was asked.
        rules: String,
        /// Why there is no answer.
        why: String,
    },
}

/// What policy asks about accounts. A seam, so that a test can answer instead of the machine.
pub trait AccountDb {
    /// The account of that name; `None` when the name service says that there is none.
    fn by_name(&self, name: &str) -> Result<Option<PasswdEntry>, LookupError>;
    /// The account of that number.
    fn by_uid(&self, uid: Uid) -> Result<Option<PasswdEntry>, LookupError>;
    /// All groups of an account, the primary one included, as initgroups(3) would set them.
    fn groups(&self, entry: &PasswdEntry) -> Result<Vec<Gid>, LookupError>;
    /// The name of a group, if it has one.
    fn group_name(&self, gid: Gid) -> Result<Option<String>, LookupError>;
    /// Whether the account may begin a session now.
    fn may_begin(&self, entry: &PasswdEntry, rules: &LoginRules) -> Result<Result<(), Barred>, LookupError>;
}

/// The machine's own name service.
///
/// It needs a dynamically linked glibc: a static binary sees /etc/passwd only, and none of the site's LDAP users.
#[derive(Clone, Copy, Debug)]
pub struct Nss;

impl AccountDb for Nss {
    fn by_name(&self, name: &str) -> Result<Option<PasswdEntry>, LookupError> {
        // nix tells "no such user" (None) from "the directory is down" (Err); a library that folds both into None would
        // turn an outage into a refusal.
        User::from_name(name)
            .map(|found| found.map(PasswdEntry::told_by_nss))
            .map_err(|source| LookupError::Nss { what: format!("account {name:?}"), source })
    }

    fn by_uid(&self, uid: Uid) -> Result<Option<PasswdEntry>, LookupError> {
        User::from_uid(uid)
            .map(|found| found.map(PasswdEntry::told_by_nss))
            .map_err(|source| LookupError::Nss { what: format!("uid {uid}"), source })
    }

    fn groups(&self, entry: &PasswdEntry) -> Result<Vec<Gid>, LookupError> {
        let failed = |source| LookupError::Nss { what: format!("the groups of {:?}", entry.name), source };
        let name = CString::new(entry.name.as_str()).map_err(|_| failed(Errno::EINVAL))?;
        let mut groups = nix::unistd::getgrouplist(&name, entry.gid).map_err(failed)?;
        groups.sort_unstable_by_key(|gid| gid.as_raw());
        groups.dedup();
        Ok(groups)
    }

    fn group_name(&self, gid: Gid) -> Result<Option<String>, LookupError> {
        Group::from_gid(gid)
            .map(|found| found.map(|group| group.name))
            .map_err(|source| LookupError::Nss { what: format!("gid {gid}"), source })
    }

    fn may_begin(&self, entry: &PasswdEntry, rules: &LoginRules) -> Result<Result<(), Barred>, LookupError> {
        login::may_begin(entry.name(), rules).map_err(|why| {
            let rules = match rules {
                LoginRules::Pam(service) => format!("PAM, service {service}"),
                LoginRules::Files => "shadow(5)".to_owned(),
            };
            LookupError::Login { name: entry.name.clone(), rules, why }
        })
    }
}
