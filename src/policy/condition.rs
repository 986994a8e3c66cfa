//! The conditions of a rule. Each asks for one fact of a job.
//!
//! A fact may be unknown, and then a condition on it neither holds nor fails: a rule that asks for it does not match, and
//! neither does one that asks for the opposite.

use crate::evidence::{Environment, JobFacts, RefType};
use crate::policy::pattern::Pattern;

/// One condition: of several values one has to be the job's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The login name of the human who started the job, or for whom the agent acts that did.
    User(Vec<String>),
    /// His number.
    UserId(Vec<u64>),
    /// The path of the project that the job runs in.
    Project(Vec<Pattern>),
    /// Its number.
    ProjectId(Vec<u64>),
    /// The path of the group or user that the project is in.
    Namespace(Vec<Pattern>),
    /// The branch or tag.
    Ref(Vec<Pattern>),
    /// Which of the two that is.
    RefType(Vec<RefType>),
    /// Whether GitLab protects it.
    RefProtected(bool),
    /// What started the pipeline.
    PipelineSource(Vec<String>),
    /// Whether the code comes from a fork of the project.
    FromFork(bool),
    /// Whether the user is a bot of a project or group (an access token).
    Bot(bool),
    /// Whether the user is an AI agent that acts for a human.
    ActingFor(bool),
    /// What the job deploys to, as GitLab has signed it.
    Environment(Vec<Pattern>),
    /// Whether GitLab protects that.
    EnvironmentProtected(bool),
    /// The stage of the job in its pipeline, as the author has named it.
    CiStage(Vec<String>),
    /// The number of the runner that has the job.
    Runner(Vec<u64>),
    /// The groups that the human is a member of, by their full paths.
    GitLabGroup(Vec<String>),
}

/// What a condition makes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// Nobody has said what it asks for.
    Unknown,
}

impl Holds {
    fn of(known: Option<bool>) -> Self {
        match known {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }

    /// Of the opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl Condition {
    /// As the file calls it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::UserId(_) => "user_id",
            Self::Project(_) => "project",
            Self::ProjectId(_) => "project_id",
            Self::Namespace(_) => "namespace",
            Self::Ref(_) => "ref",
            Self::RefType(_) => "ref_type",
            Self::RefProtected(_) => "ref_protected",
            Self::PipelineSource(_) => "pipeline_source",
            Self::FromFork(_) => "from_fork",
            Self::Bot(_) => "bot",
            Self::ActingFor(_) => "acting_for",
            Self::Environment(_) => "environment",
            Self::EnvironmentProtected(_) => "environment_protected",
            Self::CiStage(_) => "ci_stage",
            Self::Runner(_) => "runner",
            Self::GitLabGroup(_) => "gitlab_group",
        }
    }

    /// Whether it holds for a job.
    pub fn holds(&self, facts: &JobFacts) -> Holds {
        fn one_of<T: PartialEq<U>, U: ?Sized>(values: &[T], fact: &U) -> bool {
            values.iter().any(|value| value == fact)
        }
        let like = |patterns: &[Pattern], fact: Option<&str>| {
            fact.map(|fact| patterns.iter().any(|pattern| pattern.matches(fact)))
        };
        // Of a job that nobody runs (explain, [[test]]) a number may not have been said. No number of GitLab is 0.
        let number = |id: u64| Some(id).filter(|id| *id != 0);
        Holds::of(match self {
            Self::User(names) => facts.human().login.map(|login| one_of(names, login)),
            Self::UserId(ids) => number(facts.human().id).map(|id| ids.contains(&id)),
            Self::Project(patterns) => like(patterns, facts.project_path()),
            Self::ProjectId(ids) => number(facts.project_id()).map(|id| ids.contains(&id)),
            Self::Namespace(patterns) => like(patterns, facts.namespace_path()),
            Self::Ref(patterns) => like(patterns, facts.own_ref()),
            Self::RefType(types) => facts.own_ref_type().map(|found| types.contains(&found)),
            Self::RefProtected(wanted) => facts.own_ref_protected().map(|found| found == *wanted),
            Self::PipelineSource(sources) => facts.pipeline_source().map(|source| one_of(sources, source)),
            Self::FromFork(wanted) => facts.is_from_fork().map(|from_fork| from_fork == *wanted),
            Self::Bot(wanted) => facts.user_login().map(|login| is_bot(login) == *wanted),
            Self::ActingFor(wanted) => Some(facts.scoped_user_id().is_some() == *wanted),
            Self::Environment(patterns) => like(patterns, facts.environment().map(Environment::name)),
            Self::EnvironmentProtected(wanted) => {
                facts.environment().and_then(Environment::protected).map(|found| found == *wanted)
            }
            Self::CiStage(names) => facts.ci_stage().map(|name| one_of(names, name)),
            Self::Runner(ids) => facts.runner_id().map(|id| ids.contains(&id)),
            Self::GitLabGroup(groups) => in_one_of(groups, facts),
        })
    }
}

