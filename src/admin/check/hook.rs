//! `[hook]`: the program, its digest, its account, its interpreter.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::findings::{Findings, plain, without_number};
use super::runner::Runner;
use crate::launch::settings::Downscope;
use crate::policy::hook::program;
use crate::policy::hook::settings::HookSettings;
use crate::settings::Settings;
use crate::sys::accounts::Nss;
use crate::sys::files::{Owner, trusted_directory};

/// Whether it would be asked; it is not.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let Some(hook) = &settings.hook else { return };
    // As the stages believe files, which can change user or cannot.
    let owner = match settings.jobs.downscope {
        Downscope::Setuid => Owner::Root,
        Downscope::None => Owner::RootOrSelf,
    };
    let what = "hook.program";
    let read = runner.act(|| program(hook, owner));
    match read.and_then(|read| read.map_err(|error| without_number(&error))) {
        // The digest to pin is among the words, for whoever has meant the change.
        Err(words) => findings.problem(what, words),
        Ok(bytes) => {
            findings.ok(what, format!("{}, with the digest that is pinned", hook.program.display()));
            judge_form(hook, &bytes, owner, findings);
        }
    }
    let judged = runner.mode(settings).hook_account(&hook.account, &Nss).map(|_| format!("{:?}", hook.account));
    findings.judged("hook.account", judged.map_err(|error| without_number(&error)));
}

/// The kernel executes a binary itself, and of a script the program in its first line.
fn judge_form(hook: &HookSettings, bytes: &[u8], owner: Owner, findings: &mut Findings) {
    let shown = hook.program.display();
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let interpreter = PathBuf::from(OsStr::from_bytes(&line[..end]));
        if let Err(words) = judge_interpreter(&interpreter, owner) {
            let words = format!("the interpreter of {shown}, {}, {words}", interpreter.display());
            findings.problem("hook.program", words);
        }
    } else if !bytes.starts_with(b"\x7fELF") {
        findings.problem("hook.program", format!("{shown} is no program: neither a binary, nor does it begin with #!"));
    }
}

/// The digest says nothing of it.
fn judge_interpreter(path: &Path, owner: Owner) -> Result<(), String> {
    if !path.is_absolute() {
        return Err("is no absolute path".to_owned());
    }
    // What it leads to: the names of interpreters are links of the system's.
    let real = fs::canonicalize(path).map_err(|error| plain(&error))?;
    for directory in [path, &real].map(|path| path.parent().unwrap_or(Path::new("/"))) {
        trusted_directory(directory, owner).map_err(|error| format!("can be exchanged: {error}"))?;
    }
    let meta = fs::metadata(&real).map_err(|error| plain(&error))?;
    if meta.mode() & 0o022 != 0 || (meta.uid() != 0 && owner == Owner::Root) {
        return Err(format!(
            "can be changed by others than root (mode {:04o}, uid {})",
            meta.mode() & 0o7777,
            meta.uid()
        ));
    }
    if meta.mode() & 0o001 == 0 {
        return Err("is not executable for everyone".to_owned());
    }
    Ok(())
}
