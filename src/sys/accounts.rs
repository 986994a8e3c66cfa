//! Accounts and groups as the system's name service knows them (NSS: files, LDAP, SSSD, ...).

use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};

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

/// The name service could not answer. It did not say "no": nothing may be concluded from it.
#[derive(Debug, thiserror::Error)]
#[error("the name service (NSS) could not look up {what}: {source}")]
pub struct LookupError {
    what: String,
    source: Errno,
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
            .map_err(|source| LookupError { what: format!("account {name:?}"), source })
    }

    fn by_uid(&self, uid: Uid) -> Result<Option<PasswdEntry>, LookupError> {
        User::from_uid(uid)
            .map(|found| found.map(PasswdEntry::told_by_nss))
            .map_err(|source| LookupError { what: format!("uid {uid}"), source })
    }

    fn groups(&self, entry: &PasswdEntry) -> Result<Vec<Gid>, LookupError> {
        let failed = |source| LookupError { what: format!("the groups of {:?}", entry.name), source };
        let name = CString::new(entry.name.as_str()).map_err(|_| failed(Errno::EINVAL))?;
        let mut groups = nix::unistd::getgrouplist(&name, entry.gid).map_err(failed)?;
        groups.sort_unstable_by_key(|gid| gid.as_raw());
        groups.dedup();
        Ok(groups)
    }

    fn group_name(&self, gid: Gid) -> Result<Option<String>, LookupError> {
        Group::from_gid(gid)
            .map(|found| found.map(|group| group.name))
            .map_err(|source| LookupError { what: format!("gid {gid}"), source })
    }
}
