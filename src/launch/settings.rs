//! `[jobs]`: how jobs run.

pub mod limits;
pub mod manual;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::limits::JobLimits;
use crate::config::values::{self, Template};
use crate::config::{Placed, Section};
use crate::order::ShellKind;
use crate::scheduler::SchedulerKind;
use crate::scheduler::known::kinds;
use crate::sys::spawn::NewPrivileges;
use limits::{JobsOf, read_limits};

/// How far this driver goes in becoming the job's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downscope {
    /// It changes user: it is root, or has the capabilities.
    Setuid,
    /// It stays who it is: one user's own runner.
    None,
}

/// What runs the user's script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// A shell on this machine.
    Shell,
    /// Jobs of this batch scheduler, for the stages that its section names; a shell on this machine for the others.
    Batch(SchedulerKind),
}

/// What is done about a job that asks for what has no effect here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutEffect {
    /// It runs, and its log says so.
    Warn,
    /// It does not run.
    Refuse,
}

/// `[jobs]`
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// How the driver becomes the job's account.
    pub downscope: Downscope,
    /// What runs the script.
    pub executor: Executor,
    /// Root of everything that a job writes, in the account's own terms.
    pub data_dir: Template,
    /// At and below these, directories above `data_dir` may be writable by their group, and belong to anybody.
    pub data_dir_group_writable: Vec<PathBuf>,
    /// Between SIGTERM and SIGKILL.
    pub kill_timeout: Duration,
    /// Jobs with `image:`.
    pub image: WithoutEffect,
    /// Jobs with `services:`.
    pub services: WithoutEffect,
    /// The site's words at the start of each job.
    pub message: Option<String>,
    /// Login shell or not.
    pub shell: ShellKind,
    /// Path of bash.
    pub shell_path: PathBuf,
    /// Where the driver keeps what it knows of running jobs; only the driver's account may read it.
    pub state_dir: Template,
    /// Variables that every job gets, before its login profile runs.
    pub environment: BTreeMap<String, String>,
    /// Directories of commands that come before all others, also those of a login profile.
    pub path_prepend: Vec<PathBuf>,
    /// Whether set-user-id programs keep their effect in jobs.
    pub new_privileges: NewPrivileges,
    /// What the processes of one job may use together.
    pub limits: JobLimits,
}

impl JobSettings {
    /// The part of an account's `data_dir` that is not its own, and so is the site's to make. One user's own runner has nobody
    /// to share with.
    pub fn above_own(&self, home: &Path) -> PathBuf {
        match self.downscope {
            Downscope::Setuid => self.data_dir.above_own(home),
            Downscope::None => PathBuf::from("/"),
        }
    }
}

/// Reads the section.
pub fn read_jobs(mut section: Section<'_>) -> JobSettings {
    let downscope = section
        .choice("downscope", &[("setuid", Downscope::Setuid), ("none", Downscope::None)])
        .unwrap_or(Downscope::Setuid);
    let mut executors = vec![("shell", Executor::Shell)];
    executors.extend(kinds().map(|kind| (kind.word(), Executor::Batch(kind))));
    let executor = section.choice("executor", &executors).unwrap_or(Executor::Shell);
    let data_dir = section.parsed("data_dir", |text| below_home(text, ".motmot"));
    let data_dir_group_writable = section.parsed_each("data_dir_group_writable", real_path);
    // The runner gives up on a stage 300 s after it asked it to end, and then cleans up beside it.
    let kill_timeout =
        section.duration_up_to("kill_timeout", 3, "the runner waits no longer than 5m for a stage to end");
    let mut without_effect = |key| {
        let choices = [("warn", WithoutEffect::Warn), ("refuse", WithoutEffect::Refuse)];
        section.choice(key, &choices).unwrap_or(WithoutEffect::Warn)
    };
    let (image, services) = (without_effect("image"), without_effect("services"));
    let message = section.string("message").map(Placed::into_value);
    let login_shell = section.boolean("login_shell").unwrap_or(true);
    let shell_path = section.parsed("shell_path", bash);
    let state_dir = section.parsed("state_dir", |text| below_home(text, ".local/state/motmot"));
    let no_new_privileges = section.boolean("no_new_privs").unwrap_or(false);
    let environment = read_environment(&mut section);
    let path_prepend = section.parsed_each("path_prepend", directory_of_commands);
    let jobs_of = if downscope == Downscope::Setuid { JobsOf::Others } else { JobsOf::Itself };
    let limits = read_limits(section.section("limits"), jobs_of);
    section.finish();
    JobSettings {
        downscope,
        executor,
        data_dir: data_dir.unwrap_or_else(|| Template::known("{home}/.motmot")),
        data_dir_group_writable: data_dir_group_writable.unwrap_or_default(),
        kill_timeout: kill_timeout.unwrap_or(Duration::from_mins(1)),
        image,
        services,
        message,
        shell: if login_shell { ShellKind::Login } else { ShellKind::Plain },
        shell_path: shell_path.unwrap_or_else(|| PathBuf::from("/bin/bash")),
        state_dir: state_dir.unwrap_or_else(|| default_state_dir(downscope, executor)),
        environment,
        path_prepend: path_prepend.unwrap_or_default(),
        new_privileges: if no_new_privileges { NewPrivileges::Denied } else { NewPrivileges::Allowed },
        limits,
    }
}

