//! What a rule grants besides the account: tighter than the site, never wider.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Placed, Section, values};
use crate::scheduler::SchedulerKind;
use crate::scheduler::known::kinds;
use crate::scheduler::rule_limits::{RuleLimits, read_rule_limits};

/// How the jobs of a rule run, where it is not as all others do. The session keeps it for later stages, which is what serde is for here:
/// whoever reads it back holds it against what the site admits by then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Where they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<RuleExecutor>,
    /// Life of their tokens, at most that of the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ttl: Option<Duration>,
    /// `aud` of their tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_audience: Option<String>,
    /// What their log says at its beginning, behind the site's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Bounds for batch jobs, beside the site's.
    #[serde(default, skip_serializing_if = "RuleLimits::is_empty")]
    pub limits: RuleLimits,
}

/// Where jobs of a rule run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RuleExecutor {
    /// On this machine, in a shell.
    Shell,
    /// As jobs of this scheduler.
    Batch(SchedulerKind),
}

const SHELL: &str = "shell";

impl RuleExecutor {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Self::Shell].into_iter().chain(kinds().map(Self::Batch))
    }

    /// As in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shell => SHELL,
            Self::Batch(kind) => kind.word(),
        }
    }
}

impl From<RuleExecutor> for String {
    fn from(executor: RuleExecutor) -> Self {
        executor.word().to_owned()
    }
}

impl TryFrom<String> for RuleExecutor {
    type Error = String;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        Self::all().find(|known| known.word() == word).ok_or_else(|| format!("no executor: {word:?}"))
    }
}

/// Reads them from the section of a rule. What the site admits is not known here: whoever has all of the file judges that.
pub(super) fn read_terms(section: &mut Section<'_>) -> Terms {
    let executors: Vec<(&str, RuleExecutor)> = RuleExecutor::all().map(|known| (known.word(), known)).collect();
    Terms {
        executor: section.choice("executor", &executors),
        token_ttl: section.duration("token_ttl").map(Placed::into_value),
        token_audience: section.parsed("token_audience", values::visible_text),
        message: section.string("message").map(Placed::into_value),
        limits: read_rule_limits(section),
    }
}
