//! The number of nodes of a job that nobody has said.
//!
//! Tasks, processors, memory and GPUs go to as many nodes as they need, and constraints say to which. No sum can be made of
//! that here. But Slurm holds `--nodes`: so the driver says it.

use super::Limits;
use crate::scheduler::slurm::amounts::count;
use crate::scheduler::slurm::options::{Given, SlurmOption, SlurmOptions};

/// Options that do not make a job need more nodes. A job that sets nothing else has what the site says.
const BESIDE: [&str; 12] = [
    "account",
    "acctg-freq",
    "begin",
    "deadline",
    "dependency",
    "licenses",
    "nice",
    "profile",
    "signal",
    "time",
    "time-min",
    "wckey",
];

impl Limits {
    /// Sets the most nodes that the limits admit, where neither job nor site says how many. `--use-min-nodes`: without it
    /// Slurm gives as many as it can, and not as many as are needed.
    pub(in crate::scheduler::slurm) fn bound_nodes(&self, job: &[&Given], all: &mut SlurmOptions) {
        if all.get("nodes").is_some() || job.iter().all(|given| BESIDE.contains(&given.option.name)) {
            return;
        }
        let limit = self.nodes.as_ref().map(|limit| limit.value);
        // Without `ntasks` each node that GPUs need adds tasks.
        let adds_tasks = all.get("gpus").is_some() && all.get("ntasks").is_none();
        let each = all.get("ntasks-per-node").map_or(Some(1), count).unwrap_or(1);
        let by_tasks = self.ntasks.as_ref().filter(|_| adds_tasks).map(|limit| (limit.value / each).max(1));
        let Some(most) = [limit, by_tasks].into_iter().flatten().min() else { return };
        if most == 1 {
            return all.set(SlurmOption { name: "nodes", value: Some("1".to_owned()) });
        }
        all.set(SlurmOption { name: "nodes", value: Some(format!("1-{most}")) });
        all.set(SlurmOption { name: "use-min-nodes", value: None });
    }
}
