//! What the manual says of `[log]`.

use crate::config::manual::Program::{Audit, Check, Cleanup, Config, Prepare, Reap, Run, Simulate};
use crate::config::manual::{Case, Header, Key, Part, Takes, Unset};

/// `[log]`
pub const LOG: Part = Part {
    section: "log",
    header: Header::Table,
    says: "The audit log.",
    keys: &[
        Key {
            name: "file",
            takes: Takes::Text("an absolute path, or \"\" for no file"),
            unset: Unset::Depends(files),
            example: "\"/var/log/ci/motmot.log\"",
            says: "The file of the audit log, one JSON object a line; beside it, with .head behind its name, is the end of the chain of its \
                lines, which belongs to it.",
            used_by: &[Config, Prepare, Run, Cleanup, Reap, Check, Simulate, Audit],
        },
        Key {
            name: "audit",
            takes: Takes::OneOrMore("\"file\", \"journald\" or \"syslog\""),
            unset: Unset::Means("the file, and a copy in the journal where one runs"),
            example: "[\"file\", \"syslog\"]",
            says: "Where the audit log is written. What is named here has to take each record (on_failure).",
            used_by: &[Config, Prepare, Run, Cleanup, Reap, Simulate],
        },
        Key {
            name: "syslog_socket",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Is("\"/dev/log\""),
            example: "\"/run/rsyslog/motmot\"",
            says: "The socket of syslog (datagrams), which gets messages of RFC 5424.",
            used_by: &[Config, Prepare, Run, Cleanup, Reap, Simulate],
        },
        Key {
            name: "on_failure",
            takes: Takes::Word(&["refuse", "warn"]),
            unset: Unset::Is("\"refuse\""),
            example: "\"warn\"",
            says: "What becomes of jobs that begin while the audit log cannot be written: they fail as a failure of the system, or run and \
                say so in their logs. Jobs that run already go on, and cleanup does in any case.",
            used_by: &[Config, Prepare, Simulate],
        },
    ],
    file: file!(),
};

fn files() -> Vec<Case> {
    let one_user = vec!["jobs.downscope = \"none\"".to_owned()];
    vec![(Vec::new(), "\"/var/log/motmot/audit.log\"".to_owned()), (one_user, "\"\"".to_owned())]
}
