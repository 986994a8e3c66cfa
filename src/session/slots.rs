//! Which of a project's directories a job works in: two jobs never share one, and a directory is used again, with its clone
//! in it, as soon as it is free.

use std::fs;
use std::io;

use super::store::{SessionError, Store, io_error, write_private};

/// The lowest number that no living session of this account and project has.
pub(super) fn take(store: &Store, uid: u32, project_id: u64, session: &str) -> Result<u32, SessionError> {
    let _lock = store.lock()?;
    for slot in 0.. {
        let path = store.slots().join(format!("{uid}-{project_id}-{slot}"));
        let free = match fs::read_to_string(&path) {
            Ok(holder) => !store.session(&holder).exists(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(io_error("cannot read", &path)(error)),
        };
        if free {
            write_private(&path, session.as_bytes())?;
            return Ok(slot);
        }
    }
    unreachable!("there are more numbers than sessions")
}

/// Gives back what a session has. Nothing happens the second time.
pub(super) fn give_back(store: &Store, session: &str) {
    if let Ok(_lock) = store.lock() {
        for entry in fs::read_dir(store.slots()).into_iter().flatten().flatten() {
            if fs::read_to_string(entry.path()).is_ok_and(|holder| holder == session) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
