//! `[[map]]`: the rules.

use std::fmt;
use std::path::PathBuf;

use crate::config::values;
use crate::config::{Place, Placed, Section};
use crate::evidence::RefType;
use crate::policy::condition::Condition;
use crate::policy::pattern::Pattern;
use crate::policy::settings::Groups;
use crate::policy::settings::terms::{Terms, read_terms};
use crate::scheduler::rule_options::{RuleOptions, read_rule_options};

/// One `[[map]]` rule.
#[derive(Clone, Debug)]
pub struct MapRule {
    /// What the admin calls it.
    pub name: Option<String>,
    /// Of which GitLab's jobs it speaks, where there are several.
    pub gitlab: Option<String>,
    /// Where it begins.
    pub place: Place,
    /// In which file that is.
    pub stands: Stands,
    /// For which jobs it is.
    pub when: When,
    /// Whether `when` is there at all.
    pub conditions: Conditions,
    /// The account.
    pub run_as: RunAs,
    /// Others that a job has by asking for one of them.
    pub may_request: Vec<String>,
    /// Options of batch jobs that jobs under this rule cannot change.
    pub options: RuleOptions,
    /// What it grants besides the account.
    pub terms: Terms,
    /// Who has to have approved the commit: one of these. None may be in it, and then nobody can: that is not the same as no key.
    pub approved_by: Option<Vec<String>>,
}

/// Where rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// In the configuration itself.
    InTheFile,
    /// In a file that it includes.
    InAnIncluded,
}

/// The line of a rule as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLine {
    line: usize,
    file: Option<String>,
}

impl fmt::Display for RuleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            None => write!(f, "line {}", self.line),
            Some(file) => write!(f, "line {} of {file}", self.line),
        }
    }
}

/// Whether a rule says for whom it is. To hold for everybody has to be meant: one may have been forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// `when` is there, though it may be empty.
    Written,
    /// It is not.
    Absent,
}

/// Conditions of a rule. Without any it is for every job.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct When {
    /// Each has to hold. In the order of the reader, so that two that are the same are equal.
    pub all: Vec<Condition>,
    /// None may, and of each it has to be known.
    pub none: Vec<Condition>,
}

/// Whom a rule maps to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunAs {
    /// The local account with the name of the GitLab user.
    GitLabUser,
    /// This one.
    Account(String),
    /// The one that a [`Table`](crate::policy::table::Table) has for the user; who is not in it is none of the rule's.
    Table(PathBuf),
    /// None but one of `may_request`; a job that asks for none of them is none of the rule's.
    Requested,
}

/// Because of what a rule gives its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grants {
    /// Because of who started the pipeline: the account is his, or is given to him by name or number.
    ToPerson,
    /// Because of the project or its ref: whoever writes the code has the account.
    ToCode,
}

impl MapRule {
    /// Where it begins: its line, and its file if that is an included one.
    pub fn line(&self) -> RuleLine {
        let file = (self.stands == Stands::InAnIncluded).then(|| self.place.file_name());
        RuleLine { line: self.place.line(), file }
    }

    /// Because of what it gives its account.
    pub fn grants(&self) -> Grants {
        let names_person =
            self.when.all.iter().any(|condition| matches!(condition, Condition::User(_) | Condition::UserId(_)));
        let own = matches!(self.run_as, RunAs::GitLabUser | RunAs::Table(_));
        if own || names_person { Grants::ToPerson } else { Grants::ToCode }
    }

    /// Whether each job that its conditions hold for has an account by it.
    pub fn gives_all(&self) -> bool {
        let has_one = match self.run_as {
            RunAs::GitLabUser | RunAs::Account(_) => true,
            RunAs::Table(_) | RunAs::Requested => false,
        };
        has_one && self.approved_by.is_none()
    }

    /// Whether it says that it is for agents that act for somebody.
    pub fn is_for_agents(&self) -> bool {
        self.when.all.contains(&Condition::ActingFor(true))
    }

    /// Whether it says that it is for code of forks.
    pub fn is_for_forks(&self) -> bool {
        self.when.all.contains(&Condition::FromFork(true))
    }
}

/// Reads one `[[map]]`.
pub fn read_rule(mut section: Section<'_>, groups: &Groups, stands: Stands) -> Option<MapRule> {
    let name = section.string("name").map(Placed::into_value);
    let gitlab = section.string("gitlab").map(Placed::into_value);
    let when = section.section("when");
    let conditions = if when.is_present() { Conditions::Written } else { Conditions::Absent };
    let when = read_when(when, groups);
    let may_request = section.one_or_more("may_request", account).unwrap_or_default();
    let run_as = read_run_as(&mut section, !may_request.is_empty());
    let options = read_rule_options(&mut section);
    let terms = read_terms(&mut section);
    // A login name and the name of an approver are written alike: one, or all of a group.
    let approved_by = section.one_or_more("approved_by", |text| users(text, groups));
    let approved_by = approved_by.map(|lists| sorted(lists.concat()));
    let place = section.place();
    section.finish();
    Some(MapRule {
        name,
        gitlab,
        place,
        stands,
        when,
        conditions,
        run_as: run_as?,
        may_request,
        options,
        terms,
        approved_by,
    })
}

