//! What the manual says of `[accounts]` and `[[map]]`.

pub mod assertions;

use super::terms::RuleExecutor;
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

fn executors() -> Vec<&'static str> {
    RuleExecutor::all().map(RuleExecutor::word).collect()
}

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
            name: "gitlab",
            takes: Takes::Text("the name of a [[gitlab]]"),
            unset: Unset::Means("the only one; where there are several each rule names one."),
            example: "\"prod\"",
            says: "Whose jobs the rule is about. Names and numbers of one server are not those of another.",
            used_by: &[Config, Check],
        },
        Key {
            name: "run_as",
            takes: Takes::Text("the name of an account, \"{gitlab_user}\", or \"table:FILE\""),
            unset: Unset::Required,
            example: "\"arthur\"",
            says: "The account. {gitlab_user} is the account of the same name as the GitLab user: on a GitLab with open sign-up, \
                or where login names can be changed, that hands out every account of this machine whose name nobody has \
                there yet. Never root. table:/etc/motmot/users.map is a file that has the account of each user: adent arthur in a line, or \
                id:42 arthur by number, which counts more; # begins a comment. For a user who is not in it the rule does not match. A line that \
                cannot be read, and two for one user, make it unusable: no job is mapped by it, nor by a rule behind it. It must be \
                root's, as the configuration. Left out where the rule is for jobs alone that ask for an account (may_request).",
            used_by: &[Config, Check],
        },
        Key {
            name: "may_request",
            takes: Takes::OneOrMore("names of accounts"),
            unset: Unset::Means("none."),
            example: "[\"svc-climate\", \"svc-deploy\"]",
            says: "Accounts that a job has by asking for one in the variable policy.request_variable, instead of the rule's own. Without run_as the rule is for \
                jobs alone that ask for one of them. Whoever writes the pipeline asks: so a job whose code may be that of a fork has none of them \
                unless the rule says from_fork = true.",
            used_by: &[Config, Check],
        },
        Key {
            name: "approved_by",
            takes: Takes::OneOrMore("names of approvers, or @NAME for a group of [groups]"),
            unset: Unset::Means("no approval is asked for."),
            example: "[\"climate-maintainers\", \"arthur@hpc.example\"]",
            says: "The rule matches only if one of these has approved the commit of the job for its account: names in the file \
                approvals.allowed_signers, exactly. Besides what when says: an approval lifts nothing. What it says of a commit and what \
                it does not: motmot-approve(1).",
            used_by: &[Config, Check],
        },
        Key {
            name: "executor",
            takes: Takes::MadeWord(executors),
            unset: Unset::Means("jobs.executor."),
            example: "\"shell\"",
            says: "Where jobs under this rule run: jobs.executor, or \"shell\". With \"shell\" they stay on this machine though others go to a batch scheduler.",
            used_by: &[Config, Prepare, Run, Check],
        },
        Key {
            name: "token_ttl",
            takes: Takes::Time(Bounds::between("1m", "6h")),
            unset: Unset::Means("token.ttl."),
            example: "\"5m\"",
            says: "Life of the tokens of jobs under this rule: at least 1m, and not longer than token.ttl.",
            used_by: &[Run, Check],
        },
        Key {
            name: "token_audience",
            takes: Takes::Text("one word, mostly a URL"),
            unset: Unset::Means("token.audience."),
            example: "\"https://vault.hpc.example\"",
            says: "aud of their tokens: for services that believe jobs under this rule alone.",
            used_by: &[Run, Check],
        },
        Key {
            name: "message",
            takes: Takes::Text("any text"),
            unset: Unset::Means("only jobs.message is shown."),
            example: "\"This account is shared: see https://hpc.example/climate\"",
            says: "Words at the beginning of their logs, behind jobs.message.",
            used_by: &[Prepare],
        },
    ],
    file: file!(),
};

