//! What the manual says of `[approvals]`.

use crate::config::manual::Program::{Approve, Check, Config};
use crate::config::manual::{Header, Key, Part, Takes, Unset};

/// `[approvals]`
pub const APPROVALS: Part = Part {
    section: "approvals",
    header: Header::Table,
    says: "For rules with approved_by, which give an account to approved commits only: motmot-approve(1).",
    keys: &[
        Key {
            name: "allowed_signers",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Required,
            example: "\"/etc/motmot/allowed_signers\"",
            says: "The approvers' public keys: a file as in ssh-keygen(1), ALLOWED SIGNERS, with a line of names and a key for each, and the \
                options namespaces, valid-after and valid-before (in UTC, with Z). Patterns of names and certificate authorities are \
                refused. The file must be root's, and so must all directories above it be.",
            used_by: &[Config, Check, Approve],
        },
        Key {
            name: "dir",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Means("approvals are looked for in the variable only."),
            example: "\"/etc/motmot/approvals\"",
            says: "The directory of approvals, root's, which motmot approve --install writes to. The name of each file is a digest of what is \
                approved.",
            used_by: &[Config, Check, Approve],
        },
        Key {
            name: "variable",
            takes: Takes::Text("the name of a variable, or \"\" for none"),
            unset: Unset::Is("\"MOTMOT_APPROVAL\""),
            example: "\"HPC_APPROVAL\"",
            says: "The CI variable in which a job may have approvals. They are signed, so it does not matter who has set it.",
            used_by: &[Config],
        },
        Key {
            name: "issuer",
            takes: Takes::Text("visible ASCII characters"),
            unset: Unset::Means("token.issuer; without a [token] section it must be there."),
            example: "\"https://ci.hpc.example\"",
            says: "For which site an approval is: part of what is signed (namespace motmot-approve@ISSUER), so that it is none for another \
                site with an account of the same name.",
            used_by: &[Config, Check, Approve],
        },
    ],
    file: file!(),
};
