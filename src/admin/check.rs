//! `motmot check`: what a job would stumble over, before one does.

mod accounts;
mod approvals;
mod assertions;
mod batch;
mod conditions;
mod findings;
mod hook;
mod identity;
mod jobs;
mod limits;
mod login;
mod path;
mod programs;
mod rules;
mod runner;
mod shadows;
mod state;
mod tables;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::terminal::Colours;
use crate::evidence::job_api::{Content, JobApiError, Probed, check_certificates, probe};
use crate::evidence::settings::GitLabSettings;
use crate::launch::settings::Downscope;
use crate::report::counted;
use crate::settings::{Settings, SettingsError};
use batch::Ask;
use findings::{Findings, Form, Strictness, without_number};
pub(super) use runner::Runner;

/// Somebody is waiting at a terminal.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Arguments of `motmot check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The account that gitlab-runner runs as, if it is not the one that runs this check; for root only
    #[arg(long, value_name = "ACCOUNT")]
    runner_account: Option<String>,
    /// Do not connect to GitLab, and do not ask Slurm
    #[arg(long)]
    offline: bool,
    /// Exit code 1 for warnings, too
    #[arg(long)]
    strict: bool,
    /// Write one JSON document, with every finding
    #[arg(long)]
    json: bool,
}

/// Looks at everything with the very code that the stages use, and changes nothing. Exit code 0 if all is well, else 1.
pub fn main(args: &CheckArgs, config: &Path) -> ExitCode {
    let mut findings = Findings::new(if args.json { Form::Json } else { Form::Lines(Colours::of_output()) });
    match Runner::find(args.runner_account.as_deref()) {
        Err(words) => findings.problem("runner", words),
        Ok(runner) => {
            if let Some(settings) = settings(config, &runner, &mut findings) {
                judge(args, config, &settings, &runner, &mut findings);
            }
        }
    }
    findings.finish(if args.strict { Strictness::Warnings } else { Strictness::Problems })
}

fn judge(args: &CheckArgs, config: &Path, settings: &Settings, runner: &Runner, findings: &mut Findings) {
    runner::judge(settings, runner, findings);
    programs::judge(settings, runner, findings);
    if runner.can_be_the_runner(settings) {
        state::judge(config, settings, runner, findings);
    }
    let each: Vec<Settings> = settings.of_each_gitlab().collect();
    let named: Vec<_> = each.iter().flat_map(|settings| rules::judge(settings, runner, findings)).collect();
    approvals::judge(settings, runner, findings);
    hook::judge(settings, runner, findings);
    rules::judge_limits(&settings.accounts, findings);
    assertions::judge(settings, runner, findings);
    conditions::judge_assertions(&settings.assertions, findings);
    login::judge(settings, runner, findings);
    for settings in &each {
        identity::judge(settings, findings);
        conditions::judge(settings, runner, findings);
    }
    jobs::judge(&settings.jobs, runner, findings);
    path::judge(&settings.jobs, runner, findings);
    limits::judge(&settings.jobs, runner, findings);
    batch::judge(settings, runner, if args.offline { Ask::No } else { Ask::Yes }, findings);
    for settings in &each {
        ask_gitlab(args, settings, runner, findings);
    }
    // Last: what it looks at may not answer.
    accounts::judge_places(settings, &named, findings);
}

fn ask_gitlab(args: &CheckArgs, settings: &Settings, runner: &Runner, findings: &mut Findings) {
    if args.offline {
        let usable = runner.act(|| check_certificates(&settings.gitlab));
        match usable.and_then(|usable| usable.map_err(|error| without_number(&error))) {
            Ok(()) => findings.skipped("GitLab", format!("{} is not asked: --offline", settings.gitlab.url.as_str())),
            Err(words) => findings.problem("GitLab", words),
        }
    } else {
        gitlab(&settings.gitlab, runner, findings);
        conditions::ask(settings, &hasty(&settings.gitlab), runner, findings);
    }
}

