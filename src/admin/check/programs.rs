//! The programs beside this one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, Gid};

use super::findings::{Findings, plain, without_number};
use super::runner::Runner;
use crate::launch::settings::Downscope;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::file_capabilities::FileCapabilities;
use crate::sys::installed::{Prize, believed_directory};
use crate::sys::spawn::WorkerProgram;

const STAGES: [&str; 4] = ["motmot-config", "motmot-prepare", "motmot-run", "motmot-cleanup"];
const CAPABILITIES: &str = "cap_setuid,cap_setgid,cap_kill+ep";

/// The four stages and the worker.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => {
            return findings.problem("programs", format!("cannot find this program itself: {}", plain(&error)));
        }
    };
    let prize = runner.prize(settings);
    if runner.can_be_the_runner(settings) {
        let capable = settings.jobs.downscope == Downscope::Setuid && !runner.uid().is_root();
        let mut good = true;
        if let Err(words) = directory(own.parent().unwrap_or(Path::new("/")), prize, runner) {
            good = false;
            findings.problem("stage programs", words);
        }
        for stage in STAGES {
            let path = own.with_file_name(stage);
            if let Err(words) = if capable { capable_stage(&path, runner) } else { plain_stage(&path, runner) } {
                good = false;
                findings.problem(stage, words);
            }
        }
        if let Some(words) = runner.shared_group().filter(|_| capable) {
            findings.warning("stage programs", words);
        }
        if good {
            let dir = own.parent().unwrap_or(Path::new("/")).display();
            let rights = if capable { ", with capabilities, for this runner's account alone" } else { "" };
            findings.ok("stage programs", format!("four in {dir}{rights}"));
        }
    }
    let path = own.with_file_name("motmot-worker");
    match (worker(&path, settings, prize, runner), readable(&path, settings)) {
        (Ok(_), Some(words)) => findings.warning("worker", words),
        (judged, _) => findings.judged("worker", judged),
    }
}

/// Where they are. No command is proposed: others may need the directory as it is.
fn directory(dir: &Path, prize: Prize, runner: &Runner) -> Result<(), String> {
    runner.act(|| believed_directory(dir, prize))?.map(drop).map_err(|error| {
        format!("{} can be exchanged by others than the runner: {}", dir.display(), without_number(&error))
    })
}

/// A stage of a runner that has all rights already, or needs none.
fn plain_stage(path: &Path, runner: &Runner) -> Result<(), String> {
    let shown = path.display();
    let meta = fs::metadata(path).map_err(|error| missing(path, &error))?;
    if meta.uid() != 0 && meta.uid() != runner.uid().as_raw() {
        return Err(format!(
            "{shown} belongs to uid {}, who can change what the runner runs: chown root {shown}",
            meta.uid()
        ));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others than its owner can write {shown}: chmod go-w {shown}"));
    }
    if !runner.may(path, AccessFlags::X_OK) {
        return Err(format!("{} cannot execute {shown}: chmod 0755 {shown}", runner.name()));
    }
    Ok(())
}

