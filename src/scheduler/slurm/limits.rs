//! Bounds for what a job asks Slurm for.
//!
//! A limit concerns what the job sets, with what the site sets beside it. Where a job can ask for the same thing with
//! another option, the limit holds for that one, too:
//!
//! * nodes: nodelist, nodefile, spread-job; ntasks with ntasks-per-node.
//! * ntasks: nodes with ntasks-per-node; ntasks-per-socket, ntasks-per-core, ntasks-per-gpu, ntasks-per-tres; gpus with
//!   gpus-per-task; nodelist, nodefile; tres-per-task.
//! * cpus_per_task: cpus-per-gpu, mincpus, tres-per-task.
//! * time: time-min.
//! * mem: mem-per-cpu and mem-per-gpu, each for itself; tres-per-task.
//! * gres: gpus, gpus-per-node; gpus-per-task with ntasks; gpus-per-socket with sockets-per-node; ntasks-per-gpu,
//!   ntasks-per-tres, tres-per-task.
//!
//! What is left out is Slurm's: `exclusive` gets whole nodes with all that is in them, tasks without `nodes` go to as many
//! nodes as they need, and what a job gets that asks for nothing is the partition's default.

use std::collections::BTreeMap;
use std::time::Duration;

use super::amounts::{Time, count, gres, memory, nodes, show_memory, show_time, time};
use super::options::{Given, SlurmOptions};
use crate::config::{Place, Placed};

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

/// A bound for what several options ask for together, and these options.
type Product = (&'static [&'static str], fn(&Limits, &SlurmOptions) -> Result<(), Excess>);

impl Limits {
    /// Judges what the job sets. `all` is that with what the site sets beside it.
    pub(super) fn check(&self, job: &[&Given], all: &SlurmOptions) -> Result<(), Breach> {
        for (index, given) in job.iter().enumerate() {
            let value = given.option.value.as_deref().unwrap_or_default();
            self.alone(given.option.name, value, all).map_err(|why| breach(index, why))?;
        }
        // Products: the first of the factors that the job set is the one to tell it about.
        let products: [Product; 4] = [
            (
                &[
                    "ntasks-per-node",
                    "nodes",
                    "ntasks-per-socket",
                    "ntasks-per-core",
                    "nodelist",
                    "nodefile",
                    "gpus-per-task",
                    "gpus",
                ],
                Self::tasks,
            ),
            (&["ntasks", "ntasks-per-node"], Self::nodes_of_tasks),
            (&["gpus-per-task", "ntasks", "nodes", "ntasks-per-node"], Self::gpus_of_tasks),
            (&["gpus-per-socket", "sockets-per-node", "extra-node-info"], Self::gpus_of_sockets),
        ];
        for (factors, product) in products {
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
            "nodes" => at_most("nodes", self.nodes.as_ref(), nodes(value), "NUMBER or MIN-MAX"),
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
            Some(_) => Err(("time", limit.place.clone(), format!("admits at most {}", show_time(limit.value)))),
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
        self.gres_times(value, prefix, 1, 1)
    }

    /// Generic resources for each of so many users of them on so many nodes.
    fn gres_times(&self, value: &str, prefix: &str, users: u64, nodes: u64) -> Result<(), Excess> {
        let Some(limit) = &self.gres else { return Ok(()) };
        let wanted = gres(value, prefix).ok_or_else(|| not_understood("gres", &limit.place, "NAME:TYPE:NUMBER"))?;
        for (name, count) in wanted {
            let Some(most) = limit.value.get(name) else {
                return Err(("gres", limit.place.clone(), format!("admits {} only", list(limit.value.keys()))));
            };
            let total = count.saturating_mul(users);
            if total > most.saturating_mul(nodes) {
                let all = if users > 1 { format!("; these are {total} for {nodes} nodes") } else { String::new() };
                return Err(("gres", limit.place.clone(), format!("admits at most {most} {name} on a node{all}")));
            }
        }
        Ok(())
    }

    /// Tasks, where their number is not said but follows.
    fn tasks(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let Some(limit) = &self.ntasks else { return Ok(()) };
        if all.get("ntasks").is_some() {
            return Ok(());
        }
        let unclear = ["nodelist", "nodefile", "ntasks-per-socket", "ntasks-per-core"];
        let by_gpus = all.get("gpus").is_some() && all.get("gpus-per-task").is_some();
        if by_gpus || unclear.iter().any(|name| all.get(name).is_some()) {
            return never("ntasks", Some(limit), "set --ntasks, too");
        }
        match tasks(all) {
            Some(tasks) if tasks <= limit.value => Ok(()),
            Some(tasks) => {
                Err(("ntasks", limit.place.clone(), format!("admits at most {}; these are {tasks}", limit.value)))
            }
            None => Err(not_understood("ntasks", &limit.place, "numbers for --nodes and --ntasks-per-node")),
        }
    }

    /// Nodes, where so many tasks with so few on each cannot do with less.
    fn nodes_of_tasks(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let Some(limit) = &self.nodes else { return Ok(()) };
        let (None, Some(tasks), Some(each)) = (all.get("nodes"), all.get("ntasks"), all.get("ntasks-per-node")) else {
            return Ok(());
        };
        match (count(tasks), count(each)) {
            (Some(tasks), Some(each)) if tasks.div_ceil(each) <= limit.value => Ok(()),
            (Some(tasks), Some(each)) => {
                let nodes = tasks.div_ceil(each);
                Err(("nodes", limit.place.clone(), format!("admits at most {}; these are {nodes}", limit.value)))
            }
            _ => Err(not_understood("nodes", &limit.place, "numbers for --ntasks and --ntasks-per-node")),
        }
    }

    fn gpus_of_tasks(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let (Some(limit), Some(each)) = (&self.gres, all.get("gpus-per-task")) else { return Ok(()) };
        let unclear = || not_understood("gres", &limit.place, "numbers for --nodes, --ntasks and --ntasks-per-node");
        let nodes = all.get("nodes").map_or(Some(1), nodes).ok_or_else(unclear)?;
        self.gres_times(each, "gpu:", tasks(all).ok_or_else(unclear)?, nodes)
    }

    fn gpus_of_sockets(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let (Some(limit), Some(each)) = (&self.gres, all.get("gpus-per-socket")) else { return Ok(()) };
        if all.get("extra-node-info").is_some() {
            return never("gres", Some(limit), "use --gpus-per-node");
        }
        // sbatch asks for both together.
        match all.get("sockets-per-node").map(count) {
            Some(Some(sockets)) => self.gres_times(each, "gpu:", sockets, 1),
            _ => Err(not_understood("gres", &limit.place, "a number for --sockets-per-node")),
        }
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

/// The most tasks that follow from other options.
fn tasks(all: &SlurmOptions) -> Option<u64> {
    if let Some(tasks) = all.get("ntasks") {
        return count(tasks);
    }
    let nodes = all.get("nodes").map_or(Some(1), nodes)?;
    Some(nodes.saturating_mul(all.get("ntasks-per-node").map_or(Some(1), count)?))
}

#[cfg(test)]
mod tests;