/// A person waits meanwhile.
fn hasty(gitlab: &GitLabSettings) -> GitLabSettings {
    GitLabSettings { timeout: gitlab.timeout.min(LONGEST_WAIT), ..gitlab.clone() }
}

/// The configuration, as the runner's account reads it and as a program with capabilities believes it.
fn settings(config: &Path, runner: &Runner, findings: &mut Findings) -> Option<Settings> {
    let loaded = runner.act(|| Settings::load(config)).and_then(|loaded| match loaded {
        // The stages of such a runner have rights, and so believe root's file only. Here root has them.
        Ok(settings) if runner.named && settings.jobs.downscope == Downscope::Setuid => {
            Settings::load(config).map_err(|error| in_words(config, &error))
        }
        other => other.map_err(|error| in_words(config, &error)),
    });
    match loaded {
        Ok(settings) => {
            let rules = counted(settings.map.len(), "rule");
            findings.ok("configuration", format!("{} ({rules})", config.display()));
            Some(settings)
        }
        Err(words) => {
            findings.problem("configuration", words);
            None
        }
    }
}

fn in_words(config: &Path, error: &SettingsError) -> String {
    let shown = config.display();
    match error {
        SettingsError::Invalid(invalid) => {
            format!("{} in {}\n{}", counted(invalid.count(), "problem"), invalid.path().display(), error.render())
        }
        SettingsError::Untrusted(why) if why.is_missing() && why.path == config => {
            format!("{shown}: does not exist; copy packaging/config.toml there, or name another with --config")
        }
        SettingsError::Untrusted(_)
        | SettingsError::NotText { .. }
        | SettingsError::TooManyFiles(_)
        | SettingsError::WhichGitLab { .. }
        | SettingsError::NoGitLab { .. } => without_number(error),
    }
}

/// Whether GitLab answers the question that identifies jobs.
fn gitlab(gitlab: &GitLabSettings, runner: &Runner, findings: &mut Findings) {
    let what = "GitLab";
    let url = gitlab.url.as_str();
    let hasty = hasty(gitlab);
    match runner.act(|| probe(&hasty)) {
        Err(words) => findings.problem(what, words),
        Ok(Ok(answer)) => {
            answered(url, answer, findings);
            identity::ask(&hasty, runner, findings);
        }
        Ok(Err(JobApiError::Unreachable { why, .. })) => {
            let why = without_number(&why);
            findings.problem(
                what,
                format!(
                    "{url} cannot be reached from here, and every job would fail: {why} (--offline leaves this out)"
                ),
            );
        }
        Ok(Err(error)) => findings.problem(what, without_number(&error)),
    }
}

/// What an answer to a question without a token says about who answers: a GitLab says 401, in JSON.
fn answered(url: &str, Probed { status, content }: Probed, findings: &mut Findings) {
    let what = "GitLab";
    match (status, content) {
        (300..=399, _) => findings.problem(
            what,
            format!("{url} redirects to another address (HTTP {status}), where job tokens are not carried; name that one in gitlab.url"),
        ),
        (404, _) => findings.problem(
            what,
            format!("{url} answers, but has no job API (HTTP 404); write the address of GitLab's front page in gitlab.url"),
        ),
        (500.., _) => findings.warning(what, format!("{url} answers, but with an error (HTTP {status})")),
        (_, Content::Page) => findings.problem(
            what,
            format!("{url} answers with a web page (HTTP {status}), a login page perhaps: that is not GitLab's API; look at gitlab.url, and at proxies on the way"),
        ),
        (200..=299, _) => findings.problem(
            what,
            format!("{url} answers without asking who we are (HTTP {status}), which no GitLab does; look at gitlab.url"),
        ),
        (401, _) => findings.ok(what, format!("{url} answers")),
        _ => findings.warning(what, format!("{url} answers with HTTP {status}, where a GitLab says 401; look at gitlab.url, and at proxies on the way")),
    }
}
