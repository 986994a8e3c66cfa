//! What jobs find on this machine: the shell, the root of their directories, commands.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;

use super::findings::{Findings, plain};
use super::runner::Runner;
use crate::launch::settings::{Downscope, JobSettings};
use crate::sys::exchange::{Believed, Exchanger, exchanger};

/// All of it.
pub(super) fn judge(jobs: &JobSettings, runner: &Runner, findings: &mut Findings) {
    findings.judged("shell", shell(jobs, runner));
    data_directory(jobs, runner, findings);
    group_writable(jobs, findings);
}

/// Whether all accounts may.
pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 == 0o111)
}

fn shell(jobs: &JobSettings, runner: &Runner) -> Result<String, String> {
    let path = &jobs.shell_path;
    let shown = path.display();
    let meta = fs::metadata(path)
        .map_err(|error| format!("{shown} (jobs.shell_path) {}; install bash, or name where it is", plain(&error)))?;
    if !meta.is_file() {
        return Err(format!("{shown} (jobs.shell_path) is not a program; name the path of bash"));
    }
    let executable = match jobs.downscope {
        Downscope::Setuid => is_executable(path),
        Downscope::None => runner.may(path, AccessFlags::X_OK),
    };
    if executable {
        Ok(shown.to_string())
    } else {
        Err(format!("{shown} (jobs.shell_path) is not executable for the accounts of jobs; name a bash that is"))
    }
}

/// Where it is not below the home directories, what is the same for all accounts must be there, and safe.
fn data_directory(jobs: &JobSettings, runner: &Runner, findings: &mut Findings) {
    let (what, text) = ("jobs.data_dir", jobs.data_dir.as_str());
    if text.starts_with("{home}") {
        return findings.ok(what, text);
    }
    let own = jobs.downscope == Downscope::None;
    if !own && !text.contains('{') {
        return findings.problem(
            what,
            format!("{text} is the same for all accounts, and belongs to the first one that has a job: write {text}/{{user}}"),
        );
    }
    let fixed: PathBuf = Path::new(text).iter().take_while(|part| !part.to_string_lossy().contains('{')).collect();
    let shown = fixed.display();
    let meta = match fs::metadata(&fixed) {
        Ok(meta) => meta,
        // One user's jobs make it.
        Err(_) if own => return findings.ok(what, format!("{text} does not exist yet")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return findings.problem(
                what,
                format!("{shown} does not exist, and no job makes it: install -d -m 1777 {shown}; for a project's group: install -d -g GROUP -m 3770 {shown}"),
            );
        }
        Err(error) => return findings.problem(what, format!("{shown}: {}", plain(&error))),
    };
    if !meta.is_dir() {
        return findings.problem(what, format!("{shown} is not a directory; name one in jobs.data_dir"));
    }
    // Where links lead: that is what the worker judges.
    let real = fs::canonicalize(&fixed).unwrap_or_else(|_| fixed.clone());
    for dir in real.ancestors() {
        let Ok(meta) = fs::metadata(dir) else { continue };
        if let Some(words) = replaceable(dir, &meta, jobs, runner) {
            return findings.problem(what, words);
        }
    }
    // One account's own.
    if meta.mode() & 0o011 == 0 && !own {
        return findings.problem(
            what,
            format!(
                "{shown} belongs to uid {} and has mode {:04o}: no other account can pass it, and so has no job; what all need is the site's: owner root and mode 1777, or with a project's group and mode 3770; or name another place in jobs.data_dir",
                meta.uid(),
                meta.mode() & 0o7777
            ),
        );
    }
    if meta.mode() & 0o022 == 0 && !own {
        return findings.ok(what, format!("{text}; accounts cannot make directories in {shown}, so the site has to"));
    }
    if meta.mode() & 0o002 == 0 && !own {
        return findings.ok(
            what,
            format!("{text}; only those in the group of {shown} (gid {}) can make directories in it", meta.gid()),
        );
    }
    findings.ok(what, text);
}

/// No command: these are the site's directories, or somebody's home.
const PLACE: &str = "name a place in jobs.data_dir that nobody but root can exchange, with all directories above it";

/// Whether somebody other than root (and a runner's one user) can put another directory in place of one that is in `dir`: the
/// worker refuses such ways.
fn replaceable(dir: &Path, meta: &fs::Metadata, jobs: &JobSettings, runner: &Runner) -> Option<String> {
    let believed = match jobs.downscope {
        _ if jobs.data_dir_group_writable.iter().any(|listed| dir.starts_with(listed)) => Believed::OwnersAndGroups,
        Downscope::None => Believed::RootAnd(runner.account.uid().as_raw()),
        Downscope::Setuid => Believed::Root,
    };
    exchangeable(dir, meta, believed)
}

/// The same, as long as these are believed.
pub(super) fn exchangeable(dir: &Path, meta: &fs::Metadata, believed: Believed) -> Option<String> {
    let (shown, uid) = (dir.display(), meta.uid());
    Some(match exchanger(uid, meta.mode(), believed)? {
        Exchanger::Everybody => format!("everybody can replace what is in {shown}, which is not sticky; {PLACE}"),
        Exchanger::Owner => format!("{shown} belongs to uid {uid}, who can replace what is in it; {PLACE}"),
        Exchanger::Group => format!(
            "the group of {shown} can replace what is in it, and it is not sticky; {PLACE}; or trust such groups in jobs.data_dir_group_writable"
        ),
    })
}

/// They are compared with real paths.
fn group_writable(jobs: &JobSettings, findings: &mut Findings) {
    let what = "jobs.data_dir_group_writable";
    for listed in &jobs.data_dir_group_writable {
        let shown = listed.display();
        match fs::canonicalize(listed) {
            Ok(real) if real == *listed => findings.ok(
                what,
                format!("whoever may write to a directory below {shown} can become the accounts whose jobs work there"),
            ),
            Ok(real) => findings.warning(
                what,
                format!("{shown} is reached through a link and so admits nothing: write {}", real.display()),
            ),
            Err(error) => findings.warning(what, format!("{shown} {}, and so admits nothing", plain(&error))),
        }
    }
}
