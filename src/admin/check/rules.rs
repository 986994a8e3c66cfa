//! The `[[map]]` rules and the `[accounts]` limits: what is written there, and what this machine makes of it.

use std::collections::HashMap;
use std::fs;

use nix::unistd::Group;

use super::accounts::{self, Named};
use super::findings::Findings;
use super::runner::Runner;
use crate::launch::settings::Downscope;
use crate::policy;
use crate::policy::settings::{AccountLimits, Conditions, MapRule, RunAs, When};
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
    let reached = &rules[..=rules.iter().position(|rule| is_open(&rule.when)).unwrap_or(rules.len() - 1)];
    let mut earlier = Earlier::default();
    let mut forecasts = HashMap::new();
    for rule in reached {
        let what = what(rule);
        if let Some(words) = earlier.shadow(rule) {
            good = false;
            findings.problem(&what, words);
            continue;
        }
        let Some(name) = target(rule) else {
            to_self = true;
            continue;
        };
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
                findings.problem(&what, format!("every job that it maps is refused: {why}"));
            }
            Err(error) => {
                to_self = true;
                good = false;
                findings.warning(&what, error);
            }
        }
    }
    if let Some(last) = reached.last()
        && is_open(&last.when)
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
    good &= accounts::judge_logins(settings, runner, &named, findings);
    good &= !judge_unreached(reached, &rules[reached.len()..], findings);
    if settings.jobs.downscope == Downscope::None {
        if !to_self {
            good = false;
            let name = runner.name();
            findings.problem(
                "rules",
                format!("no rule maps to {name}, and jobs run as nobody else (jobs.downscope = \"none\"): add one with run_as = {name:?}"),
            );
        }
        if let Some(rule) = rules.iter().find(|rule| is_open(&rule.when) && matches!(rule.run_as, RunAs::Account(_))) {
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

/// All rules behind one without conditions, told together: that is one mistake, however many there are. Whether there are any.
fn judge_unreached(reached: &[MapRule], behind: &[MapRule], findings: &mut Findings) -> bool {
    let (Some(open), Some(first), Some(last)) = (reached.last(), behind.first(), behind.last()) else { return false };
    let words = shadow(open, first).unwrap_or_default();
    let more = match behind.len() - 1 {
        0 => String::new(),
        more => format!("; so {} behind it, up to line {}", are(more, "rule"), last.place.line()),
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
        RunAs::GitLabUser => rule.when.user.as_deref(),
    }
}

fn is_open(when: &When) -> bool {
    *when == When::default()
}

/// Rules that come before another one, by their conditions: of those with the same ones the first. Found by what could shadow
/// that other one, and not by looking at them all: there may be 20,000 of both.
#[derive(Default)]
struct Earlier<'r> {
    first: HashMap<&'r When, (usize, &'r MapRule)>,
    count: usize,
}

impl<'r> Earlier<'r> {
    /// Why this rule, which is from now on among them, is never reached, if so.
    fn shadow(&mut self, rule: &'r MapRule) -> Option<String> {
        let weaker = weaker(&rule.when);
        let found = weaker.iter().filter_map(|when| self.first.get(when)).min_by_key(|(index, _)| *index);
        let words = found.and_then(|(_, earlier)| shadow(earlier, rule));
        self.first.entry(&rule.when).or_insert((self.count, rule));
        self.count += 1;
        words
    }
}

/// All that asks for nothing that these conditions do not ask for, themselves included.
fn weaker(when: &When) -> Vec<When> {
    let When { user, user_id } = when;
    let users = [Some(None), user.clone().map(Some)].into_iter().flatten();
    let user_ids = || [Some(None), user_id.map(Some)].into_iter().flatten();
    users.flat_map(|user| user_ids().map(move |user_id| When { user: user.clone(), user_id })).collect()
}

/// Why the later of two rules is never reached, if so.
fn shadow(earlier: &MapRule, later: &MapRule) -> Option<String> {
    let When { user, user_id } = &earlier.when;
    let why = if is_open(&earlier.when) {
        "has no conditions"
    } else if earlier.when == later.when {
        "has the same conditions"
    } else if (user.is_none() || *user == later.when.user) && (user_id.is_none() || *user_id == later.when.user_id) {
        "already matches all its jobs; put this one before it"
    } else {
        return None;
    };
    Some(format!("is never reached, the rule at line {} {why}", earlier.place.line()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};
    use crate::policy::settings::read_rule;

    fn rule(user: Option<&str>, user_id: Option<u64>) -> MapRule {
        let user = user.map(|user| format!("user = {user:?}"));
        let user_id = user_id.map(|id| format!("user_id = {id}"));
        let when: Vec<String> = user.into_iter().chain(user_id).collect();
        let text = format!("\n\n\n\n\n\n[[map]]\nwhen = {{ {} }}\nrun_as = \"{{gitlab_user}}\"\n", when.join(", "));
        let rules = config::read(&Source::new("c.toml", text), |mut root| root.tables("map", read_rule).pop()?);
        rules.expect("a rule")
    }

    #[test]
    fn the_first_of_all_rules_that_shadow_one_is_found_as_by_looking_at_each() {
        let mut rules = Vec::new();
        for (user, user_id) in
            [(3, 2), (1, 1), (1, 2), (0, 2), (2, 1), (1, 1), (3, 2), (2, 0), (2, 3), (3, 3), (0, 0), (1, 0), (3, 1)]
        {
            let user = (user > 0).then(|| format!("u{user}"));
            rules.push(rule(user.as_deref(), (user_id > 0).then_some(user_id)));
        }
        let mut earlier = Earlier::default();
        let mut shadowed = 0;
        for (index, rule) in rules.iter().enumerate() {
            let slow = rules[..index].iter().find_map(|earlier| shadow(earlier, rule));
            shadowed += usize::from(slow.is_some());
            assert_eq!(earlier.shadow(rule), slow, "{index}");
        }
        assert!(shadowed > 3 && shadowed < rules.len(), "{shadowed}");
    }

    /// CPU time of this thread: other tests run beside it.
    fn cost(count: u64) -> std::time::Duration {
        let rules: Vec<MapRule> =
            (0..count).map(|id| MapRule { when: When { user: None, user_id: Some(id) }, ..rule(None, None) }).collect();
        let now = || {
            std::time::Duration::from(
                nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"),
            )
        };
        let start = now();
        let mut earlier = Earlier::default();
        assert!(rules.iter().all(|rule| earlier.shadow(rule).is_none()));
        now().saturating_sub(start)
    }

    #[test]
    fn four_times_the_rules_take_about_four_times_as_long() {
        let few = (0..3).map(|_| cost(2000)).min().expect("some");
        let many = (0..3).map(|_| cost(8000)).min().expect("some");
        assert!(many < few * 10, "{few:?} for 2000, {many:?} for 8000");
    }

    #[test]
    fn a_rule_is_shadowed_by_one_that_asks_for_less_and_by_no_other() {
        let (open, name, number, both) =
            (rule(None, None), rule(Some("a"), None), rule(None, Some(1)), rule(Some("a"), Some(1)));
        for (earlier, later) in
            [(&open, &open), (&open, &both), (&name, &name), (&both, &both), (&name, &both), (&number, &both)]
        {
            assert!(shadow(earlier, later).is_some_and(|words| words.contains("line 7")), "{earlier:?} {later:?}");
        }
        let other = rule(Some("b"), Some(1));
        for (earlier, later) in [(&name, &open), (&both, &name), (&name, &number), (&name, &other), (&both, &other)] {
            assert_eq!(shadow(earlier, later), None, "{earlier:?} {later:?}");
        }
    }
}
