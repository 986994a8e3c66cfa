//! `[accounts]` and `[[map]]`: limits and rules.

use std::path::PathBuf;

use crate::config::line_and_column;
use crate::config::reader::Section;
use crate::config::values;
use crate::scheduler::rule_options::{RuleOptions, read_rule_options};

/// `[accounts]`
#[derive(Clone, Debug)]
pub struct AccountLimits {
    /// Accounts below this number are refused.
    pub min_uid: u32,
    /// Accounts that nobody becomes.
    pub deny_users: Vec<String>,
    /// Nobody becomes a member of these.
    pub deny_groups: Vec<String>,
    /// Login shells that an account must have one of; empty: any but `nologin` and `false`.
    pub shells: Vec<PathBuf>,
}

/// One `[[map]]` rule.
#[derive(Clone, Debug)]
pub struct MapRule {
    /// What the admin calls it.
    pub name: Option<String>,
    /// Line of the file where it begins, from 1.
    pub line: usize,
    /// Conditions; all must hold. None: always.
    pub when: When,
    /// The account.
    pub run_as: RunAs,
    /// Options of batch jobs that jobs under this rule cannot change.
    pub options: RuleOptions,
}

/// Conditions of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// GitLab login name, exactly.
    pub user: Option<String>,
    /// GitLab user number.
    pub user_id: Option<u64>,
}

/// Whom a rule maps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The local account with the name of the GitLab user.
    GitLabUser,
    /// This one.
    Account(String),
}

/// Reads `[accounts]`.
pub fn read_accounts(mut section: Section<'_>) -> AccountLimits {
    let min_uid = section.number("min_uid");
    let number = match &min_uid {
        None => 1000,
        Some(at) => u32::try_from(at.value).ok().filter(|uid| *uid > 0).unwrap_or_else(|| {
            section.problem(
                at.span.clone(),
                "`accounts.min_uid` must be between 1 and 4294967295",
                "root is refused whatever it says".to_owned(),
            );
            1000
        }),
    };
    let deny_users = section.strings("deny_users").unwrap_or_default();
    let deny_groups = section.strings("deny_groups").unwrap_or_default();
    let shells = section.strings("shells").unwrap_or_default().into_iter().map(PathBuf::from).collect();
    section.finish();
    AccountLimits { min_uid: number, deny_users, deny_groups, shells }
}

/// Reads one `[[map]]`.
pub fn read_rule(mut section: Section<'_>, text: &str) -> Option<MapRule> {
    let (line, _) = line_and_column(text, section.span().start);
    let name = section.string("name").map(|at| at.value);
    let mut when = section.section("when");
    let conditions =
        When { user: when.parsed("user", values::visible_text), user_id: when.number("user_id").map(|at| at.value) };
    when.finish();
    let run_as =
        section.required_string("run_as", "\"{gitlab_user}\"").and_then(|at| section.checked(at, "run_as", run_as));
    let options = read_rule_options(&mut section);
    section.finish();
    Some(MapRule { name, line, when: conditions, run_as: run_as?, options })
}

fn run_as(text: &str) -> Result<RunAs, String> {
    match text {
        "{gitlab_user}" => Ok(RunAs::GitLabUser),
        "root" => Err("must not be root; no job runs as root".to_owned()),
        _ if text.contains(['{', '}']) => Err(format!("knows {{gitlab_user}} only: {text:?}")),
        _ => values::visible_text(text).map(RunAs::Account),
    }
}
