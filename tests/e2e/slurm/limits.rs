//! Limits, and options that would stretch them: what Slurm gives a job is within them, or the job is refused and told what to
//! write.

use crate::world::batch::until_nothing_left;
use crate::world::{Cluster, JobEnd, Slurm, World, cases};

const NODES: u64 = 2;
const TASKS: u64 = 24;
const CPUS_PER_TASK: u64 = 8;
/// Of a node, in MiB.
const MEMORY: u64 = 8 << 10;
const GPUS: u64 = 4;

/// Options that all jobs here may set.
const ALLOWED: [&str; 31] = [
    "constraint",
    "core-spec",
    "cores-per-socket",
    "cpus-per-gpu",
    "cpus-per-task",
    "exclusive",
    "extra-node-info",
    "gpus",
    "gpus-per-node",
    "gpus-per-socket",
    "gpus-per-task",
    "gres",
    "hint",
    "mem",
    "mem-per-cpu",
    "mem-per-gpu",
    "mincpus",
    "nodelist",
    "nodes",
    "ntasks",
    "ntasks-per-core",
    "ntasks-per-gpu",
    "ntasks-per-node",
    "ntasks-per-socket",
    "ntasks-per-tres",
    "overcommit",
    "partition",
    "sockets-per-node",
    "spread-job",
    "thread-spec",
    "tres-per-task",
];

cases!(
    fn what_slurm_gives_is_within_the_limits_whichever_options_ask(slurm: Slurm) {
        let cluster = cluster(slurm);
        let world = bounded(slurm, &cluster);
        // Each with what it should get by any means: nodes, tasks.
        for (parameters, nodes, tasks) in [
            ("-n 24 --mem=1G", 2, 24),
            ("-n 4 --mem=1G", 1, 4),
            // Which admit less than the limit, and refuse a job that says otherwise.
            ("-n 4 -p small --mem=1G", 1, 4),
            ("-n 4 -p small,debug --mem=1G", 1, 4),
            ("-n 20 --mem-per-cpu=400M", 2, 20),
            ("-N 2 --ntasks-per-node=8 --mem-per-cpu=1G", 2, 16),
            ("-n 12 --ntasks-per-node=6 --mem=1G", 2, 12),
            ("-c 7 --mem-per-cpu=1G", 1, 1),
            ("--mincpus=8 --mem-per-cpu=1G", 1, 1),
            ("-n 8 --overcommit --mem-per-cpu=1G", 1, 8),
            ("-n 4 --hint=nomultithread --mem-per-cpu=1G", 1, 4),
            ("-N 2 -n 4 --spread-job --mem=1G", 2, 4),
            ("-n 3 --exclusive=user --mem=1G", 1, 3),
            ("--gpus=4 --ntasks-per-node=12 --mem=1G", 1, 12),
            ("--gpus-per-task=1 -n 8 --ntasks-per-node=4 --mem=1G", 2, 8),
            ("--gpus-per-task=2 -n 2 --mem-per-gpu=2G", 1, 2),
            ("--gpus-per-node=4 --cpus-per-gpu=2 --mem=1G", 1, 1),
            ("--gpus-per-socket=2 --sockets-per-node=2 --mem=1G", 1, 1),
            ("--gres=gpu:4 --gpus-per-node=4 -n 20 --mem=1G", 2, 20),
        ] {
            let end = ask(&world, parameters);
            end.assert_success();
            let got = Got::read(&end);
            assert!(got.nodes <= NODES && got.tasks <= TASKS, "{parameters}: {got:?}");
            assert!(got.cpus <= got.tasks * CPUS_PER_TASK, "{parameters}: {got:?}");
            assert!(got.memory <= MEMORY && got.gpus <= GPUS, "{parameters}: {got:?}");
            assert_eq!((got.nodes, got.tasks), (nodes, tasks), "{parameters}: what it would get without limits");
        }
        // What needs more nodes than that is not run on more of them.
        let stretched = "-n 24 -c 2 --mem=1G";
        let end = ask(&world, stretched);
        end.assert_failed("script_failure").assert_log("with --ntasks=24 --cpus-per-task=2 --mem=1G --nodes=1-2");
        end.assert_log("Slurm does not accept this job");
        until_nothing_left(&world, &cluster);
        // Without the limit Slurm would have given them.
        let unbounded = World::root(slurm).at(&cluster).build();
        assert_eq!(Got::read(&ask(&unbounded, stretched)).nodes, 3);
        until_nothing_left(&unbounded, &cluster);
    },
    fn an_option_that_would_stretch_a_limit_is_refused_and_told_what_to_write(slurm: Slurm) {
        let cluster = cluster(slurm);
        let world = bounded(slurm, &cluster);
        for (parameters, limit, words) in [
            ("-n 12 --ntasks-per-node=4", "nodes", "admits at most 2; these are 3"),
            ("-w n1", "nodes", "use --nodes and --constraint"),
            ("--spread-job -n 2", "nodes", "set --nodes, too"),
            ("-N 2 -n 20 --ntasks-per-node=13", "ntasks", "admits at most 24; these are 26"),
            ("-B 2:4:1", "ntasks", "set --ntasks, too"),
            ("--ntasks-per-socket=4", "ntasks", "set --ntasks, too"),
            ("--ntasks-per-gpu=4 --gpus=4", "ntasks", "use --ntasks"),
            ("--ntasks-per-tres=4 --gpus=4", "ntasks", "use --ntasks"),
            ("--tres-per-task=gres:gpu:4", "ntasks", "use --ntasks"),
            ("--cpus-per-gpu=4 --gpus=4", "cpus_per_task", "use --cpus-per-task"),
            ("--exclusive --mem=1G", "cpus_per_task", "leave it out"),
            ("--core-spec=1 --mem=1G", "cpus_per_task", "leave it out"),
            ("--thread-spec=1 --mem=1G", "cpus_per_task", "leave it out"),
            ("--mem-per-cpu=5G", "mem", "2 processors on one node can have 10G; use --mem"),
            ("--mem-per-cpu=1G -n 12", "mem", "set --ntasks-per-node, too, or use --mem"),
            ("--mem-per-cpu=1G -n 2 --ntasks-per-core=1", "mem", "use --mem"),
            ("--mem-per-gpu=3G --gpus=4", "mem", "4 GPUs on one node can have 12G; use --mem"),
            ("--gpus=5", "gres", "admits at most 4 gpu on a node"),
            ("--gpus-per-task=1 -n 8", "gres", "these can be 8 on one; set --ntasks-per-node, too"),
            ("--gpus-per-task=1 -n 8 -N 2", "gres", "these can be 7 on one; set --ntasks-per-node, too"),
            ("--gpus-per-task=5", "gres", "admits at most 4 gpu on a node"),
            ("--gpus-per-socket=3 --sockets-per-node=2", "gres", "these can be 6 on one"),
            ("--gres=gpu:a:3 --gpus-per-node=b:2", "gres", "these can be 5 on one"),
        ] {
            let end = ask(&world, parameters);
            end.assert_failed("script_failure")
                .assert_log(&format!("is refused: slurm.limits.{limit} (config.toml line"));
            end.assert_log(words).assert_not_in_log("NumNodes=");
        }
        until_nothing_left(&world, &cluster);
        // What they would have got: more GPUs of one node than the limit says.
        let unbounded = World::root(slurm).at(&cluster).build();
        assert!(Got::read(&ask(&unbounded, "--gpus-per-task=1 -n 8 -N 2")).gpus > GPUS);
        assert!(Got::read(&ask(&unbounded, "--exclusive --gres=gpu:1")).gpus > GPUS);
        assert!(Got::read(&ask(&unbounded, "-N 2 -n 20 --ntasks-per-node=13")).tasks > TASKS);
    }
);

