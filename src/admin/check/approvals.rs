//! `[approvals]`, and rules that ask for approvals.

use jiff::Timestamp;

use super::findings::{Findings, without_number};
use super::rules::what;
use super::runner::Runner;
use crate::approval::settings::ApprovalSettings;
use crate::approval::{Signers, Unapproved, load_signers, namespace};
use crate::launch::settings::Downscope;
use crate::report::counted;
use crate::settings::Settings;
use crate::sys::files::{Owner, trusted_directory};

/// The keys, the directory, and whether rules name approvers who could approve something.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let Some(approvals) = &settings.approvals else { return };
    // As the stages believe files, which can change user or cannot.
    let owner = match settings.jobs.downscope {
        Downscope::Setuid => Owner::Root,
        Downscope::None => Owner::RootOrSelf,
    };
    if let Some(dir) = &approvals.dir {
        let judged = runner.act(|| trusted_directory(dir, owner));
        let judged = judged.and_then(|judged| judged.map_err(|error| without_number(&error)));
        findings.judged("approvals.dir", judged.map(|path| path.display().to_string()));
    }
    let signers = runner.act(|| load_signers(approvals, owner));
    match signers.and_then(|signers| signers.map_err(|error| without_number(&error))) {
        Err(words) => findings.problem("approvals.allowed_signers", words),
        Ok(signers) => {
            let path = approvals.allowed_signers.display();
            let keys = counted(signers.count(), "key");
            findings.ok("approvals.allowed_signers", format!("{path} ({keys})"));
            judge_rules(settings, approvals, &signers, findings);
        }
    }
}

fn judge_rules(settings: &Settings, approvals: &ApprovalSettings, signers: &Signers, findings: &mut Findings) {
    let (namespace, now) = (namespace(&approvals.issuer), Timestamp::now());
    let mut asking = 0;
    for rule in &settings.map {
        let Some(wanted) = &rule.approved_by else { continue };
        asking += 1;
        if wanted.is_empty() {
            findings.problem(&what(rule), "it is approved_by a group without members, so it matches no job");
        }
        for principal in wanted {
            let words = match signers.standing(principal, &namespace, now) {
                Ok(()) => continue,
                Err(Unapproved::KeyNotForThis) => format!("may not sign approvals: namespaces lacks {namespace:?}"),
                Err(Unapproved::KeyNotYet) => "has no key that is valid already (valid-after)".to_owned(),
                Err(Unapproved::KeyExpired) => "has no key that is valid still (valid-before)".to_owned(),
                Err(_) => "is nobody there".to_owned(),
            };
            let path = approvals.allowed_signers.display();
            findings.problem(&what(rule), format!("its approver {principal:?} {words}, in {path}"));
        }
    }
    if asking == 0 {
        findings.warning("approvals", "no rule asks for approvals; write approved_by in a [[map]]");
    }
}
