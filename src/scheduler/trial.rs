//! A job that a scheduler is only asked about.

use std::time::SystemTime;

/// What it says. Words are the scheduler's own, and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It would start, and at this time as far as is known.
    Starts(Option<SystemTime>),
    /// It would never, whatever comes.
    Never(String),
    /// It would not now, and perhaps never.
    NotNow(String),
    /// No answer, or none that says one or the other.
    NotSaid(String),
}
