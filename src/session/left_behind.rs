//! Whether anybody will still clean a session up.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::record::{SessionRecord, boot_of, machine, tree};
use super::trouble::TroubleFile;

/// After the begin of a cleanup: how long until another one takes up its session, should nobody be at it any more.
pub(super) const A_WHILE: Duration = Duration::from_mins(5);
/// How long a session may lie idle whose runner's directory cannot be seen from here.
pub(super) const A_DAY: Duration = Duration::from_hours(24);

/// See [`Session::is_left_behind`](super::Session::is_left_behind); `dir` is the session's directory.
pub(super) fn is_left_behind(record: &SessionRecord, dir: &Path) -> bool {
    // Another machine's directories and processes are not seen from here.
    if !is_of_this_machine(record) {
        return false;
    }
    if runner_is_gone(record) {
        return true;
    }
    let since = |time: io::Result<SystemTime>| time.ok().and_then(|time| time.elapsed().ok());
    if let Ok(meta) = fs::metadata(dir.join("closed")) {
        // A cleanup that has said why it failed is at work no more.
        let failed = TroubleFile::of_session(dir).modified().zip(meta.modified().ok());
        return failed.is_some_and(|(failed, closed)| failed >= closed)
            || since(meta.modified()).is_some_and(|age| age >= A_WHILE);
    }
    if record.tree == tree() {
        let attempt = fs::symlink_metadata(&record.attempt);
        return matches!(attempt, Err(error) if error.kind() == io::ErrorKind::NotFound);
    }
    // A runner with a /tmp of its own (PrivateTmp), which may live, or may have been started anew.
    since(Ok(last_used(dir))).is_some_and(|age| age >= A_DAY)
}

/// Whether its runner has certainly ended.
pub(super) fn runner_is_gone(record: &SessionRecord) -> bool {
    if !is_of_this_machine(record) {
        return false;
    }
    // No runner has survived a boot, nor its own end. (Another namespace of processes has other numbers.)
    !is_of_this_boot(record) || (record.tree == tree() && record.runner.is_some_and(|runner| !runner.lives()))
}

/// Whether what it has started may live.
pub(super) fn is_of_this_boot(record: &SessionRecord) -> bool {
    is_of_this_machine(record) && boot_of(&record.tree) == boot_of(&tree())
}

/// Whether its processes and directories can be seen from here.
pub(super) fn is_of_this_machine(record: &SessionRecord) -> bool {
    record.host == machine()
}

/// When a stage of it began last.
pub(super) fn last_used(dir: &Path) -> SystemTime {
    let time = |file: &str| fs::metadata(dir.join(file)).and_then(|meta| meta.modified());
    time("stages").or_else(|_| time("session.json")).unwrap_or(SystemTime::UNIX_EPOCH)
}
