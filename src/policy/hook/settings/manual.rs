//! What the manual says of `[hook]`.

use crate::config::manual::Program::{Check, Config, Prepare, Run};
use crate::config::manual::{Bounds, Header, Key, Part, Takes, Unset};

/// `[hook]`
pub const HOOK: Part = Part {
    section: "hook",
    header: Header::Table,
    says: "A program of the site that is asked about each job for which a rule has an account (a validation hook). It can accept the job, refuse it, or \
        name another account of may_request of that rule; it can lift no limit. Whatever goes wrong with it is a failure of the site, and no job runs.",
    keys: &[
        Key {
            name: "program",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Required,
            example: "\"/etc/motmot/hook\"",
            says: "The program: a binary, or a script that begins with #!. It must be root's, and so must all directories above it be. It is executed from a copy in \
                memory, so that $0 is no path of it.",
            used_by: &[Config, Check],
        },
        Key {
            name: "sha256",
            takes: Takes::Text("64 hexadecimal digits"),
            unset: Unset::Required,
            example: "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
            says: "The SHA-256 digest of the program, as sha256sum prints it. What has another one is not executed. It does not cover what the program reads: its interpreter, modules, \
                files of its own.",
            used_by: &[Config, Check],
        },
        Key {
            name: "account",
            takes: Takes::Text("the name of an account"),
            unset: Unset::Required,
            example: "\"motmot-hook\"",
            says: "As whom it runs: an account of its own, never root and not the runner's, that owns nothing. No job runs as it. With jobs.downscope = \"none\" it \
                must be the account of the runner itself.",
            used_by: &[Config, Prepare, Run, Check],
        },
        Key {
            name: "timeout",
            takes: Takes::Time(Bounds::up_to("1m")),
            unset: Unset::Is("\"10s\""),
            example: "\"3s\"",
            says: "How long it may take. Then it is ended with all that it has started, and the job fails as a failure of the site.",
            used_by: &[Config],
        },
        Key {
            name: "form",
            takes: Takes::Word(&["json", "argv"]),
            unset: Unset::Is("\"json\""),
            example: "",
            says: "How it is asked and how it answers. json: one object on standard input, one on standard output. argv: names as arguments, and a status other than 0 refuses: \
                RunAs validation scripts of Jacamar CI go on to work.",
            used_by: &[Config],
        },
    ],
    file: file!(),
};
