//! Reads `[slurm]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::amounts::memory;
use super::limits::{Limit, Limits};
use super::table::{self, Setter};
use super::{SlurmOptions, SlurmSettings, StagePattern};
use crate::config::problems::line_and_column;
use crate::config::reader::{At, Section};
use crate::config::values;
use crate::scheduler::{Allocation, Requeue};

/// Reads the section; an absent one is all defaults. `text` is the whole file, for line numbers.
pub fn read_slurm(mut section: Section<'_>, text: &str) -> SlurmSettings {
    let bin_dir = section.parsed("bin_dir", values::absolute_path);
    let conf = section.parsed("conf", values::absolute_path);
    let defaults = read_options(&mut section, "defaults");
    let parameters = each(&mut section, "parameters", |name| values::variable_name(name).map(|()| name.to_owned()));
    let allow = read_allow(&mut section);
    let limits = read_limits(section.section("limits"), text);
    let stages = each(&mut section, "stages", StagePattern::parse);
    let allocation = section.choice("allocation", &[("stage", Allocation::Stage), ("job", Allocation::Job)]);
    let requeue = section.boolean("requeue").unwrap_or(false);
    let unknown_timeout = section.duration("unknown_timeout");
    let output_timeout = section.duration("output_timeout");
    let token_timeout = section.duration("token_timeout");
    section.finish();
    SlurmSettings {
        bin_dir: bin_dir.unwrap_or_else(|| PathBuf::from("/usr/bin")),
        conf,
        defaults,
        parameters: parameters.unwrap_or_else(|| vec!["SCHEDULER_PARAMETERS".to_owned()]),
        allow,
        limits,
        stages: stages.unwrap_or_else(StagePattern::scripts),
        allocation: allocation.unwrap_or(Allocation::Stage),
        requeue: if requeue { Requeue::Allowed } else { Requeue::Never },
        unknown_timeout: unknown_timeout.map_or(Duration::from_hours(1), |at| at.value),
        output_timeout: output_timeout.map_or(Duration::from_mins(1), |at| at.value),
        token_timeout: token_timeout.map_or(Duration::from_mins(2), |at| at.value),
    }
}

/// A list of options for sbatch.
pub fn read_options(section: &mut Section<'_>, key: &'static str) -> SlurmOptions {
    let Some(list) = section.strings_at(key) else { return SlurmOptions::default() };
    let words: Vec<String> = list.value.iter().map(|at| at.value.clone()).collect();
    SlurmOptions::parse_words(&words).unwrap_or_else(|error| {
        let span = list.value.get(error.index()).map_or(list.span, |at| at.span.clone());
        section.problem(span, format!("`{}`: {error}", section.full(key)), None);
        SlurmOptions::default()
    })
}

fn read_allow(section: &mut Section<'_>) -> BTreeSet<&'static str> {
    let Some(list) = section.strings_at("allow") else {
        return table::TABLE.iter().filter(|spec| spec.setter == Setter::Job).map(|spec| spec.name).collect();
    };
    let mut allow = BTreeSet::new();
    for At { value: name, span } in list.value {
        let bare = name.trim_start_matches('-');
        if let Some(spec) = table::by_name(&name) {
            if let Setter::Driver(why) = spec.setter {
                let message = format!("`slurm.allow` cannot have {name:?}: it is the driver's own; {why}");
                section.problem(span, message, None);
            } else {
                allow.insert(spec.name);
            }
        } else {
            let help = table::by_name(bare).map(|spec| spec.name).or_else(|| table::nearest(bare)).map_or_else(
                || "write full names without dashes, like \"time\"".to_owned(),
                |name| format!("did you mean {name:?}?"),
            );
            section.problem(span, format!("`slurm.allow`: {name:?} is not an option of sbatch"), help);
        }
    }
    allow
}

fn read_limits(mut section: Section<'_>, text: &str) -> Limits {
    let line = |at: usize| line_and_column(text, at).0;
    let mut names = |key| {
        let list = section.strings_at(key)?;
        for At { value, span } in &list.value {
            // A comma would be two names to Slurm.
            if values::visible_text(value).is_err() || value.contains(',') {
                section.problem(span.clone(), format!("`slurm.limits.{key}`: not a name: {value:?}"), None);
            }
        }
        Some(Limit { value: list.value.into_iter().map(|at| at.value).collect(), line: line(list.span.start) })
    };
    let partitions = names("partitions");
    let accounts = names("accounts");
    let qos = names("qos");
    let mut number = |key| {
        let at = section.number(key)?;
        if at.value == 0 {
            section.problem(at.span.clone(), format!("`slurm.limits.{key}` must be at least 1"), None);
        }
        Some(Limit { value: at.value, line: line(at.span.start) })
    };
    let nodes = number("nodes");
    let ntasks = number("ntasks");
    let cpus_per_task = number("cpus_per_task");
    let time = section.duration("time").map(|at| Limit { value: at.value, line: line(at.span.start) });
    let mem = section.string("mem").and_then(|at| {
        let line = line(at.span.start);
        let read = |text: &str| {
            let size = memory(text).filter(|size| *size > 0);
            size.ok_or_else(|| format!("is not an amount of memory: {text:?}; write \"64G\""))
        };
        section.checked(at, "mem", read).map(|value| Limit { value, line })
    });
    let gres = section.number_map("gres").map(|at| {
        let counts: BTreeMap<String, u64> = at.value.into_iter().map(|(name, at)| (name, at.value)).collect();
        Limit { value: counts, line: line(at.span.start) }
    });
    section.finish();
    Limits { partitions, accounts, qos, nodes, ntasks, cpus_per_task, time, mem, gres }
}

/// A list whose every element is checked. None if the key is absent.
fn each<T>(section: &mut Section<'_>, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
    let list = section.strings_at(key)?;
    Some(list.value.into_iter().filter_map(|at| section.checked(at, key, &parse)).collect())
}
