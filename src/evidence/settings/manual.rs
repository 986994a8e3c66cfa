//! What the manual says of `[gitlab]`.

use crate::config::manual::Program::{Check, Config, Prepare, Run};
use crate::config::manual::{Bounds, Header, Key, Part, Takes, Unset};

/// `[gitlab]`
pub const GITLAB: Part = Part {
    section: "gitlab",
    header: Header::Table,
    says: "The GitLab that this runner belongs to. Jobs are identified by asking it; nothing that a job says is believed. The \
        section must be there.",
    keys: &[
        Key {
            name: "url",
            takes: Takes::Text(
                "the https:// URL of GitLab itself, not of its API; http:// on the loopback interface only",
            ),
            unset: Unset::Required,
            example: "\"https://git.hpc.example/gitlab\"",
            says: "Address of the GitLab. It is also upstream_iss in tokens.",
            used_by: &[Config, Prepare, Run, Check],
        },
        Key {
            name: "identity",
            takes: Takes::Word(&["job-api"]),
            unset: Unset::Is("\"job-api\""),
            example: "",
            says: "How it is found out whose job one is: job-api asks GET /api/v4/job with the job's own token.",
            used_by: &[Config],
        },
        Key {
            name: "ca_file",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Means("the certificates of the system."),
            example: "\"/etc/motmot/gitlab-ca.pem\"",
            says: "Certificates (PEM) that GitLab's TLS certificate must lead to.",
            used_by: &[Config, Prepare, Run, Check],
        },
        Key {
            name: "timeout",
            takes: Takes::Time(Bounds::up_to("1m")),
            unset: Unset::Is("\"10s\""),
            example: "\"30s\"",
            says: "Longest time for one question to GitLab, which is asked up to three times.",
            used_by: &[Config, Prepare, Run, Check],
        },
    ],
    file: file!(),
};
