//! The jobs that a log says were decided about, for asking other rules about them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::LogFiles;
use super::show::each;
use super::wanted::Record;
use crate::evidence::supposed::{REQUEST, Supposed};

/// A job, and what became of it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// When.
    pub timestamp: String,
    /// Of which GitLab it is.
    pub gitlab: String,
    /// What was known of it.
    pub job: Supposed,
    /// What it asked for.
    pub requested: Option<String>,
    /// Who had approved its commit.
    pub approved_by: Option<String>,
    /// Its account, if it got one.
    pub account: Option<String>,
}

/// The last ones of a log, at most so many; the files are those that are named, or else those of the configuration. Jobs that were played
/// are none.
pub fn decisions(named: &[PathBuf], config: &Path, most: usize, only: Option<u64>) -> anyhow::Result<Vec<Decided>> {
    let mut last = VecDeque::new();
    each(&LogFiles::find(named, config)?, |line, record| {
        if let Some(decided) = of(line, record).filter(|decided| only.is_none_or(|job| decided.job.job_id == job)) {
            if last.len() == most {
                last.pop_front();
            }
            last.push_back(decided);
        }
        Ok(true)
    })?;
    Ok(last.into())
}

/// Nothing for a line of another kind, or of a version that kept no facts.
fn of(line: &str, record: &Record) -> Option<Decided> {
    if !matches!(record.text("event"), Some("accepted" | "refused")) {
        return None;
    }
    let line: Value = serde_json::from_str(line).ok()?;
    if line["simulated"] == true {
        return None;
    }
    let facts = line.get("facts")?;
    let text = |field: &str| record.text(field).map(str::to_owned);
    Some(Decided {
        timestamp: text("timestamp")?,
        gitlab: text("gitlab")?,
        requested: facts.get(REQUEST).and_then(Value::as_str).map(str::to_owned),
        job: serde_json::from_value(facts.clone()).ok()?,
        approved_by: text("approved_by"),
        account: text("account"),
    })
}
