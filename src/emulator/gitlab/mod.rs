//! What GitLab knows of a job and says about it: to the runner in the payload, to the driver through the job API and
//! in id tokens.

pub(crate) mod id_token;
pub(crate) mod job;
pub(crate) mod payload;
pub(crate) mod response_file;
pub(crate) mod run_keyword;
pub(crate) mod server;
