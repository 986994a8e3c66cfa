//! Who calls a program that has capabilities: the runner's account, or somebody else who may execute it.
//!
//! A program that root executes has its rights anyway. But file capabilities belong to whoever executes the file, with his
//! own real id: every member of the group that it is closed to. So root's word is needed who of them is the runner, and it
//! is that of the state directory's owner: it lies where root alone could have made it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, geteuid};

use crate::launch::settings::Downscope;
use crate::report::Failure;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::exchange::{Believed, adder};
use crate::sys::files::{Owner, trusted_directory};
use crate::sys::privilege::can_change_user;

/// Whether this process, if it changes user without being root, was started by the runner's account.
pub(super) fn is_the_runner(settings: &Settings) -> Result<(), Failure> {
    // Without the right to change user it can do nothing that its caller cannot, and says so later.
    if settings.jobs.downscope == Downscope::None || geteuid().is_root() || !can_change_user() {
        return Ok(());
    }
    let owner = runner_by(settings.jobs.state_dir.as_str()).map_err(Failure::site)?;
    let caller = geteuid();
    if owner == caller {
        return Ok(());
    }
    Err(Failure::site(format!(
        "this program works for the runner's account alone, which is {}, to whom {} (jobs.state_dir) belongs; it was started by {}",
        name_of(owner),
        settings.jobs.state_dir.as_str(),
        name_of(caller)
    )))
}

/// The runner's account where that is not root: whoever root has given the state directory to (`jobs.state_dir`).
pub fn runner_by(text: &str) -> Result<Uid, String> {
    if text.contains('{') {
        return Err(format!(
            "jobs.state_dir = {text:?} is another directory for each caller, but its owner tells who the runner is: name one without braces, such as \"/run/motmot\""
        ));
    }
    let dir = Path::new(text);
    let (Some(above), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(format!(
            "jobs.state_dir = {text:?} cannot be the runner's own; name another, such as \"/run/motmot\""
        ));
    };
    let elsewhere = "its owner tells who the runner is, so root alone must be able to make it: name one in jobs.state_dir that is below such directories, such as /run/motmot";
    let above = trusted_directory(above, Owner::Root)
        .map_err(|error| format!("{text} (jobs.state_dir): {error}; {elsewhere}"))?;
    let look = |path: &Path| {
        fs::symlink_metadata(path).map_err(|error| format!("{} (jobs.state_dir): {error}", path.display()))
    };
    // Whoever can add something there could have made it.
    let meta = look(&above)?;
    if adder(meta.uid(), meta.mode(), Believed::Root).is_some() {
        return Err(format!(
            "{text} (jobs.state_dir) is in a directory that others than root may write to; {elsewhere}"
        ));
    }
    let meta = fs::symlink_metadata(above.join(name)).map_err(|error| {
        format!("{text} (jobs.state_dir): {error}; where the runner is an ordinary account, root makes it: install -d -o ACCOUNT -m 0700 {text}")
    })?;
    if !meta.is_dir() {
        return Err(format!("{text} (jobs.state_dir) is not a directory; {elsewhere}"));
    }
    Ok(Uid::from_raw(meta.uid()))
}

fn name_of(uid: Uid) -> String {
    match Nss.by_uid(uid) {
        Ok(Some(entry)) => format!("{} (uid {uid})", entry.name()),
        _ => format!("uid {uid}"),
    }
}
