//! A file system that tells late what changed, as network file systems do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::world::{LaggingDisk, make_dir, until};

/// A directory that is seen through a mount whose attributes and names are believed for some seconds.
pub struct Delayed {
    real: PathBuf,
    at: PathBuf,
    mount: Child,
}

impl Delayed {
    /// Why there can be none on this machine.
    pub fn impossible() -> Option<&'static str> {
        if !Path::new("/dev/fuse").exists() {
            return Some("no /dev/fuse");
        }
        (!super::missing(&["bindfs"]).is_empty()).then_some("no bindfs")
    }

    /// From now on `at` is seen with a delay. What it holds is at [`Delayed::real`], where there is none.
    pub fn over(_: LaggingDisk, at: &Path, seconds: u32) -> Self {
        let mut name = at.file_name().expect("a name").to_owned();
        name.push(".real");
        let real = at.with_file_name(name);
        let before = fs::metadata(at).expect("a directory");
        fs::rename(at, &real).expect("rename");
        make_dir(at, before.mode() & 0o7777);
        let mut command = Command::new("bindfs");
        command.arg("-f").arg("-o").arg(format!(
            "attr_timeout={seconds},entry_timeout={seconds},negative_timeout={seconds},ac_attr_timeout={seconds}"
        ));
        command.arg(&real).arg(at).stdin(Stdio::null()).stdout(Stdio::null());
        let mount = command.spawn().expect("bindfs");
        let (device, path) = (before.dev(), at.to_owned());
        until("the delayed file system is there", || fs::metadata(&path).is_ok_and(|meta| meta.dev() != device));
        Self { real, at: at.to_owned(), mount }
    }

    /// The same files without a delay.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// The files with the delay.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        // Lazily: a job that a failed test leaves may still have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
        super::daemons::signal(self.mount.id(), Signal::SIGTERM);
        let _ = self.mount.wait();
        let _ = fs::remove_dir(&self.at);
        let _ = fs::rename(&self.real, &self.at);
    }
}
