//! What a worker shall do, as plain data. Made from a decision; checked by nobody but tests, since nothing in it grants
//! anything: the worker has the rights of the job's account, and no others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batch::call::Call;
use super::batch::quoted;
use crate::config::{Jobs, Requeue, ShellKind};
use crate::policy::Account;
use crate::runner::SESSION_VARIABLE;
use crate::sys::spawn::{NewPrivileges, ProfileOutput};

/// `PATH` of a job before its login profile, unless the site sets another.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

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
    /// A directory of 0700, for the token alone.
    pub dir: PathBuf,
    /// The file in it.
    pub file: PathBuf,
    /// The variable.
    pub variable: String,
}

/// Leave nothing behind.
#[derive(Debug, Serialize, Deserialize)]
pub struct CleanUpOrder {
    /// Processes with this value of [`SESSION_VARIABLE`] end.
    pub session: String,
    /// Directories that go, whatever is in them.
    pub remove: Vec<PathBuf>,
}

/// The directories of one job, all below the account's `data_dir`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directories {
    /// `jobs.data_dir`, expanded.
    pub data: PathBuf,
    /// What the runner gets as `builds_dir`: no other job has it at the same time.
    pub builds: PathBuf,
    /// What the runner gets as `cache_dir`.
    pub cache: PathBuf,
    /// This job's own: gone after cleanup.
    pub job: PathBuf,
}

impl Directories {
    /// Lays them out. `host` keeps two login nodes apart that share a home directory, `slot` two jobs on one of them.
    pub fn lay_out(data: PathBuf, host: &str, project_id: u64, slot: u32, session: &str) -> Self {
        let builds = data.join("builds").join(host).join(project_id.to_string()).join(slot.to_string());
        Self { builds, cache: data.join("cache"), job: data.join("jobs").join(session), data }
    }

    /// All that have to exist, parents first.
    pub fn all(&self) -> Vec<PathBuf> {
        let mut all = vec![self.data.clone()];
        for leaf in [&self.builds, &self.cache, &self.temp(), &self.token()] {
            let below: Vec<&Path> = leaf.ancestors().take_while(|dir| *dir != self.data).collect();
            for dir in below.into_iter().rev() {
                if !all.iter().any(|known| known == dir) {
                    all.push(dir.to_owned());
                }
            }
        }
        all
    }

    /// `TMPDIR` of the job.
    pub fn temp(&self) -> PathBuf {
        self.job.join("tmp")
    }

    /// Directory of the token file.
    pub fn token(&self) -> PathBuf {
        self.job.join("token")
    }
}

impl RunOrder {
    /// A run of a script as `account`.
    pub fn new(
        account: &Account,
        jobs: &Jobs,
        directories: &Directories,
        session: &str,
        profile_output: ProfileOutput,
    ) -> Self {
        Self {
            directories: directories.all(),
            environment: environment(account, jobs, directories, session),
            start_dir: account.home().to_owned(),
            shell_path: jobs.shell_path.clone(),
            shell: jobs.shell,
            profile_output,
            new_privileges: jobs.new_privileges,
            token: None,
        }
    }

    /// With a token in it.
    #[must_use]
    pub fn with_token(mut self, directories: &Directories, variable: &str) -> Self {
        let place = TokenPlace::new(directories, variable);
        self.environment.insert(format!("{variable}_FILE"), place.file.to_string_lossy().into_owned());
        self.token = Some(place);
        self
    }
}

impl TokenPlace {
    /// In a job's own directory.
    pub fn new(directories: &Directories, variable: &str) -> Self {
        let dir = directories.token();
        Self { file: dir.join("token"), dir, variable: variable.to_owned() }
    }
}

/// Whether a batch job runs one script, or one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// One.
    One,
    /// Until it is cancelled.
    Many,
}

/// What the wrapper of a batch job has to know, as assignments of its shell. Not for the scheduler: it spools what it is
/// given, and the site's variables may hold the password of a proxy.
pub fn wrapper_settings(
    account: &Account,
    jobs: &Jobs,
    directories: &Directories,
    session: &str,
    token: Option<(&TokenPlace, Duration)>,
    scripts: Scripts,
    requeue: Requeue,
) -> String {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let word = |yes| if yes { "yes" } else { "no" }.to_owned();
    let lines: [(&str, String); 9] = [
        ("motmot_again", if requeue == Requeue::Allowed { "allowed" } else { "never" }.to_owned()),
        ("motmot_many", word(scripts == Scripts::Many)),
        ("motmot_shell", path(&jobs.shell_path)),
        ("motmot_login", word(jobs.shell == ShellKind::Login)),
        ("motmot_no_new_privs", word(jobs.new_privileges == NewPrivileges::Denied)),
        ("motmot_tmpdir", path(&directories.temp())),
        ("motmot_token_file", token.map_or(String::new(), |(place, _)| path(&place.file))),
        ("motmot_token_variable", token.map_or(String::new(), |(place, _)| place.variable.clone())),
        // Four in a second.
        ("motmot_token_tries", (token.map_or(0, |(_, wait)| wait.as_secs()) * 4).max(20).to_string()),
    ];
    let environment = environment(account, jobs, directories, session);
    let mut text = String::new();
    for (name, value) in lines {
        text.extend([name, "=", &quoted(&value), "\n"]);
    }
    for (name, value) in environment {
        text.extend(["export ", &name, "=", &quoted(&value), "\n"]);
    }
    text
}

/// The environment that a batch job is submitted with: enough for the wrapper to begin, and nothing that matters.
pub fn submission_environment(account: &Account, session: &str) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from(who(account, session));
    environment.insert("PATH".to_owned(), DEFAULT_PATH.to_owned());
    environment
}

/// From nothing: neither the runner's environment nor the pipeline's variables. The script sets the latter itself, as the
/// job's account, when it can do no harm any more.
fn environment(account: &Account, jobs: &Jobs, directories: &Directories, session: &str) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    environment.extend(jobs.environment.clone());
    environment.extend(who(account, session));
    environment.insert("TMPDIR".to_owned(), directories.temp().to_string_lossy().into_owned());
    environment
}

/// Whose process it is, and of which session.
fn who(account: &Account, session: &str) -> [(String, String); 5] {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    [
        ("HOME", text(account.home())),
        ("USER", account.name().to_owned()),
        ("LOGNAME", account.name().to_owned()),
        ("SHELL", text(account.shell())),
        (SESSION_VARIABLE, session.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The name of this machine in paths.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_else(|_| OsString::from("localhost"));
    let name: String = name
        .to_string_lossy()
        .chars()
        .take_while(|c| *c != '.')
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' })
        .collect();
    if name.is_empty() { "localhost".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_is_listed_after_its_parent_and_once() {
        let directories = Directories::lay_out("/home/ada/.motmot".into(), "login1", 7, 0, "101-abc");
        let all = directories.all();
        assert_eq!(all[0], Path::new("/home/ada/.motmot"));
        for (index, dir) in all.iter().enumerate().skip(1) {
            assert!(all[..index].contains(&dir.parent().expect("parent").to_owned()), "{dir:?}");
            assert!(!all[..index].contains(dir), "{dir:?}");
        }
        assert!(all.contains(&PathBuf::from("/home/ada/.motmot/builds/login1/7/0")));
    }

    #[test]
    fn two_jobs_of_a_project_get_two_working_directories() {
        let lay_out = |host, slot| Directories::lay_out("/d".into(), host, 7, slot, "s").builds;
        assert_ne!(lay_out("a", 0), lay_out("a", 1));
        assert_ne!(lay_out("a", 0), lay_out("b", 0), "login nodes share home directories");
    }
}
