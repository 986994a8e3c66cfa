//! Scripts that a batch scheduler runs.
//!
//! The worker, as the job's account, submits, cancels and watches files; the stage asks for the job's state and judges.
//!
//! * [`course`]: what to do next, from submission to the verdict. Pure.
//! * [`drive`]: the threads around it, which do what it says and tell it what happens.
//! * [`inquiry`]: what only the account can ask before there is a job.
//! * [`result`]: what the scheduler and the completion record say together, and what that means for the stage.
//! * [`pace`]: keeps all stages of this machine together from asking too often; [`remembered`]: and from asking the same.

pub mod course;
pub mod drive;
pub mod inquiry;
mod locked;
pub mod pace;
pub mod remembered;
pub mod result;

use crate::scheduler::{JobId, JobName};

/// Remembers jobs where a crash does not reach: before and after they exist.
pub trait Ledger {
    /// A job of this name may exist from now on.
    fn submitting(&self, name: &JobName) -> Result<(), String>;
    /// It has this number.
    fn submitted(&self, name: &JobName, id: &JobId) -> Result<(), String>;
    /// There is none.
    fn not_submitted(&self, name: &JobName);
    /// Its script has ended, so that it will end by itself.
    fn ended(&self, name: &JobName, id: &JobId) -> Result<(), String>;
}
