//! Services of PAM, for single tests.

use std::fs;
use std::path::PathBuf;

use super::World;

/// A service of PAM's, for one test.
pub struct Service {
    pub name: String,
    pub file: PathBuf,
}

impl Service {
    pub fn new(world: &World, lines: &str) -> Self {
        let name = format!("motmot-{}", world.user.name);
        let file = PathBuf::from("/etc/pam.d").join(&name);
        fs::write(&file, lines).expect("a service of PAM");
        Self { name, file }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// The reason of the last event of this name in the audit log.
#[track_caller]
pub fn reason(world: &World, event: &str) -> String {
    let line = world.audit().into_iter().rfind(|line| line["event"] == event).expect("an audit line");
    line["reason"].as_str().expect("a reason").to_owned()
}