/// Nodes with cores of two threads, GPUs, and memory that is given out.
fn cluster(slurm: Slurm) -> Cluster {
    let built = Cluster::build(slurm).cpus(16).threads(2).gpus(8).set("SelectTypeParameters", "CR_Core_Memory");
    built.set("EnforcePartLimits", "ALL").line("PartitionName=small MaxNodes=1").start()
}

fn bounded(slurm: Slurm, cluster: &Cluster) -> World {
    let number = |number: u64| u32::try_from(number).expect("a small number");
    World::root(slurm)
        .at(cluster)
        .slurm(|section| {
            section.allow(ALLOWED).limits(|limits| {
                limits.nodes(number(NODES)).ntasks(number(TASKS)).cpus_per_task(number(CPUS_PER_TASK));
                limits.mem("8G").gres([("gpu", number(GPUS))])
            })
        })
        .build()
}

fn ask(world: &World, parameters: &str) -> JobEnd {
    let variable = format!("SCHEDULER_PARAMETERS={parameters}");
    world.simulate().option("--variable", variable).script("scontrol --oneliner --details show job $SLURM_JOB_ID").run()
}

/// What Slurm has given a job.
#[derive(Debug)]
struct Got {
    nodes: u64,
    tasks: u64,
    cpus: u64,
    /// Of the node with most of it, in MiB.
    memory: u64,
    /// Of the node with most of them.
    gpus: u64,
}

impl Got {
    #[track_caller]
    fn read(end: &JobEnd) -> Self {
        let line = end.log.lines().find(|line| line.contains(" NumNodes=")).unwrap_or_else(|| panic!("{}", end.log));
        let all = |name: &str| -> Vec<u64> {
            let digits = |word: &str| word.chars().take_while(char::is_ascii_digit).collect::<String>();
            let words = line.split_whitespace().filter_map(|word| word.strip_prefix(name));
            words.map(|word| digits(word).parse().unwrap_or(0)).collect()
        };
        let one = |name: &str| all(name)[0];
        let most = |name: &str| all(name).into_iter().max().unwrap_or(0);
        Self {
            nodes: one("NumNodes="),
            tasks: one("NumTasks="),
            cpus: one("NumCPUs="),
            memory: most("Mem="),
            gpus: most("GRES=gpu:"),
        }
    }
}
