//! `CI_JOB_JWT_FILE`: a complete token at any time, or no file.

use std::path::{Path, PathBuf};

use crate::sys::atomic::{self, Kind};

/// The file, as the worker keeps it.
#[derive(Debug)]
pub struct TokenFile {
    file: PathBuf,
    trouble: Option<String>,
}

impl TokenFile {
    /// In a directory that is private already.
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), trouble: None }
    }

    /// Puts a token there, mode 0400, by rename: a reader sees the old one or the new one, and what somebody may have put
    /// at this name (a link, a directory of his own) is replaced or left, but never written to.
    pub fn replace(&mut self, token: &[u8]) {
        if let Err(error) = atomic::replace(&self.file, token, Kind::PassingSecret) {
            self.trouble = Some(format!("{}: {error}", self.file.display()));
        } else {
            self.trouble = None;
        }
    }

    /// Removes the token.
    pub fn remove(&mut self) {
        let _ = std::fs::remove_file(&self.file);
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

    #[test]
    fn a_link_at_the_name_is_replaced_and_never_written_through() {
        let dir = tempfile::tempdir().expect("dir");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").expect("write");
        let file = dir.path().join("token");
        std::os::unix::fs::symlink(&victim, &file).expect("link");
        let mut token = TokenFile::new(&file);
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
    fn trouble_is_told_and_the_old_token_stays() {
        let dir = tempfile::tempdir().expect("dir");
        let mut token = TokenFile::new(&dir.path().join("gone/token"));
        token.replace(b"one");
        assert!(token.trouble().is_some_and(|why| why.contains("gone/token")));
    }
}
