//! `motmot reap`: what jobs have left whose runner is gone.
//!
//! The cleanup stage does the work, as whoever the runner is: it has the rights that this takes, and no others.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::unistd::{Uid, geteuid};

use super::terminal::complain;
use crate::launch::settings::Downscope;
use crate::settings::Settings;
use crate::stage::caller::runner_by;
use crate::stage::reap::ReapArgs;
use crate::sys::accounts::{AccountDb, Nss};

/// Exit code 0 if nothing is left of jobs whose runner is gone, else that of the cleanup stage.
pub fn main(args: &ReapArgs, config: &Path) -> ExitCode {
    match command(args, config) {
        // Does not return, unless it fails.
        Ok(mut command) => {
            complain(&format!("motmot-cleanup cannot be started: {}", command.exec()), ExitCode::from(2))
        }
        Err(words) => complain(&words, ExitCode::from(2)),
    }
}

fn command(args: &ReapArgs, config: &Path) -> Result<Command, String> {
    let settings = Settings::load(config).map_err(|error| error.render())?;
    whose(&settings)?;
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program itself: {error}"))?;
    let mut command = Command::new(own.with_file_name("motmot-cleanup"));
    command.arg("--config").arg(config).args(args.request());
    if geteuid().is_root() {
        become_the_runner(&settings, &mut command)?;
    }
    Ok(command)
}

/// Anybody may start this program, and the sessions of others are told to nobody but root and the runner.
fn whose(settings: &Settings) -> Result<(), String> {
    let own = geteuid();
    if own.is_root() || settings.jobs.downscope == Downscope::None {
        return Ok(());
    }
    let state = settings.jobs.state_dir.as_str();
    match std::fs::symlink_metadata(state) {
        Ok(meta) if meta.uid() != own.as_raw() => {
            Err(format!("{state} (jobs.state_dir) is another account's, and this one is uid {own}: run this as root"))
        }
        _ => Ok(()),
    }
}

/// A runner that is an ordinary account owns the sessions, and is the only one that may clean them up.
fn become_the_runner(settings: &Settings, command: &mut Command) -> Result<(), String> {
    let root = Nss.by_uid(Uid::from_raw(0)).map_err(|error| error.to_string())?;
    let home = root.map_or_else(|| "/root".into(), |root| root.home().to_owned());
    let state = settings.jobs.state_dir.expand(&home, "root", 0);
    let Ok(meta) = std::fs::symlink_metadata(&state) else { return Ok(()) };
    if meta.uid() == 0 {
        return Ok(());
    }
    // Its owner is believed where root alone could have made it so. One user's own runner is that user's affair: the store
    // judges the rest.
    let uid = match settings.jobs.downscope {
        Downscope::Setuid => runner_by(settings.jobs.state_dir.as_str())?,
        Downscope::None => Uid::from_raw(meta.uid()),
    };
    let owner = Nss.by_uid(uid).map_err(|error| error.to_string())?;
    let owner = owner.ok_or_else(|| format!("{} belongs to uid {uid}, which has no account", state.display()))?;
    command.uid(owner.uid().as_raw()).gid(owner.gid().as_raw()).env("HOME", owner.home()).env("USER", owner.name());
    Ok(())
}
