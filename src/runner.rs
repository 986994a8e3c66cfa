//! GitLab Runner's side of the contract: what it passes to a stage, and what it makes of the exit code.
//!
//! Only the un-prefixed variables are read here. They come from the runner's own environment, from the runner's code and
//! from what our config stage answered; a pipeline author can set `CUSTOM_ENV_*` names only.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::report::{FailureKind, Fault};
use crate::sys::atomic::{self, Kind};

/// The name of the runner's process.
pub const PROCESS_NAME: &str = "gitlab-runner";

/// Name of the variable in `job_env` that leads later stages to their session.
pub const SESSION_VARIABLE: &str = "MOTMOT_SESSION";
/// Name of the variable that says where the job's payload is.
pub const JOB_RESPONSE_FILE: &str = "JOB_RESPONSE_FILE";

/// The script of a job under the names that it has as a sub-stage: in old versions of GitLab Runner, and in newer ones, in
/// which it is one of several steps.
pub const SCRIPT_NAMES: [&str; 2] = ["build_script", "step_script"];

/// Everything that the author of a job has written as its script, steps such as `release:` included, as a site writes it
/// down: names, or with `*` what they begin with. Not `after_script`, which comes behind it.
pub const SCRIPT_PATTERNS: [&str; 2] = ["build_script", "step_*"];

/// The name of a sub-stage, as the runner passes it to `run_exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubStage(String);

impl SubStage {
    /// Takes any name: later runners send names that nobody knows yet, and a job must not fail for one.
    pub fn new(name: &str) -> Self {
        let name: String = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(100).collect();
        Self(if name.is_empty() { "unnamed".to_owned() } else { name })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the runner tells every stage through its environment.
#[derive(Clone, Debug)]
pub struct Contract {
    exit_code_file: Option<PathBuf>,
    job_response_file: Option<PathBuf>,
    session: Option<String>,
    temp_project_dir: Option<PathBuf>,
}

/// The only codes that a stage ever exits with, apart from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCodes {
    /// `BUILD_FAILURE_EXIT_CODE`
    pub build_failure: u8,
    /// `SYSTEM_FAILURE_EXIT_CODE`
    pub system_failure: u8,
}

impl Default for ExitCodes {
    /// What every runner so far has used.
    fn default() -> Self {
        Self { build_failure: 1, system_failure: 2 }
    }
}

impl ExitCodes {
    /// Reads them from a variable look-up.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let code = |name: &str, default: u8| {
            lookup(name).and_then(|value| value.to_str()?.parse().ok()).filter(|code| *code != 0).unwrap_or(default)
        };
        let default = Self::default();
        Self {
            build_failure: code("BUILD_FAILURE_EXIT_CODE", default.build_failure),
            system_failure: code("SYSTEM_FAILURE_EXIT_CODE", default.system_failure),
        }
    }

    /// The code for a kind of failure.
    pub fn of(self, kind: FailureKind) -> u8 {
        match kind {
            FailureKind::Build => self.build_failure,
            FailureKind::System => self.system_failure,
        }
    }
}

/// The runner did not keep its side of the contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// No payload, no evidence.
    #[error(
        "the variable JOB_RESPONSE_FILE is not set; this program is a stage of a GitLab Runner custom executor (14.1 or later)"
    )]
    NoJobResponse,
    /// A run stage without the session of its config stage.
    #[error(
        "the variable {SESSION_VARIABLE} is not set: `config_exec` has to be motmot-config, and has to have succeeded"
    )]
    NoSession,
}

impl Fault for ContractError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

