//! What the manual says of `[gitlab]`.

use crate::config::manual::Program::{Check, Config, Prepare, Run};
use crate::config::manual::{Bounds, Header, Key, Part, Takes, Unset};

/// `[gitlab]`
pub const GITLAB: Part = Part {
    section: "gitlab",
    header: Header::Table,
    says: "The GitLab that this runner belongs to. Jobs are identified by asking it; nothing that a job says is believed. The \
        section must be there. Where runners of several servers use one file it is there once for each, as [[gitlab]] with a name, which the \
        runner's own configuration chooses (--gitlab NAME in config_args, prepare_args and run_args).",
    keys: &[
        Key {
            name: "name",
            takes: Takes::Text("a word of a-z, 0-9 and -, that begins with a letter"),
            unset: Unset::Means("none; of several servers each needs one."),
            example: "\"prod\"",
            says: "What the runner's configuration (--gitlab) and the rules (gitlab) call the server.",
            used_by: &[Config, Prepare, Run, Check],
        },
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
            takes: Takes::OneOrMore("job-api, id-token or payload"),
            unset: Unset::Is("\"job-api\""),
            example: "[\"job-api\", \"id-token\"]",
            says: "How it is found out whose job one is. job-api asks GET /api/v4/job with the job's own token. id-token verifies \
                the id token that GitLab has signed for the job, which each job has to ask for (id_tokens: in .gitlab-ci.yml); it alone \
                says whose code the pipeline of a merge request runs. payload believes the runner's copy of the job alone: it has \
                numbers and no names, so rules can only match on user_id and project_id, and {gitlab_user} is nobody. Of two in a \
                list both are asked, and have to agree.",
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
        Key {
            name: "token_issuer",
            takes: Takes::Text("an https:// URL without a slash at its end"),
            unset: Unset::Means("token.issuer."),
            example: "\"https://ci.hpc.example/prod\"",
            says: "iss of the tokens of its jobs. Of several servers no two may have the same one: services tell jobs from each other by paths and \
                numbers, which are those of one server. Behind each address stands the same JWKS.",
            used_by: &[Run, Check],
        },
        Key {
            name: "id_token_variable",
            takes: Takes::Text("the name of a variable"),
            unset: Unset::Is("\"MOTMOT_ID_TOKEN\""),
            example: "\"SITE_ID_TOKEN\"",
            says: "The variable of a job that carries its id token, as .gitlab-ci.yml names it below id_tokens.",
            used_by: &[Config],
        },
        Key {
            name: "id_token_audience",
            takes: Takes::Text("a text of visible characters"),
            unset: Unset::Means("none; it is needed where identity has id-token."),
            example: "\"https://ci.hpc.example\"",
            says: "What the id token must have in aud, and nothing besides: a token for another site is none for this one.",
            used_by: &[Config],
        },
        Key {
            name: "groups_token",
            takes: Takes::Text("an absolute path"),
            unset: Unset::Means("GitLab is not asked who is in a group."),
            example: "\"/etc/motmot/gitlab-groups.token\"",
            says: "A file with an access token of GitLab that may read (read_api) the groups that rules name in gitlab_group, best of somebody who is \
                in them and may do nothing else there: a group access token with the role of a Guest. It must be root's, or the runner's, and \
                nobody else may read it. It is asked who is in a group when a job begins that this decides for; answers are kept for five minutes. A \
                GitLab that does not answer is a failure of the site, whatever it said before.",
            used_by: &[Config, Check],
        },
    ],
    file: file!(),
};