/// To be in one of them is enough; to be in none of them it has to be known of each.
fn in_one_of(groups: &[String], facts: &JobFacts) -> Option<bool> {
    let mut found = Some(false);
    for group in groups {
        match facts.is_in_group(group) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

/// The users that GitLab makes for access tokens of projects and groups: `project_7_bot_0a1b`, and before GitLab 16
/// `project_7_bot` or `project_7_bot2`.
pub fn is_bot(login: &str) -> bool {
    let rest = ["project_", "group_"].iter().find_map(|prefix| login.strip_prefix(prefix));
    let Some((id, rest)) = rest.and_then(|rest| rest.split_once("_bot")) else { return false };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_random = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    !id.is_empty() && digits(id) && (digits(rest) || rest.strip_prefix('_').is_some_and(is_random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::supposed::Supposed;
    use crate::identity::Identity;

    #[test]
    fn bots_are_known_by_the_form_of_their_names_and_people_are_none() {
        for bot in ["project_7_bot", "project_7_bot2", "project_123_bot_0a1b2c", "group_9_bot_ffff"] {
            assert!(is_bot(bot), "{bot}");
        }
        for person in [
            "adent",
            "project_bot",
            "project_x_bot",
            "project_7_bottom",
            "project_7_bot_",
            "project_7_bot_xyz",
            "xproject_7_bot",
        ] {
            assert!(!is_bot(person), "{person}");
        }
    }

    #[test]
    fn what_nobody_has_said_neither_holds_nor_fails() {
        let identity = Identity::for_test(|facts| {
            for key in ["project_path", "git_ref", "ref_type", "ref_protected", "pipeline_source", "ci_stage"] {
                facts[key] = serde_json::Value::Null;
            }
        });
        let any = || vec![Pattern::parse("**").expect("a pattern")];
        for condition in [
            Condition::Project(any()),
            Condition::Namespace(any()),
            Condition::Ref(any()),
            Condition::RefType(vec![RefType::Branch, RefType::Tag]),
            Condition::RefProtected(true),
            Condition::RefProtected(false),
            Condition::PipelineSource(vec!["push".into()]),
            Condition::FromFork(true),
            Condition::FromFork(false),
            Condition::Environment(any()),
            Condition::EnvironmentProtected(true),
            Condition::EnvironmentProtected(false),
            Condition::CiStage(vec!["build".into()]),
            Condition::Runner(vec![1]),
            Condition::GitLabGroup(vec!["climate".into()]),
        ] {
            let holds = condition.holds(identity.facts());
            assert_eq!((holds, holds.negated()), (Holds::Unknown, Holds::Unknown), "{condition:?}");
        }
    }

    #[test]
    fn numbers_that_are_not_said_of_a_supposed_job_neither_hold_nor_fail() {
        // Otherwise `not = { user_id = 42 }` would hold for whoever is asked about by his name, who may be 42.
        let facts = Supposed { user: Some("adent".to_owned()), ..Supposed::default() }.facts();
        for condition in [Condition::UserId(vec![42]), Condition::ProjectId(vec![22])] {
            let holds = condition.holds(&facts);
            assert_eq!((holds, holds.negated()), (Holds::Unknown, Holds::Unknown), "{condition:?}");
        }
    }

    #[test]
    fn the_ref_of_a_merge_request_is_no_branch_of_the_project() {
        // Whether GitLab sends the name of a fork's branch or that of the merge request: `main` of a fork is not main.
        for (source, git_ref) in [("merge_request_event", "main"), ("push", "refs/merge-requests/7/head"), ("", "main")]
        {
            let identity = Identity::for_test(|facts| {
                facts["pipeline_source"] = source.into();
                facts["git_ref"] = git_ref.into();
            });
            let main = Condition::Ref(vec![Pattern::parse("**").expect("a pattern")]);
            assert_eq!(main.holds(identity.facts()), Holds::Unknown, "{source} {git_ref}");
            assert_eq!(Condition::RefProtected(true).holds(identity.facts()), Holds::Unknown, "{source} {git_ref}");
            assert_eq!(Condition::FromFork(false).holds(identity.facts()), Holds::Unknown, "{source} {git_ref}");
        }
    }
}
