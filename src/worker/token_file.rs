//! `CI_JOB_JWT_FILE`: a complete token at any time, or no file.

use std::ffi::OsString;
use std::path::Path;

use super::directories::Held;
use super::{WorkerFailure, site};
use crate::order::TokenPlace;
use crate::sys::atomic::{self, Kind};
use crate::sys::directory::Directory;

/// The file, as the worker keeps it.
#[derive(Debug)]
pub struct TokenFile {
    /// Held since it was judged: a token goes there, and not to what somebody has put in its place.
    dir: Directory,
    name: OsString,
    trouble: Option<String>,
}

impl TokenFile {
    /// In a directory that was judged.
    pub fn new(place: &TokenPlace, held: &Held) -> Result<Self, WorkerFailure> {
        let file: &Path = &place.file;
        match (file.parent().and_then(|dir| held.get(dir)), file.file_name()) {
            (Some(dir), Some(name)) => Ok(Self { dir: dir.clone(), name: name.to_owned(), trouble: None }),
            _ => Err(site(format!("{} is in none of the job's directories", file.display()))),
        }
    }

    /// Puts a token there, mode 0400, by rename: a reader sees the old one or the new one, and what somebody may have put
    /// at this name (a link, a directory of his own) is replaced or left, but never written to.
    pub fn replace(&mut self, token: &[u8]) {
        if let Err(error) = atomic::replace(&self.dir.entry(&self.name), token, Kind::PassingSecret) {
            self.trouble = Some(format!("{}: {error}", self.dir.path().join(&self.name).display()));
        } else {
            self.trouble = None;
        }
    }

    /// Removes the token.
    pub fn remove(&mut self) {
        let _ = std::fs::remove_file(self.dir.entry(&self.name));
    }

    /// What went wrong last.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Removes the token at the end of a stage, and says what went wrong with it meanwhile.
    pub fn finish(mut self) -> Option<String> {
        self.remove();
        self.trouble
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn token_file(dir: &Path) -> TokenFile {
        let held = Held::make_and_judge(&[dir.to_owned()], &[], Path::new("/")).expect("held");
        let place = TokenPlace { file: dir.join("token"), variable: "CI_JOB_JWT".into() };
        TokenFile::new(&place, &held).expect("a file")
    }

    #[test]
    fn a_link_at_the_name_is_replaced_and_never_written_through() {
        let dir = tempfile::tempdir().expect("dir");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").expect("write");
        let file = dir.path().join("token");
        std::os::unix::fs::symlink(&victim, &file).expect("link");
        let mut token = token_file(dir.path());
        token.replace(b"one");
        assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "one");
        assert_eq!(std::fs::metadata(&file).expect("meta").permissions().mode() & 0o7777, 0o400);
        std::fs::remove_file(&file).expect("remove");
        std::fs::hard_link(&victim, &file).expect("hard link");
        token.replace(b"two");
        assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
        assert_eq!(token.finish(), None);
        assert!(!file.exists());
    }

    #[test]
    fn a_directory_that_was_swapped_after_it_was_judged_gets_no_token() {
        let temp = tempfile::tempdir().expect("dir");
        let (dir, moved) = (temp.path().join("token"), temp.path().join("moved"));
        let mut token = token_file(&dir);
        token.replace(b"one");
        std::fs::rename(&dir, &moved).expect("rename");
        std::fs::create_dir(&dir).expect("mkdir");
        token.replace(b"two");
        assert_eq!(std::fs::read_to_string(moved.join("token")).expect("read"), "two");
        assert_eq!(std::fs::read_dir(&dir).expect("dir").count(), 0);
        assert_eq!(token.finish(), None);
        assert!(!moved.join("token").exists(), "and it is removed where it is");
    }

    #[test]
    fn trouble_is_told() {
        let dir = tempfile::tempdir().expect("dir");
        let gone = dir.path().join("gone");
        let mut token = token_file(&gone);
        std::fs::remove_dir(&gone).expect("rmdir");
        token.replace(b"one");
        assert!(token.trouble().is_some_and(|why| why.contains("gone/token")), "{token:?}");
    }
}
