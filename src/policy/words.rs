//! Conditions in words: as the file has them, and what a job has in their place.

use std::fmt::{self, Display};

use super::condition::Condition;
use super::rules::Mismatch;
use super::settings::{MapRule, RunAs, When};
use crate::config::Place;
use crate::evidence::{Environment, JobFacts, RefType};
use crate::report::printable;

impl Display for Condition {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", self.key())?;
        match self {
            Self::User(texts) | Self::PipelineSource(texts) | Self::CiStage(texts) | Self::GitLabGroup(texts) => {
                list(f, texts, quoted)
            }
            Self::UserId(ids) | Self::ProjectId(ids) | Self::Runner(ids) => list(f, ids, u64::to_string),
            Self::Project(patterns) | Self::Namespace(patterns) | Self::Ref(patterns) | Self::Environment(patterns) => {
                list(f, patterns, quoted)
            }
            Self::RefType(types) => list(f, types, |kind| quoted(word(*kind))),
            Self::RefProtected(wanted)
            | Self::FromFork(wanted)
            | Self::Bot(wanted)
            | Self::ActingFor(wanted)
            | Self::EnvironmentProtected(wanted) => write!(f, "{wanted}"),
        }
    }
}

impl Condition {
    /// What a job has where this condition looks, if that is known.
    pub fn found(&self, facts: &JobFacts) -> Option<String> {
        match self {
            Self::User(_) => facts.human().login.map(quoted),
            Self::Bot(_) => facts.user_login().map(quoted),
            Self::UserId(_) => Some(facts.human().id).filter(|id| *id != 0).map(|id| id.to_string()),
            Self::Project(_) => facts.project_path().map(quoted),
            Self::ProjectId(_) => Some(facts.project_id()).filter(|id| *id != 0).map(|id| id.to_string()),
            Self::Namespace(_) => facts.namespace_path().map(quoted),
            Self::Ref(_) => facts.own_ref().map(quoted),
            Self::RefType(_) => facts.own_ref_type().map(|kind| quoted(word(kind))),
            Self::RefProtected(_) => facts.own_ref_protected().map(|found| found.to_string()),
            Self::PipelineSource(_) => facts.pipeline_source().map(quoted),
            Self::FromFork(_) => facts.is_from_fork().map(|found| found.to_string()),
            Self::ActingFor(_) => Some(facts.scoped_user_id().is_some().to_string()),
            Self::Environment(_) => facts.environment().map(|environment| quoted(environment.name())),
            // No single one: the groups that are known.
            Self::GitLabGroup(_) => Some(facts.groups()).filter(|all| !all.is_empty()).map(|all| grouped(&all)),
            Self::Runner(_) => facts.runner_id().map(|id| id.to_string()),
            Self::CiStage(_) => facts.ci_stage().map(quoted),
            Self::EnvironmentProtected(_) => facts.environment()?.protected().map(|found| found.to_string()),
        }
    }
}

/// So many values of a list are shown: a group may have thousands.
const SHOWN: usize = 5;

fn list<T>(f: &mut fmt::Formatter<'_>, values: &[T], show: impl Fn(&T) -> String) -> fmt::Result {
    if let [one] = values {
        return f.write_str(&show(one));
    }
    let shown: Vec<String> = values.iter().take(SHOWN).map(show).collect();
    match values.len().saturating_sub(SHOWN) {
        0 => write!(f, "[{}]", shown.join(", ")),
        more => write!(f, "[{}, and {more} more]", shown.join(", ")),
    }
}

fn quoted<T: Display + ?Sized>(text: &T) -> String {
    format!("\"{}\"", printable(&text.to_string()))
}

fn word(kind: RefType) -> &'static str {
    match kind {
        RefType::Branch => "branch",
        RefType::Tag => "tag",
    }
}

impl Display for When {
    /// All conditions in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |all: &[Condition]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (self.all.as_slice(), self.none.as_slice()) {
            ([], []) => f.write_str("{ }"),
            (all, []) => write!(f, "{{ {} }}", shown(all)),
            ([], none) => write!(f, "{{ not = {{ {} }} }}", shown(none)),
            (all, none) => write!(f, "{{ {}, not = {{ {} }} }}", shown(all), shown(none)),
        }
    }
}