/// Reads conditions.
pub(super) fn read_when(mut section: Section<'_>, groups: &Groups) -> When {
    let mut not = section.section("not");
    let none = if not.is_present() { read_conditions(&mut not, groups) } else { Vec::new() };
    not.finish();
    let all = read_conditions(&mut section, groups);
    section.finish();
    When { all, none }
}

/// Reads one condition, if the section has it.
type ReadCondition = fn(&mut Section<'_>, &Groups) -> Option<Condition>;

const CONDITIONS: [ReadCondition; 17] = [
    |section, groups| {
        let lists = section.one_or_more("user", |text| users(text, groups))?;
        Some(Condition::User(sorted(lists.concat())))
    },
    |section, _| Some(Condition::UserId(sorted(section.one_or_more_numbers("user_id")?))),
    |section, _| Some(Condition::Project(sorted(section.one_or_more("project", Pattern::parse)?))),
    |section, _| Some(Condition::ProjectId(sorted(section.one_or_more_numbers("project_id")?))),
    |section, _| Some(Condition::Namespace(sorted(section.one_or_more("namespace", Pattern::parse)?))),
    |section, _| Some(Condition::Ref(sorted(section.one_or_more("ref", Pattern::parse)?))),
    |section, _| {
        let one = section.choice("ref_type", &[("branch", RefType::Branch), ("tag", RefType::Tag)])?;
        Some(Condition::RefType(vec![one]))
    },
    |section, _| Some(Condition::RefProtected(section.boolean("ref_protected")?)),
    |section, _| Some(Condition::PipelineSource(sorted(section.one_or_more("pipeline_source", values::visible_text)?))),
    |section, _| Some(Condition::FromFork(section.boolean("from_fork")?)),
    |section, _| Some(Condition::Bot(section.boolean("bot")?)),
    |section, _| Some(Condition::ActingFor(section.boolean("acting_for")?)),
    |section, _| Some(Condition::Environment(sorted(section.one_or_more("environment", Pattern::parse)?))),
    |section, _| Some(Condition::EnvironmentProtected(section.boolean("environment_protected")?)),
    |section, _| Some(Condition::CiStage(sorted(section.one_or_more("ci_stage", values::visible_text)?))),
    |section, _| Some(Condition::Runner(sorted(section.one_or_more_numbers("runner")?))),
    |section, _| Some(Condition::GitLabGroup(sorted(section.one_or_more("gitlab_group", group_path)?))),
];

/// In this order. Most rules have one or two: for what there is no key left nobody looks.
fn read_conditions(section: &mut Section<'_>, groups: &Groups) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for read in CONDITIONS {
        if !section.has_more() {
            break;
        }
        conditions.extend(read(section, groups));
    }
    conditions
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values.dedup();
    values
}

/// The full path of a group, as GitLab allows it: it becomes part of a URL, in which it must mean nothing else.
pub(super) fn group_path(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    if text.len() > 1024 || !text.split('/').all(is_part) {
        return Err(format!("must be the full path of a group, such as \"climate/core\": {text:?}"));
    }
    Ok(text.to_owned())
}

/// A login name, or all of a group. No login name of GitLab begins with `@`.
pub(super) fn users(text: &str, groups: &Groups) -> Result<Vec<String>, String> {
    match text.strip_prefix('@') {
        None => values::visible_text(text).map(|name| vec![name]),
        Some(group) => groups.get(group).cloned().ok_or_else(|| {
            format!("names the group {text:?}, which [groups] does not have; write it there: {group} = [\"adent\"]")
        }),
    }
}

/// The account. Left out where the rule has accounts for those alone that ask.
fn read_run_as(section: &mut Section<'_>, may_request: bool) -> Option<RunAs> {
    if may_request && !section.has("run_as") {
        return Some(RunAs::Requested);
    }
    section.required("run_as", "\"{gitlab_user}\"", run_as)
}

fn run_as(text: &str) -> Result<RunAs, String> {
    // No account has a colon in its name.
    if let Some(path) = text.strip_prefix("table:") {
        return values::absolute_path(path).map(RunAs::Table);
    }
    match text {
        "{gitlab_user}" => Ok(RunAs::GitLabUser),
        _ if text.bytes().any(|b| b == b'{' || b == b'}') => Err(format!("knows {{gitlab_user}} only: {text:?}")),
        _ => account(text).map(RunAs::Account),
    }
}

fn account(text: &str) -> Result<String, String> {
    match text {
        "root" => Err("must not be root; no job runs as root".to_owned()),
        _ if text.bytes().any(|b| b == b'{' || b == b'}') => Err(format!("must be names of accounts: {text:?}")),
        _ => values::visible_text(text),
    }
}
