//! Whether an account may begin a session now: what the site's own rules for logging in say.
#![allow(unsafe_code)] // getspnam_r(3)

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::errno::Errno;

use super::pam::{self, PamRefusal};

/// Files that close a machine for everybody but root (nologin(5), pam_nologin(8)).
const CLOSED: [&str; 2] = ["/run/nologin", "/etc/nologin"];

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginRules {
    /// PAM's account phase, for this service.
    Pam(String),
    /// The files alone: expiry in shadow(5) and nologin(5).
    Files,
}

/// Why an account may not begin a session now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// `chage -E`.
    #[error("it has expired (chage -l shows when)")]
    Expired,
    /// `passwd -l`, `usermod -L`. An account that has SSH keys alone has `*` for a password, which is none.
    #[error("its password is locked (passwd -S shows it)")]
    Locked,
    /// A module of PAM says no.
    #[error(transparent)]
    ByPam(Box<PamRefusal>),
    /// The machine is closed for everybody; what its file says.
    #[error("this machine takes no logins now (nologin(5)): {0}")]
    Closed(String),
}

/// The first of them that says no. The outer error: it could not be found out.
pub(super) fn may_begin(name: &str, rules: &LoginRules) -> Result<Result<(), Barred>, String> {
    let shadow = Shadow::of(name)?;
    // PAM's modules do not look at that: a password may be locked while keys are welcome. The command's own words are that
    // it locks the account.
    if shadow.as_ref().is_some_and(Shadow::is_locked) {
        return Ok(Err(Barred::Locked));
    }
    // Whatever PAM would say: many a service asks for it where passwords are asked for, and nobody asks for one here. The same for
    // everybody, and soon over: no judgement of this account.
    if let Some(words) = closed() {
        return Ok(Err(Barred::Closed(words)));
    }
    match rules {
        LoginRules::Pam(service) => Ok(pam::ask(service, name)?.map_err(|refusal| Barred::ByPam(Box::new(refusal)))),
        LoginRules::Files => {
            let today = jiff::Timestamp::now().as_second() / 86_400;
            let expired = shadow.is_some_and(|shadow| shadow.has_expired(today));
            Ok(if expired { Err(Barred::Expired) } else { Ok(()) })
        }
    }
}

/// What the file says that closes this machine for everybody but root, if there is one.
pub fn closed() -> Option<String> {
    CLOSED.iter().find_map(|path| {
        let words = words_of(Path::new(path))?;
        Some(if words.trim().is_empty() { format!("there is a {path}") } else { words })
    })
}

/// The first words of a file that closes the machine.
fn words_of(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(1024).read_to_end(&mut text).ok()?;
    Some(pam::one_line(&text))
}

/// Two fields of a line of shadow(5).
struct Shadow {
    password: Vec<u8>,
    /// Days since 1970; the account may be used before that day.
    expires: Option<i64>,
}

impl Shadow {
    /// That of this account, if it has one here, and if this process may read it.
    fn of(name: &str) -> Result<Option<Self>, String> {
        let Ok(name) = CString::new(name) else { return Ok(None) };
        let mut buffer = vec![0; 16 << 10];
        // SAFETY: an entry of plain fields and pointers, for which zeros are a value; it is only read if it was filled.
        let mut entry: libc::spwd = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::spwd = std::ptr::null_mut();
        // SAFETY: all pointers lead to what lives here, and the length is that of the buffer.
        let code = unsafe {
            libc::getspnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
        };
        match Errno::from_raw(code) {
            // Not root: those who may not read it judge without it.
            Errno::EACCES | Errno::ENOENT => return Ok(None),
            _ if code == 0 => {}
            error => return Err(format!("shadow(5) cannot be read: {}", error.desc())),
        }
        if found.is_null() {
            return Ok(None);
        }
        let password = if entry.sp_pwdp.is_null() {
            Vec::new()
        } else {
            // SAFETY: not null, and inside the buffer, which getspnam_r has filled.
            unsafe { CStr::from_ptr(entry.sp_pwdp) }.to_bytes().to_vec()
        };
        Ok(Some(Self { password, expires: (entry.sp_expire >= 0).then_some(entry.sp_expire) }))
    }

    /// Whether somebody has locked it (`passwd -l`, `usermod -L`): an exclamation mark before a password that is still
    /// there. The mark alone is what an account has that never had one.
    fn is_locked(&self) -> bool {
        let marks = self.password.iter().take_while(|byte| **byte == b'!').count();
        let rest = &self.password[marks..];
        rest == b"*LK*" || (marks > 0 && !matches!(rest, b"" | b"*"))
    }

    fn has_expired(&self, today: i64) -> bool {
        // As pam_unix(8): on that day it is over.
        self.expires.is_some_and(|day| today >= day)
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.password);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(password: &str, expires: Option<i64>) -> Shadow {
        Shadow { password: password.into(), expires }
    }

    #[test]
    fn an_account_is_locked_by_a_mark_before_its_password_and_not_by_having_none() {
        for locked in ["!$y$j9T$abc$def", "!!$6$salt$hash", "!x", "*LK*"] {
            assert!(shadow(locked, None).is_locked(), "{locked}");
        }
        for open in ["", "!", "!!", "*", "!*", "x", "$6$salt$hash"] {
            assert!(!shadow(open, None).is_locked(), "{open}");
        }
    }

    #[test]
    fn an_account_expires_at_the_beginning_of_its_day() {
        assert!(!shadow("*", None).has_expired(20_000));
        assert!(!shadow("*", Some(20_001)).has_expired(20_000));
        assert!(shadow("*", Some(20_000)).has_expired(20_000));
        assert!(shadow("*", Some(0)).has_expired(20_000), "chage -E 0");
    }
}
