//! Who is in the groups of GitLab on which it depends as whom a job runs.

use jiff::Timestamp;

use super::account::sessions;
use super::edge::{Arguments, Origin};
use crate::evidence::groups::{self, Question};
use crate::identity::Identity;
use crate::report::Failure;
use crate::settings::Settings;

/// The identity with what GitLab says of groups, if it is asked about any. Only those are asked about that may decide: of most jobs
/// none, so that they start without it.
pub(super) fn with_groups(
    identity: Identity,
    settings: &Settings,
    requested: Option<&str>,
    arguments: &Arguments,
) -> Result<Identity, Failure> {
    if settings.gitlab.groups_token.is_none() {
        return Ok(identity);
    }
    let named = settings.rules().groups_that_decide(&identity, requested);
    if named.is_empty() {
        return Ok(identity);
    }
    // What is played says something else each time.
    let kept = match arguments.origin {
        Origin::GitLab => Some(sessions(settings, arguments)?.groups_directory()?),
        Origin::Simulation => None,
    };
    // Of an agent the groups say nothing: it is the human who is mapped.
    let user_id = identity.facts().human().id;
    let question = Question { gitlab: &settings.gitlab, user_id, kept: kept.as_deref(), now: Timestamp::now() };
    let known = groups::ask(&question, &named)?;
    Ok(identity.with_groups(known))
}
