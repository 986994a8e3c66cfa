//! What of a job can come to lie on one node, at most. Slurm fills one node before it takes the next.

use std::collections::BTreeMap;

use crate::scheduler::slurm::amounts::{Kind, count, gres, nodes};
use crate::scheduler::slurm::options::SlurmOptions;

/// Options with which the number of tasks follows from what is in a node.
pub(super) const TASKS_BY_NODE: [&str; 7] = [
    "nodelist",
    "nodefile",
    "ntasks-per-socket",
    "ntasks-per-core",
    "ntasks-per-gpu",
    "ntasks-per-tres",
    "extra-node-info",
];

/// What cannot be said, and what would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// A value of one of these is not understood.
    Form(&'static str),
    /// It depends on what is in the nodes, unless this is set, too.
    Without(&'static str),
    /// It depends on what is in the nodes. With this it would not.
    Instead(&'static str),
}

/// Tasks of the whole job, if their number is said or follows.
pub(super) fn tasks(all: &SlurmOptions) -> Result<u64, Unclear> {
    let form = Unclear::Form("numbers for --nodes, --ntasks and --ntasks-per-node");
    let number = |name| all.get(name).map(|text| count(text).ok_or(form)).transpose();
    let nodes = all.get("nodes").map(|text| nodes(text).ok_or(form)).transpose()?;
    let most_nodes = nodes.map(|(_, most)| most);
    match (number("ntasks")?, number("ntasks-per-node")?) {
        (Some(tasks), None) => Ok(tasks),
        // Slurm fills the last node, too.
        (Some(_), Some(_)) if most_nodes.is_none() && names_nodes(all) => Err(Unclear::Without("--nodes")),
        (Some(tasks), Some(each)) => {
            let nodes = most_nodes.unwrap_or(tasks.div_ceil(each));
            Ok(nodes.saturating_mul(each).max(tasks))
        }
        (None, _) if follows_from_nodes(all) => Err(Unclear::Without("--ntasks")),
        (None, each) => Ok(most_nodes.unwrap_or(1).saturating_mul(each.unwrap_or(1))),
    }
}

/// Tasks of one node.
pub(super) fn tasks_of_a_node(all: &SlurmOptions) -> Result<u64, Unclear> {
    let form = Unclear::Form("numbers for --nodes, --ntasks and --ntasks-per-node");
    let number = |name| all.get(name).map(|text| count(text).ok_or(form)).transpose();
    let (least, most) = all.get("nodes").map_or(Ok((1, u64::MAX)), |text| nodes(text).ok_or(form))?;
    match (number("ntasks")?, number("ntasks-per-node")?) {
        // Each of the others has one at least.
        (Some(tasks), None) => Ok(tasks.saturating_sub(least - 1).max(1)),
        // What does not fit is refused, or the lesser word is not heard.
        (Some(tasks), Some(each)) if most.saturating_mul(each) < tasks => Ok(tasks),
        (_, Some(each)) => Ok(each),
        (None, None) if follows_from_nodes(all) => Err(Unclear::Without("--ntasks")),
        (None, None) => Ok(1),
    }
}

fn names_nodes(all: &SlurmOptions) -> bool {
    all.get("nodelist").is_some() || all.get("nodefile").is_some()
}

fn follows_from_nodes(all: &SlurmOptions) -> bool {
    let by_gpus = all.get("gpus").is_some() && all.get("gpus-per-task").is_some();
    by_gpus || TASKS_BY_NODE.iter().any(|name| all.get(name).is_some())
}

/// Generic resources of one node, by name. Where two options ask for the same, it is the same; where they ask for different
/// types it is both.
pub(super) fn gres_of_a_node(all: &SlurmOptions) -> Result<BTreeMap<&str, u64>, Unclear> {
    let form = Unclear::Form("NAME:TYPE:NUMBER");
    let mut wanted: BTreeMap<Kind<'_>, u64> = BTreeMap::new();
    for (option, prefix) in [
        ("gres", ""),
        // All of a job's may be on one node.
        ("gpus", "gpu:"),
        ("gpus-per-node", "gpu:"),
        ("gpus-per-task", "gpu:"),
        ("gpus-per-socket", "gpu:"),
    ] {
        let Some(value) = all.get(option) else { continue };
        let users = match option {
            // There are as many tasks as there are GPUs for them.
            "gpus-per-task" if all.get("gpus").is_some() && all.get("ntasks").is_none() => 1,
            "gpus-per-task" => tasks_of_a_node(all)?,
            "gpus-per-socket" => sockets(all)?,
            _ => 1,
        };
        for (kind, count) in gres(value, prefix).ok_or(form)? {
            let most = wanted.entry(kind).or_default();
            *most = count.saturating_mul(users).max(*most);
        }
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in wanted {
        let sum = sums.entry(kind.name).or_default();
        *sum = sum.saturating_add(count);
    }
    Ok(sums)
}

fn sockets(all: &SlurmOptions) -> Result<u64, Unclear> {
    if all.get("extra-node-info").is_some() {
        return Err(Unclear::Instead("--gpus-per-node"));
    }
    // sbatch asks for both together.
    let sockets = all.get("sockets-per-node").and_then(count);
    sockets.ok_or(Unclear::Form("a number for --sockets-per-node"))
}
