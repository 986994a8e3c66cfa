//! What the manual says of `[accounts]` and `[[map]]`.

use crate::config::manual::Program::{Check, Config, Prepare, Run};
use crate::config::manual::{Bounds, Header, Key, Part, Program, Takes, Unset};

/// They are asked again by each stage that starts something.
const ADMITTED_BY: &[Program] = &[Config, Prepare, Run, Check];

/// `[accounts]`
pub const ACCOUNTS: Part = Part {
    section: "accounts",
    header: Header::Table,
    says: "Limits that no rule can lift. Root is refused in any case.",
    keys: &[
        Key {
            name: "min_uid",
            takes: Takes::Number("a user id", Bounds::between("1", "4294967295")),
            unset: Unset::Is("1000"),
            example: "5000",
            says: "Accounts with a smaller number are refused.",
            used_by: ADMITTED_BY,
        },
        Key {
            name: "deny_users",
            takes: Takes::Texts("names of accounts"),
            unset: Unset::Is("[]"),
            example: "[\"nobody\", \"munge\"]",
            says: "Accounts that no job runs as.",
            used_by: ADMITTED_BY,
        },
        Key {
            name: "deny_groups",
            takes: Takes::Texts("names of groups"),
            unset: Unset::Is("[]"),
            example: "[\"wheel\"]",
            says: "No job runs as a member of one of these groups.",
            used_by: ADMITTED_BY,
        },
        Key {
            name: "shells",
            takes: Takes::Texts("absolute paths"),
            unset: Unset::Is("[]"),
            example: "[\"/bin/bash\", \"/bin/zsh\"]",
            says: "Login shells, one of which an account must have. An empty list: any but nologin and false.",
            used_by: ADMITTED_BY,
        },
        Key {
            name: "pam_service",
            takes: Takes::Text("the name of a file in /etc/pam.d, or \"none\""),
            unset: Unset::Means("motmot, if /etc/pam.d/motmot is there and the runner is root."),
            example: "\"sshd\"",
            says: "Who may begin a job by the machine's own rules for logging in: the account phase of this service of PAM is \
                asked. none: PAM is not asked. Without PAM the expiry in /etc/shadow counts (chage -E), and no job begins \
                while there is an /etc/nologin. With PAM and without it a job is refused whose account has a locked password (an exclamation \
                mark before it in /etc/shadow: passwd -l, usermod -L), also where its keys are welcome to sshd. An account that \
                has keys and no password gets usermod -p '*', which locks nothing; nor is one locked that never had a password (the \
                mark alone), whatever passwd -l says. Expiry and locks take a runner that can read /etc/shadow; nologin holds for every one.",
            used_by: ADMITTED_BY,
        },
        Key {
            name: "pam_session",
            takes: Takes::Boolean,
            unset: Unset::Is("false"),
            example: "",
            says: "Whether each prepare and run stage is a login session: that service's session phase (pam_limits, pam_loginuid, \
                pam_systemd) runs around its worker on this machine, so that the limits of the account hold in its jobs as after \
                a login. Only where the runner is root; a module that refuses or hangs fails the job as a failure of the site.",
            used_by: &[Prepare, Run, Check],
        },
    ],
    file: file!(),
};

/// `[[map]]`
pub const MAP: Part = Part {
    section: "map",
    header: Header::Tables,
    says: "Who runs as whom: the first rule whose conditions all hold decides, and without one the job is refused.",
    keys: &[
        Key {
            name: "name",
            takes: Takes::Text("any text"),
            unset: Unset::Means("messages name the rule by its number and line."),
            example: "\"Arthur has another name here\"",
            says: "What messages and the audit log call the rule.",
            used_by: &[Config, Check],
        },
        Key {
            name: "run_as",
            takes: Takes::Text("the name of an account, or \"{gitlab_user}\""),
            unset: Unset::Required,
            example: "\"arthur\"",
            says: "The account. {gitlab_user} is the account of the same name as the GitLab user: on a GitLab with open sign-up, \
                or where login names can be changed, that hands out every account of this machine whose name nobody has \
                there yet. Never root.",
            used_by: &[Config, Check],
        },
    ],
    file: file!(),
};

/// `when` of a rule
pub const WHEN: Part = Part {
    section: "map.when",
    header: Header::Inline,
    says: "The conditions of a rule, all of which must hold; without any it always holds. when = {} says that everybody is meant: of \
        a rule without it motmot-check(1) asks whether they were forgotten.",
    keys: &[
        Key {
            name: "user",
            takes: Takes::Text("a login name of GitLab"),
            unset: Unset::Means("any user."),
            example: "\"adent\"",
            says: "The user, by login name, exactly. Login names can change hands in GitLab, numbers cannot.",
            used_by: &[Config, Check],
        },
        Key {
            name: "user_id",
            takes: Takes::Number("the number of a GitLab user", Bounds::NONE),
            unset: Unset::Means("any user."),
            example: "42",
            says: "The user, by number.",
            used_by: &[Config, Check],
        },
    ],
    file: file!(),
};
