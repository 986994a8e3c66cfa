//! Bounds for what a job asks Slurm for.
//!
//! A limit concerns what the job sets, with what the site sets beside it. Where a job can ask for the same thing with
//! another option, the limit holds for that one, too:
//!
//! * nodes: `nodes` says; where nobody sets that, the [driver does](nodes), for tasks, GPUs and memory go to as many nodes as
//!   they need. nodelist, nodefile, spread-job.
//! * ntasks: nodes with ntasks-per-node; ntasks-per-socket, ntasks-per-core, ntasks-per-gpu, ntasks-per-tres,
//!   extra-node-info; gpus with gpus-per-task; nodelist, nodefile; tres-per-task.
//! * cpus_per_task: mincpus, cpus-per-gpu with the GPUs; exclusive, core-spec, thread-spec; tres-per-task.
//! * time: time-min.
//! * mem: mem-per-cpu with the processors, mem-per-gpu with the GPUs, of a node; exclusive, core-spec, thread-spec unless
//!   there is `mem`; tres-per-task.
//! * gres: gpus, gpus-per-node; gpus-per-task with the tasks of a node; gpus-per-socket with sockets-per-node; exclusive,
//!   core-spec, thread-spec; ntasks-per-gpu, ntasks-per-tres, tres-per-task.
//!
//! What is asked for by several options together is in [`products`], what of it can come to lie on one node in [`node`].
//! What is left out is Slurm's: what a job gets that asks for nothing is the partition's default.

mod node;
mod nodes;
mod products;

use std::collections::BTreeMap;
use std::time::Duration;

use super::amounts::{self, Time, count, gres, memory, show_memory, time};
use super::options::{Given, SlurmOptions};
use crate::config::{Place, Placed};
use crate::report::time_in_words;
use products::PRODUCTS;

/// `[slurm.limits]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Admitted partitions.
    pub partitions: Option<Placed<Vec<String>>>,
    /// Admitted accounts of Slurm.
    pub accounts: Option<Placed<Vec<String>>>,
    /// Admitted qualities of service.
    pub qos: Option<Placed<Vec<String>>>,
    /// Most nodes.
    pub nodes: Option<Placed<u64>>,
    /// Most tasks.
    pub ntasks: Option<Placed<u64>>,
    /// Most processors for one task.
    pub cpus_per_task: Option<Placed<u64>>,
    /// Longest run.
    pub time: Option<Placed<Duration>>,
    /// Most memory of one node, in KiB.
    pub mem: Option<Placed<u64>>,
    /// Most of each generic resource on one node; what is not listed is refused.
    pub gres: Option<Placed<BTreeMap<String, u64>>>,
}

/// What goes beyond which limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    /// Which of the job's options.
    pub(super) given: usize,
    /// The limit.
    pub(super) key: &'static str,
    /// Its place.
    pub(super) place: Place,
    /// What it admits.
    pub(super) why: String,
}