impl Display for RunAs {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitLabUser => f.write_str("\"{gitlab_user}\""),
            Self::Account(name) => f.write_str(&quoted(name)),
            Self::Table(path) => f.write_str(&quoted(&format!("table:{}", path.display()))),
            Self::Requested => f.write_str("(one of may_request)"),
        }
    }
}

fn grouped(names: &[&str]) -> String {
    match names {
        [one] => quoted(*one),
        all => format!("[{}]", all.iter().map(|name| quoted(*name)).collect::<Vec<_>>().join(", ")),
    }
}

/// Where something stands: an editor takes one there.
pub fn at(place: &Place) -> String {
    format!("{}:{}", place.path().display(), place.line())
}

/// What is known of a job, by the names of conditions.
pub fn job_in_words(facts: &JobFacts, requested: Option<&str>, approved_by: &[&str]) -> String {
    let number = |id: u64| Some(id).filter(|id| *id != 0).map(|id| id.to_string());
    let known = [
        ("user", facts.user_login().map(quoted)),
        ("user_id", number(facts.user_id())),
        ("scoped_user_id", facts.scoped_user_id().map(|id| id.to_string())),
        ("project", facts.project_path().map(quoted)),
        ("project_id", number(facts.project_id())),
        // That of a merge request says nothing; the branch that is to be merged does, where GitLab has signed it.
        ("ref", facts.own_ref().or(facts.git_ref()).map(quoted)),
        ("ref_type", facts.ref_type().map(|kind| quoted(word(kind)))),
        ("ref_protected", facts.ref_protected().map(|found| found.to_string())),
        ("pipeline_source", facts.pipeline_source().map(quoted)),
        ("from_fork", facts.signed().and(facts.is_from_fork()).map(|found| found.to_string())),
        ("environment", facts.environment().map(|environment| quoted(environment.name()))),
        ("environment_protected", facts.environment().and_then(Environment::protected).map(|found| found.to_string())),
        ("ci_stage", facts.ci_stage().map(quoted)),
        ("runner", facts.runner_id().map(|id| id.to_string())),
        ("gitlab_group", Some(facts.groups()).filter(|all| !all.is_empty()).map(|all| grouped(&all))),
        ("request", requested.map(quoted)),
        ("approved_by", (!approved_by.is_empty()).then(|| grouped(approved_by))),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?)));
    known.collect::<Vec<_>>().join(", ")
}

/// Why a rule does not match a job: its condition, and what the job has.
pub fn mismatch_in_words(rule: &MapRule, why: Mismatch, facts: &JobFacts) -> String {
    let (key, among) = match why {
        Mismatch::Fails(key) | Mismatch::Unknown(key) => (key, rule.when.all.iter().chain(&rule.when.none)),
        Mismatch::Excluded(key) => (key, rule.when.none.iter().chain(&[])),
        Mismatch::Bot
        | Mismatch::ForeignCode
        | Mismatch::ActsForAnother
        | Mismatch::NotInTable
        | Mismatch::NotRequested
        | Mismatch::PerhapsBot => return why.to_string(),
        // Who it would be is asked here: of what there is for this job nothing is looked for.
        Mismatch::NotApproved(_) => {
            let wanted: Vec<&str> = rule.approved_by.iter().flatten().map(String::as_str).collect();
            return format!(
                "approved_by = {} does not hold: none of them is supposed to have approved it",
                grouped(&wanted)
            );
        }
    };
    let Some(condition) = among.into_iter().find(|condition| condition.key() == key) else { return why.to_string() };
    let found = condition.found(facts);
    match (why, found) {
        (Mismatch::Excluded(_), Some(found)) => format!("not = {{ {condition} }} holds: the job has {found}"),
        (Mismatch::Fails(_), Some(found)) => format!("{condition} does not hold: the job has {found}"),
        _ => format!("{condition}: {key} is not known of this job"),
    }
}
