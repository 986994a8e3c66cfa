//! The way to a directory of the account's, judged step by step.
//!
//! Whoever may write to a directory on the way can put a tree of his own in the place of the job's, at any time, and the job
//! then runs his code as its account. So each is judged before anything in it is believed, as sshd does (`StrictModes`); and
//! where a link leads, be it the account's own, is judged likewise.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::WorkerFailure;
use crate::order::frames::Blame;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::directory::{Directory, Step};
use crate::sys::exchange::{Believed, Exchanger, exchanger};
use crate::sys::passage::{MAX_LINKS, steps};

/// How often a directory is made that somebody removes at once.
const MAX_TRIES: usize = 10;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What can always be done.
const ELSEWHERE: &str = "choose another jobs.data_dir";

/// Why there is no way.
#[derive(Debug)]
pub enum Blocked {
    /// Somebody else could lead us, or has led us, to a directory of his.
    Unsafe(String),
    /// The file system refused.
    Io(WorkerFailure),
}

impl From<Blocked> for WorkerFailure {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Unsafe(words) => Self { blame: Blame::Account, words },
            Blocked::Io(failure) => failure,
        }
    }
}

/// What is done about a directory that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is made, unless the site has to make it.
    Make,
    /// The site has to make it.
    Refuse,
    /// Nothing: whoever looks for it finds nothing. Directories of the account's own that it has closed to itself are opened.
    Leave,
}

/// Walks.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'o> {
    /// At and below these, directories may be writable by their group, and belong to anybody.
    pub group_writable: &'o [PathBuf],
    /// Up to here no job makes anything: a directory that others need, too, would be the first one's alone, and closed to them.
    pub site_dir: &'o Path,
    pub missing: Missing,
}

impl Walk<'_> {
    /// From `/`. `None` if it is not there.
    pub fn to(self, path: &Path) -> Result<Option<Directory>, Blocked> {
        match path.strip_prefix(self.site_dir) {
            Ok(own) if self.missing == Missing::Make => {
                let there = Self { missing: Missing::Refuse, ..self }.walk(root()?, steps(self.site_dir), true)?;
                there.map_or(Ok(None), |there| self.walk(there, steps(own), true))
            }
            _ => self.walk(root()?, steps(path), true),
        }
    }

    /// One step from a directory that was judged already.
    pub fn below(self, above: &Directory, name: OsString) -> Result<Option<Directory>, Blocked> {
        self.walk(above.clone(), vec![name], true)
    }

    /// Down from a directory that is the account's alone: what is in there nobody else can exchange, whatever its modes. Where
    /// a link leads out, all is judged again.
    pub fn within(self, own: &Directory, below: &Path) -> Result<Option<Directory>, Blocked> {
        self.walk(own.clone(), steps(below), false)
    }

    fn walk(
        self,
        mut here: Directory,
        mut todo: Vec<OsString>,
        mut judging: bool,
    ) -> Result<Option<Directory>, Blocked> {
        let (mut links, mut tries) = (0, 0);
        while let Some(name) = todo.pop() {
            if judging {
                self.judge_passage(&here)?;
            }
            match here.step(&name) {
                Ok(Step::Directory(next)) => here = next,
                Ok(Step::Link { target, uid }) => {
                    let link = here.path().join(&name);
                    if uid != 0 && uid != own() {
                        return Err(not_safe(
                            &link,
                            &format!(
                                "it is a symbolic link that belongs to uid {uid}, who can aim it anywhere; {ELSEWHERE}"
                            ),
                        ));
                    }
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(not_safe(&link, &format!("it leads through too many symbolic links; {ELSEWHERE}")));
                    }
                    judging = true;
                    if target.is_absolute() {
                        here = root()?;
                    }
                    todo.extend(steps(&target));
                }
                Ok(Step::Other) => {
                    return Err(not_safe(&here.path().join(&name), &format!("it is not a directory; {ELSEWHERE}")));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.missing == Missing::Leave => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.missing == Missing::Refuse => {
                    let words = words_for_the_site(&here.path().join(&name), self.site_dir, own_home().as_deref());
                    return Err(Blocked::Io(WorkerFailure { blame: Blame::Site, words }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < MAX_TRIES => {
                    tries += 1;
                    make(&here, &name, &todo)?;
                    todo.push(name);
                }
                // `chmod 000` on the way: the owner may undo that.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && self.missing == Missing::Leave
                        && here.uid() == own()
                        && here.mode() & 0o100 == 0 =>
                {
                    here.make_private().map_err(|error| io_trouble(here.path(), "cannot be opened", &error))?;
                    todo.push(name);
                }
                // Somebody else's directory bars the way, so nothing of this account's was ever made behind it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.missing == Missing::Leave => {
                    return Ok(None);
                }
                Err(error) => {
                    let mut trouble = failure(&here.path().join(&name), "cannot be reached", &error);
                    if error.kind() == io::ErrorKind::PermissionDenied {
                        let (above, mode, uid) = (here.path().display(), here.mode(), here.uid());
                        trouble.words = format!(
                            "{}; {above} belongs to uid {uid} and has mode {mode:04o}; ask its owner whether other accounts may pass, or {ELSEWHERE}",
                            trouble.words
                        );
                    }
                    return Err(Blocked::Io(trouble));
                }
            }
        }
        Ok(Some(here))
    }

    /// A directory that is passed: whoever may write to it, or owns it, can put another in place of ours. In a sticky one
    /// others may add what they like, but not touch ours.
    ///
    /// No command is proposed: the directory is its owner's, other people may work in it, and who copies a remedy may be root.
    fn judge_passage(self, dir: &Directory) -> Result<(), Blocked> {
        let listed = self.group_writable.iter().any(|listed| dir.path().starts_with(listed));
        let believed = if listed { Believed::OwnersAndGroups } else { Believed::RootAnd(own()) };
        let (shown, mode, uid) = (dir.path().display(), dir.mode(), dir.uid());
        let Some(exchanger) = exchanger(uid, mode, believed) else { return Ok(()) };
        let why = match exchanger {
            Exchanger::Everybody => format!(
                "everybody may write to it, and it is not sticky (mode {mode:04o}, owner uid {uid}), so anybody could put his own files in place of the job's; ask its owner whether it has to be so, or {ELSEWHERE}"
            ),
            Exchanger::Owner => {
                format!("it belongs to uid {uid}, who could put other files in place of the job's; {ELSEWHERE}")
            }
            Exchanger::Group => format!(
                "its group may write to it, and it is not sticky (mode {mode:04o}, owner uid {uid}), so anybody in the group could put his own files in place of the job's; ask its owner whether it has to be so, or {ELSEWHERE}, or, where the site trusts such groups, say so in jobs.data_dir_group_writable"
            ),
        };
        Err(Blocked::Unsafe(format!("the directory {shown} is not safe to have jobs below it: {why}")))
    }
}

/// The directory at the end of a way: it must be the account's alone, and is closed to others where they may only look.
pub fn judge_own(mut dir: Directory) -> Result<Directory, Blocked> {
    let (uid, mode, own) = (dir.uid(), dir.mode(), own());
    if uid != own {
        return Err(not_safe(dir.path(), &format!("it belongs to uid {uid}, not to uid {own}; {ELSEWHERE}")));
    }
    if mode & WRITABLE_BY_OTHERS != 0 {
        // Whoever could write may have planted something already: closing the door now would not help.
        return Err(not_safe(
            dir.path(),
            &format!(
                "others may write to it (mode {mode:04o}) and may have put files there; its owner, this job's account, looks into it: what earlier jobs made he may move away, and the next job makes it anew; if other people work there, {ELSEWHERE}"
            ),
        ));
    }
    if mode != 0o700 {
        dir.make_private().map_err(|error| io_trouble(dir.path(), "cannot be made private", &error))?;
    }
    Ok(dir)
}

fn own() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn root() -> Result<Directory, Blocked> {
    Directory::root().map_err(|error| io_trouble(Path::new("/"), "cannot be opened", &error))
}

/// `rest`: what would come below it, last one first.
fn make(above: &Directory, name: &OsString, rest: &[OsString]) -> Result<(), Blocked> {
    let dir = above.path().join(name);
    match above.make(name) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let wanted = rest.iter().rev().fold(dir.clone(), |dir, name| dir.join(name));
            let words = words_for_missing(&dir, above.path(), &wanted, own_home().as_deref());
            Err(Blocked::Io(WorkerFailure { blame: Blame::Site, words }))
        }
        Err(error) => Err(io_trouble(&dir, "cannot be made", &error)),
    }
}

