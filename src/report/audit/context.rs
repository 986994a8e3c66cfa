//! What all records of a stage have in common: which job, which run of it, where.

use serde_json::Value;
use uuid::Uuid;

use super::record::Record;
use crate::report::printable;

/// Events that a job is decided by.
const DECISIONS: [&str; 2] = ["accepted", "refused"];
/// Longest of the facts that it is decided by: together they fit into a datagram.
const MOST_FACT: usize = 2048;

/// How many hexadecimal digits a request has.
const DIGITS: usize = 12;

/// What joins all records of one run of a job, from its config stage to its cleanup; also what its author is told when something
/// fails, so that an admin finds the record. It says nothing about the job, and nobody can choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Another one than all before.
    #[allow(clippy::new_without_default)] // two of them are not equal
    pub fn new() -> Self {
        // The random half of it.
        Self(format!("{:0width$x}", Uuid::now_v7().as_u128() & 0xffff_ffff_ffff, width = DIGITS))
    }

    /// That of a session: the end of its name. Nothing in a name that no config stage has made.
    pub fn of_session(name: &str) -> Option<Self> {
        let (_, id) = name.rsplit_once('-')?;
        let is_one = id.len() == DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(id.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job, as GitLab's structured facts name it.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// Its number.
    pub job_id: u64,
    /// Number of its pipeline.
    pub pipeline_id: Option<u64>,
    /// Number of its project.
    pub project_id: u64,
    /// Path of its project.
    pub project: Option<String>,
    /// Branch or tag.
    pub git_ref: Option<String>,
    /// Commit.
    pub sha: Option<String>,
}

/// What is known of a stage.
#[derive(Clone, Debug)]
pub struct Context {
    /// The run of a job that it belongs to.
    pub request: RequestId,
    /// The stage.
    pub stage: &'static str,
    /// The machine.
    pub host: String,
    /// Which GitLab.
    pub gitlab: String,
    /// Whether the job is played.
    pub simulated: bool,
    /// The job, once it is known.
    pub job: Option<JobContext>,
    /// Name of the session, once there is one.
    pub session: Option<String>,
    /// That nobody has found the configuration to do what it says of its own rules.
    pub untested: bool,
    /// What is decided by, from when on something is: other rules can be asked about the same job then.
    pub facts: Option<Value>,
}

impl Context {
    /// The stage goes on with this session, and so does the run.
    pub fn enter(&mut self, session: &str) {
        if let Some(request) = RequestId::of_session(session) {
            self.request = request;
        }
        self.session = Some(session.to_owned());
    }

    /// Adds what the event has not said itself.
    pub(super) fn complete(&self, record: &mut Record) {
        if let Some(job) = &self.job {
            record.add("job_id", job.job_id);
            record.add("pipeline_id", job.pipeline_id);
            record.add("project_id", job.project_id);
            record.add("project", job.project.as_deref().map(printable));
            record.add("ref", job.git_ref.as_deref().map(printable));
            record.add("sha", job.sha.as_deref().map(printable));
        }
        record.add("gitlab", self.gitlab.as_str());
        record.add("host", self.host.as_str());
        record.add("session", self.session.as_deref());
        record.add("request", self.request.as_str());
        record.add("stage", self.stage);
        record.add("simulated", self.simulated.then_some(true));
        let decides = DECISIONS.contains(&record.text("event").unwrap_or_default());
        record.add("untested", (decides && self.untested).then_some(true));
        if let Some(facts) = self.facts.clone().filter(|_| decides) {
            record.add("facts", whole(facts));
        }
    }
}

/// The same, if it is all that was decided by. Without a text that is too long, or with one that is shown otherwise, it would be another
/// job's.
fn whole(facts: Value) -> Value {
    let good = facts.as_object().is_some_and(|fields| {
        fields.values().all(|value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.len() <= MOST_FACT && printable(&text) == text
        })
    });
    if good { facts } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_are_not_kept_whole_are_not_kept_at_all() {
        let facts = serde_json::json!({"user": "adent", "user_id": 42, "request": "svc"});
        assert_eq!(whole(facts.clone()), facts);
        for odd in ["x".repeat(MOST_FACT + 1), "svc\u{202e}".to_owned()] {
            let mut other = facts.clone();
            other["request"] = odd.into();
            assert_eq!(whole(other), Value::Null);
        }
    }

    #[test]
    fn the_request_of_a_session_is_the_end_of_its_name() {
        let request = RequestId::new();
        assert_ne!(RequestId::new(), request);
        assert_eq!(RequestId::of_session(&format!("7-{}", request.as_str())), Some(request));
        for odd in ["", "7", "7-", "7-xyz", "7-0123456789abc", "7-0123456789g1"] {
            assert_eq!(RequestId::of_session(odd), None, "{odd}");
        }
    }
}
