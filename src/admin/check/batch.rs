//! The batch scheduler that `jobs.executor` names, as jobs need it: file systems, programs, its own configuration; and then what
//! it says itself.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::AccessFlags;

use super::findings::{Findings, plain, without_number};
use super::jobs::is_executable;
use super::rules::{self, target};
use super::runner::Runner;
use crate::launch::settings::Downscope;
use crate::scheduler::batch::{Batch, ExaminedSite, Examiner, OwnConfiguration};
use crate::scheduler::{SchedulerKind, Setting};
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::call::{Answer, Call};
use crate::sys::file_system;
use crate::sys::files::{Distrust, Owner, trusted_directory};

/// A scheduler's programs themselves wait longer for one that does not answer; somebody is waiting at a terminal.
const LIMIT: Duration = Duration::from_secs(5);
/// A network file system may show a change on another machine so late.
const LATE: i64 = 60;

/// Whether the scheduler itself is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Yes,
    No,
}

/// All of it.
pub(super) fn judge(settings: &Settings, runner: &Runner, ask: Ask, findings: &mut Findings) {
    let used = settings.batch().map(Batch::kind);
    for kind in settings.schedulers.configured().iter().filter(|kind| Some(**kind) != used) {
        let word = kind.word();
        let words =
            format!("the section has no effect: no job runs in {} unless jobs.executor = {word:?}", kind.name());
        findings.warning(word, words);
    }
    let Some(batch) = settings.batch() else { return };
    let kind = batch.kind();
    state_directory(settings, kind, runner, findings);
    data_directory(settings, kind, runner, findings);
    token_life(settings, kind, findings);
    if !batch.settings().runs_scripts() {
        findings.warning(
            &kind.key(Setting::Stages),
            format!(
                "has neither \"build_script\" nor \"step_*\", so the scripts of jobs run on this machine and not in {}",
                kind.name()
            ),
        );
    }
    let good = programs(settings, batch, runner, findings);
    // Not even their version is asked before both are safe: the programs run as whoever runs this check, and load what
    // their own configuration names.
    if !configuration(settings, batch, runner, findings) || !good {
        return;
    }
    if ask == Ask::No {
        return findings.skipped(kind.name(), "is not asked: --offline");
    }
    let rules: Vec<_> = settings.map.iter().map(|rule| (rules::what(rule), rule.options.of(kind))).collect();
    let uid = runner.uid();
    let looks_on = settings.jobs.downscope == Downscope::Setuid && !uid.is_root();
    let onlooker = looks_on.then(|| (runner.name(), uid.as_raw()));
    batch.examine(&mut AtTerminal { runner, findings }, &ExaminedSite { rules: &rules, onlooker });
}

/// Calls as the runner's account, and what they say among the other findings.
struct AtTerminal<'a> {
    runner: &'a Runner,
    findings: &'a mut Findings,
}

impl Examiner for AtTerminal<'_> {
    fn call(&mut self, call: Call) -> Answer {
        match self.runner.act(|| call.run(LIMIT)) {
            Ok(Answer::NotStarted(words)) | Err(words) => Answer::NotStarted(without_number(&words)),
            Ok(answer) => answer,
        }
    }

    fn ok(&mut self, what: &str, words: &str) {
        self.findings.ok(what, words);
    }

    fn warning(&mut self, what: &str, words: &str) {
        self.findings.warning(what, words);
    }

    fn problem(&mut self, what: &str, words: &str) {
        self.findings.problem(what, words);
    }
}