/// `dir`: what is missing of the directories that the site makes, down to `site_dir`.
fn words_for_the_site(dir: &Path, site_dir: &Path, home: Option<&Path>) -> String {
    match home {
        Some(home) if home.starts_with(dir) => format!(
            "the home directory {} of this account does not exist, and no job makes it; make it as the site makes home directories, or change jobs.data_dir in the configuration",
            home.display()
        ),
        _ => format!(
            "{} does not exist, and no job makes it, since it would be the first one's alone; the site makes it: owner root and mode 1777; in a directory of a project, with its group and mode 3770",
            site_dir.display()
        ),
    }
}

/// A home directory that is not there is told as that: nobody is to let accounts write to the directory of all homes.
fn words_for_missing(dir: &Path, above: &Path, wanted: &Path, home: Option<&Path>) -> String {
    let (above, wanted) = (above.display(), wanted.display());
    match home {
        Some(home) if home.starts_with(dir) => format!(
            "{wanted} cannot be made: the home directory {} of this account does not exist; make it as the site makes home directories, or change jobs.data_dir in the configuration",
            home.display()
        ),
        _ => format!(
            "{wanted} cannot be made: this account may not write to {above}; make the directory for it, or change jobs.data_dir in the configuration"
        ),
    }
}

/// As the password database has it.
fn own_home() -> Option<PathBuf> {
    Nss.by_uid(nix::unistd::geteuid()).ok().flatten().map(|account| account.home().to_owned())
}

fn not_safe(dir: &Path, why: &str) -> Blocked {
    Blocked::Unsafe(format!("the directory {} is not safe to run a job in: {why}", dir.display()))
}

fn io_trouble(path: &Path, what: &str, error: &io::Error) -> Blocked {
    Blocked::Io(failure(path, what, error))
}

/// A failure of the file system; a used-up quota is the account's own affair.
pub fn failure(path: &Path, what: &str, error: &io::Error) -> WorkerFailure {
    let (blame, advice) = match error.kind() {
        io::ErrorKind::QuotaExceeded => (Blame::Account, "; remove what is no longer needed there"),
        io::ErrorKind::StorageFull => (Blame::Site, "; its file system is full"),
        _ => (Blame::Site, ""),
    };
    WorkerFailure { blame, words: format!("{} {what}: {error}{advice}", path.display()) }
}
