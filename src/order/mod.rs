//! What the privileged side and its worker say to each other, as data. Made from decisions; checked by nobody but tests, since nothing
//! in it grants anything: the worker has the rights of the job's account, and no others.

pub mod completion;
pub mod directories;
pub mod frames;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys::call::Call;
use crate::sys::spawn::{NewPrivileges, ProfileOutput};
use directories::Directories;

/// One order to a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Run a script, which follows in a frame of its own.
    Run(RunOrder),
    /// Have a batch scheduler run a script, which follows in a frame of its own.
    Batch(BatchOrder),
    /// Leave nothing behind.
    CleanUp(CleanUpOrder),
}

/// Run a script.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunOrder {
    /// Directories to make if they are missing, and to judge in any case, in this order.
    pub directories: Vec<PathBuf>,
    /// At and below these, directories above the job's may be writable by their group: `jobs.data_dir_group_writable`.
    pub group_writable: Vec<PathBuf>,
    /// Up to here nothing is made: directories above the account's own are the site's.
    pub site_dir: PathBuf,
    /// The shell's environment before a login profile adds to it.
    pub environment: BTreeMap<String, String>,
    /// Where the shell starts, if it can.
    pub start_dir: PathBuf,
    /// bash.
    pub shell_path: PathBuf,
    /// Login shell or not.
    pub shell: ShellKind,
    /// What becomes of the words of a login profile.
    pub profile_output: ProfileOutput,
    /// Whether set-user-id programs keep their effect.
    pub new_privileges: NewPrivileges,
    /// Where a token goes; the token itself follows in a frame of its own.
    pub token: Option<TokenPlace>,
}

/// Prepare files for a batch job, make calls, and watch what comes of them. The default: only make calls.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct BatchOrder {
    /// Directories to make if they are missing, and to judge in any case, in this order.
    pub directories: Vec<PathBuf>,
    /// At and below these, directories above the job's may be writable by their group: `jobs.data_dir_group_writable`.
    pub group_writable: Vec<PathBuf>,
    /// Up to here nothing is made: directories above the account's own are the site's.
    pub site_dir: PathBuf,
    /// Where wrapper and worker meet. Without it there are no files, only calls.
    pub place: Option<PathBuf>,
    /// What the wrapper has to know, for a job that is not submitted yet: shell assignments.
    pub settings: Option<String>,
    /// The name of the directory of this run, below `place`. Without one nothing is run yet.
    pub run: Option<String>,
    /// The file below `place` that the scheduler itself writes to.
    pub scheduler_output: String,
    /// Where a token goes; it follows when the job runs.
    pub token: Option<TokenPlace>,
    /// How long a file system may take to show the end of the output.
    pub output_timeout: Duration,
    /// What is called when the stage is gone without a word.
    pub on_loss: Vec<Call>,
}

/// Where a token goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenPlace {
    /// The file, in a directory of 0700 that is for the token alone.
    pub file: PathBuf,
    /// The variable.
    pub variable: String,
}

/// Leave nothing behind.
#[derive(Debug, Serialize, Deserialize)]
pub struct CleanUpOrder {
    /// Processes with this value of `runner::SESSION_VARIABLE` end.
    pub session: String,
    /// The account's data directory.
    pub data: PathBuf,
    /// At and below these, directories above the job's may be writable by their group: `jobs.data_dir_group_writable`.
    pub group_writable: Vec<PathBuf>,
    /// Directories that go, whatever is in them. All are below `data`.
    pub remove: Vec<PathBuf>,
}

impl TokenPlace {
    /// In a job's own directory.
    pub fn new(directories: &Directories, variable: &str) -> Self {
        Self { file: directories.token().join("token"), variable: variable.to_owned() }
    }
}

/// Which environment the script finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShellKind {
    /// That of a person who has logged in: /etc/profile and the account's own.
    Login,
    /// The bare minimum.
    Plain,
}
