//! `[slurm]`: what a Slurm job may ask for, and who may ask.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::amounts::memory;
use super::limits::{Limit, Limits};
use super::options::SlurmOptions;
use super::table::{self, Setter};
use crate::config::problems::line_and_column;
use crate::config::reader::{At, Section};
use crate::config::values;
use crate::scheduler::settings::{BatchSettings, read_batch, read_words};

/// `[slurm]`
#[derive(Clone, Debug)]
pub struct SlurmSettings {
    /// What every scheduler has.
    pub batch: BatchSettings,
    /// Directory of sbatch, scancel, scontrol and squeue.
    pub bin_dir: PathBuf,
    /// `SLURM_CONF` for them; otherwise their own default.
    pub conf: Option<PathBuf>,
    /// Options of every job; a job may override each.
    pub defaults: SlurmOptions,
    /// Options that a job may set: full names, without dashes.
    pub allow: BTreeSet<&'static str>,
    /// Bounds for what a job sets.
    pub limits: Limits,
}

/// Reads the section; an absent one is all defaults. `text` is the whole file, for line numbers.
pub fn read_slurm(mut section: Section<'_>, text: &str) -> SlurmSettings {
    let bin_dir = section.parsed("bin_dir", values::absolute_path);
    let conf = section.parsed("conf", values::absolute_path);
    let defaults = read_words(&mut section, "defaults", |words| Ok(SlurmOptions::parse_words(words)?));
    let allow = read_allow(&mut section);
    let limits = read_limits(section.section("limits"), text);
    let batch = read_batch(&mut section);
    section.finish();
    SlurmSettings {
        batch,
        bin_dir: bin_dir.unwrap_or_else(|| PathBuf::from("/usr/bin")),
        conf,
        defaults: defaults.unwrap_or_default(),
        allow,
        limits,
    }
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

#[cfg(test)]
pub(super) mod tests;
