//! What the manual says of `[slurm]`, `[slurm.limits]` and the `slurm` of a rule.

use super::default_allow;
use crate::config::manual::Program::{Check, Cleanup, Prepare, Reap, Run};
use crate::config::manual::{Bounds, Header, Key, Part, Program, Takes, Unset};
use crate::scheduler::settings::manual as every;

/// Refused before the sources are fetched, and again when a stage is submitted.
const SUBMITTED_BY: &[Program] = &[Prepare, Run];

/// An admin is told which partition there is not.
const LOOKED_AT_BY: &[Program] = &[Prepare, Run, Check];

/// All of it.
pub const SLURM: &[Part] = &[
    Part {
        section: "slurm",
        header: Header::Table,
        says: "How jobs of Slurm are submitted, with jobs.executor = \"slurm\".",
        keys: &[
            Key {
                name: "bin_dir",
                takes: Takes::Text("an absolute path"),
                unset: Unset::Is("\"/usr/bin\""),
                example: "\"/opt/slurm/bin\"",
                says: "Directory of sbatch, scancel, scontrol and squeue (and sinfo, sacct and sacctmgr, if they are there).",
                used_by: &[Prepare, Run, Cleanup, Reap, Check],
            },
            Key {
                name: "conf",
                takes: Takes::Text("an absolute path"),
                unset: Unset::Means("what Slurm's programs find themselves."),
                example: "\"/opt/slurm/etc/slurm.conf\"",
                says: "SLURM_CONF for them.",
                used_by: &[Prepare, Run, Cleanup, Reap, Check],
            },
            Key {
                name: "test_only",
                takes: Takes::Boolean,
                unset: Unset::Is("true"),
                example: "",
                says: "Whether Slurm is asked in the prepare stage (sbatch --test-only) if it can ever start a job like this one, which \
                    is refused at once if it cannot. One more call for each job, and a second one for a job with --time, since of a \
                    time above the limit of its partitions that answer says nothing. And whether a job that Slurm says in the queue to \
                    ask for more than one job may have is cancelled there.",
                used_by: &[Prepare, Run],
            },
            Key {
                name: "defaults",
                takes: Takes::Texts("options of sbatch"),
                unset: Unset::Is("[]"),
                example: "[\"--partition=batch\", \"--time=1:00:00\"]",
                says: "Options of every job; a job may set each of them otherwise. A rule of [[map]] can fix options.",
                used_by: LOOKED_AT_BY,
            },
            Key {
                name: "allow",
                takes: Takes::Texts("options of sbatch: full names, without dashes"),
                unset: Unset::Made(default_allow_as_toml),
                example: "[\"time\", \"nodes\"]",
                says: "Options that a job may set. Never possible, here or in defaults: output, uid, wrap and whatever else the driver \
                    needs for itself.",
                used_by: SUBMITTED_BY,
            },
        ],
        file: file!(),
    },
    Part { section: "slurm", header: Header::Table, says: "", keys: every::BATCH, file: every::FILE },
    Part {
        section: "slurm.limits",
        header: Header::Table,
        says: "Bounds for what a job sets; what the configuration itself sets is not bounded. Options with which a job could ask \
            for the same in another way are bounded, too, or refused where they cannot be compared. --exclusive \
            is refused where processors or GPUs are bounded. A job that sets nothing gets what its partition gives: set bounds \
            in Slurm where that matters.",
        keys: LIMITS,
        file: file!(),
    },
    Part {
        section: "map",
        header: Header::Tables,
        says: "",
        keys: &[Key {
            name: "slurm",
            takes: Takes::Texts("options of sbatch"),
            unset: Unset::Is("[]"),
            example: "[\"--account=climate\", \"--partition=gpu\"]",
            says: "Options that jobs under this rule cannot change.",
            used_by: LOOKED_AT_BY,
        }],
        file: file!(),
    },
    Part {
        section: "map.slurm_limits",
        header: Header::Inline,
        says: "Bounds as in [slurm.limits] for what jobs under this rule set. They hold beside those of the site, and none may be wider, nor \
            may slurm.defaults pass them unless slurm of the rule sets something else; options there are not bounded.",
        keys: LIMITS,
        file: file!(),
    },
];

const LIMITS: &[Key] = &[
    Key {
        used_by: LOOKED_AT_BY,
        ..bound(
            "partitions",
            Takes::Texts("names of partitions"),
            "[\"batch\", \"gpu\"]",
            "Partitions that a job may name.",
        )
    },
    bound("accounts", Takes::Texts("names of accounts of Slurm"), "[\"climate\"]", "Accounts that a job may name."),
    bound("qos", Takes::Texts("names"), "[\"normal\"]", "Qualities of service that a job may name."),
    bound("nodes", Takes::Number("nodes", Bounds::from("1")), "4", "Most nodes."),
    bound("ntasks", Takes::Number("tasks", Bounds::from("1")), "128", "Most tasks."),
    bound("cpus_per_task", Takes::Number("processors", Bounds::from("1")), "16", "Most processors for one task."),
    bound("time", Takes::Time(Bounds::NONE), "\"24h\"", "Longest run."),
    bound(
        "mem",
        Takes::Text("an amount of memory: a number with K, M, G or T behind it"),
        "\"64G\"",
        "Most memory of one node, also where it is asked for by processor or by GPU: then all of them on a node count.",
    ),
    bound(
        "gres",
        Takes::NumberTable("generic resources"),
        "{ gpu = 4 }",
        "Most of each on one node. A name that is not in it is refused.",
    ),
];

const fn bound(name: &'static str, takes: Takes, example: &'static str, says: &'static str) -> Key {
    Key { name, takes, unset: Unset::Means("no bound."), example, says, used_by: SUBMITTED_BY }
}

fn default_allow_as_toml() -> String {
    let names: Vec<String> = default_allow().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(", "))
}
