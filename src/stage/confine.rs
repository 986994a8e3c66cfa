//! The control group that the processes of a job are put in, stage by stage, and who is told where a limit does not hold.

use super::edge::{Arguments, Origin};
use crate::launch::limits::{Confined, Unlimited};
use crate::report::events::AuditEvent;
use crate::report::{Failure, tell};
use crate::session::Session;
use crate::settings::Settings;
use crate::sys::cgroup::JobGroup;

/// The group of a job, for one of its stages.
pub(super) fn group(
    arguments: &Arguments,
    settings: &Settings,
    session: &Session,
) -> Result<Option<JobGroup>, Failure> {
    Ok(confined(arguments, settings, session)?.group)
}

/// The same in the first stage of a job that needs one: here it is said what does not hold, once for all its stages.
pub(super) fn first_group(
    arguments: &Arguments,
    settings: &Settings,
    session: &Session,
) -> Result<Option<JobGroup>, Failure> {
    let Confined { group, unmet } = confined(arguments, settings, session)?;
    for words in &unmet {
        tell(format_args!("warning: {words}"));
        let (job_id, account) = (session.facts().job_id(), session.decision().account());
        AuditEvent::NotLimited { job_id, account, session: session.name(), reason: words }.log();
    }
    Ok(group)
}

fn confined(arguments: &Arguments, settings: &Settings, session: &Session) -> Result<Confined, Failure> {
    let unlimited = match arguments.origin {
        Origin::GitLab => Unlimited::Refused,
        Origin::Simulation => Unlimited::Told,
    };
    Ok(settings.jobs.limits.confine(session.groups(), unlimited)?)
}
