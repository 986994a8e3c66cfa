//! The last jobs of the audit log, by the old rules and by the new ones.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::admin::audit::{Decided, decisions};
use crate::policy::{Asking, Machine, by_rules, job_in_words};
use crate::report::{counted, indented};
use crate::settings::Settings;

/// So many jobs of the log are passed through both.
const MOST: usize = 10_000;
/// So many that have another account are shown.
const SHOWN: usize = 20;

/// What came of it.
pub(super) struct Replayed {
    jobs: usize,
    changes: Vec<Changed>,
}

/// A job of the log with another account by the new rules than by the old ones.
struct Changed {
    decided: Decided,
    before: Option<String>,
    after: Option<String>,
}

/// Passes them through both. By the rules alone, and by what was known of each: what a source that the new configuration names would say
/// besides, the log does not know.
///
/// # Errors
/// Why the log cannot be read, in words.
pub(super) fn replay(named: &[PathBuf], config: &Path, old: &Settings, new: &Settings) -> Result<Replayed, String> {
    let all = decisions(named, config, MOST, None).map_err(|error| format!("{error:#}"))?;
    let of_each = |settings: &Settings| settings.of_each_gitlab().collect::<Vec<Settings>>();
    let (olds, news) = (of_each(old), of_each(new));
    let jobs = all.len();
    let mut changes = Vec::new();
    for decided in all {
        let (before, after) = (account(&olds, &decided)?, account(&news, &decided)?);
        if before != after {
            changes.push(Changed { decided, before, after });
        }
    }
    Ok(Replayed { jobs, changes })
}

/// Its account, if it has one; of several GitLabs the rules for the jobs of its own decide, and where that is gone none does. The only one
/// may have got another address.
fn account(each: &[Settings], decided: &Decided) -> Result<Option<String>, String> {
    let settings = match each {
        [only] => only,
        several => match several.iter().find(|settings| settings.gitlab.url.as_str() == decided.gitlab) {
            Some(settings) => settings,
            None => return Ok(None),
        },
    };
    let facts = decided.job.clone().facts();
    let asking = Asking { facts: &facts, requested: decided.requested.as_deref() };
    let approvers: Vec<String> = decided.approved_by.iter().cloned().collect();
    let (_, account) = by_rules(&settings.rules(), asking, &approvers, Machine::THIS.tables)?;
    Ok(account.ok())
}

impl Replayed {
    /// Whether each has the account that it had.
    pub(super) fn is_same(&self) -> bool {
        self.changes.is_empty()
    }

    /// In lines.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        for Changed { decided, before, after } in self.changes.iter().take(SHOWN) {
            let shown = |account: &Option<String>| account.clone().unwrap_or_else(|| "refused".to_owned());
            let approved = decided.approved_by.as_deref();
            let job = job_in_words(&decided.job.clone().facts(), decided.requested.as_deref(), approved.as_slice());
            let words = format!(
                "job {} of {}: {} -> {}\n{job}",
                decided.job.job_id,
                decided.timestamp,
                shown(before),
                shown(after)
            );
            let _ = writeln!(text, "{}", indented(&words)); // into a string: cannot fail, as below
        }
        if let Some(more) = self.changes.len().checked_sub(SHOWN + 1) {
            let _ = writeln!(text, "and {} more; --json has them all", more + 1);
        }
        let _ = writeln!(
            text,
            "{} of the audit log: {}",
            counted(self.jobs, "job"),
            match self.changes.len() {
                0 => "none has another account".to_owned(),
                1 => "1 has another account".to_owned(),
                many => format!("{many} have another account"),
            }
        );
        text
    }

    /// As JSON.
    pub(super) fn document(&self) -> Value {
        let changes = self.changes.iter().map(|Changed { decided, before, after }| {
            json!({
                "job_id": decided.job.job_id, "timestamp": decided.timestamp, "gitlab": decided.gitlab,
                "account": decided.account, "before": before, "after": after,
            })
        });
        json!({ "jobs": self.jobs, "changes": changes.collect::<Vec<_>>() })
    }
}
