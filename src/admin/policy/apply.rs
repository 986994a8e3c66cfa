//! `motmot policy apply`: a new configuration, once it does what it says itself that it must.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use nix::unistd::{Gid, Uid, getegid, geteuid};

use super::judged;
use crate::admin::terminal::{answer, complain};
use crate::settings::Settings;
use crate::sys::atomic::replace_owned;
use crate::sys::files::{Owner, trusted_directory};
use crate::sys::privilege::can_change_user;

/// Arguments of `motmot policy apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The new configuration; it must be owned as the one that it replaces
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Exit code 0 if it is installed, 1 if it must not be, 2 if it cannot be.
pub fn main(args: &ApplyArgs, config: &Path) -> ExitCode {
    // The very text that is judged is written: whoever could exchange the file meanwhile exchanges nothing.
    let (settings, text) = match Settings::load_for(&args.new, config) {
        Ok(loaded) => loaded,
        Err(error) => return complain(&error.render(), ExitCode::FAILURE),
    };
    let (words, good) = judged(&settings);
    let new = args.new.display();
    if !good {
        return answer(&format!("{words}{new} is not installed\n"), ExitCode::FAILURE);
    }
    let done = if args.dry_run {
        Ok(format!("{new} would be installed as {}", config.display()))
    } else {
        install(config, &text).and_then(|done| {
            let recorded = settings.remember_tested(config);
            recorded
                .map(|_| done)
                .map_err(|error| format!("{} is installed, but not that it was tested: {error}", config.display()))
        })
    };
    match done {
        Ok(done) => answer(&format!("{words}{done}\n"), ExitCode::SUCCESS),
        Err(problem) => complain(&problem, ExitCode::from(2)),
    }
}

/// Puts it in place, with the owner and the mode of the one before, of which a copy stays if it was good.
fn install(config: &Path, text: &str) -> Result<String, String> {
    let shown = config.display();
    let cannot = |error: &dyn std::fmt::Display| format!("{shown} cannot be replaced: {error}");
    let dir = config.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = if can_change_user() { Owner::Root } else { Owner::RootOrSelf };
    // The way there leads over no link any more, and nobody else can change it.
    let dir = trusted_directory(dir, owner).map_err(|error| cannot(&error))?;
    let config = dir.join(config.file_name().ok_or_else(|| format!("{shown} is no name of a file"))?);
    let shown = config.display();
    if Settings::load_for(&config, &config).is_ok_and(|(_, before)| before == text) {
        // The copy of the last one would be lost for it.
        return Ok(format!("{shown} is this configuration already; nothing is changed"));
    }
    let (place, kept) = match fs::symlink_metadata(&config) {
        Ok(meta) if !meta.is_file() => {
            return Err(format!("{shown} is no file, and would be replaced by one: name with --config where it leads"));
        }
        Ok(meta) => {
            let place = Owned::like(&meta);
            (place, keep(&config, place)?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => (Owned::new(), String::new()),
        Err(error) => return Err(cannot(&error)),
    };
    place.write(&config, text).map_err(|error| cannot(&error))?;
    Ok(format!("installed as {shown}{kept}"))
}

/// Whose a file is, and who may read it.
#[derive(Clone, Copy)]
struct Owned {
    ids: (Uid, Gid),
    mode: u32,
}

impl Owned {
    /// Everybody may read it, nobody but its owner write.
    fn new() -> Self {
        Self { ids: (geteuid(), getegid()), mode: 0o644 }
    }

    /// As one that is there, unless others could write to that one: a configuration of theirs nobody believes.
    fn like(meta: &Metadata) -> Self {
        let uid = Uid::from_raw(meta.uid());
        let ids = if uid.is_root() || uid == geteuid() { (uid, Gid::from_raw(meta.gid())) } else { Self::new().ids };
        Self { ids, mode: meta.mode() & 0o755 }
    }

    fn write(self, path: &Path, text: &str) -> io::Result<()> {
        replace_owned(path, text.as_bytes(), self.ids, self.mode)
    }
}

/// Copies the configuration that is replaced. One that no stage could use is not worth the place of the last one that was good.
fn keep(config: &Path, owned: Owned) -> Result<String, String> {
    let Ok((_, text)) = Settings::load_for(config, config) else {
        return Ok("; what was there could not be used, so no copy of it is kept".to_owned());
    };
    let mut name = config.file_name().unwrap_or_default().to_owned();
    name.push(".last");
    let copy = config.with_file_name(name);
    let written = owned.write(&copy, &text);
    written.map_err(|error| format!("{} cannot be written, so nothing was changed: {error}", copy.display()))?;
    Ok(format!("; what was there is now {}", copy.display()))
}