/// A stage that changes user by the capabilities of its file: whoever may execute it has them.
fn capable_stage(path: &Path, runner: &Runner) -> Result<(), String> {
    let shown = path.display();
    let meta = fs::metadata(path).map_err(|error| missing(path, &error))?;
    let setcap = format!("setcap {CAPABILITIES} {shown}");
    if meta.uid() != 0 || !runner.is_in(meta.gid()) {
        let group =
            Nss.group_name(runner.account.gid()).ok().flatten().unwrap_or_else(|| runner.account.gid().to_string());
        let found = Nss.group_name(Gid::from_raw(meta.gid())).ok().flatten().unwrap_or_else(|| meta.gid().to_string());
        // chown takes the capabilities away.
        return Err(format!(
            "{shown} belongs to uid {} and group {found}, must be root's and of a group of {}: chown root:{group} \
                {shown} && chmod 0750 {shown} && {setcap}",
            meta.uid(),
            runner.name()
        ));
    }
    let mode = meta.mode() & 0o7777;
    if mode != 0o750 {
        return Err(format!(
            "{shown} has mode {mode:04o}, but whoever may execute it can become other accounts: chmod 0750 {shown}"
        ));
    }
    match FileCapabilities::of(path) {
        Ok(Some(found)) if found.are_those_of_a_stage() => {}
        Ok(Some(_)) => return Err(format!("{shown} has other capabilities than it needs: {setcap}")),
        Ok(None) => {
            return Err(format!("{shown} has no capabilities, so it cannot become the accounts of jobs: {setcap}"));
        }
        Err(error) => return Err(format!("the capabilities of {shown} cannot be read ({}): {setcap}", plain(&error))),
    }
    if statvfs(path).is_ok_and(|filesystem| filesystem.flags().contains(FsFlags::ST_NOSUID)) {
        return Err(format!(
            "{shown} is on a file system mounted with nosuid, where capabilities have no effect; install motmot \
                elsewhere"
        ));
    }
    if !runner.may(path, AccessFlags::X_OK) {
        return Err(format!(
            "{} cannot reach {shown}; every directory above it must let that account pass; install motmot in one \
                that does, such as /usr/libexec/motmot",
            runner.name()
        ));
    }
    Ok(())
}

fn worker(path: &Path, settings: &Settings, prize: Prize, runner: &Runner) -> Result<String, String> {
    let shown = path.display();
    let meta = fs::metadata(path).map_err(|error| missing(path, &error))?;
    let mode = meta.mode() & 0o7777;
    if meta.uid() != 0 && meta.uid() != runner.uid().as_raw() {
        return Err(format!(
            "{shown} belongs to uid {}, who can change what all jobs run: chown root {shown} && chmod 0711 {shown}",
            meta.uid()
        ));
    }
    if mode & 0o022 != 0 {
        return Err(format!("others than its owner can write {shown} (mode {mode:04o}): chmod 0711 {shown}"));
    }
    let downscope = settings.jobs.downscope == Downscope::Setuid;
    if downscope && mode & 0o111 != 0o111 || !runner.may(path, AccessFlags::X_OK) {
        return Err(format!(
            "{shown} is not executable for everybody (mode {mode:04o}), but runs as the job's account: chmod 0711 \
                {shown}"
        ));
    }
    if mode & 0o6000 != 0 || FileCapabilities::of(path).is_ok_and(|found| found.is_some()) {
        return Err(format!(
            "{shown} has privileges of its own, which every job would get: chmod 0711 {shown} && setcap -r {shown}"
        ));
    }
    // The stages' own judgement has the last word. By its path: /proc/self/exe
    // is not for the account that root plays here.
    runner.act(|| WorkerProgram::open(path, prize))?.map_err(|error| error.to_string())?;
    Ok(shown.to_string())
}

/// A worker that its account can read. It hides itself, but with its first instructions only, and is the account's by then: whom
/// the kernel lets trace it speaks to the stage in its place, and goes on as a process that no cleanup takes for a job's. What the
/// account cannot read is hidden from the start (prctl(2), `PR_SET_DUMPABLE`).
fn readable(path: &Path, settings: &Settings) -> Option<String> {
    let (shown, mode) = (path.display(), fs::metadata(path).ok()?.mode() & 0o7777);
    (settings.jobs.downscope == Downscope::Setuid && mode & 0o044 != 0).then(|| {
        format!(
            "{shown} can be read by others than its owner (mode {mode:04o}): until it has hidden itself, moments \
                after its start, the account of a job can trace it, read its memory and speak in its place \
                (ptrace(2)), which it cannot do to a program that it may only execute: chmod 0711 {shown}"
        )
    })
}

fn missing(path: &Path, error: &std::io::Error) -> String {
    format!("{} {}; install all of motmot's programs in one directory", path.display(), plain(error))
}
