//! `[slurm]`: what a Slurm job may ask for, and who may ask.

pub(super) mod manual;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::amounts::memory;
use super::limits::Limits;
use super::options::SlurmOptions;
use super::table::{self, Setter};
use crate::config::values;
use crate::config::{Place, Placed, Section};
use crate::scheduler::settings::{BatchSettings, read_batch, read_words};

/// `[slurm]`
#[derive(Clone, Debug)]
pub struct SlurmSettings {
    /// Where the section is, or would be.
    pub place: Place,
    /// What every scheduler has.
    pub batch: BatchSettings,
    /// Directory of sbatch, scancel, scontrol and squeue.
    pub bin_dir: PathBuf,
    /// `SLURM_CONF` for them; otherwise their own default.
    pub conf: Option<PathBuf>,
    /// Whether Slurm is asked before a job whether it can ever start.
    pub test_only: bool,
    /// Options of every job; a job may override each.
    pub defaults: SlurmOptions,
    /// Options that a job may set: full names, without dashes.
    pub allow: BTreeSet<&'static str>,
    /// Bounds for what a job sets.
    pub limits: Limits,
    /// More of them, for jobs under one rule.
    pub rule_limits: Option<Limits>,
}

/// Reads the section; an absent one is all defaults.
pub fn read_slurm(mut section: Section<'_>) -> SlurmSettings {
    let place = section.place();
    let bin_dir = section.parsed("bin_dir", values::absolute_path);
    let conf = section.parsed("conf", values::absolute_path);
    // One more call for each job. A job that can never start holds a slot of the runner, and its author is told nothing, until
    // its time in GitLab is over; that is dearer at all but the largest sites.
    let test_only = section.boolean("test_only").unwrap_or(true);
    let defaults = read_words(&mut section, "defaults", SlurmOptions::parse_all_words);
    let allow = read_allow(&mut section);
    let limits = read_limits(section.section("limits"));
    let batch = read_batch(&mut section);
    section.finish();
    SlurmSettings {
        batch,
        place,
        bin_dir: bin_dir.unwrap_or_else(|| PathBuf::from("/usr/bin")),
        conf,
        test_only,
        defaults: defaults.unwrap_or_default(),
        allow,
        limits,
        rule_limits: None,
    }
}

/// Without `allow`: what asks for resources.
fn default_allow() -> impl Iterator<Item = &'static str> {
    table::TABLE.iter().filter(|spec| spec.setter == Setter::Job).map(|spec| spec.name)
}

fn read_allow(section: &mut Section<'_>) -> BTreeSet<&'static str> {
    let Some(list) = section.strings("allow") else {
        return default_allow().collect();
    };
    let mut allow = BTreeSet::new();
    for Placed { value: name, place } in list.value {
        let bare = name.trim_start_matches('-');
        if let Some(spec) = table::by_name(&name) {
            if let Setter::Driver(why) = spec.setter {
                let message = format!("`slurm.allow` cannot have {name:?}: it is the driver's own; {why}");
                section.problem(&place, message);
            } else {
                allow.insert(spec.name);
            }
        } else {
            let help = table::by_name(bare).map(|spec| spec.name).or_else(|| table::nearest(bare)).map_or_else(
                || "write full names without dashes, like \"time\"".to_owned(),
                |name| format!("did you mean {name:?}?"),
            );
            section.problem_with_help(&place, format!("`slurm.allow`: {name:?} is not an option of sbatch"), help);
        }
    }
    allow
}

pub(super) fn read_limits(mut section: Section<'_>) -> Limits {
    let limits = Limits {
        partitions: read_names(&mut section, "partitions"),
        accounts: read_names(&mut section, "accounts"),
        qos: read_names(&mut section, "qos"),
        nodes: read_number(&mut section, "nodes"),
        ntasks: read_number(&mut section, "ntasks"),
        cpus_per_task: read_number(&mut section, "cpus_per_task"),
        time: section.duration("time"),
        mem: section.parsed_placed("mem", |text| {
            let size = memory(text).filter(|size| *size > 0);
            size.ok_or_else(|| format!("is not an amount of memory: {text:?}; write \"64G\""))
        }),
        gres: section.number_map("gres"),
    };
    section.finish();
    limits
}

fn read_names(section: &mut Section<'_>, key: &'static str) -> Option<Placed<Vec<String>>> {
    let list = section.strings(key)?;
    for Placed { value, place } in &list.value {
        // A comma would be two names to Slurm.
        if values::visible_text(value).is_err() || value.contains(',') {
            section.problem(place, format!("`{}`: not a name: {value:?}", section.full(key)));
        }
    }
    Some(list.map(|names| names.into_iter().map(Placed::into_value).collect()))
}

fn read_number(section: &mut Section<'_>, key: &'static str) -> Option<Placed<u64>> {
    let number = section.number(key)?;
    if number.value == 0 {
        section.problem(&number.place, format!("`{}` must be at least 1", section.full(key)));
    }
    Some(number)
}

#[cfg(test)]
pub(super) mod tests;
