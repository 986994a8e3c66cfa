//! Where jobs find their commands.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::findings::{Findings, plain};
use super::jobs::is_executable;
use super::runner::Runner;
use crate::launch::orders::DEFAULT_PATH;
use crate::launch::settings::{Downscope, JobSettings};
use crate::sys::exchange::{Believed, Exchanger, adder, exchanger};

/// The directories that the site puts first, and what the runner's scripts call.
pub(super) fn judge(jobs: &JobSettings, runner: &Runner, findings: &mut Findings) {
    for dir in &jobs.path_prepend {
        findings.judged("jobs.path_prepend", judge_directory(dir, jobs, runner));
    }
    for command in ["git", "gitlab-runner"] {
        if !search_path(jobs).iter().any(|dir| is_executable(&dir.join(command))) {
            let lost =
                if command == "git" { "jobs cannot fetch their sources" } else { "jobs have no caches or artifacts" };
            let searched: Vec<_> = search_path(jobs).iter().map(|dir| dir.display().to_string()).collect();
            findings.warning(
                command,
                format!(
                    "is not in {}; unless it is on each account's own PATH, {lost}: install it, or name its directory in jobs.path_prepend",
                    searched.join(":")
                ),
            );
        }
    }
    step_runner(jobs, findings);
}

/// For jobs with the keyword `run:`, which the runner makes a call of this program. No other job needs it, so its absence is no
/// fault.
fn step_runner(jobs: &JobSettings, findings: &mut Findings) {
    let program = "step-runner";
    let dirs = search_path(jobs);
    let searched: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    let found = dirs.iter().map(|dir| dir.join(program)).find(|path| is_executable(path));
    findings.ok(
        program,
        found.map_or_else(
            || {
                format!(
                    "is not in {}: jobs with run: fail unless it is on their account's own PATH; no other job needs it",
                    searched.join(":")
                )
            },
            |path| format!("{}, for jobs with run:", path.display()),
        ),
    );
}

/// `PATH` of a job whose profile adds nothing. What `jobs.environment` says is the profile's to change.
fn search_path(jobs: &JobSettings) -> Vec<PathBuf> {
    let set = jobs.environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let set = set.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from);
    jobs.path_prepend.iter().cloned().chain(set).collect()
}

/// Whoever can put a program there has it run by every job, as that job's account.
fn judge_directory(dir: &Path, jobs: &JobSettings, runner: &Runner) -> Result<String, String> {
    let shown = dir.display();
    let meta = fs::metadata(dir).map_err(|error| {
        format!("{shown} {}, and so has no commands for jobs; take it out, or make it", plain(&error))
    })?;
    if !meta.is_dir() {
        return Err(format!("{shown} is not a directory; name the one that the commands are in"));
    }
    if meta.mode() & 0o001 == 0 && jobs.downscope == Downscope::Setuid {
        return Err(format!(
            "{shown} (mode {:04o}) is closed to the accounts of jobs; name one that is not",
            meta.mode() & 0o7777
        ));
    }
    // Where links lead.
    let real = fs::canonicalize(dir).map_err(|error| format!("{shown}: {}", plain(&error)))?;
    for above in real.ancestors() {
        let meta = fs::metadata(above).map_err(|error| format!("{}: {}", above.display(), plain(&error)))?;
        if let Some(who) = who_can_change(above == real, &meta, jobs, runner) {
            let what = if above == real {
                "put commands there".to_owned()
            } else {
                format!("replace what is in {}", above.display())
            };
            return Err(format!(
                "{shown}: {who} can {what}, which every job would then run; name a directory that nobody but root can change, with all above it"
            ));
        }
    }
    let has: Vec<_> =
        ["git", "gitlab-runner"].into_iter().filter(|command| is_executable(&dir.join(command))).collect();
    Ok(if has.is_empty() { shown.to_string() } else { format!("{shown} (has {})", has.join(" and ")) })
}

/// Who, other than root and a runner's one user. In a sticky directory names stay their owners', but everybody can add some.
fn who_can_change(itself: bool, meta: &fs::Metadata, jobs: &JobSettings, runner: &Runner) -> Option<String> {
    let judge = if itself { adder } else { exchanger };
    let believed = match jobs.downscope {
        Downscope::None => Believed::RootAnd(runner.account.uid().as_raw()),
        Downscope::Setuid => Believed::Root,
    };
    Some(match judge(meta.uid(), meta.mode(), believed)? {
        Exchanger::Owner => format!("uid {}", meta.uid()),
        Exchanger::Everybody => "everybody".to_owned(),
        Exchanger::Group => "its group".to_owned(),
    })
}