/// Compared with paths that no link is in any more.
fn real_path(text: &str) -> Result<PathBuf, String> {
    let path = values::absolute_path(text)?;
    if path == Path::new("/") {
        return Err("must not be \"/\": name the directories that have such groups".to_owned());
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("must not contain \"..\": {text:?}"));
    }
    Ok(path)
}

/// One entry of `PATH`.
fn directory_of_commands(text: &str) -> Result<PathBuf, String> {
    let path = values::absolute_path(text)?;
    if text.contains(':') {
        return Err(format!("must be one directory, since \":\" separates them in PATH: {text:?}; write a list"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("must not contain \"..\": {text:?}"));
    }
    Ok(path)
}

/// A directory that is made private (mode 0700) must not be a home directory, which may be meant to be open.
fn below_home(text: &str, example: &str) -> Result<Template, String> {
    if text.split('/').all(|part| matches!(part, "{home}" | "." | "")) && text.starts_with("{home}") {
        return Err(format!(
            "must not be the home directory itself, which would be closed to others; write \"{{home}}/{example}\""
        ));
    }
    Template::parse(text)
}

/// The runner's scripts and our own are bash's. By its name, since what it is is only known to whoever executes it; `rbash` is
/// none that could run them.
fn bash(text: &str) -> Result<PathBuf, String> {
    let path = values::absolute_path(text)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("bash") && !text.ends_with('/') {
        return Ok(path);
    }
    Err(format!("must be a bash, since the scripts of jobs are written for it: {text:?}; write \"/bin/bash\""))
}

/// Variables that every job gets from the driver, whatever the site says.
const OWN_VARIABLES: [&str; 5] = ["HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"];

fn read_environment(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    for (name, Placed { value, place }) in section.string_map("environment") {
        if let Err(why) = values::variable_name(&name) {
            section.problem(&place, format!("`jobs.environment.{name}` {why}"));
        } else if value.contains('\0') {
            section.problem(&place, format!("`jobs.environment.{name}` contains a NUL character"));
        } else if OWN_VARIABLES.contains(&name.as_str()) || name.starts_with("MOTMOT_") {
            section
                .problem(&place, format!("`jobs.environment.{name}` has no effect: motmot itself sets it in each job"));
        }
        environment.insert(name, value);
    }
    environment
}

fn default_state_dir(downscope: Downscope, executor: Executor) -> Template {
    Template::known(match (downscope, executor) {
        (Downscope::Setuid, Executor::Shell) => "/run/motmot",
        // Batch jobs survive a reboot of this machine. What is needed to cancel them must, too.
        (Downscope::Setuid, Executor::Batch(_)) => "/var/lib/motmot",
        (Downscope::None, _) => "{home}/.local/state/motmot",
    })
}

#[cfg(test)]
mod tests;
