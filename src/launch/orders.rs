//! Orders to a worker, made from decisions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::settings::JobSettings;
use crate::order::directories::Directories;
use crate::order::{RunOrder, ShellKind, TokenPlace};
use crate::policy::Account;
use crate::runner::SESSION_VARIABLE;
use crate::scheduler::Requeue;
use crate::sys::call::quoted;
use crate::sys::spawn::ProfileOutput;

/// `PATH` of a job before its login profile, unless the site sets another.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

impl RunOrder {
    /// A run of a script as `account`.
    pub fn new(
        account: &Account,
        jobs: &JobSettings,
        directories: &Directories,
        session: &str,
        profile_output: ProfileOutput,
    ) -> Self {
        Self {
            directories: directories.all(),
            group_writable: jobs.data_dir_group_writable.clone(),
            site_dir: jobs.above_own(account.home()),
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
    jobs: &JobSettings,
    directories: &Directories,
    session: &str,
    token: Option<(&TokenPlace, Duration)>,
    scripts: Scripts,
    requeue: Requeue,
) -> String {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let word = |yes| if yes { "yes" } else { "no" }.to_owned();
    let lines: [(&str, String); 8] = [
        ("motmot_again", if requeue == Requeue::Allowed { "allowed" } else { "never" }.to_owned()),
        ("motmot_many", word(scripts == Scripts::Many)),
        ("motmot_shell", path(&jobs.shell_path)),
        ("motmot_login", word(jobs.shell == ShellKind::Login)),
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
fn environment(
    account: &Account,
    jobs: &JobSettings,
    directories: &Directories,
    session: &str,
) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    environment.extend(jobs.environment.clone());
    environment.extend(who(account, session));
    environment.insert("TMPDIR".to_owned(), directories.temp().to_string_lossy().into_owned());
    // The launcher puts it before what a profile says.
    let prepend: Vec<_> = jobs.path_prepend.iter().map(|dir| dir.to_string_lossy()).collect();
    environment.insert("MOTMOT_PATH_PREPEND".to_owned(), prepend.join(":"));
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
