//! Reads `[slurm]`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::amounts::memory;
use super::limits::Limits;
use super::table::{self, Setter};
use super::{SlurmOptions, SlurmSettings, StagePattern};
use crate::config::values;
use crate::config::{Placed, Section};
use crate::scheduler::{Allocation, Requeue};

/// Reads the section; an absent one is all defaults.
pub fn read_slurm(mut section: Section<'_>) -> SlurmSettings {
    let place = section.place();
    let bin_dir = section.parsed("bin_dir", values::absolute_path);
    let conf = section.parsed("conf", values::absolute_path);
    let defaults = read_options(&mut section, "defaults");
    let parameters = section.parsed_each("parameters", |name| values::variable_name(name).map(|()| name.to_owned()));
    let allow = read_allow(&mut section);
    let limits = read_limits(section.section("limits"));
    let stages = section.parsed_each("stages", StagePattern::parse);
    let allocation = section.choice("allocation", &[("stage", Allocation::Stage), ("job", Allocation::Job)]);
    let requeue = section.boolean("requeue").unwrap_or(false);
    let mut time = |key, default| section.duration(key).map_or(default, Placed::into_value);
    let unknown_timeout = time("unknown_timeout", Duration::from_hours(1));
    let output_timeout = time("output_timeout", Duration::from_mins(1));
    let token_timeout = time("token_timeout", Duration::from_mins(2));
    section.finish();
    SlurmSettings {
        place,
        bin_dir: bin_dir.unwrap_or_else(|| PathBuf::from("/usr/bin")),
        conf,
        defaults,
        parameters: parameters.unwrap_or_else(|| vec!["SCHEDULER_PARAMETERS".to_owned()]),
        allow,
        limits,
        stages: stages.unwrap_or_else(StagePattern::scripts),
        allocation: allocation.unwrap_or(Allocation::Stage),
        requeue: if requeue { Requeue::Allowed } else { Requeue::Never },
        unknown_timeout,
        output_timeout,
        token_timeout,
    }
}

/// A list of options for sbatch.
pub fn read_options(section: &mut Section<'_>, key: &'static str) -> SlurmOptions {
    let Some(list) = section.strings(key) else { return SlurmOptions::default() };
    let words: Vec<String> = list.value.iter().map(|at| at.value.clone()).collect();
    SlurmOptions::parse_words(&words).unwrap_or_else(|error| {
        let place = list.value.get(error.index()).map_or(&list.place, |at| &at.place);
        section.problem(place, format!("`{}`: {error}", section.full(key)));
        SlurmOptions::default()
    })
}

fn read_allow(section: &mut Section<'_>) -> BTreeSet<&'static str> {
    let Some(list) = section.strings("allow") else {
        return table::TABLE.iter().filter(|spec| spec.setter == Setter::Job).map(|spec| spec.name).collect();
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

fn read_limits(mut section: Section<'_>) -> Limits {
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
            section.problem(place, format!("`slurm.limits.{key}`: not a name: {value:?}"));
        }
    }
    Some(list.map(|names| names.into_iter().map(Placed::into_value).collect()))
}

fn read_number(section: &mut Section<'_>, key: &'static str) -> Option<Placed<u64>> {
    let number = section.number(key)?;
    if number.value == 0 {
        section.problem(&number.place, format!("`slurm.limits.{key}` must be at least 1"));
    }
    Some(number)
}
