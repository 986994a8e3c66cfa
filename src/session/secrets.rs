//! What outlives a stage and must neither be shown nor stay: signatures of its tokens, and the runner's directory of
//! file-type variables.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::store::{SessionError, io_error, write_private};

/// See [`Session::remember_signature`](super::Session::remember_signature).
pub(super) fn remember_signature(session: &Path, signature: &str, masked_until: i64) -> Result<(), SessionError> {
    let path = session.join("signatures");
    let file = File::options().append(true).create(true).mode(0o600).open(&path);
    // One write: stages of one session do not run at the same time, but a cleanup may read meanwhile.
    file.and_then(|mut file| file.write_all(format!("{masked_until} {signature}\n").as_bytes()))
        .map_err(io_error("cannot write", &path))
}

/// Those that are not over by `now`.
pub(super) fn signatures(session: &Path, now: i64) -> Vec<(String, i64)> {
    let text = fs::read_to_string(session.join("signatures")).unwrap_or_default();
    let entries = text.lines().filter_map(|line| line.split_once(' '));
    entries
        .filter_map(|(until, signature)| Some((signature.to_owned(), until.parse().ok()?)))
        .filter(|(_, until)| *until >= now)
        .collect()
}

/// See [`Session::remember_temp_project_dir`](super::Session::remember_temp_project_dir).
pub(super) fn remember_temp_project_dir(session: &Path, dir: &Path) -> Result<(), SessionError> {
    write_private(&session.join("temp-project-dir"), dir.as_os_str().as_bytes())
}

pub(super) fn temp_project_dir(session: &Path) -> Option<PathBuf> {
    let bytes = fs::read(session.join("temp-project-dir")).ok()?;
    Some(PathBuf::from(OsString::from_vec(bytes)))
}
