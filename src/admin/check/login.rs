//! Which of the machine's own rules for logging in a job has to pass.

use super::findings::Findings;
use super::runner::Runner;
use crate::policy::settings::PamService;
use crate::settings::Settings;
use crate::sys::login::LoginRules;
use crate::sys::pam;

const WHAT: &str = "accounts.pam_service";

/// Says which phases of PAM run, and what stands in for them.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let files =
        "an account that has expired or is locked in /etc/shadow, or a machine with /etc/nologin, still runs none";
    match (runner.mode(settings).login_rules(&settings.accounts), &settings.accounts.pam_service) {
        // One user's own runner: that user is logged in.
        (None, _) => {}
        (Some(LoginRules::Pam(service)), _) => match pam::service_file(&service) {
            Some(file) if !runner.uid().is_root() => findings.warning(
                WHAT,
                format!("the account phase of {} is asked for each job, but the runner is not root, and most of PAM's modules answer nobody else", file.display()),
            ),
            Some(file) => {
                findings.ok(WHAT, format!("the account phase of {} is asked for each job; no session phase", file.display()));
            }
            None => findings.problem(
                WHAT,
                format!("there is no /etc/pam.d/{service}, so every job fails; install it from packaging/pam.d, or mend accounts.pam_service"),
            ),
        },
        (Some(LoginRules::Files), PamService::None) => {
            findings.ok(WHAT, format!("PAM is not asked (\"none\"); {files}"));
        }
        (Some(LoginRules::Files), PamService::IfInstalled) if runner.uid().is_root() => findings.warning(
            WHAT,
            format!(
                "PAM is not asked whether an account may run a job: there is no /etc/pam.d/{}; install it from packaging/pam.d (or say \"none\"); {files}",
                PamService::USUAL
            ),
        ),
        (Some(LoginRules::Files), _) => findings.warning(
            WHAT,
            "the runner is not root, so neither PAM nor /etc/shadow can be asked: accounts that have expired or are locked run jobs; keep them out with accounts.deny_users, or take away their shells",
        ),
    }
}