/// `[policy]`
pub const POLICY: Part = Part {
    section: "policy",
    header: Header::Table,
    says: "What holds for all rules.",
    keys: &[
        Key {
            name: "merge_requests_of_forks",
            takes: Takes::Word(&["own-account", "refuse", "allow"]),
            unset: Unset::Is("\"own-account\""),
            example: "",
            says: "What becomes of a job whose code may be that of a fork: in the pipeline of a merge request, and where GitLab does not say \
            what started the pipeline. own-account: it runs as the account that a rule gives to whoever has started the pipeline \
            ({gitlab_user}, or a rule with user or user_id), who is told whose code it may be; no other rule matches it. refuse: no \
            rule matches it. allow: rules do not ask; whoever may open a merge request then has the accounts that rules give to the \
            project. A rule with from_fork = true is for code that is known to come from a fork.",
            used_by: &[Config, Prepare, Check],
        },
        Key {
            name: "request_variable",
            takes: Takes::Text("the name of a variable"),
            unset: Unset::Is("\"MOTMOT_RUN_AS\""),
            example: "\"RUN_AS\"",
            says: "The variable of a pipeline in which a job asks for an account (may_request). A job that asks for one runs as that one or not at all.",
            used_by: &[Config],
        },
    ],
    file: file!(),
};

/// `[groups]`
pub const GROUPS: Part = Part {
    section: "groups",
    header: Header::Table,
    says: "Names for several users, for rules: user = \"@NAME\"; or for several approvers: approved_by = \"@NAME\".",
    keys: &[Key {
        name: "",
        takes: Takes::TextsTable("groups", "login names of GitLab"),
        unset: Unset::Is("{}"),
        example: "{ maintainers = [\"adent\", \"ford\"] }",
        says: "The login names of its members, exactly; where it is for approved_by, their names in approvals.allowed_signers. What begins with / is a \
            file with one name in each line; # begins a comment. It must be root's, as the configuration.",
        used_by: &[Config, Check],
    }],
    file: file!(),
};

/// `when` of a rule
pub const WHEN: Part = Part {
    section: "map.when",
    header: Header::Inline,
    says: "The conditions of a rule, all of which must hold; of several values in a list one. Without any it always holds. when = {} says that \
        everybody is meant: of a rule without it motmot-check(1) asks whether they were forgotten. What nobody has told motmot of a job is \
        unknown, and then a condition on it does not hold, in not = { ... } neither.",
    keys: CONDITIONS,
    file: file!(),
};

/// `not` in it
pub const NOT: Part = Part {
    section: "map.when.not",
    header: Header::Inline,
    says: "Conditions none of which may hold. Of each it must be known.",
    keys: CONDITIONS,
    file: file!(),
};

