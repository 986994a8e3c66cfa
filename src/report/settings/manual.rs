//! What the manual says of `[log]`.

use crate::config::manual::Program::{Check, Cleanup, Config, Prepare, Reap, Run, Simulate};
use crate::config::manual::{Case, Header, Key, Part, Takes, Unset};

/// `[log]`
pub const LOG: Part = Part {
    section: "log",
    header: Header::Table,
    says: "The audit log.",
    keys: &[Key {
        name: "file",
        takes: Takes::Text("an absolute path, or \"\" for no file"),
        unset: Unset::Depends(files),
        example: "\"/var/log/ci/motmot.log\"",
        says: "The file of the audit log, one JSON object a line. What is written to it is also in the journal, where one runs.",
        used_by: &[Config, Prepare, Run, Cleanup, Reap, Check, Simulate],
    }],
    file: file!(),
};

fn files() -> Vec<Case> {
    let one_user = vec!["jobs.downscope = \"none\"".to_owned()];
    vec![(Vec::new(), "\"/var/log/motmot/audit.log\"".to_owned()), (one_user, "\"\"".to_owned())]
}
