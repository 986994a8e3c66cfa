//! Why a record is not where it has to be.

use std::fmt::Display;
use std::io;

use crate::report::{FailureKind, Fault};

/// A record is not where it has to be.
#[derive(Debug, thiserror::Error)]
#[error("the audit log {place} cannot be written: {source}")]
pub struct AuditError {
    place: String,
    pub(super) source: io::Error,
}

impl AuditError {
    pub(super) fn new(place: impl Display, source: io::Error) -> Self {
        Self { place: place.to_string(), source }
    }
}

/// For whom nothing begins that nobody could look up later.
impl Fault for AuditError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn for_author(&self) -> String {
        format!("no job begins on this machine without a record of it (log.on_failure = \"refuse\"): {self}")
    }
}
