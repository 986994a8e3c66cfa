//! What the audit log says with every record of a stage: which job it is about, and which run of it.

use crate::evidence::JobFacts;
use crate::evidence::payload::Payload;
use crate::evidence::supposed::{REQUEST, Supposed};
use crate::identity::Assurance;
use crate::report::audit::{self, JobContext};
use crate::session::Session;

/// The job that the runner has handed over. The payload's structured fields are GitLab's.
pub(super) fn of_payload(payload: &Payload) {
    about(JobContext {
        job_id: payload.job_id,
        pipeline_id: payload.pipeline_id,
        project_id: payload.project_id,
        project: payload.project_path.clone(),
        git_ref: payload.git_ref.clone(),
        sha: payload.sha.clone(),
    });
}

/// The same, once GitLab itself has said whose job it is.
pub(super) fn of_facts(facts: &JobFacts) {
    about(JobContext {
        job_id: facts.job_id(),
        pipeline_id: facts.pipeline_id(),
        project_id: facts.project_id(),
        project: facts.project_path().map(str::to_owned),
        git_ref: facts.git_ref().map(str::to_owned),
        sha: facts.sha().map(str::to_owned),
    });
}

/// By which it is about to be decided: what is known of it, and what it asks for.
pub(super) fn of_question(facts: &JobFacts, requested: Option<&str>) {
    let mut kept = Supposed::of(facts).kept();
    if let (Some(requested), Some(fields)) = (requested, kept.as_object_mut()) {
        fields.insert(REQUEST.to_owned(), requested.into());
    }
    audit::amend(|context| context.facts = Some(kept));
}

/// The session that a stage goes on with, or that is cleaned up.
pub(super) fn of_session(session: &Session) {
    of_facts(session.facts());
    audit::amend(|context| {
        context.enter(session.name());
        context.simulated = session.identity().assurance() == Assurance::Simulated;
    });
}

/// Nobody has found the rules to do what is said of them.
pub(super) fn of_untested() {
    audit::amend(|context| context.untested = true);
}

fn about(job: JobContext) {
    audit::amend(|context| context.job = Some(job));
}
