//! Which of the machine's own rules for logging in a job has to pass.

use std::path::Path;

use nix::unistd::{AccessFlags, geteuid};

use super::accounts::bystander;
use super::findings::Findings;
use super::runner::Runner;
use crate::policy::settings::{LoginSessions, PamService};
use crate::settings::Settings;
use crate::sys::login::{LoginRules, closed};
use crate::sys::pam;

const WHAT: &str = "accounts.pam_service";
const SESSION: &str = "accounts.pam_session";

/// Says which phases of PAM run, and what stands in for them.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let files =
        "an account that has expired or is locked in /etc/shadow, or a machine with /etc/nologin, still runs none";
    let unseen = "neither PAM nor /etc/shadow can be asked: accounts that have expired or are locked run jobs; keep them out with accounts.deny_users, or take away their shells";
    let sees_shadow = runner.uid().is_root() || runner.may(Path::new("/etc/shadow"), AccessFlags::R_OK);
    match (runner.mode(settings).login_rules(&settings.accounts), &settings.accounts.pam_service) {
        // One user's own runner: that user is logged in.
        (None, _) => {}
        (Some(LoginRules::Pam(service)), _) => match pam::service_file(&service) {
            Some(file) if !runner.uid().is_root() => findings.warning(
                WHAT,
                format!(
                    "the account phase of {} is asked for each job, but the runner is not root, and most of PAM's modules answer nobody else{}",
                    file.display(),
                    if sees_shadow { "" } else { "; it cannot read /etc/shadow either, so an account whose password is locked runs jobs" }
                ),
            ),
            Some(file) => judge_account_phase(&service, &file, findings),
            None => findings.problem(
                WHAT,
                format!("there is no /etc/pam.d/{service}, so every job fails; install it from packaging/pam.d, or mend accounts.pam_service"),
            ),
        },
        // Whatever the key says: it is the runner who would have to look.
        (Some(LoginRules::Files), _) if !sees_shadow => {
            findings.warning(WHAT, format!("the runner is not root, so {unseen}"));
        }
        (Some(LoginRules::Files), PamService::IfInstalled) if runner.uid().is_root() => findings.warning(
            WHAT,
            format!(
                "PAM is not asked whether an account may run a job: there is no /etc/pam.d/{}; install it from packaging/pam.d (or say \"none\"); {files}",
                PamService::USUAL
            ),
        ),
        (Some(LoginRules::Files), service) => {
            let why = if *service == PamService::None { "\"none\"" } else { "the runner is not root" };
            findings.ok(WHAT, format!("PAM is not asked ({why}); {files}"));
        }
    }
    judge_closed(settings, runner, findings);
    judge_sessions(settings, runner, findings);
}

/// Whether it can be asked where the runner is root.
fn judge_account_phase(service: &str, file: &Path, findings: &mut Findings) {
    let file = file.display();
    if let Some(missing) = pam::missing(service, "account") {
        return findings.problem(
            WHAT,
            format!(
                "every job fails: the account phase of {file} needs {missing}, which is not there; packaging/pam.d has a file for each kind of system"
            ),
        );
    }
    match pam::can_be_asked(service, &bystander()) {
        Ok(()) => findings.ok(WHAT, format!("the account phase of {file} is asked for each job")),
        // Somebody who only looks may not be able to ask.
        Err(_) if !geteuid().is_root() => {
            findings.skipped(WHAT, format!("the account phase of {file} is asked for each job, and here by root alone"));
        }
        Err(words) => findings.problem(
            WHAT,
            format!(
                "every job fails: the account phase of {file} cannot be asked: {words}; which module it is says the system's log of authentication"
            ),
        ),
    }
}

/// Whether the machine takes jobs at all now.
fn judge_closed(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let Some(words) = closed() else { return };
    // One user's own runner: that user is logged in.
    if runner.mode(settings).login_rules(&settings.accounts).is_some() {
        findings.problem(
            "logins",
            format!("this machine takes no new jobs now, since there is an /etc/nologin or /run/nologin: {words}"),
        );
    }
}

/// The same of the session phase.
fn judge_sessions(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let mode = runner.mode(settings);
    match mode.login_session(&settings.accounts) {
        Err(error) => findings.problem(SESSION, error.to_string()),
        Ok(None) => {
            if settings.accounts.login_sessions == LoginSessions::None && runner.uid().is_root() && mode.login_rules(&settings.accounts).is_some() {
                findings.ok(SESSION, "no session phase: jobs have the limits of the runner's service, not those of /etc/security/limits.conf");
            }
        }
        Ok(Some(service)) => match pam::service_file(&service) {
            // The line above says what to do, unless nobody has named a service.
            None => findings.problem(SESSION, format!("there is no /etc/pam.d/{service}, so every job fails; install it from packaging/pam.d")),
            Some(file) if refuses_sessions(&file) => findings.problem(
                SESSION,
                format!("{} has a session phase that refuses everybody (pam_deny.so), so every job fails; take the session lines of packaging/pam.d", file.display()),
            ),
            Some(file) => match pam::missing(&service, "session") {
                Some(missing) => findings.problem(
                    SESSION,
                    format!("every job fails: the session phase of {} needs {missing}, which is not there", file.display()),
                ),
                None => findings.ok(
                    SESSION,
                    format!("the session phase of {} surrounds each prepare and run stage; cleanup has none", file.display()),
                ),
            },
        },
    }
}

/// As a service's file has it that is for the account phase alone. What it includes is not looked at.
fn refuses_sessions(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), ["session", "required" | "requisite", module, ..] if module.ends_with("pam_deny.so"))
    })
}
