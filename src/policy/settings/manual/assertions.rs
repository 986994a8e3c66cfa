//! What the manual says of `[[test]]` and `[[never]]`.

use super::CONDITIONS;
use crate::config::manual::Program::Check;
use crate::config::manual::{Bounds, Header, Key, Part, Takes, Unset};

const NUMBER: Takes = Takes::Number("a number", Bounds::NONE);

/// A fact of the job of a test.
const fn fact(name: &'static str, takes: Takes, example: &'static str, says: &'static str) -> Key {
    Key { name, takes, unset: Unset::Means("it is unknown."), example, says, used_by: &[Check] }
}

const NAME: Key = Key {
    name: "name",
    takes: Takes::Text("any text"),
    unset: Unset::Means("messages name it by its line."),
    example: "\"Arthur\"",
    says: "What messages call it.",
    used_by: &[Check],
};

/// `[[test]]`
pub const TEST: Part = Part {
    section: "test",
    header: Header::Tables,
    says: "A job, and what the rules must make of it; judged by motmot-check(1), motmot-policy-test(1) and motmot-policy-apply(1), and by \
        no stage. Limits of [accounts] are not asked: which accounts there are is the machine's.",
    keys: &[
        NAME,
        Key {
            name: "gitlab",
            takes: Takes::Text("the name of a [[gitlab]]"),
            unset: Unset::Means("it is the only one; where there are several the key is required."),
            example: "\"prod\"",
            says: "The server whose job it is.",
            used_by: &[Check],
        },
        Key {
            name: "user",
            takes: Takes::Text("a login name"),
            unset: Unset::Means("it is unknown, as of all jobs where gitlab.identity is \"payload\"."),
            example: "\"adent\"",
            says: "Who starts the job.",
            used_by: &[Check],
        },
        fact("user_id", NUMBER, "42", "His number."),
        fact("scoped_user_id", NUMBER, "7", "The user for whom that one acts, who is an agent then."),
        fact("project", Takes::Text("a path"), "\"climate/model\"", "The project."),
        fact("project_id", NUMBER, "22", "Its number."),
        fact("ref", Takes::Text("a name"), "\"main\"", "The branch or tag."),
        fact("ref_type", Takes::Word(&["branch", "tag"]), "", "Which of the two."),
        fact("ref_protected", Takes::Boolean, "", "Whether it is protected."),
        Key {
            name: "pipeline_source",
            takes: Takes::Text("a word of GitLab"),
            unset: Unset::Is("\"push\""),
            example: "\"schedule\"",
            says: "What starts the pipeline.",
            used_by: &[Check],
        },
        Key {
            name: "from_fork",
            takes: Takes::Boolean,
            unset: Unset::Means("it is unknown of pipelines of merge requests, and false of all others."),
            example: "",
            says: "Whether the code comes from a fork, as the id token says it. With false, ref is the branch that is to be merged.",
            used_by: &[Check],
        },
        fact(
            "environment",
            Takes::Text("a name"),
            "\"production\"",
            "What the job deploys to, as the id token says it.",
        ),
        fact("ci_stage", Takes::Text("a name"), "\"build\"", "The stage of the job in its pipeline."),
        fact("runner", NUMBER, "12", "The number of the runner that has it."),
        fact(
            "gitlab_group",
            Takes::OneOrMore("full paths of groups"),
            "\"climate/core\"",
            "The groups of GitLab that the user is a member of; he is in no other then.",
        ),
        fact("environment_protected", Takes::Boolean, "", "Whether that environment is protected."),
        Key {
            name: "approved_by",
            takes: Takes::OneOrMore("names of approvers, or group:NAME"),
            unset: Unset::Means("nobody."),
            example: "\"climate-maintainers\"",
            says: "Who has approved the commit, for whatever account is asked about.",
            used_by: &[Check],
        },
        fact(
            "request",
            Takes::Text("the name of an account"),
            "\"svc-web\"",
            "The account that the job asks for (policy.request_variable).",
        ),
        Key {
            name: "expect",
            takes: Takes::Text("the name of an account, or \"refused\""),
            unset: Unset::Required,
            example: "\"arthur\"",
            says: "What must come of it.",
            used_by: &[Check],
        },
        Key {
            name: "rule",
            takes: Takes::Text("the name of a rule"),
            unset: Unset::Means("any rule."),
            example: "\"Arthur has another name here\"",
            says: "The rule that must decide.",
            used_by: &[Check],
        },
    ],
    file: file!(),
};

/// `[[never]]`
pub const NEVER: Part = Part {
    section: "never",
    header: Header::Tables,
    says: "Accounts that no job may have, but those for which unless holds: proven for all jobs that there could be, and not for some. If it is not \
        so, motmot-check(1) and motmot-policy-test(1) show a job that has the account; if it cannot be decided in some seconds, they say that. No \
        stage acts by it.",
    keys: &[
        NAME,
        Key {
            name: "gitlab",
            takes: Takes::Text("the name of a [[gitlab]]"),
            unset: Unset::Means("it is about the jobs of all servers."),
            example: "\"prod\"",
            says: "The server whose jobs it is about.",
            used_by: &[Check],
        },
        Key {
            name: "account",
            takes: Takes::OneOrMore("names of accounts, with * for any text"),
            unset: Unset::Required,
            example: "\"svc-climate\"",
            says: "The accounts.",
            used_by: &[Check],
        },
    ],
    file: file!(),
};

/// `unless` of it
pub const UNLESS: Part = Part {
    section: "never.unless",
    header: Header::Inline,
    says: "Conditions as in when of a rule, all of which hold for jobs that may have the account. Without them none may.",
    keys: CONDITIONS,
    file: file!(),
};

/// `not` in that
pub const NEVER_NOT: Part = Part {
    section: "never.unless.not",
    header: Header::Inline,
    says: "Conditions none of which may hold for them. Of each it must be known.",
    keys: CONDITIONS,
    file: file!(),
};
