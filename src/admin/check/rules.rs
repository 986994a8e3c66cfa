//! The `[[map]]` rules and the `[accounts]` limits: what is written there, and what this machine makes of it.

use std::collections::HashMap;
use std::fs;

use nix::unistd::Group;

use super::accounts::{self, Named};
use super::findings::Findings;
use super::runner::Runner;
use super::shadows::{Earlier, catches_all, is_open, shadow};
use super::tables;
use crate::launch::settings::Downscope;
use crate::policy;
use crate::policy::condition::Condition;
use crate::policy::settings::{AccountLimits, Conditions, ForeignCode, Grants, MapRule, RunAs};
use crate::report::counted;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};

/// Every rule, one line each where something is wrong with it. The accounts that rules name and that are admitted.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) -> Vec<Named> {
    let rules = &settings.map;
    let mut named = Vec::new();
    if rules.is_empty() {
        findings.problem("rules", "there is no [[map]] rule, so every job is refused; add one");
        return named;
    }
    let mut good = true;
    let mut to_self = false;
    let foreign_code = settings.policy.merge_requests_of_forks;
    let open = rules.iter().position(|rule| is_open(&rule.when));
    let open = open.filter(|at| catches_all(&rules[*at], &rules[at + 1..], foreign_code));
    let reached = &rules[..=open.unwrap_or(rules.len() - 1)];
    let mut earlier = Earlier::new(foreign_code);
    let mut forecasts = HashMap::new();
    for rule in reached {
        let what = what(rule);
        if let Some(words) = earlier.shadow(rule) {
            good = false;
            findings.problem(&what, words);
            continue;
        }
        let target = target(rule);
        to_self |= target.is_none();
        for (name, whose) in target.map(|name| (name, "every job that it maps")).into_iter().chain(requested(rule)) {
            // Each account is asked for once: behind the name service may be a network.
            let forecast = forecasts.entry(name).or_insert_with(|| {
                let forecast = policy::forecast(name, &settings.accounts, runner.mode(settings), &Nss);
                if let Ok(Ok(entry)) = &forecast {
                    named.push(Named { what: what.clone(), entry: entry.clone() });
                }
                forecast
            });
            match forecast {
                Ok(Ok(entry)) => to_self |= entry.uid() == runner.uid(),
                Ok(Err(why)) => {
                    good = false;
                    findings.problem(&what, format!("{whose} is refused: {why}"));
                }
                Err(error) => {
                    to_self = true;
                    good = false;
                    findings.warning(&what, error);
                }
            }
        }
    }
    good &= tables::judge(settings, runner, findings);
    if let Some(last) = reached.last()
        && is_open(&last.when)
        && last.approved_by.is_none()
        && last.run_as == RunAs::GitLabUser
        && settings.jobs.downscope == Downscope::Setuid
    {
        let words = "everybody in GitLab becomes the account of the same name, and whoever can choose a name there chooses the account";
        match last.conditions {
            Conditions::Written => findings.ok(&what(last), format!("{words}, as it says itself (when = {{}})")),
            Conditions::Absent => findings.warning(
                &what(last),
                format!("it has no conditions, so {words}; name the users (when = {{ user = ..., user_id = ... }}); or, where names in GitLab come from the site's own directory, say that everybody is meant: when = {{}}"),
            ),
        }
    }
    good &= !judge_names(reached, findings);
    good &= accounts::judge_logins(settings, runner, &named, findings);
    good &= !judge_unreached(reached, &rules[reached.len()..], foreign_code, findings);
    if settings.jobs.downscope == Downscope::None {
        if !to_self {
            good = false;
            let name = runner.name();
            findings.problem(
                "rules",
                format!("no rule maps to {name}, and jobs run as nobody else (jobs.downscope = \"none\"): add one with run_as = {name:?}"),
            );
        }
        if let Some(rule) = rules
            .iter()
            .find(|rule| is_open(&rule.when) && rule.gives_all() && matches!(rule.run_as, RunAs::Account(_)))
        {
            findings.warning(
                &what(rule),
                "it has no conditions, so whoever starts a pipeline here has this account; add when = { user = \"you\" }",
            );
        }
    }
    if good {
        findings.ok("rules", counted(rules.len(), "rule"));
    }
    named
}

