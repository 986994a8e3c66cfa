//! What `scontrol show partition` says of partitions.

use super::amounts::{Time, time};
use super::options::{SlurmOption, SlurmOptions};

/// Asks for all of them, hidden ones included.
pub(super) const QUESTION: [&str; 5] = ["--local", "--all", "--oneliner", "show", "partition"];

/// Fewer nodes, where the driver has said how many there may be and a partition admits fewer: Slurm would refuse the job
/// there, or let it wait for ever. `answer` is all that the controller says.
pub(super) fn fit_nodes(options: &mut SlurmOptions, answer: &str) {
    let Some(most) = options.get("nodes").and_then(|nodes| nodes.strip_prefix("1-")?.parse::<u64>().ok()) else {
        return;
    };
    // UNLIMITED is no number. Slurm reads 0 so, too.
    let number = |line| field(line, "MaxNodes")?.parse::<u64>().ok().filter(|nodes| *nodes > 0);
    let admitted = chosen(options, answer).filter_map(number);
    if let Some(fewer) = admitted.min().filter(|fewer| *fewer < most) {
        let value = if fewer == 1 { "1".to_owned() } else { format!("1-{fewer}") };
        options.set(SlurmOption { name: "nodes", value: Some(value) });
    }
}

/// The longest time, in seconds, that any partition of the job admits: where all of them are known and bounded, and `placed` is
/// one of them.
pub(super) fn longest(options: &SlurmOptions, answer: &str, placed: &str) -> Option<u64> {
    let seconds = |line| match time(field(line, "MaxTime")?)? {
        Time::Bounded(seconds) => Some(seconds),
        Time::Endless => None,
    };
    let found: Vec<&str> = chosen(options, answer).collect();
    let all = options.get("partition").map_or(1, |names| names.split(',').count());
    let has_it = found.iter().any(|line| field(line, "PartitionName") == Some(placed));
    let longest = found.iter().map(|line| seconds(line)).collect::<Option<Vec<u64>>>()?.into_iter().max();
    longest.filter(|_| found.len() == all && has_it)
}

/// The lines about the partitions of the job: those that it names, or the one that is the cluster's default.
fn chosen<'a>(options: &'a SlurmOptions, answer: &'a str) -> impl Iterator<Item = &'a str> {
    let wanted = options.get("partition").map(|names| names.split(',').collect::<Vec<_>>());
    answer.lines().filter(move |line| match &wanted {
        Some(names) => field(line, "PartitionName").is_some_and(|name| names.contains(&name)),
        None => field(line, "Default") == Some("YES"),
    })
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::slurm::options::tests::options;

    #[test]
    fn a_job_is_never_given_more_nodes_than_its_partitions_admit_and_never_more_than_before() {
        let answer = "PartitionName=debug Default=YES MaxNodes=3 MinNodes=0\nPartitionName=small AllowNodes=ALL Default=NO MaxNodes=1 MinNodes=0\nPartitionName=big Default=NO MaxNodes=UNLIMITED\nPartitionName=odd Default=NO MaxNodes=0\n";
        for (text, nodes) in [
            ("--nodes=1-4", "1-3"),
            ("--nodes=1-2", "1-2"),
            ("--nodes=1-4 -p small", "1"),
            ("--nodes=1-4 -p big", "1-4"),
            ("--nodes=1-4 -p odd", "1-4"),
            ("--nodes=1-4 -p big,debug", "1-3"),
            ("--nodes=1-4 -p nosuch", "1-4"),
            ("--nodes=1 -p debug", "1"),
            ("--nodes=2-4 -p small", "2-4"),
        ] {
            let mut options = options(text).expect("valid");
            fit_nodes(&mut options, answer);
            assert_eq!(options.get("nodes"), Some(nodes), "{text}");
            fit_nodes(&mut options, "nonsense MaxNodes=0\n\n");
            assert_eq!(options.get("nodes"), Some(nodes), "{text}");
        }
    }
}
