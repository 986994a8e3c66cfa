//! What the section of every batch scheduler has, and reads alike.

pub(super) mod manual;

use std::time::Duration;

use super::kind::Setting;
use super::submission::Requeue;
use crate::config::values;
use crate::config::{Placed, Section};
use crate::runner::{SCRIPT_NAMES, SCRIPT_PATTERNS};

/// The part of a scheduler's section that is not its own.
#[derive(Clone, Debug)]
pub struct BatchSettings {
    /// CI variables in which jobs write options; of two that say different things the later one counts.
    pub parameters: Vec<String>,
    /// Stages that run as batch jobs; the others run on this machine.
    pub stages: Vec<StagePattern>,
    /// How many batch jobs a CI job is.
    pub allocation: Allocation,
    /// Whether the scheduler may run a stage again.
    pub requeue: Requeue,
    /// How long the scheduler may not know, or not say, what became of a job.
    pub unknown_timeout: Duration,
    /// How long a shared file system may take to show the end of the output and the record of completion.
    pub output_timeout: Duration,
    /// How long the wrapper on the node waits for the token.
    pub token_timeout: Duration,
}

/// How many batch jobs a CI job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// One for every stage that goes to the scheduler.
    Stage,
    /// One for all of them.
    Job,
}

impl BatchSettings {
    /// Whether a stage runs as a batch job.
    pub fn runs(&self, stage: &str) -> bool {
        self.stages.iter().any(|pattern| pattern.matches(stage))
    }

    /// Whether the script of a job does, under its name in old versions of GitLab Runner or in newer ones.
    pub fn runs_scripts(&self) -> bool {
        SCRIPT_NAMES.iter().any(|name| self.runs(name))
    }
}

/// Names of stages: one, or all with a certain beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePattern {
    beginning: String,
    rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Anything,
}

impl StagePattern {
    /// Checks a name, or the beginning of names with `*` behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (beginning, rest) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, Rest::Anything),
            None => (text, Rest::Nothing),
        };
        // `*` alone would send the stages that fetch sources and upload artifacts to nodes without a network.
        let good = !beginning.is_empty() && beginning.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !good {
            let [old, new] = SCRIPT_PATTERNS;
            return Err(format!("is not the name of a stage: {text:?}; write {old:?} or {new:?}"));
        }
        Ok(Self { beginning: beginning.to_owned(), rest })
    }

    /// The stages that are the script of a job: its name in old versions of GitLab Runner and the names in newer ones.
    fn scripts() -> Vec<Self> {
        SCRIPT_PATTERNS.into_iter().filter_map(|text| Self::parse(text).ok()).collect()
    }

    /// Whether a stage is meant.
    pub fn matches(&self, stage: &str) -> bool {
        match self.rest {
            Rest::Nothing => stage == self.beginning,
            Rest::Anything => stage.starts_with(&self.beginning),
        }
    }
}

/// A word that is no option, or not one that anybody but the driver sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongWord {
    /// Which of the words, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Reads this part of a section; what is absent has its default.
pub(super) fn read_batch(section: &mut Section<'_>) -> BatchSettings {
    let parameters = section.parsed_each("parameters", |name| values::variable_name(name).map(|()| name.to_owned()));
    let stages = section.parsed_each(Setting::Stages.key(), StagePattern::parse);
    let allocation = section.choice("allocation", &[("stage", Allocation::Stage), ("job", Allocation::Job)]);
    let requeue = section.boolean(Setting::Requeue.key()).unwrap_or(false);
    let mut timeout = |setting: Setting| section.duration(setting.key()).map(Placed::into_value);
    let unknown_timeout = timeout(Setting::UnknownTimeout);
    let output_timeout = timeout(Setting::OutputTimeout);
    let token_timeout = timeout(Setting::TokenTimeout);
    BatchSettings {
        parameters: parameters.unwrap_or_else(|| vec!["SCHEDULER_PARAMETERS".to_owned()]),
        stages: stages.unwrap_or_else(StagePattern::scripts),
        allocation: allocation.unwrap_or(Allocation::Stage),
        requeue: if requeue { Requeue::Allowed } else { Requeue::Never },
        unknown_timeout: unknown_timeout.unwrap_or(Duration::from_hours(1)),
        output_timeout: output_timeout.unwrap_or(Duration::from_mins(1)),
        token_timeout: token_timeout.unwrap_or(Duration::from_mins(2)),
    }
}

/// Reads a list of words that are one thing together: options. Each word that is wrong becomes a problem at its place.
pub(super) fn read_words<T>(
    section: &mut Section<'_>,
    key: &'static str,
    judge: impl FnOnce(&[String]) -> Result<T, Vec<WrongWord>>,
) -> Option<T> {
    let list = section.strings(key)?;
    let words: Vec<String> = list.value.iter().map(|at| at.value.clone()).collect();
    judge(&words)
        .map_err(|all| {
            for wrong in all {
                let place = list.value.get(wrong.index).map_or(&list.place, |word| &word.place);
                section.problem(place, format!("`{}`: {}", section.full(key), wrong.why));
            }
        })
        .ok()
}
