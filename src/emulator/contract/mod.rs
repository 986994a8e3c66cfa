//! What GitLab Runner says to a driver and makes of its answers: names, versions, exit codes. No effects.

pub(crate) mod build_stage;
pub(crate) mod config_output;
pub(crate) mod failure;
pub(crate) mod result;
pub(crate) mod version;
