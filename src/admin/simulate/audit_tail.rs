//! What the audit log says about a job that was just played.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::report::indented;
use crate::settings::Settings;

/// One job writes a few kilobytes; others may write beside it.
const MOST: u64 = 4 << 20;

/// The log, from where it ended when the job began.
pub(super) struct AuditTail {
    file: Option<PathBuf>,
    from: u64,
}

impl AuditTail {
    pub(super) fn begin(config: &Path) -> Self {
        let file = Settings::load(config).ok().and_then(|settings| settings.log.file);
        let from = file.as_deref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        Self { file, from }
    }

    /// Why this job was not accepted, as an admin reads it. Nothing for whoever may not read the log.
    pub(super) fn reasons(&self, job_id: i64) -> Vec<String> {
        let mut reasons = Vec::new();
        for line in self.read().unwrap_or_default().lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let not_accepted = ["refused", "unavailable"].iter().any(|event| line["event"] == *event);
            if let Some(reason) = line["reason"].as_str().filter(|_| not_accepted && line["job_id"] == job_id) {
                let reason = indented(reason);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        reasons
    }

    fn read(&self) -> Option<String> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file = File::options().read(true).custom_flags(flags).open(self.file.as_deref()?).ok()?;
        file.seek(SeekFrom::Start(self.from)).ok()?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
