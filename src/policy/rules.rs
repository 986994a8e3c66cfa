//! Which rule matches a job: the first whose conditions all hold. Pure.

use std::fmt;

use super::condition::{self, Condition, Holds};
use super::settings::{ForeignCode, Grants, MapRule};
use crate::evidence::JobFacts;

/// So many rules are told of that did not match.
const TOLD: usize = 5;

/// Why a rule does not match a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// This condition does not hold.
    Fails(&'static str),
    /// This one of `not` does.
    Excluded(&'static str),
    /// Nobody has said what this condition asks for.
    Unknown(&'static str),
    /// The user is a bot, and the rule does not name it.
    Bot,
    /// The user acts for another one, and the rule is not for such.
    ActsForAnother,
    /// Its account is not given to a person, and the code may be a stranger's.
    ForeignCode,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(key) => write!(f, "{key} does not hold"),
            Self::Excluded(key) => write!(f, "not.{key} holds"),
            Self::Unknown(key) => write!(f, "{key} is not known of this job"),
            Self::Bot => f.write_str("the user is a bot, which it does not name (bot = true)"),
            Self::ActsForAnother => {
                f.write_str("the user acts for another one, for which it is not (acting_for = true)")
            }
            Self::ForeignCode => f.write_str("the code may come from a fork, and its account is for the project's own"),
        }
    }
}

/// The first rules that do not match a job, with their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    first: Vec<(usize, Mismatch)>,
    more: usize,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (line, why)) in self.first.iter().enumerate() {
            write!(f, "{} line {line}: {why}", if number == 0 { ":" } else { ";" })?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The first rule that matches; else why none does.
pub fn first_match<'r>(
    rules: &'r [MapRule],
    foreign_code: ForeignCode,
    facts: &JobFacts,
) -> Result<&'r MapRule, PassedOver> {
    let mut passed = PassedOver::default();
    for rule in rules {
        match mismatch(rule, foreign_code, facts) {
            None => return Ok(rule),
            Some(why) if passed.first.len() < TOLD => passed.first.push((rule.place.line(), why)),
            Some(_) => passed.more += 1,
        }
    }
    Err(passed)
}

/// Why a rule does not match; `None` if it does.
pub fn mismatch(rule: &MapRule, foreign_code: ForeignCode, facts: &JobFacts) -> Option<Mismatch> {
    for condition in &rule.when.all {
        match condition.holds(facts) {
            Holds::Yes => {}
            Holds::No => return Some(Mismatch::Fails(condition.key())),
            Holds::Unknown => return Some(Mismatch::Unknown(condition.key())),
        }
    }
    for condition in &rule.when.none {
        match condition.holds(facts).negated() {
            Holds::Yes => {}
            Holds::No => return Some(Mismatch::Excluded(condition.key())),
            Holds::Unknown => return Some(Mismatch::Unknown(condition.key())),
        }
    }
    if facts.scoped_user_id().is_some() && !rule.when.all.contains(&Condition::ActingFor(true)) {
        return Some(Mismatch::ActsForAnother);
    }
    if condition::is_bot(facts.user_login()) && !is_for_bots(rule) {
        return Some(Mismatch::Bot);
    }
    if !facts.is_own_code() && !takes_foreign_code(rule, foreign_code) {
        return Some(Mismatch::ForeignCode);
    }
    None
}

/// Access tokens act for whoever has made them, so no rule for people is theirs.
fn is_for_bots(rule: &MapRule) -> bool {
    // The conditions hold: a list of names has this one. A number does not say whose it is.
    rule.when.all.iter().any(|condition| matches!(condition, Condition::User(_) | Condition::Bot(true)))
}

/// Whether it is for code that may be a stranger's.
pub fn takes_foreign_code(rule: &MapRule, foreign_code: ForeignCode) -> bool {
    // That it is one has then been found known, and true.
    rule.is_for_forks()
        || match foreign_code {
            ForeignCode::Allow => true,
            // Who presses play runs what others have written as himself, as in his own shell.
            ForeignCode::OwnAccount => rule.grants() == Grants::ToPerson,
            ForeignCode::Refuse => false,
        }
}

#[cfg(test)]
mod tests;
