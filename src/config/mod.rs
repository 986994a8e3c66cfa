//! The settings: one TOML file, read, checked, and turned into types that need no further checks.
//!
//! Unknown keys are errors, and all problems are told at once with their places. The file decides who may become whom, so
//! it is believed only if nobody but root (or, for one user's own runner, that user) could have written it.

mod problems;
mod reader;
mod slurm;
mod ttl;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

pub use problems::{ConfigError, Problem, line_and_column};
pub use slurm::{
    Allocation, Combined, Limit, Limits, OptionError, Refused, Requeue, Slurm, SlurmOptions, StagePattern,
};
pub use ttl::{Ttl, TtlError};
pub use values::{BaseUrl, Issuer, Template};

use crate::sys::files::{Owner, Secrecy, Trust, read_trusted};
use crate::sys::privilege::can_change_user;
use crate::sys::spawn::NewPrivileges;
use reader::{Problems, Section};

/// Where the file is unless `--config` or `MOTMOT_CONFIG` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/motmot/config.toml";

/// Largest file that is read.
const MAX_BYTES: usize = 4 << 20;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[gitlab]`: whom we ask who a job is.
    pub gitlab: GitLab,
    /// `[jobs]`: how jobs run.
    pub jobs: Jobs,
    /// `[token]`: what tokens say. Without the section jobs get none.
    pub token: Option<TokenSection>,
    /// `[accounts]`: limits that no rule can lift.
    pub accounts: AccountLimits,
    /// `[[map]]`: the rules, in order.
    pub map: Vec<MapRule>,
    /// `[slurm]`: how Slurm jobs are submitted, where they are.
    pub slurm: Slurm,
    /// `[log]`.
    pub log: LogSettings,
}

/// `[gitlab]`
#[derive(Clone, Debug)]
pub struct GitLab {
    /// Address of the GitLab that this runner belongs to. Never taken from a job.
    pub url: BaseUrl,
    /// Certificates (PEM) that its TLS certificate must lead to; otherwise the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time for one question to it.
    pub timeout: Duration,
}

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
    /// Slurm jobs, for the stages that `slurm.stages` names; a shell on this machine for the others.
    Slurm,
}

/// Which environment the script finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShellKind {
    /// That of a person who has logged in: /etc/profile and the account's own.
    Login,
    /// The bare minimum.
    Plain,
}

/// `[jobs]`
#[derive(Clone, Debug)]
pub struct Jobs {
    /// How the driver becomes the job's account.
    pub downscope: Downscope,
    /// What runs the script.
    pub executor: Executor,
    /// Root of everything that a job writes, in the account's own terms.
    pub data_dir: Template,
    /// Between SIGTERM and SIGKILL.
    pub kill_timeout: Duration,
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
    /// Whether set-user-id programs keep their effect in jobs.
    pub new_privileges: NewPrivileges,
}

/// `[token]`
#[derive(Clone, Debug)]
pub struct TokenSection {
    /// `iss`
    pub issuer: Issuer,
    /// `aud`
    pub audience: String,
    /// Life of one token.
    pub ttl: Ttl,
    /// Directory of the signing keys.
    pub keys: PathBuf,
    /// Name of the variable that carries the token; the file's variable has `_FILE` behind it.
    pub variable: String,
    /// `hpc.site`
    pub site: Option<String>,
    /// `hpc.cluster`
    pub cluster: Option<String>,
}

/// `[accounts]`
#[derive(Clone, Debug)]
pub struct AccountLimits {
    /// Accounts below this number are refused.
    pub min_uid: u32,
    /// Accounts that nobody becomes.
    pub deny_users: Vec<String>,
    /// Nobody becomes a member of these.
    pub deny_groups: Vec<String>,
    /// Login shells that an account must have one of; empty: any but `nologin` and `false`.
    pub shells: Vec<PathBuf>,
}

/// One `[[map]]` rule.
#[derive(Clone, Debug)]
pub struct MapRule {
    /// What the admin calls it.
    pub name: Option<String>,
    /// Line of the file where it begins, from 1.
    pub line: usize,
    /// Conditions; all must hold. None: always.
    pub when: When,
    /// The account.
    pub run_as: RunAs,
    /// Options for sbatch that jobs under this rule cannot change.
    pub slurm: SlurmOptions,
}

/// Conditions of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// GitLab login name, exactly.
    pub user: Option<String>,
    /// GitLab user number.
    pub user_id: Option<u64>,
}

/// Whom a rule maps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The local account with the name of the GitLab user.
    GitLabUser,
    /// This one.
    Account(String),
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The audit log.
    pub file: Option<PathBuf>,
}

impl Settings {
    /// Reads, judges and checks the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        // Stage binaries with capabilities run as the runner's ordinary account. Were that account's own file good enough,
        // whoever takes it over could lift every limit. Decided before the one and only read: a second look at the same
        // path can be shown another file.
        let owner = if can_change_user() { Owner::Root } else { Owner::RootOrSelf };
        let trust = Trust { owner, secrecy: Secrecy::Public };
        let bytes = read_trusted(path, trust, MAX_BYTES).map_err(|error| ConfigError::Untrusted(Box::new(error)))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| ConfigError::Untrusted(format!("{} is not UTF-8: {error}", path.display()).into()))?;
        Self::parse(path, &text)
    }

    /// Checks the text of a configuration; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let problems = Problems::default();
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            problems.add(error.span().unwrap_or(0..0), error.message().trim_end(), None);
        }
        let settings = if errors.is_empty() { read(Section::root(&table, &problems), text) } else { None };
        let problems = problems.into_sorted();
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(ConfigError::Invalid { path: path.to_owned(), text: text.to_owned(), problems }),
        }
    }
}

fn read(mut root: Section<'_>, text: &str) -> Option<Settings> {
    let gitlab = read_gitlab(root.section("gitlab"));
    let jobs = read_jobs(root.section("jobs"));
    let token = root.section("token");
    let token = if token.is_present() { read_token(token).map(Some) } else { Some(None) };
    let accounts = read_accounts(root.section("accounts"));
    let map = root.tables("map").into_iter().map(|section| read_rule(section, text)).collect::<Vec<_>>();
    let slurm = slurm::read_slurm(root.section("slurm"), text);
    let log = read_log(root.section("log"), jobs.downscope);
    root.finish();
    let map = map.into_iter().collect::<Option<_>>()?;
    Some(Settings { gitlab: gitlab?, jobs, token: token?, accounts, map, slurm, log })
}

fn read_gitlab(mut section: Section<'_>) -> Option<GitLab> {
    if !section.is_present() {
        section.problem(
            0..0,
            "the section [gitlab] is missing",
            "add [gitlab] with url = \"https://gitlab.example.com\"".to_owned(),
        );
    }
    let url = section
        .required_string("url", "\"https://gitlab.example.com\"")
        .and_then(|at| section.checked(at, "url", BaseUrl::parse));
    // One value today; others follow, and the key is here so that a config can say what it relies on.
    section.choice("identity", &[("job-api", ())]);
    let ca_file = section.parsed("ca_file", values::absolute_path);
    let timeout = section.duration("timeout");
    if let Some(at) = &timeout
        && at.value > Duration::from_mins(1)
    {
        section.problem(at.span.clone(), "`gitlab.timeout` must be 1m or less: the runner waits meanwhile", None);
    }
    section.finish();
    Some(GitLab { url: url?, ca_file, timeout: timeout.map_or(Duration::from_secs(10), |at| at.value) })
}

fn read_jobs(mut section: Section<'_>) -> Jobs {
    /// The runner gives up on a stage 300 s after it asked it to end, and then cleans up beside it.
    const LONGEST_KILL: Duration = Duration::from_mins(3);
    let downscope = section
        .choice("downscope", &[("setuid", Downscope::Setuid), ("none", Downscope::None)])
        .unwrap_or(Downscope::Setuid);
    let executor = section
        .choice("executor", &[("shell", Executor::Shell), ("slurm", Executor::Slurm)])
        .unwrap_or(Executor::Shell);
    let data_dir = section.parsed("data_dir", Template::parse);
    let kill_timeout = section.duration("kill_timeout");
    if let Some(at) = &kill_timeout
        && at.value > LONGEST_KILL
    {
        section.problem(
            at.span.clone(),
            "`jobs.kill_timeout` must be 3m or less: the runner waits no longer than 5m for a stage to end",
            None,
        );
    }
    let message = section.string("message").map(|at| at.value);
    let shell = section
        .boolean("login_shell")
        .map_or(ShellKind::Login, |login| if login { ShellKind::Login } else { ShellKind::Plain });
    let shell_path = section.parsed("shell_path", values::absolute_path).unwrap_or_else(|| PathBuf::from("/bin/bash"));
    let state_dir = section.parsed("state_dir", Template::parse);
    let no_new_privileges = section.boolean("no_new_privs").unwrap_or(false);
    let mut environment = BTreeMap::new();
    for (name, at) in section.string_map("environment") {
        if let Err(why) = values::variable_name(&name) {
            section.problem(at.span.clone(), format!("`jobs.environment.{name}` {why}"), None);
        } else if at.value.contains('\0') {
            section.problem(at.span.clone(), format!("`jobs.environment.{name}` contains a NUL character"), None);
        }
        environment.insert(name, at.value);
    }
    section.finish();
    let state_default = match (downscope, executor) {
        (Downscope::Setuid, Executor::Shell) => "/run/motmot",
        // Slurm jobs survive a reboot of this machine. What is needed to cancel them must, too.
        (Downscope::Setuid, Executor::Slurm) => "/var/lib/motmot",
        (Downscope::None, _) => "{home}/.local/state/motmot",
    };
    Jobs {
        downscope,
        executor,
        data_dir: data_dir.unwrap_or_else(|| Template::known("{home}/.motmot")),
        kill_timeout: kill_timeout.map_or(Duration::from_mins(1), |at| at.value),
        message,
        shell,
        shell_path,
        state_dir: state_dir.unwrap_or_else(|| Template::known(state_default)),
        environment,
        new_privileges: if no_new_privileges { NewPrivileges::Denied } else { NewPrivileges::Allowed },
    }
}

fn read_token(mut section: Section<'_>) -> Option<TokenSection> {
    let issuer = section
        .required_string("issuer", "\"https://ci.hpc.example\"")
        .and_then(|at| section.checked(at, "issuer", Issuer::parse));
    let audience = section
        .required_string("audience", "\"https://hpc.example\"")
        .and_then(|at| section.checked(at, "audience", values::visible_text));
    let ttl = section.duration("ttl").and_then(|at| {
        let span = at.span.clone();
        let life = jiff::SignedDuration::try_from(at.value).unwrap_or(jiff::SignedDuration::MAX);
        Ttl::new(life).map_err(|error| section.problem(span, format!("`token.ttl`: {error}"), None)).ok()
    });
    let keys = section.parsed("keys", values::absolute_path);
    let variable = section.parsed("variable", |text| values::variable_name(text).map(|()| text.to_owned()));
    let site = section.parsed("site", values::visible_text);
    let cluster = section.parsed("cluster", values::visible_text);
    section.finish();
    Some(TokenSection {
        issuer: issuer?,
        audience: audience?,
        ttl: ttl.unwrap_or(Ttl::DEFAULT),
        keys: keys.unwrap_or_else(|| PathBuf::from("/etc/motmot/keys")),
        variable: variable.unwrap_or_else(|| "CI_JOB_JWT".to_owned()),
        site,
        cluster,
    })
}

fn read_accounts(mut section: Section<'_>) -> AccountLimits {
    let min_uid = section.number("min_uid");
    let number = match &min_uid {
        None => 1000,
        Some(at) => u32::try_from(at.value).ok().filter(|uid| *uid > 0).unwrap_or_else(|| {
            section.problem(
                at.span.clone(),
                "`accounts.min_uid` must be between 1 and 4294967295",
                "root is refused whatever it says".to_owned(),
            );
            1000
        }),
    };
    let deny_users = section.strings("deny_users").unwrap_or_default();
    let deny_groups = section.strings("deny_groups").unwrap_or_default();
    let shells = section.strings("shells").unwrap_or_default().into_iter().map(PathBuf::from).collect();
    section.finish();
    AccountLimits { min_uid: number, deny_users, deny_groups, shells }
}

fn read_rule(mut section: Section<'_>, text: &str) -> Option<MapRule> {
    let (line, _) = line_and_column(text, section.span().start);
    let name = section.string("name").map(|at| at.value);
    let mut when = section.section("when");
    let conditions =
        When { user: when.parsed("user", values::visible_text), user_id: when.number("user_id").map(|at| at.value) };
    when.finish();
    let run_as = section
        .required_string("run_as", "\"{gitlab_user}\"")
        .and_then(|at| section.checked(at, "run_as", values::run_as));
    let slurm = slurm::read_options(&mut section, "slurm");
    section.finish();
    Some(MapRule { name, line, when: conditions, run_as: run_as?, slurm })
}

fn read_log(mut section: Section<'_>, downscope: Downscope) -> LogSettings {
    let file = section.string("file");
    let file = match file {
        Some(at) if at.value.is_empty() => None,
        Some(at) => section.checked(at, "file", values::absolute_path),
        None => (downscope == Downscope::Setuid).then(|| PathBuf::from("/var/log/motmot/audit.log")),
    };
    section.finish();
    LogSettings { file }
}

#[cfg(test)]
mod tests;
