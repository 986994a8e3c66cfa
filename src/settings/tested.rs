//! Whether what a configuration says of its own rules has been found to be so: a digest beside it, of the text that was judged.
//!
//! Tests and proofs take their time, and no stage has it. Who has judged a configuration and found it good writes down which one that
//! was; a stage compares a few bytes, and the audit log says of decisions by another one that nobody has.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, geteuid};
use sha2::{Digest, Sha256};

use super::Settings;
use crate::sys::atomic::replace_owned;
use crate::sys::installed::read_deciding;

/// Longest record that is read: more than a digest and a line break has.
const MOST: usize = 256;

/// Of all texts that a configuration was read from.
#[derive(Clone, PartialEq, Eq)]
pub struct TextDigest(String);

/// Nothing of it: two texts that mean the same have others.
impl fmt::Debug for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextDigest")
    }
}

/// The same while it is read.
#[derive(Default)]
pub(super) struct Digesting(Sha256);

impl Digesting {
    pub(super) fn add(&mut self, text: &str) {
        // Its length first: what ends one text and begins the next cannot be moved.
        self.0.update(text.len().to_le_bytes());
        self.0.update(text);
    }

    pub(super) fn end(self) -> TextDigest {
        TextDigest(format!("{:x}", self.0.finalize()))
    }
}

/// Where it is.
fn record_of(config: &Path) -> PathBuf {
    let mut name = OsString::from(config);
    name.push(".tested");
    name.into()
}

impl Settings {
    /// Whether all that it says of its rules was found to be so, or nothing is said. A record that cannot be believed is none.
    pub fn is_tested(&self, config: &Path) -> bool {
        let said = self.assertions.tests.len() + self.assertions.nevers.len();
        said == 0
            || read_deciding(&record_of(config), MOST).is_ok_and(|bytes| bytes.trim_ascii() == self.digest.0.as_bytes())
    }

    /// Writes down that all of it was found to be so: its owner, who else could change the one as well as the other. Whoever only looks
    /// writes nothing.
    pub fn remember_tested(&self, config: &Path) -> io::Result<Option<PathBuf>> {
        let meta = fs::symlink_metadata(config)?;
        let owner = Uid::from_raw(meta.uid());
        if owner != geteuid() || !meta.is_file() {
            return Ok(None);
        }
        let record = record_of(config);
        let ids = (owner, Gid::from_raw(meta.gid()));
        replace_owned(&record, format!("{}\n", self.digest.0).as_bytes(), ids, meta.mode() & 0o755)?;
        Ok(Some(record))
    }
}