pub(super) const CONDITIONS: &[Key] = &[
    Key {
        name: "user",
        takes: Takes::OneOrMore("login names of GitLab, or @NAME for a group of [groups]"),
        unset: Unset::Means("any user."),
        example: "\"adent\"",
        says: "Who started the job, by login name, exactly. Login names can change hands in GitLab, numbers cannot.",
        used_by: &[Config, Check],
    },
    Key {
        name: "user_id",
        takes: Takes::OneOrMoreNumbers("of GitLab users"),
        unset: Unset::Means("any user."),
        example: "42",
        says: "The same, by number.",
        used_by: &[Config, Check],
    },
    Key {
        name: "project",
        takes: Takes::OneOrMore("paths of projects; * is any text within a part of the path, ** any text"),
        unset: Unset::Means("any project."),
        example: "\"climate/**\"",
        says: "The project that the job runs in, by its path. Paths can be renamed and taken by others, numbers cannot.",
        used_by: &[Config, Check],
    },
    Key {
        name: "project_id",
        takes: Takes::OneOrMoreNumbers("of projects"),
        unset: Unset::Means("any project."),
        example: "22",
        says: "The same, by number.",
        used_by: &[Config, Check],
    },
    Key {
        name: "namespace",
        takes: Takes::OneOrMore("paths of groups or users, as for project"),
        unset: Unset::Means("any."),
        example: "\"climate\"",
        says: "The group or user that the project is in: its path without its last part.",
        used_by: &[Config, Check],
    },
    Key {
        name: "ref",
        takes: Takes::OneOrMore("names of branches or tags, with * and ** as for project"),
        unset: Unset::Means("any."),
        example: "[\"main\", \"release/*\"]",
        says: "The branch or tag. Whoever may push chooses its name: see ref_protected. In the pipeline of a merge request it is unknown: \
            main of a fork is another branch.",
        used_by: &[Config, Check],
    },
    Key {
        name: "ref_type",
        takes: Takes::Word(&["branch", "tag"]),
        unset: Unset::Means("either."),
        example: "",
        says: "Which of the two that is. In the pipeline of a merge request it is unknown.",
        used_by: &[Config, Check],
    },
    Key {
        name: "ref_protected",
        takes: Takes::Boolean,
        unset: Unset::Means("either."),
        example: "",
        says: "Whether GitLab protects that branch or tag. In the pipeline of a merge request, and with GitLab before 18.3 or GitLab \
            Runner before 18.4, it is unknown.",
        used_by: &[Config, Check],
    },
    Key {
        name: "pipeline_source",
        takes: Takes::OneOrMore("words of GitLab (CI_PIPELINE_SOURCE)"),
        unset: Unset::Means("any."),
        example: "[\"push\", \"schedule\"]",
        says: "What started the pipeline.",
        used_by: &[Config, Check],
    },
    Key {
        name: "from_fork",
        takes: Takes::Boolean,
        unset: Unset::Means("see policy.merge_requests_of_forks."),
        example: "",
        says: "Whether the code comes from a fork of the project. Known to be false in all pipelines but those of merge requests; in those \
            it is unknown, as GitLab tells a runner nothing of it.",
        used_by: &[Config, Check],
    },
    Key {
        name: "bot",
        takes: Takes::Boolean,
        unset: Unset::Means("people only, and bots that user names."),
        example: "",
        says: "Whether the user is the bot of an access token of a project or group (project_7_bot_...). Whoever may make such a token, or \
            has it, starts pipelines as that user.",
        used_by: &[Config, Check],
    },
    Key {
        name: "acting_for",
        takes: Takes::Boolean,
        unset: Unset::Means("no agents."),
        example: "",
        says: "Whether the user is an AI agent that acts for a human (composite identity). Only a rule with acting_for = true matches its \
            jobs, and user and user_id are then the human: of him GitLab tells a runner the number and no name.",
        used_by: &[Config, Check],
    },
    Key {
        name: "environment",
        takes: Takes::OneOrMore("names of environments, with * and ** as for project"),
        unset: Unset::Means("any, or none."),
        example: "[\"production\", \"staging/*\"]",
        says: "What the job deploys to (environment: in .gitlab-ci.yml), as the id token says it; without one it is unknown, and so it is of a job \
            that deploys to nothing. Whoever writes the pipeline chooses the name: see environment_protected.",
        used_by: &[Config, Check],
    },
    Key {
        name: "environment_protected",
        takes: Takes::Boolean,
        unset: Unset::Means("either."),
        example: "",
        says: "Whether GitLab protects that environment, so that only those deploy to it whom its project has named. Known from the id token alone.",
        used_by: &[Config, Check],
    },
    Key {
        name: "ci_stage",
        takes: Takes::OneOrMore("names of stages"),
        unset: Unset::Means("any."),
        example: "[\"build\", \"test\"]",
        says: "The stage of the job in .gitlab-ci.yml, exactly. Whoever writes the pipeline chooses it, so it can sort his own jobs and guards nothing: \
            motmot-check(1) warns of each rule that asks for it.",
        used_by: &[Config, Check],
    },
    Key {
        name: "runner",
        takes: Takes::OneOrMoreNumbers("of runners"),
        unset: Unset::Means("any runner that uses this file."),
        example: "[12, 13]",
        says: "The runner that has the job, by the number that GitLab shows (#12), as GitLab's job API or the id token says it. Not known where \
            gitlab.identity is \"payload\". Its description and its tags are no facts: whoever manages a runner of a project can change them.",
        used_by: &[Config, Check],
    },
    Key {
        name: "gitlab_group",
        takes: Takes::OneOrMore("full paths of groups"),
        unset: Unset::Means("any user."),
        example: "[\"climate/core\", \"physics\"]",
        says: "The user is a member of one of these groups of GitLab, exactly by their paths, as Guest or more: directly, by a group above or by an invited \
            one; not while he waits to be let in, nor from the day on that his membership ends. GitLab is asked with gitlab.groups_token. Without \
            one the id token alone says it (groups_direct, where GitLab sends it; never of a user in more than 200 groups): \
            that he is in a group or one above it, and of none that he is not, so that not = { gitlab_group = ... } holds for nobody then. A \
            group that GitLab does not show makes jobs fail that it decides for. Paths can be renamed and taken by others.",
        used_by: &[Config, Check],
    },
];
