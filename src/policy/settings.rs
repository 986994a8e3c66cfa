//! `[accounts]` and `[[map]]`: limits and rules.

pub mod manual;

use std::path::PathBuf;

use crate::config::values;
use crate::config::{Place, Placed, Section};
use crate::scheduler::rule_options::{RuleOptions, read_rule_options};
use crate::sys::login::LoginRules;

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
    /// Whose word on who may begin a session counts, too.
    pub pam_service: PamService,
    /// Whether scripts run in login sessions.
    pub login_sessions: LoginSessions,
}

/// `accounts.pam_session`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginSessions {
    /// PAM's session phase is left out.
    None,
    /// Each worker that runs a script, or submits one, is in a session of its own.
    EachWorker,
}

/// `accounts.pam_service`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PamService {
    /// Not said: `motmot`, where that is installed.
    IfInstalled,
    /// This one, and no job without it.
    Named(String),
    /// PAM is not asked.
    None,
}

impl PamService {
    /// The service of the file in packaging/pam.d.
    pub const USUAL: &str = "motmot";

    /// The service whose session phase runs, where one does.
    pub fn for_sessions(&self) -> Option<&str> {
        match self {
            Self::Named(service) => Some(service),
            Self::IfInstalled => Some(Self::USUAL),
            Self::None => None,
        }
    }

    /// Who is asked. `is_installed` looks for the service that nobody has named.
    pub fn rules(&self, is_installed: impl FnOnce(&str) -> bool) -> LoginRules {
        match self {
            Self::Named(service) => LoginRules::Pam(service.clone()),
            Self::IfInstalled if is_installed(Self::USUAL) => LoginRules::Pam(Self::USUAL.to_owned()),
            Self::IfInstalled | Self::None => LoginRules::Files,
        }
    }
}

/// One `[[map]]` rule.
#[derive(Clone, Debug)]
pub struct MapRule {
    /// What the admin calls it.
    pub name: Option<String>,
    /// Where it begins.
    pub place: Place,
    /// Conditions; all must hold. None: always.
    pub when: When,
    /// Whether `when` is there at all.
    pub conditions: Conditions,
    /// The account.
    pub run_as: RunAs,
    /// Options of batch jobs that jobs under this rule cannot change.
    pub options: RuleOptions,
}

/// Whether a rule says for whom it is. To hold for everybody has to be meant: one may have been forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// `when` is there, though it may be empty.
    Written,
    /// It is not.
    Absent,
}

/// Conditions of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
    let min_uid = section.number("min_uid").and_then(|at| {
        let uid = u32::try_from(at.value).ok().filter(|uid| *uid > 0);
        if uid.is_none() {
            let message = "`accounts.min_uid` must be between 1 and 4294967295";
            section.problem_with_help(&at.place, message, "root is refused whatever it says");
        }
        uid
    });
    let deny_users = names(&mut section, "deny_users");
    let deny_groups = names(&mut section, "deny_groups");
    let shells = names(&mut section, "shells").into_iter().map(PathBuf::from).collect();
    let pam_service = section.parsed("pam_service", pam_service).unwrap_or(PamService::IfInstalled);
    let login_sessions = match section.boolean("pam_session") {
        Some(true) => LoginSessions::EachWorker,
        _ => LoginSessions::None,
    };
    if login_sessions == LoginSessions::EachWorker && pam_service == PamService::None {
        section.problem(
            &section.place(),
            "`accounts.pam_session = true` needs a service of PAM, and `accounts.pam_service` is \"none\"",
        );
    }
    section.finish();
    AccountLimits { min_uid: min_uid.unwrap_or(1000), deny_users, deny_groups, shells, pam_service, login_sessions }
}

/// Part of a path, so plain.
fn pam_service(text: &str) -> Result<PamService, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match text {
        "none" => Ok(PamService::None),
        _ if !text.is_empty() && text.bytes().all(plain) => Ok(PamService::Named(text.to_owned())),
        _ => Err(format!("must be the name of a file in /etc/pam.d, or \"none\": {text:?}")),
    }
}

fn names(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    section.strings(key).map(Placed::into_value).unwrap_or_default().into_iter().map(Placed::into_value).collect()
}

/// Reads one `[[map]]`.
pub fn read_rule(mut section: Section<'_>) -> Option<MapRule> {
    let name = section.string("name").map(Placed::into_value);
    let when = section.section("when");
    let conditions = if when.is_present() { Conditions::Written } else { Conditions::Absent };
    let when = read_when(when);
    let run_as = section.required("run_as", "\"{gitlab_user}\"", run_as);
    let options = read_rule_options(&mut section);
    let place = section.place();
    section.finish();
    Some(MapRule { name, place, when, conditions, run_as: run_as?, options })
}

fn read_when(mut section: Section<'_>) -> When {
    let user = section.parsed("user", values::visible_text);
    let user_id = section.number("user_id").map(Placed::into_value);
    section.finish();
    When { user, user_id }
}

fn run_as(text: &str) -> Result<RunAs, String> {
    match text {
        "{gitlab_user}" => Ok(RunAs::GitLabUser),
        "root" => Err("must not be root; no job runs as root".to_owned()),
        _ if text.bytes().any(|b| b == b'{' || b == b'}') => Err(format!("knows {{gitlab_user}} only: {text:?}")),
        _ => values::visible_text(text).map(RunAs::Account),
    }
}

#[cfg(test)]
mod tests;
