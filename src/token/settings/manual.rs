//! What the manual says of `[token]`.

use crate::config::manual::Program::{Check, Jwks, Keys, Prepare, Run};
use crate::config::manual::{Bounds, Header, Key, Part, Takes, Unset};

/// `[token]`
pub const TOKEN: Part = Part {
    section: "token",
    header: Header::Table,
    says: "What the tokens of jobs say. Without this section jobs get none.",
    keys: &[
        Key {
            name: "issuer",
            takes: Takes::Text("an https:// URL without a slash at its end"),
            unset: Unset::Required,
            example: "\"https://tokens.hpc.example\"",
            says: "iss of the tokens: what services trust. They compare it byte for byte.",
            used_by: &[Run, Check],
        },
        Key {
            name: "audience",
            takes: Takes::Text("one word, mostly a URL"),
            unset: Unset::Required,
            example: "\"https://services.hpc.example\"",
            says: "aud of the tokens: the services that they are for.",
            used_by: &[Run],
        },
        Key {
            name: "ttl",
            takes: Takes::Time(Bounds::between("1m", "6h")),
            unset: Unset::Is("\"15m\""),
            example: "\"1h\"",
            says: "Life of one token, in whole seconds. While a stage runs its token is renewed at half its life.",
            used_by: &[Run, Check],
        },
        Key {
            name: "keys",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Is("\"/etc/motmot/keys\""),
            example: "\"/srv/motmot/keys\"",
            says: "Directory of the signing keys, made by motmot-keys-init(1).",
            used_by: &[Run, Check, Keys, Jwks],
        },
        Key {
            name: "variable",
            takes: Takes::Text("the name of a variable that means nothing else (not PATH, LD_*, BASH_*, ...)"),
            unset: Unset::Is("\"CI_JOB_JWT\""),
            example: "\"SITE_TOKEN\"",
            says: "The variable of the job that has the token. The one with the path of the token's file has this name and _FILE \
                behind it.",
            used_by: &[Prepare, Run],
        },
        Key {
            name: "site",
            takes: Takes::Text("one word"),
            unset: Unset::Means("tokens do not have the claim."),
            example: "\"hpc.example\"",
            says: "hpc.site in the tokens.",
            used_by: &[Run],
        },
        Key {
            name: "cluster",
            takes: Takes::Text("one word"),
            unset: Unset::Means("tokens do not have the claim."),
            example: "\"deep\"",
            says: "hpc.cluster in the tokens.",
            used_by: &[Run],
        },
    ],
    file: file!(),
};
