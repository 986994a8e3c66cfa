//! Where a job runs, as a token says it.

use super::job::JobId;
use super::kind::SchedulerKind;

/// Where a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A shell on the node of the runner.
    Shell,
    /// A job of a batch scheduler.
    Batch(BatchPlacement),
}

/// A place in a batch scheduler: as it reports it itself, so unknown before submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlacement {
    /// Whose job it is.
    pub kind: SchedulerKind,
    /// The account charged.
    pub account: Option<String>,
    /// The partition, or queue.
    pub partition: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The scheduler's own name for the job.
    pub job_id: Option<JobId>,
}

impl Placement {
    /// The same place, once the job is known.
    #[must_use]
    pub fn of_job(mut self, id: &JobId) -> Self {
        if let Self::Batch(place) = &mut self {
            place.job_id = Some(id.clone());
        }
        self
    }
}