/// Sessions say which batch jobs there are. Those go on when this machine is booted.
fn state_directory(settings: &Settings, kind: SchedulerKind, runner: &Runner, findings: &mut Findings) {
    let account = &runner.account;
    let dir = settings.jobs.state_dir.expand(account.home(), account.name(), account.uid().as_raw());
    // Where the directory of another account is, that account knows.
    let in_memory = runner.can_be_the_runner(settings) && local_file_system(&dir) == Some("tmpfs");
    let how = match in_memory {
        true => "is in memory and empty after a boot",
        false if settings.jobs.state_dir.as_str().starts_with("/run/") => "is empty after a boot, as all of /run",
        false => return,
    };
    findings.warning(
        "jobs.state_dir",
        format!(
            "{} {how}; {} jobs go on, and nobody would cancel them: remove jobs.state_dir from the configuration, or name a directory on a local disk",
            dir.display(),
            kind.name()
        ),
    );
}

/// Worker and node meet there.
fn data_directory(settings: &Settings, kind: SchedulerKind, runner: &Runner, findings: &mut Findings) {
    let text = settings.jobs.data_dir.as_str();
    let place = if settings.jobs.downscope == Downscope::None {
        let account = &runner.account;
        settings.jobs.data_dir.expand(account.home(), account.name(), account.uid().as_raw())
    } else if text.starts_with("{home}") {
        // Of whoever a rule names; else where homes are as a rule.
        let named = settings.map.iter().filter_map(target).find_map(|name| Nss.by_name(name).ok().flatten());
        named.map_or_else(|| PathBuf::from("/home"), |account| account.home().to_owned())
    } else {
        Path::new(text).iter().take_while(|part| !part.to_string_lossy().contains('{')).collect()
    };
    if let Some(disk) = local_file_system(&place) {
        findings.warning(
            "jobs.data_dir",
            format!(
                "{} seems to be on a disk of this machine ({disk}); with jobs.executor = {:?} every node must see {text} under the same path: put it on a shared file system",
                place.display(),
                kind.word()
            ),
        );
    }
}

/// The file system of this machine on which a path is, or will be.
fn local_file_system(path: &Path) -> Option<&'static str> {
    file_system::local(path.ancestors().find(|path| path.exists())?)
}

fn token_life(settings: &Settings, kind: SchedulerKind, findings: &mut Findings) {
    if let Some(token) = &settings.token
        && token.ttl.as_secs() < 5 * LATE
    {
        findings.warning(
            "token.ttl",
            format!(
                "is short for {}: a network file system may show a node its new token {LATE} s late; write 5m or more",
                kind.name()
            ),
        );
    }
}

/// The driver executes some of them with all its rights, and jobs' accounts the others.
fn programs(settings: &Settings, batch: &dyn Batch, runner: &Runner, findings: &mut Findings) -> bool {
    let (programs, scheduler) = (batch.programs(), batch.kind().name());
    let mut good = true;
    let hint = format!("{scheduler}'s commands");
    let what = format!("{scheduler} programs");
    // One mistake, however many programs are not there.
    let is_missing = |name: &str| fs::metadata(programs.dir.join(name)).is_err_and(|e| e.kind() == ErrorKind::NotFound);
    let missing: Vec<&str> = programs.needed.iter().copied().filter(|name| is_missing(name)).collect();
    if !missing.is_empty() {
        good = false;
        let (names, dir) = (missing.join(", "), programs.dir.display());
        let where_to = format!("install {hint} here, or name their directory in {}", programs.key);
        findings.problem(
            &what,
            if programs.dir.is_dir() {
                format!("{names}: not in {dir}; {where_to}")
            } else {
                format!("{dir} is not a directory; {where_to}")
            },
        );
    }
    let optional = programs.optional.iter().filter(|name| !is_missing(name));
    for name in programs.needed.iter().filter(|name| !missing.contains(*name)).chain(optional) {
        if let Err(words) = program(&programs.dir.join(name), &hint, programs.key, settings, runner) {
            good = false;
            findings.problem(name, words);
        }
    }
    if good {
        let words = format!("{} in {}", programs.needed.join(", "), programs.dir.display());
        findings.ok(&what, words);
    }
    good
}

