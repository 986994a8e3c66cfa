//! Bounds that a rule has for its batch jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SchedulerKind;
use super::batch::Batch;
use super::known::{KNOWN, Schedulers};
use super::rule_options::RuleOptions;
use crate::config::Section;

/// For each scheduler its own, in its own words. To everybody else they are text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleLimits(BTreeMap<String, String>);

/// Reads them from the section of a rule, in which each scheduler has a key for them.
pub fn read_rule_limits(section: &mut Section<'_>) -> RuleLimits {
    let mut limits = BTreeMap::new();
    for known in KNOWN {
        if let Some(written) = (known.read_limits)(section.section(known.limits_key)) {
            limits.insert(known.kind.word().to_owned(), written);
        }
    }
    RuleLimits(limits)
}

impl RuleLimits {
    /// Those for jobs of one scheduler.
    fn of(&self, kind: SchedulerKind) -> Option<&str> {
        self.0.get(kind.word()).map(String::as_str)
    }

    /// The site's schedulers with these bounds beside those of the site.
    ///
    /// # Errors
    /// That they are none, in words.
    pub fn tighten(&self, schedulers: &Schedulers) -> Result<Schedulers, String> {
        schedulers.changed(|batch| match self.of(batch.kind()) {
            None => Ok(Arc::clone(batch)),
            Some(limits) => batch.tightened(limits),
        })
    }

    /// What in them is beyond the bounds of the site, in words.
    pub fn wider_than(&self, schedulers: &Schedulers) -> Vec<String> {
        let one = |batch: &Arc<dyn Batch>| self.of(batch.kind()).map(|limits| batch.wider(limits));
        schedulers.all().filter_map(one).flatten().collect()
    }

    /// What the site's defaults have beyond them, where the rule does not fix something else, in words.
    pub fn passed_by_defaults(&self, schedulers: &Schedulers, fixed: &RuleOptions) -> Vec<String> {
        let one = |batch: &Arc<dyn Batch>| batch.defaults_within(self.of(batch.kind())?, fixed.of(batch.kind())).err();
        schedulers.all().filter_map(one).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
