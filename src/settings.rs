//! The settings: one TOML file, read, checked, and put together from each room's own section.
//!
//! Unknown keys are errors, and all problems are told at once with their places. The file decides who may become whom, so
//! it is believed only if nobody but root (or, for one user's own runner, that user) could have written it.

mod include;
mod judge;
pub mod manual;
mod tested;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use include::{Include, read_include, rules_of};
use jiff::SignedDuration;
use judge::{judge_gitlab, judge_issuers, judge_terms, judge_token_terms, no_rule_needs_approvals};
use tested::{Digesting, TextDigest};
use thiserror::Error;

use crate::approval::settings::{ApprovalSettings, TokenIssuer, read_approvals};
use crate::config::{self, ConfigError, Section, Source};
use crate::evidence::settings::{GitLabSettings, read_gitlabs};
use crate::launch::settings::{Downscope, Executor, JobSettings, read_jobs};
use crate::policy::Rules;
use crate::policy::hook::settings::{HookSettings, read_hook};
use crate::policy::settings::assertions::{Assertions, Never, Test, read_never, read_test};
use crate::policy::settings::terms::{RuleExecutor, Terms};
use crate::policy::settings::{AccountLimits, MapRule, PolicySettings, Stands, read_accounts, read_policy, read_rule};
use crate::report::settings::{LogSettings, read_log};
use crate::report::{FailureKind, Fault};
use crate::scheduler::batch::Batch;
use crate::scheduler::known::{Schedulers, kinds, read_schedulers};
use crate::sys::files::TrustError;
use crate::sys::installed::read_deciding;
use crate::token::Ttl;
use crate::token::settings::{TokenSettings, read_token};

/// Where the file is unless `--config` or `MOTMOT_CONFIG` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/motmot/config.toml";

/// The file that `--config` or `MOTMOT_CONFIG` names. An empty variable is what a unit or a script forgot to fill: whether the
/// usual file is meant, nobody knows.
pub fn config_file(text: OsString) -> Result<PathBuf, &'static str> {
    if text.is_empty() {
        Err("it is empty, and so may be the variable MOTMOT_CONFIG: name a file, or unset it")
    } else {
        Ok(text.into())
    }
}