/// A breach without the option: what the limit says.
type Excess = (&'static str, Place, String);

impl Limits {
    /// Judges what the job sets. `all` is that with what the site sets beside it.
    pub(super) fn check(&self, job: &[&Given], all: &SlurmOptions) -> Result<(), Breach> {
        for (index, given) in job.iter().enumerate() {
            let value = given.option.value.as_deref().unwrap_or_default();
            self.alone(given.option.name, value, all).map_err(|why| breach(index, why))?;
        }
        // The first of the factors that the job set is the one to tell it about.
        for (factors, product) in PRODUCTS {
            let set = factors.iter().find_map(|name| job.iter().position(|given| given.option.name == *name));
            if let Some(index) = set {
                product(self, all).map_err(|why| breach(index, why))?;
            }
        }
        Ok(())
    }

    /// What can be said about one option.
    fn alone(&self, name: &'static str, value: &str, all: &SlurmOptions) -> Result<(), Excess> {
        match name {
            "partition" => listed("partitions", self.partitions.as_ref(), value),
            "account" => listed("accounts", self.accounts.as_ref(), value),
            "qos" => listed("qos", self.qos.as_ref(), value),
            "nodes" => {
                let most = amounts::nodes(value).map(|(_, most)| most);
                at_most("nodes", self.nodes.as_ref(), most, "NUMBER or MIN-MAX")
            }
            "ntasks" => at_most("ntasks", self.ntasks.as_ref(), count(value), "a number"),
            "cpus-per-task" | "cpus-per-gpu" | "mincpus" => {
                at_most("cpus_per_task", self.cpus_per_task.as_ref(), count(value), "a number")
            }
            "time" | "time-min" => self.time(value),
            "mem" | "mem-per-cpu" | "mem-per-gpu" => self.mem(value),
            "gres" => self.gres(value, ""),
            "gpus" | "gpus-per-node" | "gpus-per-task" | "gpus-per-socket" => self.gres(value, "gpu:"),
            "nodelist" | "nodefile" => never("nodes", self.nodes.as_ref(), "use --nodes and --constraint"),
            "spread-job" if all.get("nodes").is_none() => never("nodes", self.nodes.as_ref(), "set --nodes, too"),
            "exclusive" if !gets_whole_nodes(name, value) => Ok(()),
            "exclusive" | "core-spec" | "thread-spec" => {
                let instead = "it gets whole nodes, with all that is in them; leave it out";
                never("cpus_per_task", self.cpus_per_task.as_ref(), instead)?;
                never("gres", self.gres.as_ref(), instead)?;
                if all.get("mem").is_some() {
                    return Ok(());
                }
                never("mem", self.mem.as_ref(), "it gets whole nodes, with all that is in them; set --mem, too")
            }
            "ntasks-per-gpu" | "ntasks-per-tres" => {
                never("ntasks", self.ntasks.as_ref(), "use --ntasks")?;
                never("gres", self.gres.as_ref(), "use --ntasks and --gpus")
            }
            "tres-per-task" => {
                never("ntasks", self.ntasks.as_ref(), "use --ntasks")?;
                never("cpus_per_task", self.cpus_per_task.as_ref(), "use --cpus-per-task")?;
                never("mem", self.mem.as_ref(), "use --mem")?;
                never("gres", self.gres.as_ref(), "use --gres")
            }
            _ => Ok(()),
        }
    }

    fn time(&self, value: &str) -> Result<(), Excess> {
        let Some(limit) = &self.time else { return Ok(()) };
        match time(value) {
            Some(Time::Bounded(seconds)) if seconds <= limit.value.as_secs() => Ok(()),
            Some(_) => Err(("time", limit.place.clone(), format!("admits at most {}", time_in_words(limit.value)))),
            None => Err(not_understood("time", &limit.place, "MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS")),
        }
    }

    fn mem(&self, value: &str) -> Result<(), Excess> {
        let Some(limit) = &self.mem else { return Ok(()) };
        match memory(value) {
            // 0 is all the memory of a node.
            Some(size) if size > 0 && size <= limit.value => Ok(()),
            Some(_) => Err(("mem", limit.place.clone(), format!("admits at most {}", show_memory(limit.value)))),
            None => Err(not_understood("mem", &limit.place, "a number with K, M, G or T")),
        }
    }

    /// Generic resources, each behind `prefix`.
    fn gres(&self, value: &str, prefix: &str) -> Result<(), Excess> {
        let Some(limit) = &self.gres else { return Ok(()) };
        let wanted = gres(value, prefix).ok_or_else(|| not_understood("gres", &limit.place, "NAME:TYPE:NUMBER"))?;
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (kind, count) in wanted {
            let sum = sums.entry(kind.name).or_default();
            *sum = sum.saturating_add(count);
        }
        for (name, total) in sums {
            let Some(most) = limit.value.get(name) else {
                return Err(("gres", limit.place.clone(), format!("admits {} only", list(limit.value.keys()))));
            };
            if total > *most {
                return Err(("gres", limit.place.clone(), format!("admits at most {most} {name} on a node")));
            }
        }
        Ok(())
    }
}

/// Whether this option means that a job gets nodes with all that is in them. With `--exclusive=user` it only shares them
/// with nobody else.
fn gets_whole_nodes(name: &str, value: &str) -> bool {
    match name {
        "exclusive" => !matches!(value, "user" | "mcs"),
        "core-spec" | "thread-spec" => true,
        _ => false,
    }
}

fn breach(given: usize, (key, place, why): Excess) -> Breach {
    Breach { given, key, place, why }
}

fn listed(key: &'static str, limit: Option<&Placed<Vec<String>>>, value: &str) -> Result<(), Excess> {
    match limit {
        // Slurm takes the first of several partitions that can run the job.
        Some(limit) if !value.split(',').all(|name| limit.value.iter().any(|admitted| admitted == name)) => {
            Err((key, limit.place.clone(), format!("admits {}", list(&limit.value))))
        }
        _ => Ok(()),
    }
}

fn at_most(key: &'static str, limit: Option<&Placed<u64>>, value: Option<u64>, form: &str) -> Result<(), Excess> {
    match (limit, value) {
        (None, _) => Ok(()),
        (Some(limit), Some(value)) if value <= limit.value => Ok(()),
        (Some(limit), Some(_)) => Err((key, limit.place.clone(), format!("admits at most {}", limit.value))),
        (Some(limit), None) => Err(not_understood(key, &limit.place, form)),
    }
}

/// For what has no bound that could be compared.
fn never<T>(key: &'static str, limit: Option<&Placed<T>>, instead: &str) -> Result<(), Excess> {
    limit.map_or(Ok(()), |limit| Err((key, limit.place.clone(), format!("could not be kept; {instead}"))))
}

fn not_understood(key: &'static str, place: &Place, form: &str) -> Excess {
    (key, place.clone(), format!("cannot be compared with it; write {form}"))
}

/// Names for a message.
pub(super) fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<T> = names.into_iter().collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
