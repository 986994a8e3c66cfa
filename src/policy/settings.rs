//! `[accounts]`, `[policy]` and `[[map]]`: limits and rules.

pub mod assertions;
mod groups;
pub mod manual;
mod rules;
pub mod terms;

use std::path::PathBuf;

pub use groups::{Groups, read_groups};
pub use rules::{Conditions, Grants, MapRule, RuleLine, RunAs, Stands, When, read_rule};

use crate::config::{Placed, Section, values};
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
    /// `hook.account`, if the site has a hook: no job becomes it.
    pub hook_account: Option<String>,
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
    AccountLimits {
        min_uid: min_uid.unwrap_or(1000),
        deny_users,
        deny_groups,
        shells,
        pam_service,
        login_sessions,
        hook_account: None,
    }
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

/// `[policy]`
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// What becomes of jobs whose code may come from a fork.
    pub merge_requests_of_forks: ForeignCode,
    /// The variable of a pipeline in which a job asks for an account.
    pub request_variable: String,
    /// `[groups]`
    pub groups: Groups,
}

/// Unless the site has another one.
const REQUEST_VARIABLE: &str = "MOTMOT_RUN_AS";

/// `policy.merge_requests_of_forks`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignCode {
    /// It runs as the account that a rule gives to a person because he has started the pipeline, and as no other.
    #[default]
    OwnAccount,
    /// It does not run.
    Refuse,
    /// Rules do not ask.
    Allow,
}

/// Reads `[policy]`, and with it `[groups]`.
pub fn read_policy(mut section: Section<'_>, groups: Section<'_>) -> PolicySettings {
    let choices =
        [("own-account", ForeignCode::OwnAccount), ("refuse", ForeignCode::Refuse), ("allow", ForeignCode::Allow)];
    let merge_requests_of_forks = section.choice("merge_requests_of_forks", &choices).unwrap_or_default();
    let request_variable =
        section.parsed("request_variable", |text| values::variable_name(text).map(|()| text.to_owned()));
    let request_variable = request_variable.unwrap_or_else(|| REQUEST_VARIABLE.to_owned());
    section.finish();
    PolicySettings { merge_requests_of_forks, request_variable, groups: read_groups(groups) }
}

#[cfg(test)]
mod tests;