impl Contract {
    /// Reads the environment of this process.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Reads from any look-up; for tests.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            exit_code_file: path("BUILD_EXIT_CODE_FILE").filter(|path| path.is_absolute()),
            job_response_file: path(JOB_RESPONSE_FILE),
            session: lookup(SESSION_VARIABLE)
                .and_then(|value| value.into_string().ok())
                .filter(|value| !value.is_empty()),
            // The runner sets this one itself, after all of the author's variables, so that nobody else decides it. It is
            // used by a worker only, as the job's account.
            temp_project_dir: path("CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR").filter(|path| path.is_absolute()),
        }
    }

    /// `JOB_RESPONSE_FILE`
    pub fn job_response_file(&self) -> Result<&Path, ContractError> {
        self.job_response_file.as_deref().ok_or(ContractError::NoJobResponse)
    }

    /// The session's name from `job_env`.
    pub fn session(&self) -> Result<&str, ContractError> {
        self.session.as_deref().ok_or(ContractError::NoSession)
    }

    /// `RUNNER_TEMP_PROJECT_DIR`: where file-type variables are; final from the prepare stage on.
    pub fn temp_project_dir(&self) -> Option<&Path> {
        self.temp_project_dir.as_deref()
    }

    /// Removes an exit code that an earlier stage has left: the runner reads the file after any failing stage, and never
    /// clears it itself.
    pub fn clear_exit_code(&self) {
        if let Some(file) = &self.exit_code_file {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Writes the script's exit code for the runner (17.9 and later), complete or not at all: a file that it can't parse
    /// turns the failure into one of the site.
    pub fn write_exit_code(&self, code: u8) -> io::Result<()> {
        let Some(file) = &self.exit_code_file else { return Ok(()) };
        atomic::replace(file, format!("{code}\n").as_bytes(), Kind::Passing)
    }
}

/// Whether a variable is one that the runner, or our own config stage, gives a stage for its job.
pub fn is_of_a_job(name: &OsStr) -> bool {
    const PREFIX: &[u8] = b"CUSTOM_ENV_";
    let own = [
        SESSION_VARIABLE,
        "BUILD_EXIT_CODE_FILE",
        "BUILD_FAILURE_EXIT_CODE",
        JOB_RESPONSE_FILE,
        "SYSTEM_FAILURE_EXIT_CODE",
        "TMPDIR",
    ];
    name.as_bytes().starts_with(PREFIX) || own.iter().any(|own| name == OsStr::new(own))
}

/// Whether the pipeline's own variables define `name`, as seen in the prefixed environment of a stage.
pub fn job_defines_variable(name: &str) -> bool {
    std::env::vars_os().any(|(key, _)| key.as_bytes().strip_prefix(b"CUSTOM_ENV_") == Some(name.as_bytes()))
}

/// A variable of the pipeline, by its own name. Its author has written it: it may be asked for, never believed.
pub fn job_variable(name: &str) -> Option<String> {
    let value = std::env::var_os(format!("CUSTOM_ENV_{name}"))?;
    Some(value.to_string_lossy().into_owned()).filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(vars: &[(&str, &str)], name: &str) -> Option<OsString> {
        vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    fn contract(vars: &[(&str, &str)]) -> Contract {
        Contract::from_lookup(|name| look_up(vars, name))
    }

    #[test]
    fn exit_codes_come_from_the_runner_and_have_defaults() {
        let codes = |vars: &[(&str, &str)]| ExitCodes::from_lookup(|name| look_up(vars, name));
        assert_eq!(codes(&[]), ExitCodes { build_failure: 1, system_failure: 2 });
        let own = codes(&[("BUILD_FAILURE_EXIT_CODE", "10"), ("SYSTEM_FAILURE_EXIT_CODE", "20")]);
        assert_eq!(own, ExitCodes { build_failure: 10, system_failure: 20 });
        let odd = codes(&[("BUILD_FAILURE_EXIT_CODE", "0"), ("SYSTEM_FAILURE_EXIT_CODE", "x")]);
        assert_eq!(odd, ExitCodes::default(), "a failure must never exit with 0");
    }

    #[test]
    fn the_exit_code_file_is_one_number_and_a_newline_and_can_be_absent() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("build_exit_code");
        std::fs::write(&file, "99\n").expect("write");
        let contract = contract(&[("BUILD_EXIT_CODE_FILE", file.to_str().expect("utf-8"))]);
        contract.clear_exit_code();
        assert!(!file.exists());
        contract.write_exit_code(7).expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "7\n");
        assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 1, "no temporary file is left");
        Contract::from_lookup(|_| None).write_exit_code(7).expect("runners before 17.9 have no such file");
    }

    #[test]
    fn no_prefixed_variable_passes_for_a_contract_variable() {
        let contract = contract(&[("CUSTOM_ENV_MOTMOT_SESSION", "x"), ("CUSTOM_ENV_JOB_RESPONSE_FILE", "/x")]);
        assert!(contract.session().is_err() && contract.job_response_file().is_err());
    }
}
