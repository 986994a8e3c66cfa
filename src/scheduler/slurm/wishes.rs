//! Three hands write options for sbatch: the site's defaults, the job, and the rule that the job's user falls under. Here they
//! meet: the job overrides defaults within `allow` and `limits`, and nobody overrides a rule.

use thiserror::Error;

use super::limits::{Limits, list};
use super::options::{Given, OptionError, SlurmOptions, read_words, split};
use super::rule_limits::smaller;
use super::settings::SlurmSettings;

/// Options of which sbatch takes one only, or that are two words for one thing. Who sets one of them has decided about all.
pub(super) const RIVALS: &[&[&str]] = &[
    &["mem", "mem-per-cpu", "mem-per-gpu"],
    &["exclusive", "oversubscribe"],
    &["cpus-per-task", "cpus-per-gpu"],
    &["core-spec", "thread-spec"],
    &["nodelist", "nodefile"],
];

/// The options of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// All of them, for sbatch.
    pub options: SlurmOptions,
    /// Those that the job itself set, without their values. Without any, a refusal by Slurm is not the author's doing.
    pub from_job: Vec<String>,
}

/// The job asks for what it may not have. For the author of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WishRefused {
    /// It is no option, or the driver's own.
    #[error("in {variable}: {error}")]
    Option {
        /// The CI variable.
        variable: String,
        /// What is wrong.
        error: OptionError,
    },
    /// `slurm.allow` does not have it.
    #[error("`{written}` in {variable} is refused: jobs do not set --{name} here; slurm.allow ({file}) has {allowed}")]
    NotAllowed {
        /// The option as written.
        written: String,
        /// The CI variable.
        variable: String,
        /// The option's full name.
        name: &'static str,
        /// Name of the configuration file.
        file: String,
        /// What a job may set.
        allowed: String,
    },
    /// The rule says something else.
    #[error("`{written}` in {variable} is refused: rule {rule} in {file} sets `{fixed}`; leave the option out")]
    Fixed {
        /// The option as written.
        written: String,
        /// The CI variable.
        variable: String,
        /// The rule.
        rule: String,
        /// Name of the configuration file.
        file: String,
        /// What the rule sets.
        fixed: String,
    },
    /// It is beyond a limit of the site.
    #[error("`{written}` in {variable} is refused: slurm.limits.{key} ({file} line {line}) {why}")]
    Limit {
        /// The option as written.
        written: String,
        /// The CI variable.
        variable: String,
        /// The limit.
        key: &'static str,
        /// Name of the configuration file.
        file: String,
        /// Line of the limit.
        line: usize,
        /// What it admits.
        why: String,
    },
    /// It is beyond a limit of the rule.
    #[error("`{written}` in {variable} is refused: map.slurm_limits.{key} ({file} line {line}) {why}")]
    RuleLimit {
        /// The option as written.
        written: String,
        /// The CI variable.
        variable: String,
        /// The limit.
        key: &'static str,
        /// Name of the configuration file.
        file: String,
        /// Line of the limit.
        line: usize,
        /// What it admits.
        why: String,
    },
}

/// An option of the job, and where it wrote it.
struct Wanted<'j> {
    variable: &'j str,
    given: Given,
}

