//! The site's hook, and the record of what it has answered: before anything follows from that.

use crate::policy::hook::{Answer, Hook, HookError, NoHook, Pinned, Proposal, Site, Verdict};
use crate::policy::{Mode, describe};
use crate::report::events::AuditEvent;
use crate::report::with_causes;
use crate::settings::Settings;
use crate::sys::accounts::Nss;
use crate::sys::installed::who_decides;

/// That of the configuration, if there is one.
pub(super) fn of(settings: &Settings, mode: Mode) -> Box<dyn Hook + '_> {
    let Some(hook) = &settings.hook else { return Box::new(NoHook) };
    let site = Site { name: settings.gitlab.name.as_deref(), url: settings.gitlab.url.as_str() };
    Box::new(Recorded(Pinned { settings: hook, owner: who_decides(), mode, accounts: &Nss, site }))
}

struct Recorded<H>(H);

impl<H: Hook> Hook for Recorded<H> {
    fn ask(&self, proposal: &Proposal<'_>) -> Result<Answer, HookError> {
        let answer = self.0.ask(proposal);
        let why = answer.as_ref().err().map(with_causes);
        let given = answer.as_ref().ok();
        AuditEvent::HookAnswered {
            job_id: proposal.identity.facts().job_id(),
            account: proposal.account.name(),
            rule: &describe(proposal.rule),
            answer: given.map_or("none", |answer| answer.verdict.as_str()),
            named: given.and_then(|answer| match &answer.verdict {
                Verdict::Account(name) => Some(name.as_str()),
                Verdict::Accept | Verdict::Refuse => None,
            }),
            message: given.and_then(|answer| answer.message.as_deref()),
            reason: why.as_deref().or_else(|| given.and_then(|answer| answer.reason.as_deref())),
        }
        .log();
        answer
    }
}
