//! The accounts that rules name: whether a job of theirs could begin, by the questions that a job asks.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, geteuid};

use super::findings::{Findings, plain};
use super::jobs::exchangeable;
use super::runner::Runner;
use crate::launch::settings::Downscope;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss, PasswdEntry};
use crate::sys::acting::Credentials;
use crate::sys::exchange::Believed;
use crate::sys::login::{Barred, LoginRules};
use crate::sys::looking::{NotSeen, look_as};
use crate::sys::passage::{self, NoWay, Stands};

/// Of so many accounts it is asked: behind each may be a directory service, and a file server.
const MOST: usize = 100;
/// How long a home directory may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// An account, and the first rule that names it.
#[derive(Debug)]
pub(super) struct Named {
    /// The rule, as it is told.
    pub(super) what: String,
    pub(super) entry: PasswdEntry,
}

/// Whether they may log in now, by the files: PAM's modules may keep count of those they are asked about (pam_faillock(8)), and a
/// look must not change who gets in. `false` if there is one that may not.
pub(super) fn judge_logins(settings: &Settings, runner: &Runner, named: &[Named], findings: &mut Findings) -> bool {
    let rules = runner.mode(settings).login_rules(&settings.accounts);
    if rules.is_none() || !geteuid().is_root() {
        return true;
    }
    let mut good = true;
    for Named { what, entry } in named.iter().take(MOST) {
        let refused = |why: &dyn std::fmt::Display| {
            format!(
                "every job that it maps is refused: the account {:?} may not begin a session here: {why}",
                entry.name()
            )
        };
        match runner.act(|| Nss.may_begin(entry, &LoginRules::Files)) {
            // The machine is closed for everybody: told elsewhere, once.
            Ok(Ok(Ok(()) | Err(Barred::Closed(_)))) => {}
            // The service may be one that does not look at that.
            Ok(Ok(Err(why @ Barred::Expired))) if rules != Some(LoginRules::Files) => {
                findings.warning(what, format!("{}, unless PAM does not mind", refused(&why)));
            }
            Ok(Ok(Err(why))) => {
                good = false;
                findings.problem(what, refused(&why));
            }
            Ok(Err(error)) => {
                good = false;
                findings.problem(what, format!("every job that it maps fails: {error}"));
            }
            Err(words) => {
                good = false;
                findings.problem(what, words);
            }
        }
    }
    good
}

/// Somebody of whom PAM is asked where nothing depends on the answer: a module may keep count of those it was asked about.
pub(super) fn bystander() -> String {
    const NOBODY: u32 = 65_534;
    let entry = Nss.by_uid(Uid::from_raw(NOBODY)).ok().flatten();
    entry.map_or_else(|| "nobody".to_owned(), |entry| entry.name().to_owned())
}

/// Where their jobs will work, as the accounts themselves see it. What is there is left as it is.
pub(super) fn judge_places(settings: &Settings, named: &[Named], findings: &mut Findings) {
    let jobs = &settings.jobs;
    if jobs.downscope == Downscope::None || !geteuid().is_root() {
        return;
    }
    if named.len() > MOST {
        findings.skipped("rules", format!("only the first {MOST} accounts that rules name are looked at"));
    }
    for Named { what, entry } in named.iter().take(MOST) {
        let groups = match Nss.groups(entry) {
            Ok(groups) => groups,
            Err(error) => {
                findings.warning(what, error);
                continue;
            }
        };
        let way = Way {
            data: jobs.data_dir.expand(entry.home(), entry.name(), entry.uid().as_raw()),
            above: jobs.above_own(entry.home()),
            home: entry.home().to_owned(),
            uid: entry.uid().as_raw(),
            group_writable: jobs.data_dir_group_writable.clone(),
        };
        let shown = way.data.display().to_string();
        let credentials = Credentials { uid: entry.uid(), gid: entry.gid(), groups };
        match look_as(&credentials, LIMIT, move || way.judge()) {
            Ok(Ok(())) => {}
            Ok(Err(words)) => findings.problem(what, format!("every job that it maps fails: {words}")),
            Err(NotSeen::TookTooLong) => {
                let limit = LIMIT.as_secs();
                return findings.problem(
                    what,
                    format!("every job that it maps waits: {shown} has not answered for {limit} s; look at its file system; the accounts of later rules are not looked at"),
                );
            }
            Err(error @ NotSeen::Refused(_)) => {
                findings.warning(what, format!("{shown} could not be looked at: {error}"));
            }
        }
    }
}

/// The way to the directory of an account's jobs, by the rules of the worker that will walk it.
struct Way {
    data: PathBuf,
    /// Up to here it is the site's.
    above: PathBuf,
    home: PathBuf,
    uid: u32,
    group_writable: Vec<PathBuf>,
}

impl Way {
    fn judge(&self) -> Result<(), String> {
        let words = |path: &Path, error: &std::io::Error| format!("{}: {}", path.display(), plain(error));
        match fs::metadata(&self.above) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.above == self.home => {
                return Err(format!("the home directory {} does not exist, and no job makes it", self.home.display()));
            }
            // Told once for all accounts.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(words(&self.above, &error)),
            Ok(_) => {}
        }
        let is_there = |path: &&Path| fs::symlink_metadata(path).is_ok();
        let there = self.data.ancestors().find(is_there).unwrap_or(Path::new("/"));
        let (real, meta) = self.pass(there)?;
        if there == self.data {
            return self.judge_own(&real, &meta);
        }
        self.judge_passage(&real, &meta)
    }

    /// Judges all that is passed on the way, each directory and each link; what is at its end is returned.
    fn pass(&self, path: &Path) -> Result<(PathBuf, Metadata), String> {
        let judge = |here: &Path, meta: &Metadata, stands| {
            if !meta.is_symlink() {
                return if stands == Stands::OnTheWay { self.judge_passage(here, meta) } else { Ok(()) };
            }
            let (shown, uid) = (here.display(), meta.uid());
            if uid == 0 || uid == self.uid {
                return Ok(());
            }
            Err(format!("{shown} is a symbolic link that belongs to uid {uid}, who can aim it anywhere"))
        };
        passage::walk(path, judge, |here, why| match why {
            NoWay::Io(error) => format!("{}: {}", here.display(), plain(&error)),
            NoWay::TooManyLinks => format!("{} leads through too many symbolic links", path.display()),
        })
    }

    fn judge_passage(&self, dir: &Path, meta: &Metadata) -> Result<(), String> {
        let listed = self.group_writable.iter().any(|listed| dir.starts_with(listed));
        let believed = if listed { Believed::OwnersAndGroups } else { Believed::RootAnd(self.uid) };
        exchangeable(dir, meta, believed).map_or(Ok(()), Err)
    }

    /// The directory itself, which must be the account's alone.
    fn judge_own(&self, real: &Path, meta: &Metadata) -> Result<(), String> {
        let (uid, mode, shown) = (meta.uid(), meta.mode() & 0o7777, real.display());
        if !meta.is_dir() {
            return Err(format!("{shown} is not a directory"));
        }
        if uid != self.uid {
            return Err(format!("{shown} belongs to uid {uid} and not to the account (uid {})", self.uid));
        }
        if mode & 0o022 != 0 {
            return Err(format!(
                "others may write to {shown} (mode {mode:04o}) and may have put files there; its owner looks into it"
            ));
        }
        Ok(())
    }
}
