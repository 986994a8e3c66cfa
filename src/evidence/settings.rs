//! `[gitlab]`: whom we ask who a job is.

pub mod manual;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Section;
use crate::config::values::{self, BaseUrl};

/// `[gitlab]`
#[derive(Clone, Debug)]
pub struct GitLabSettings {
    /// Address of the GitLab that this runner belongs to. Never taken from a job.
    pub url: BaseUrl,
    /// Certificates (PEM) that its TLS certificate must lead to; otherwise the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time for one question to it.
    pub timeout: Duration,
}

/// Reads the section.
pub fn read_gitlab(mut section: Section<'_>) -> Option<GitLabSettings> {
    if !section.is_present() {
        let help = "add [gitlab] with url = \"https://gitlab.example.com\"";
        section.problem_with_help(&section.place(), "the section [gitlab] is missing", help);
    }
    let url = section.required("url", "\"https://gitlab.example.com\"", front_page);
    // One value today; others follow, and the key is here so that a config can say what it relies on.
    section.choice("identity", &[("job-api", ())]);
    let ca_file = section.parsed("ca_file", values::absolute_path);
    let timeout = section.duration_up_to("timeout", 1, "the runner waits meanwhile");
    section.finish();
    Some(GitLabSettings { url: url?, ca_file, timeout: timeout.unwrap_or(Duration::from_secs(10)) })
}

/// The address of GitLab itself: what is below it is ours to add.
fn front_page(text: &str) -> Result<BaseUrl, String> {
    let url = BaseUrl::parse(text)?;
    match url.as_str().split_once("/api/v4") {
        Some((front, "")) => {
            Err(format!("must be the address of GitLab itself, not of its API: {text:?}; write {front:?}"))
        }
        Some((front, rest)) if rest.starts_with('/') => {
            Err(format!("must be the address of GitLab itself, not of a part of its API: {text:?}; write {front:?}"))
        }
        _ => Ok(url),
    }
}

#[cfg(test)]
mod tests;
