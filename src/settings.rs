//! The settings: one TOML file, read, checked, and put together from each room's own section.
//!
//! Unknown keys are errors, and all problems are told at once with their places. The file decides who may become whom, so
//! it is believed only if nobody but root (or, for one user's own runner, that user) could have written it.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::config::ConfigError;
use crate::config::reader::{Problems, Section};
use crate::evidence::settings::{GitLab, read_gitlab};
use crate::launch::settings::{Downscope, Executor, Jobs, read_jobs};
use crate::policy::settings::{AccountLimits, MapRule, read_accounts, read_rule};
use crate::report::settings::{LogSettings, read_log};
use crate::report::{FailureKind, Fault};
use crate::scheduler::batch::Batch;
use crate::scheduler::known::{Schedulers, read_schedulers};
use crate::sys::files::{Owner, Secrecy, Trust, read_trusted};
use crate::sys::privilege::can_change_user;
use crate::token::settings::{TokenSection, read_token};

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
    /// The section of each batch scheduler: how jobs are submitted, where they are.
    pub schedulers: Schedulers,
    /// `[log]`.
    pub log: LogSettings,
}

impl Fault for ConfigError {
    /// The site's: no pipeline author can mend it.
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn for_author(&self) -> String {
        format!("the configuration of this runner's driver is not usable; its administrators have to mend it\n{self}")
    }
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

    /// The batch scheduler that jobs go to, if any.
    pub fn batch(&self) -> Option<&dyn Batch> {
        match self.jobs.executor {
            Executor::Shell => None,
            Executor::Batch(kind) => self.schedulers.get(kind),
        }
    }

    /// The one to ask about jobs that a session has left. Where jobs run in a shell, the executor may have been another one
    /// when they were submitted, and its section says how to reach them still.
    pub fn batch_of_left_jobs(&self) -> &dyn Batch {
        self.batch().unwrap_or_else(|| self.schedulers.first())
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
    let schedulers = read_schedulers(&mut root, text);
    let log = read_log(root.section("log"), default_log(jobs.downscope));
    root.finish();
    let map = map.into_iter().collect::<Option<_>>()?;
    Some(Settings { gitlab: gitlab?, jobs, token: token?, accounts, map, schedulers, log })
}

/// One user's own runner keeps none unless it is told to.
fn default_log(downscope: Downscope) -> Option<PathBuf> {
    (downscope == Downscope::Setuid).then(|| PathBuf::from("/var/log/motmot/audit.log"))
}

#[cfg(test)]
mod tests;