fn program(path: &Path, whose: &str, key: &str, settings: &Settings, runner: &Runner) -> Result<(), String> {
    let shown = path.display();
    let meta = fs::metadata(path).map_err(|error| {
        format!("{shown} {}; install {whose} here, or name their directory in {key}", plain(&error))
    })?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a program; name the directory of {whose} in {key}"));
    }
    belongs(path, &meta, settings, runner)?;
    let executable = match settings.jobs.downscope {
        Downscope::Setuid => is_executable(path),
        Downscope::None => runner.may(path, AccessFlags::X_OK),
    };
    if !executable {
        return Err(format!("{shown} is not executable for the accounts of jobs: chmod 0755 {shown}"));
    }
    // By its name and by what that leads to.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    for dir in [path.parent(), real.parent()].into_iter().flatten() {
        runner.act(|| trusted_directory(dir, Owner::RootOrSelf))?.map_err(|error| without_number(&error))?;
    }
    Ok(())
}

/// Nobody but root changes it, or in one user's own runner that user.
fn belongs(path: &Path, meta: &fs::Metadata, settings: &Settings, runner: &Runner) -> Result<(), String> {
    let shown = path.display();
    let own = settings.jobs.downscope == Downscope::None && meta.uid() == runner.uid().as_raw();
    if meta.uid() != 0 && !own {
        return Err(format!(
            "{shown} belongs to uid {}, who can change what the driver executes: chown root {shown}",
            meta.uid()
        ));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others than its owner can write {shown}: chmod go-w {shown}"));
    }
    Ok(())
}

/// It names what the scheduler's programs load, plugins for example.
fn configuration(settings: &Settings, batch: &dyn Batch, runner: &Runner, findings: &mut Findings) -> bool {
    let Some(OwnConfiguration { path, key: what, loaded_by }) = batch.own_configuration() else { return true };
    let (shown, scheduler) = (path.display(), batch.kind().name());
    let judged = (|| {
        let meta = fs::metadata(path).map_err(|error| {
            format!(
                "{shown} {}; name {scheduler}'s configuration file, or remove {what} from the configuration",
                plain(&error)
            )
        })?;
        if !meta.is_file() {
            return Err(format!("{shown} is not a file; name {scheduler}'s configuration file"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(format!(
                "others than its owner can write {shown}, and it names what the driver loads: chmod go-w {shown}"
            ));
        }
        // By its name and by what that leads to.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut doubtful = None;
        for dir in [path.parent(), real.parent()].into_iter().flatten() {
            match runner.act(|| trusted_directory(dir, Owner::RootOrSelf))? {
                Ok(_) => {}
                // As with the file: at many sites the scheduler's own account's.
                Err(error) if matches!(error.fault, Distrust::DirectoryOwner { .. }) => {
                    doubtful = Some(without_number(&error));
                }
                Err(error) => {
                    return Err(format!(
                        "{shown} names what the driver loads, and can be exchanged: {}",
                        without_number(&error)
                    ));
                }
            }
        }
        let all = settings.jobs.downscope == Downscope::None || meta.mode() & 0o004 != 0;
        if !all || !runner.may(path, AccessFlags::R_OK) {
            return Err(format!("{shown} cannot be read by those who submit jobs: chmod 0644 {shown}"));
        }
        Ok((meta, doubtful))
    })();
    match judged {
        Err(words) => {
            findings.problem(what, words);
            false
        }
        // The scheduler's own account's, at many sites: whoever is that one has root's rights on the nodes already.
        Ok((meta, _)) if meta.uid() != 0 && meta.uid() != runner.uid().as_raw() => {
            findings.warning(
                what,
                format!(
                    "{shown} belongs to uid {}, who decides what the driver's calls of {loaded_by} load; look at what is in it, and: chown root {shown}",
                    meta.uid()
                ),
            );
            true
        }
        Ok((_, Some(words))) => {
            findings.warning(
                what,
                format!("whoever owns the directory decides what the driver's calls of {loaded_by} load: {words}"),
            );
            true
        }
        Ok(_) => {
            findings.ok(what, shown);
            true
        }
    }
}