impl SlurmSettings {
    /// The options of one job: the defaults, what the job's variables set instead, and on top what the rule fixes.
    ///
    /// `rule` is the rule for people and its options. `job` has variables of the job and their texts; those that
    /// `parameters` does not name are not looked at.
    pub fn combine(
        &self,
        rule: Option<(&str, &SlurmOptions)>,
        job: &[(String, String)],
    ) -> Result<Combined, WishRefused> {
        let file = || self.place.file_name();
        let mut wanted = self.wanted(job)?;
        if let Some((name, fixed)) = rule {
            for Wanted { variable, given } in &wanted {
                let against = same_thing(given.option.name)
                    .find_map(|name| fixed.iter().find(|option| option.name == name && **option != given.option));
                if let Some(against) = against {
                    return Err(WishRefused::Fixed {
                        written: given.written.clone(),
                        variable: (*variable).to_owned(),
                        rule: name.to_owned(),
                        file: file(),
                        fixed: against.word(),
                    });
                }
            }
            // What the rule says as well is the site's word, and neither `allow` nor a limit concerns it.
            wanted.retain(|wanted| fixed.get(wanted.given.option.name).is_none());
        }
        if let Some(Wanted { variable, given }) = wanted.iter().find(|w| !self.allow.contains(w.given.option.name)) {
            return Err(WishRefused::NotAllowed {
                written: given.written.clone(),
                variable: (*variable).to_owned(),
                name: given.option.name,
                file: file(),
                allowed: list(self.allow.iter().copied()),
            });
        }
        let mut options = self.stack(rule.map(|(_, fixed)| fixed), &wanted);
        let given: Vec<&Given> = wanted.iter().map(|wanted| &wanted.given).collect();
        self.limits.check(&given, &options).map_err(|breach| {
            let Wanted { given, variable } = &wanted[breach.given];
            let (written, variable, why) = (given.written.clone(), (*variable).to_owned(), breach.why);
            let (key, file, line) = (breach.key, breach.place.file_name(), breach.place.line());
            WishRefused::Limit { written, variable, key, file, line, why }
        })?;
        if let Some(limits) = &self.rule_limits {
            limits.check(&given, &options).map_err(|breach| {
                let Wanted { given, variable } = &wanted[breach.given];
                let (written, variable, why) = (given.written.clone(), (*variable).to_owned(), breach.why);
                let (key, file, line) = (breach.key, breach.place.file_name(), breach.place.line());
                WishRefused::RuleLimit { written, variable, key, file, line, why }
            })?;
        }
        match &self.rule_limits {
            None => self.limits.bound_nodes(&given, &mut options),
            Some(rule) => smaller(&self.limits, rule).bound_nodes(&given, &mut options),
        }
        let from_job = wanted.iter().map(|wanted| format!("--{}", wanted.given.option.name)).collect();
        Ok(Combined { options, from_job })
    }

    /// Whether the defaults keep to the bounds of a rule that fixes these options. When a job is submitted only what it sets is judged: by
    /// saying nothing it would have the default, and more than its rule grants.
    pub(super) fn keeps_to(&self, rule: &Limits, fixed: &SlurmOptions) -> Result<(), String> {
        let options = self.stack(Some(fixed), &[]);
        let left = options.iter().filter(|option| fixed.get(option.name).is_none());
        let left: Vec<Given> = left.map(|option| Given { option: option.clone(), written: option.word() }).collect();
        let given: Vec<&Given> = left.iter().collect();
        rule.check(&given, &options).map_err(|breach| {
            let written = &given[breach.given].written;
            format!("slurm.defaults has `{written}`, but `map.slurm_limits.{}` {}", breach.key, breach.why)
        })
    }

    /// What the job sets: of each option the last.
    fn wanted<'j>(&self, job: &'j [(String, String)]) -> Result<Vec<Wanted<'j>>, WishRefused> {
        let mut wanted: Vec<Wanted<'j>> = Vec::new();
        let named = self.batch.parameters.iter().filter_map(|name| job.iter().find(|(variable, _)| variable == name));
        for (variable, text) in named {
            let given = split(text)
                .and_then(|words| read_words(&words))
                .map_err(|error| WishRefused::Option { variable: variable.clone(), error })?;
            for given in given {
                wanted.retain(|earlier| earlier.given.option.name != given.option.name);
                wanted.push(Wanted { variable, given });
            }
        }
        Ok(wanted)
    }

    fn stack(&self, fixed: Option<&SlurmOptions>, wanted: &[Wanted<'_>]) -> SlurmOptions {
        let mut options = self.defaults.clone();
        let wanted: Vec<_> = wanted.iter().map(|wanted| &wanted.given.option).collect();
        let fixed: Vec<_> = fixed.into_iter().flat_map(SlurmOptions::iter).collect();
        for layer in [wanted, fixed] {
            // All before any: two rivals in one hand are for sbatch to judge.
            for name in layer.iter().flat_map(|option| same_thing(option.name)) {
                options.remove(name);
            }
            for option in layer {
                options.set(option.clone());
            }
        }
        options
    }
}

/// The option and its rivals.
fn same_thing(name: &'static str) -> impl Iterator<Item = &'static str> {
    let rivals = RIVALS.iter().find(|rivals| rivals.contains(&name)).copied().unwrap_or_default();
    std::iter::once(name).chain(rivals.iter().copied().filter(move |rival| *rival != name))
}

#[cfg(test)]
pub(super) mod tests;