/// Largest file that is read.
const MAX_BYTES: usize = 4 << 20;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[gitlab]`: whom we ask who a job is. Of several the first, until one is chosen ([`Settings::for_gitlab`]).
    pub gitlab: GitLabSettings,
    /// All of them.
    pub gitlabs: Vec<GitLabSettings>,
    /// `[jobs]`: how jobs run.
    pub jobs: JobSettings,
    /// `[token]`: what tokens say. Without the section jobs get none.
    pub token: Option<TokenSettings>,
    /// `[accounts]`: limits that no rule can lift.
    pub accounts: AccountLimits,
    /// `[policy]`: what holds for all rules.
    pub policy: PolicySettings,
    /// `[[map]]`: the rules, in order: those of `include`, then those of the file itself. Those of the chosen GitLab, once it is.
    pub map: Vec<MapRule>,
    /// `[[test]]`, `[[never]]`: what the rules must do.
    pub assertions: Assertions,
    /// Of the texts that all of it was read from.
    pub digest: TextDigest,
    /// The section of each batch scheduler: how jobs are submitted, where they are.
    pub schedulers: Schedulers,
    /// `[log]`.
    pub log: LogSettings,
    /// `[approvals]`: whose word rules with `approved_by` ask for.
    pub approvals: Option<ApprovalSettings>,
    /// `[hook]`: the site's own program that is asked about each job.
    pub hook: Option<HookSettings>,
}

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file can't be read, or must not be believed.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// It is no text.
    #[error("{}:{line}: is not UTF-8 but seems to be {encoding}; save the file as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first line that is not.
        line: usize,
        /// What it may be instead.
        encoding: &'static str,
    },
    /// `include` names too many.
    #[error("`include` is for no more than {0} files")]
    TooManyFiles(usize),
    /// It is not valid; all problems at once.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// There are several servers, and nobody has said which.
    #[error(
        "{} has several [[gitlab]] ({known}): add --gitlab NAME; of a runner to its config_args, prepare_args and run_args, with the name of its own",
        path.display()
    )]
    WhichGitLab {
        /// The file.
        path: PathBuf,
        /// The names that there are.
        known: String,
    },
    /// There is no such server.
    #[error("--gitlab {asked}: {} has no [[gitlab]] of that name; those that it has: {known}", path.display())]
    NoGitLab {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        asked: String,
        /// The names that there are.
        known: String,
    },
}

impl SettingsError {
    /// The problems with their lines, as an admin wants to see them.
    pub fn render(&self) -> String {
        match self {
            Self::Invalid(error) => error.render(),
            Self::Untrusted(_)
            | Self::NotText { .. }
            | Self::TooManyFiles(_)
            | Self::WhichGitLab { .. }
            | Self::NoGitLab { .. } => {
                format!("error: {self}")
            }
        }
    }
}

impl Fault for SettingsError {
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
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        Ok(Self::load_for(path, path)?.0)
    }

    /// The same as if it stood in another place, where it includes other files; with the text that was judged, for whoever copies it
    /// there: the file may be another one by then.
    pub fn load_for(path: &Path, place: &Path) -> Result<(Self, String), SettingsError> {
        // Decided before the one and only read: a second look at the same path can be shown another file.
        let bytes = read_deciding(path, MAX_BYTES)?;
        let text = text(path, &bytes)?;
        Ok((Self::parse_for(path, place, text.as_str())?, text))
    }

    /// Who may run as whom.
    pub fn rules(&self) -> Rules<'_> {
        Rules { map: &self.map, policy: &self.policy, limits: &self.accounts }
    }

    /// The same for the runner of one GitLab. Which one that is the runner's own configuration says, and no job. Rules of others are
    /// not there any more: user 42 is somebody else in each of them.
    pub fn for_gitlab(mut self, path: &Path, name: Option<&str>) -> Result<Self, SettingsError> {
        let (path, known) = (path.to_owned(), self.names_of_gitlabs());
        let chosen = self.gitlab_of(name).cloned();
        self.gitlab = chosen.ok_or_else(|| match name {
            None => SettingsError::WhichGitLab { path, known },
            Some(name) => SettingsError::NoGitLab { path, asked: name.to_owned(), known },
        })?;
        if let (Some(token), Some(issuer)) = (&mut self.token, &self.gitlab.token_issuer) {
            token.issuer = issuer.clone();
        }
        if self.gitlabs.len() > 1 {
            self.map.retain(|rule| rule.gitlab == self.gitlab.name);
        }
        Ok(self)
    }

    /// The one with this name; without a name the only one.
    pub fn gitlab_of(&self, name: Option<&str>) -> Option<&GitLabSettings> {
        match (name, self.gitlabs.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|gitlab| gitlab.name.as_deref() == Some(name)),
        }
    }

    /// For each GitLab what its runner sees.
    pub fn of_each_gitlab(&self) -> impl Iterator<Item = Self> {
        self.gitlabs.iter().filter_map(|gitlab| self.clone().for_gitlab(Path::new(""), gitlab.name.as_deref()).ok())
    }

    /// What holds for the jobs of a rule with these terms. A site may have become stricter since a job began: the tighter of both counts.
    ///
    /// # Errors
    /// That a session has kept none, in words.
    pub fn under(mut self, terms: &Terms) -> Result<Self, String> {
        match terms.executor {
            None => {}
            Some(RuleExecutor::Shell) => self.jobs.executor = Executor::Shell,
            Some(RuleExecutor::Batch(kind)) if self.jobs.executor == Executor::Batch(kind) => {}
            Some(RuleExecutor::Batch(kind)) => {
                return Err(format!(
                    "the rule of this job sends it to {}, and jobs.executor no longer does",
                    kind.name()
                ));
            }
        }
        if let Some(token) = &mut self.token {
            if let Some(life) = terms.token_ttl {
                let life = SignedDuration::try_from(life).map_err(|error| error.to_string())?;
                token.ttl = Ttl::try_from(life).map_err(|error| error.to_string())?.min(token.ttl);
            }
            token.audience = terms.token_audience.clone().unwrap_or_else(|| token.audience.clone());
        }
        let words = [self.jobs.message.take(), terms.message.clone()].into_iter().flatten();
        let words: Vec<String> = words.map(|words| words.trim_end().to_owned()).collect();
        self.jobs.message = (!words.is_empty()).then(|| words.join("\n"));
        self.schedulers = terms.limits.tighten(&self.schedulers)?;
        Ok(self)
    }

    fn names_of_gitlabs(&self) -> String {
        let names: Vec<&str> = self.gitlabs.iter().filter_map(|gitlab| gitlab.name.as_deref()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// The batch scheduler that jobs go to, if any.
    pub fn batch(&self) -> Option<&dyn Batch> {
        match self.jobs.executor {
            Executor::Shell => None,
            Executor::Batch(kind) => self.schedulers.get(kind),
        }
    }

    /// The one to ask about jobs that a session has left, with the word of the scheduler that it has recorded. Where it has
    /// none, and jobs run in a shell now, the executor may have been another one when they were submitted; its section says how
    /// to reach them still.
    pub fn batch_of_left_jobs(&self, recorded: Option<&str>) -> &dyn Batch {
        let recorded = kinds().find(|kind| Some(kind.word()) == recorded);
        let recorded = recorded.and_then(|kind| self.schedulers.get(kind));
        recorded.or_else(|| self.batch()).unwrap_or_else(|| self.schedulers.first())
    }

    /// Checks the text of a configuration; `path` is for messages.
    pub fn parse(path: &Path, text: impl Into<String>) -> Result<Self, SettingsError> {
        Self::parse_for(path, path, text)
    }

    fn parse_for(path: &Path, place: &Path, text: impl Into<String>) -> Result<Self, SettingsError> {
        let base = place.parent().unwrap_or(Path::new("/"));
        let source = Source::new(path, text);
        let mut digest = Digesting::default();
        digest.add(source.text());
        let (mut settings, includes) = config::read(&source, |root| read(root, base))?;
        if !includes.is_empty() {
            // `include` stands above all rules of its file, and so do they.
            let mut map = rules_of(&includes, &settings, &mut digest)?;
            map.append(&mut settings.map);
            settings.map = map;
        }
        settings.digest = digest.end();
        Ok(settings)
    }
}

/// The file as text; if it is none, where it is not and what it may be.
fn text(path: &Path, bytes: &[u8]) -> Result<String, SettingsError> {
    let not_text = |at: usize, encoding| {
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        Err(SettingsError::NotText { path: path.to_owned(), line, encoding })
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return not_text(0, "UTF-16");
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return not_text(at, "UTF-16 or no text at all");
    }
    match std::str::from_utf8(bytes) {
        Err(error) => {
            let at = error.valid_up_to();
            let windows = (0x80..0xa0).contains(&bytes[at]);
            not_text(at, if windows { "Windows-1252" } else { "Latin-1 (ISO 8859-1)" })
        }
        Ok(text) => Ok(text.to_owned()),
    }
}

fn read(mut root: Section<'_>, base: &Path) -> Option<(Settings, Vec<Include>)> {
    if !root.has("gitlab") && ["auth", "batch", "general"].iter().any(|key| root.has(key)) {
        let words: Vec<String> = kinds().map(|kind| format!("[{}]", kind.word())).collect();
        // Instead of a problem for each of its keys.
        root.problem_with_help(
            &root.place(),
            "this is a configuration of Jacamar CI, whose keys are not ours",
            format!("ours are [gitlab], [jobs], [token], [accounts], [log], [[map]] and, for a scheduler, {}: begin with packaging/config.toml", words.join(", ")),
        );
        return None;
    }
    let includes = read_include(&mut root, base);
    let gitlabs = read_gitlabs(&mut root);
    let jobs = read_jobs(root.section("jobs"));
    let token = root.section("token");
    let token_place = token.place();
    let token = if token.is_present() { read_token(token).map(Some) } else { Some(None) };
    let mut accounts = read_accounts(root.section("accounts"));
    let policy = root.section("policy");
    let policy = read_policy(policy, root.section("groups"));
    let map: Vec<Option<MapRule>> = root.tables("map", |section| read_rule(section, &policy.groups, Stands::InTheFile));
    let tests: Vec<Option<Test>> = root.tables("test", |section| read_test(section, &policy.groups));
    let nevers: Vec<Option<Never>> = root.tables("never", |section| read_never(section, &policy.groups));
    let schedulers = read_schedulers(&mut root);
    let log = read_log(root.section("log"), default_log(jobs.downscope));
    let approvals = root.section("approvals");
    let approvals = if approvals.is_present() {
        let issuer = match &token {
            Some(Some(token)) => TokenIssuer::Is(token.issuer.as_str()),
            Some(None) => TokenIssuer::None,
            None => TokenIssuer::Unknown,
        };
        read_approvals(approvals, issuer).map(Some)
    } else {
        no_rule_needs_approvals(&root, map.iter().flatten());
        Some(None)
    };
    let known = gitlabs.as_deref().unwrap_or_default();
    if let Some(Some(token)) = &token {
        judge_issuers(token, known, &token_place, &root);
    }
    let hook = root.section("hook");
    let hook = if hook.is_present() { read_hook(hook).map(Some) } else { Some(None) };
    accounts.hook_account = hook.iter().flatten().next().map(|hook| hook.account.clone());
    for rule in map.iter().flatten() {
        judge_gitlab("map", (rule.gitlab.as_deref(), &rule.place), known, &root);
    }
    for test in tests.iter().flatten() {
        judge_gitlab("test", (test.gitlab.as_deref(), &test.place), known, &root);
    }
    for never in nevers.iter().flatten().filter(|never| never.gitlab.is_some()) {
        judge_gitlab("never", (never.gitlab.as_deref(), &never.place), known, &root);
    }
    for rule in map.iter().flatten() {
        judge_terms(rule, jobs.executor, &schedulers, &root);
        if let Some(token) = &token {
            judge_token_terms(rule, token.as_ref(), &root);
        }
    }
    root.finish();
    let map = map.into_iter().collect::<Option<_>>()?;
    let tests = tests.into_iter().collect::<Option<_>>()?;
    let assertions = Assertions { tests, nevers: nevers.into_iter().collect::<Option<_>>()? };
    let gitlabs = gitlabs?;
    let gitlab = gitlabs.first()?.clone();
    let settings = Settings {
        gitlab,
        gitlabs,
        jobs,
        token: token?,
        accounts,
        policy,
        map,
        assertions,
        digest: Digesting::default().end(),
        schedulers,
        log,
        approvals: approvals?,
        hook: hook?,
    };
    Some((settings, includes))
}

/// One user's own runner keeps none unless it is told to.
fn default_log(downscope: Downscope) -> Option<PathBuf> {
    (downscope == Downscope::Setuid).then(|| PathBuf::from("/var/log/motmot/audit.log"))
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