/// Accounts that are given to code by the path of its project alone. Whether there are any.
fn judge_names(rules: &[MapRule], findings: &mut Findings) -> bool {
    let by_name = |rule: &&MapRule| {
        let asks = |wanted: fn(&Condition) -> bool| rule.when.all.iter().any(wanted);
        let by_path = asks(|condition| matches!(condition, Condition::Project(_) | Condition::Namespace(_)));
        let approved = rule.approved_by.is_some(); // whose number of the project is signed
        rule.grants() == Grants::ToCode
            && by_path
            && !approved
            && !asks(|condition| matches!(condition, Condition::ProjectId(_)))
    };
    let mut found = rules.iter().filter(by_name);
    let Some(first) = found.next() else { return false };
    let more = match found.count() {
        0 => String::new(),
        more => format!("; so {} behind it", are(more, "rule")),
    };
    findings.warning(
        &what(first),
        format!("only the path of a project guards its account, and a path can be renamed and taken by another project; where the projects are known, add their numbers: project_id{more}"),
    );
    true
}

/// All rules behind one without conditions, told together: that is one mistake, however many there are. Whether there are any.
fn judge_unreached(
    reached: &[MapRule],
    behind: &[MapRule],
    foreign_code: ForeignCode,
    findings: &mut Findings,
) -> bool {
    let (Some(open), Some(first), Some(last)) = (reached.last(), behind.first(), behind.last()) else { return false };
    let words = shadow(open, first, foreign_code).unwrap_or_default();
    let more = match behind.len() - 1 {
        0 => String::new(),
        more => format!("; so {} behind it, up to {}", are(more, "rule"), last.line()),
    };
    findings.problem(&what(first), format!("{words}{more}"));
    true
}

/// Which rule, and where it stands: an editor takes one there.
pub(super) fn what(rule: &MapRule) -> String {
    format!("rule at {}:{}", rule.place.path().display(), rule.place.line())
}

fn are(count: usize, one: &str) -> String {
    format!("{} {}", if count == 1 { "is" } else { "are" }, counted(count, one))
}

/// The account that all jobs of a rule run as; nothing where that depends on the job.
pub(super) fn target(rule: &MapRule) -> Option<&str> {
    match &rule.run_as {
        RunAs::Account(name) => Some(name),
        RunAs::Table(_) | RunAs::Requested => None,
        RunAs::GitLabUser => rule.when.all.iter().find_map(|condition| match condition {
            Condition::User(names) => match names.as_slice() {
                [name] => Some(name.as_str()),
                _ => None,
            },
            _ => None,
        }),
    }
}

/// The accounts that its jobs may ask for.
fn requested(rule: &MapRule) -> impl Iterator<Item = (&str, &'static str)> {
    rule.may_request.iter().map(|name| (name.as_str(), "every job that asks for it (may_request)"))
}

/// Limits that name nobody: a typing error there lets in whom it was to keep out.
pub(super) fn judge_limits(limits: &AccountLimits, findings: &mut Findings) {
    for name in &limits.deny_users {
        match Nss.by_name(name) {
            Ok(Some(_)) => {}
            Ok(None) => {
                findings.warning("accounts.deny_users", format!("there is no account {name:?} here: a typing error?"));
            }
            Err(error) => findings.warning("accounts.deny_users", error),
        }
    }
    for name in &limits.deny_groups {
        match Group::from_name(name) {
            Ok(Some(_)) => {}
            Ok(None) => {
                findings.warning("accounts.deny_groups", format!("there is no group {name:?} here: a typing error?"));
            }
            Err(error) => {
                findings
                    .warning("accounts.deny_groups", format!("cannot look up the group {name:?}: {}", error.desc()));
            }
        }
    }
    let known = fs::read_to_string("/etc/shells");
    for shell in &limits.shells {
        let shown = shell.display();
        if !shell.exists() {
            findings.warning("accounts.shells", format!("{shown} does not exist here: a typing error?"));
        } else if let Ok(known) = &known
            && !known.lines().any(|line| line.trim() == shown.to_string())
        {
            findings.warning("accounts.shells", format!("{shown} is not in /etc/shells, so perhaps no account has it"));
        }
    }
}
