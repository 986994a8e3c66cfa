//! Limits on what several options ask for together.

use super::node::{TASKS_BY_NODE, Unclear, gres_of_a_node, tasks, tasks_of_a_node};
use super::{Excess, Limits, gets_whole_nodes, never, not_understood};
use crate::config::{Place, Placed};
use crate::scheduler::slurm::amounts::{count, gres, memory, show_memory};
use crate::scheduler::slurm::options::SlurmOptions;

/// A bound for a product, and its factors.
pub(super) type Product = (&'static [&'static str], fn(&Limits, &SlurmOptions) -> Result<(), Excess>);

/// All of them. The options that say most come first.
#[rustfmt::skip]
pub(super) const PRODUCTS: [Product; 6] = [
    (
        &["ntasks-per-node", "ntasks", "nodes", "ntasks-per-socket", "ntasks-per-core", "extra-node-info", "nodelist",
            "nodefile", "gpus-per-task", "gpus"],
        Limits::tasks,
    ),
    (&["ntasks", "ntasks-per-node"], Limits::nodes_of_tasks),
    (
        &["gpus-per-task", "gpus-per-socket", "gpus-per-node", "gres", "gpus"],
        Limits::gres_of_a_node,
    ),
    (
        &["ntasks", "ntasks-per-node", "nodes", "sockets-per-node", "extra-node-info", "ntasks-per-socket",
            "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-tres"],
        Limits::gres_of_tasks,
    ),
    (
        &["cpus-per-gpu", "gpus-per-task", "gpus", "gpus-per-node", "gres", "gpus-per-socket", "ntasks",
            "ntasks-per-node", "nodes"],
        Limits::processors_of_gpus,
    ),
    (
        &["mem-per-cpu", "mem-per-gpu", "cpus-per-task", "ntasks", "ntasks-per-node", "nodes", "mincpus", "cpus-per-gpu",
            "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "gres", "exclusive", "core-spec", "thread-spec",
            "ntasks-per-socket", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-tres", "extra-node-info"],
        Limits::memory_of_a_node,
    ),
];

impl Limits {
    /// Tasks, where their number is not said but follows.
    fn tasks(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let Some(limit) = &self.ntasks else { return Ok(()) };
        let tasks = tasks(all).map_err(|unclear| explain("ntasks", limit, unclear))?;
        if tasks <= limit.value {
            return Ok(());
        }
        Err(("ntasks", limit.place.clone(), format!("admits at most {}; these are {tasks}", limit.value)))
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

    /// Generic resources, where the tasks or sockets of a node have some each. What the site alone says is not the job's.
    fn gres_of_tasks(&self, all: &SlurmOptions) -> Result<(), Excess> {
        if all.get("gpus-per-task").is_none() && all.get("gpus-per-socket").is_none() {
            return Ok(());
        }
        self.gres_of_a_node(all)
    }

    /// Generic resources, where several options ask for them, or tasks have some each.
    fn gres_of_a_node(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let Some(limit) = &self.gres else { return Ok(()) };
        for (name, total) in gres_of_a_node(all).map_err(|unclear| explain("gres", limit, unclear))? {
            let Some(most) = limit.value.get(name) else { continue };
            if total > *most {
                let spread = all.get("gpus-per-task").is_some() && all.get("ntasks-per-node").is_none();
                let instead = if spread { "; set --ntasks-per-node, too" } else { "" };
                let why = format!("admits at most {most} {name} on a node; these can be {total} on one{instead}");
                return Err(("gres", limit.place.clone(), why));
            }
        }
        Ok(())
    }

    /// Processors of a task that has as many as its GPUs bring.
    fn processors_of_gpus(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let (Some(limit), Some(each)) = (&self.cpus_per_task, all.get("cpus-per-gpu")) else { return Ok(()) };
        let unclear = |unclear| explain("cpus_per_task", limit, unclear);
        let each = count(each).ok_or_else(|| unclear(Unclear::Form("a number for --cpus-per-gpu")))?;
        let gpus = match all.get("gpus-per-task") {
            Some(value) => {
                let wanted = gres(value, "gpu:").ok_or_else(|| unclear(Unclear::Form("TYPE:NUMBER")))?;
                wanted.values().fold(0, |sum: u64, count| sum.saturating_add(*count))
            }
            // A single task has them all.
            None => gpus_of_a_node(all).map_err(unclear)?,
        };
        let total = each.saturating_mul(gpus);
        if total <= limit.value {
            return Ok(());
        }
        let why = format!("admits at most {}; with {gpus} GPUs these can be {total}; use --cpus-per-task", limit.value);
        Err(("cpus_per_task", limit.place.clone(), why))
    }

    /// Memory, where it follows from processors or GPUs.
    fn memory_of_a_node(&self, all: &SlurmOptions) -> Result<(), Excess> {
        let Some(limit) = &self.mem else { return Ok(()) };
        let unclear = |_| explain("mem", limit, Unclear::Instead("--mem"));
        let (each, users, what) = if let Some(each) = all.get("mem-per-cpu") {
            (each, processors_of_a_node(all).map_err(unclear)?, "processors")
        } else if let Some(each) = all.get("mem-per-gpu") {
            if has_whole_nodes(all) {
                return never("mem", Some(limit), "use --mem");
            }
            (each, gpus_of_a_node(all).map_err(unclear)?, "GPUs")
        } else {
            return Ok(());
        };
        let total = memory(each).filter(|each| *each > 0).map(|each| each.saturating_mul(users));
        match total {
            Some(total) if total <= limit.value => Ok(()),
            Some(total) => {
                let spread = all.get("ntasks").is_some() && all.get("ntasks-per-node").is_none();
                let instead = if spread { "set --ntasks-per-node, too, or use --mem" } else { "use --mem" };
                let (most, total) = (show_memory(limit.value), show_memory(total));
                let why = format!("admits at most {most}; {users} {what} on one node can have {total}; {instead}");
                Err(("mem", limit.place.clone(), why))
            }
            None => Err(not_understood("mem", &limit.place, "a number with K, M, G or T")),
        }
    }
}

/// One at least: without any there would be nothing to bound.
fn gpus_of_a_node(all: &SlurmOptions) -> Result<u64, Unclear> {
    Ok(gres_of_a_node(all)?.get("gpu").copied().unwrap_or(0).max(1))
}

/// As Slurm counts them for memory: in whole cores, which may have two threads each.
fn processors_of_a_node(all: &SlurmOptions) -> Result<u64, Unclear> {
    let by_node = TASKS_BY_NODE.iter().filter(|name| !matches!(**name, "nodelist" | "nodefile"));
    if has_whole_nodes(all) || by_node.chain(&["cpus-per-gpu"]).any(|name| all.get(name).is_some()) {
        return Err(Unclear::Instead("--mem"));
    }
    let number = |name| all.get(name).map_or(Some(1), count).ok_or(Unclear::Form("a number"));
    let processors = tasks_of_a_node(all)?.saturating_mul(number("cpus-per-task")?).max(number("mincpus")?);
    Ok(processors.checked_next_multiple_of(2).unwrap_or(u64::MAX))
}

fn has_whole_nodes(all: &SlurmOptions) -> bool {
    ["exclusive", "core-spec", "thread-spec"]
        .iter()
        .any(|name| all.get(name).is_some_and(|value| gets_whole_nodes(name, value)))
}

fn explain<T>(key: &'static str, limit: &Placed<T>, unclear: Unclear) -> Excess {
    let place: &Place = &limit.place;
    match unclear {
        Unclear::Form(form) => not_understood(key, place, form),
        Unclear::Without(option) => (key, place.clone(), format!("could not be kept; set {option}, too")),
        Unclear::Instead(option) => (key, place.clone(), format!("could not be kept; use {option}")),
    }
}
