//! `[gitlab]`: whom we ask who a job is.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::reader::Section;
use crate::config::values::{self, BaseUrl};

/// `[gitlab]`
#[derive(Clone, Debug)]
pub struct GitLab {
    /// Address of the GitLab that this runner belongs to. Never taken from a job.
    pub url: BaseUrl,
    /// Certificates (PEM) that its TLS certificate must lead to; otherwise the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time for one question to it.
    pub timeout: Duration,
}

/// Reads the section.
pub fn read_gitlab(mut section: Section<'_>) -> Option<GitLab> {
    if !section.is_present() {
        section.problem(
            0..0,
            "the section [gitlab] is missing",
            "add [gitlab] with url = \"https://gitlab.example.com\"".to_owned(),
        );
    }
    let url = section
        .required_string("url", "\"https://gitlab.example.com\"")
        .and_then(|at| section.checked(at, "url", BaseUrl::parse));
    // One value today; others follow, and the key is here so that a config can say what it relies on.
    section.choice("identity", &[("job-api", ())]);
    let ca_file = section.parsed("ca_file", values::absolute_path);
    let timeout = section.duration("timeout");
    if let Some(at) = &timeout
        && at.value > Duration::from_mins(1)
    {
        section.problem(at.span.clone(), "`gitlab.timeout` must be 1m or less: the runner waits meanwhile", None);
    }
    section.finish();
    Some(GitLab { url: url?, ca_file, timeout: timeout.map_or(Duration::from_secs(10), |at| at.value) })
}
