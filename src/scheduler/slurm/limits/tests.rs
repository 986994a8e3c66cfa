use proptest::prelude::*;

use crate::scheduler::slurm::settings::tests::slurm;
use crate::scheduler::slurm::table::TABLE;
use crate::scheduler::slurm::wishes::tests::combine;

/// Each line has to be refused for the limit, or to pass.
fn judged(limits: &str, good: &[&str], bad: &[&str]) {
    let slurm = slurm(&format!("[slurm.limits]\n{limits}\n"));
    for text in good {
        assert!(combine(&slurm, text).is_ok(), "{limits}: {text}: {:?}", combine(&slurm, text));
    }
    for text in bad {
        let refused = combine(&slurm, text).expect_err(text);
        assert!(refused.contains("is refused: slurm.limits."), "{limits}: {text}: {refused}");
    }
}

#[test]
fn lists_of_names_are_judged_name_by_name() {
    judged(
        "partitions = [\"batch\", \"debug\"]\naccounts = [\"a\"]\nqos = []",
        &["-p batch", "-p batch,debug", "-A a", ""],
        &["-p gpu", "-p batch,gpu", "-p batch,", "-p Batch", "-p 'batch '", "-A b", "-q normal"],
    );
}

#[test]
fn nodes_are_bounded_also_by_their_names_and_their_tasks() {
    judged(
        "nodes = 4",
        &["-N 4", "-N1-4", "--nodes=2", "-n 8", "-n 8 --ntasks-per-node=2", "--spread-job -N 2"],
        &[
            "-N 5",
            "-N 1-5",
            "-N 5-1",
            "-N 1k",
            "-N 0",
            "-N 1,2",
            "-N +1",
            "-N ' 1'",
            "-N 4-",
            "-N 1-2-3",
            "-w n1",
            "--spread-job",
            "-n 8 --ntasks-per-node=1",
            "-N 99999999999999999999",
        ],
    );
}

#[test]
fn tasks_are_bounded_also_where_they_follow_from_nodes() {
    judged(
        "ntasks = 8",
        &[
            "-n 8",
            "--ntasks-per-node=4 -N 2",
            "--ntasks-per-node=8",
            "-w n[1-9] -n 8",
            "-n 8 -N 9",
            "-N 1-8",
            "-n 8 --ntasks-per-node=4",
            "-w n[1-2] -N 2 -n 8 --ntasks-per-node=4",
            "-n 4 --ntasks-per-socket=2",
        ],
        &[
            "-n 8 --ntasks-per-node=3",
            "-n 5 --ntasks-per-node=3 -N 3",
            "-w n[1-9] -n 8 --ntasks-per-node=4",
            "-n 9",
            "-n 0",
            "-n 0x1",
            "--ntasks-per-node=4 -N 1-3",
            "--ntasks-per-node=9",
            "-N 9",
            "-w n[1-9]",
            "--gpus=100 --gpus-per-task=1",
            "--ntasks-per-socket=4",
            "--ntasks-per-core=4",
            "--tres-per-task=cpu:1",
        ],
    );
}

#[test]
fn processors_are_bounded() {
    judged(
        "cpus_per_task = 16",
        &[
            "-c 16",
            "--cpus-per-gpu=1",
            "--mincpus=16",
            "--cpus-per-gpu=4 --gpus-per-task=4 -n 8",
            "--cpus-per-gpu=4 --gpus-per-node=4 -N 3",
            "--exclusive=user",
            "--exclusive=mcs",
        ],
        &[
            "-c 17",
            "--cpus-per-gpu=17",
            "--mincpus=17",
            "--tres-per-task=cpu:64",
            "-c 16k",
            "--cpus-per-gpu=4 --gpus-per-task=5",
            "--cpus-per-gpu=4 --gpus=5",
            "--cpus-per-gpu=4 --gres=gpu:5",
            "--cpus-per-gpu=4 --gpus-per-node=a100:3,v100:2",
            "--exclusive",
            "--exclusive=topo",
            "--core-spec=1",
            "--thread-spec=1",
        ],
    );
}

#[test]
fn times_in_all_of_slurms_forms_are_bounded() {
    judged(
        "time = \"24h\"",
        &["-t 1440", "-t 30:59", "-t 24:00:00", "-t 1-0", "-t 0-23:59", "-t 0-23:59:59", "--time-min=5"],
        &[
            "-t 1441",
            "-t 1440:01",
            "-t 24:00:01",
            "-t 1-0:1",
            "-t 2-0",
            "-t 1-1:1:1",
            "-t 0",
            "-t 0:0",
            "-t 0-0",
            "-t UNLIMITED",
            "-t infinite",
            "--time=-1",
            "-t 1h",
            "-t 1:2:3:4",
            "-t 1-",
            "-t :5",
            "-t 5:",
            "--time-min=2-0",
            "-t 18446744073709551615-0",
        ],
    );
}

#[test]
fn memory_is_bounded_and_all_of_a_node_is_too_much() {
    judged(
        "mem = \"64G\"",
        &["--mem=64G", "--mem=65536", "--mem=65536M", "--mem=1024k", "--mem-per-cpu=4g", "--mem-per-gpu=64G"],
        &[
            "--mem-per-cpu=64G",
            "--mem=65G",
            "--mem=65537",
            "--mem=0",
            "--mem=0G",
            "--mem=1T",
            "--mem=1P",
            "--mem=G",
            "--mem=1GB",
            "--mem=-1",
            "--mem-per-cpu=65G",
            "--mem-per-cpu=0",
            "--mem-per-gpu=1t",
            "--mem=99999999999999999T",
            "--tres-per-task=mem:1T",
        ],
    );
}

#[test]
fn memory_of_processors_and_of_gpus_is_bounded_for_a_whole_node() {
    judged(
        "mem = \"64G\"",
        &[
            "--mem-per-cpu=32G",
            "--mem-per-cpu=2G -c 32",
            "--mem-per-cpu=2G -n 32",
            "--mem-per-cpu=2G -n 4 -c 8",
            "--mem-per-cpu=2G --ntasks-per-node=32 -N 4",
            "--mem-per-cpu=2G --ntasks-per-node=32 -N 4 -n 128",
            "--mem-per-cpu=2G -n 35 -N 4",
            "--mem-per-cpu=2G --mincpus=32",
            "--mem-per-gpu=16G --gpus=4",
            "--mem-per-gpu=16G --gpus-per-task=1 --ntasks-per-node=4 -N 8",
            "--mem-per-gpu=16G --gres=gpu:4",
            "--exclusive --mem=64G",
            "--exclusive=user",
            "-n 1000 -c 64",
        ],
        &[
            "--mem-per-cpu=2G -c 33",
            "--mem-per-cpu=2G -n 33",
            "--mem-per-cpu=2G -n 5 -c 8",
            "--mem-per-cpu=2G --ntasks-per-node=33",
            "--mem-per-cpu=2G -n 64 -N 1-4",
            "--mem-per-cpu=2G -n 36 -N 4",
            "--mem-per-cpu=2G -n 64 --ntasks-per-node=1 -N 1",
            "--mem-per-cpu=2G --mincpus=33",
            "--mem-per-cpu=1G --ntasks-per-core=1",
            "--mem-per-cpu=1G --cpus-per-gpu=1",
            "--mem-per-cpu=1G --exclusive",
            "--mem-per-cpu=1G --core-spec=1",
            "--mem-per-gpu=1G --exclusive",
            "--mem-per-gpu=16G --gpus=5",
            "--mem-per-gpu=16G --gpus-per-task=1 -n 5",
            "--mem-per-gpu=16G --gpus-per-task=1 -n 8 -N 1-4",
            "--mem-per-gpu=16G --gres=gpu:5",
            "--exclusive",
            "--thread-spec=1",
        ],
    );
}

#[test]
fn where_nobody_says_how_many_nodes_the_driver_says_how_many_there_may_be() {
    let nodes = |config: &str, text: &str| -> Vec<String> {
        let slurm = slurm(config);
        let options = combine(&slurm, text).expect(text);
        options.into_iter().filter(|word| word.starts_with("--nodes") || word.contains("min-nodes")).collect()
    };
    let four = "[slurm.limits]\nnodes = 4\n";
    for text in ["-n 1000", "--gpus=9", "-c 64 --exclusive", "-C big", "-p other", "--mem-per-cpu=9G -n 4"] {
        assert_eq!(nodes(four, text), ["--nodes=1-4", "--use-min-nodes"], "{text}");
    }
    assert_eq!(nodes("[slurm.limits]\nnodes = 1\n", "-n 1000"), ["--nodes=1"]);
    assert_eq!(nodes(four, "-n 1000 -N 3"), ["--nodes=3"], "the job has said it");
    assert_eq!(nodes("[slurm]\ndefaults = [\"-N9\"]\n[slurm.limits]\nnodes = 4\n", "-n 1000"), ["--nodes=9"]);
    let site = "[slurm]\ndefaults = [\"-n1000\"]\n[slurm.limits]\nnodes = 4\n";
    assert!(nodes(site, "").is_empty(), "what the site says is not bounded");
    assert!(nodes(site, "-t 5 -A a").is_empty());
    assert_eq!(nodes(site, "-c 8"), ["--nodes=1-4", "--use-min-nodes"]);
    let tasks = "[slurm.limits]\nntasks = 8\n";
    assert_eq!(nodes(tasks, "--gpus=100 --ntasks-per-node=2"), ["--nodes=1-4", "--use-min-nodes"]);
    assert_eq!(nodes(tasks, "--gpus=100 --ntasks-per-node=5"), ["--nodes=1"]);
    assert!(nodes(tasks, "--gpus=100 -n 8").is_empty());
    assert!(nodes("[slurm.limits]\nmem = \"1G\"\n", "-n 1000").is_empty());
}

#[test]
fn generic_resources_are_bounded_by_name_whichever_option_asks() {
    judged(
        "gres = { gpu = 4, nic = 1 }",
        &[
            "--gres=gpu",
            "--gres=gpu:4",
            "--gres=gpu:a100:2,gpu:v100:2",
            "--gres=gres:gpu:4,nic",
            "--gres=none",
            "-G 4",
            "--gres=gpu:a100",
            "--gres=gpu:1g.5gb:4",
            "-G a100:4",
            "--gpus-per-node=a100:2,v100:2",
            "--gpus-per-task=1 -n 4",
            "--gpus-per-task=1 -n 5 -N 2",
            "--gpus-per-task=4 -n 3 -N 3",
            "--gpus-per-task=1 -n 8 -N 2 --ntasks-per-node=4",
            "--gpus-per-task=1 --gpus=4",
            "--gpus-per-task=1 --gpus-per-node=4 --ntasks-per-node=4 -N 2",
            "--gres=gpu:4 --gpus-per-node=4",
            "--exclusive=user",
            "--gpus-per-socket=2 --sockets-per-node=2",
        ],
        &[
            "--gres=gpu:5",
            "--gres=gpu:a100:3,gpu:v100:2",
            "--gres=gres:gpu:5",
            "--gres=gres/gpu:5",
            "--gres=gpu:1k",
            "--gres=fpga",
            "--gres=nic:2",
            "--gres=GPU:5",
            "--gres=gpu:",
            "--gres=:5",
            "--gres=gpu:a:b:1",
            "--gres=gpu=5",
            "--gres=gpu:5x",
            "--gres=gpu:+5",
            "-G 5",
            "-G a100:5",
            "-G a100:4,v100:1",
            "--gpus-per-node=5",
            "--gpus-per-task=5",
            "--gpus-per-task=1 -n 5",
            "--gpus-per-task=2 --ntasks-per-node=4 -N 2",
            "--gpus-per-task=1 -n 8 -N 2",
            "--gpus-per-task=1 -n 8 -N 1-8",
            "--gpus-per-task=1 -n 8 --ntasks-per-node=4 -N 1",
            "--gpus-per-task=1 --ntasks-per-core=1",
            "--gres=gpu:a100:3 --gpus-per-node=v100:2",
            "--gpus=a100:2 --gpus-per-task=v100:3",
            "--gpus-per-node=2 --gpus-per-task=v100:3",
            "--exclusive",
            "--core-spec=1",
            "--thread-spec=1",
            "--gpus-per-socket=3 --sockets-per-node=2",
            "--gpus-per-socket=1",
            "--tres-per-task=gres/gpu:8",
        ],
    );
}

#[test]
fn a_bound_counts_what_the_site_sets_beside_the_job() {
    let slurm = slurm("[slurm]\ndefaults = [\"--ntasks-per-node=4\"]\n[slurm.limits]\nntasks = 8\n");
    assert!(combine(&slurm, "-N 2").is_ok());
    assert!(combine(&slurm, "-N 3").is_err());
    let slurm = self::slurm("[slurm]\ndefaults = [\"--mem-per-cpu=2G\"]\n[slurm.limits]\nmem = \"64G\"\n");
    assert!(combine(&slurm, "-c 32").is_ok());
    let refused = combine(&slurm, "-c 64").expect_err("too much");
    assert!(refused.contains("admits at most 64G; 64 processors on one node can have 128G; use --mem"), "{refused}");
    assert!(combine(&slurm, "-c 64 --mem=64G").is_ok());
    // What is the site's alone is not the job's fault.
    let slurm =
        self::slurm("[slurm]\ndefaults = [\"--nodes=9\", \"--mem=0\"]\n[slurm.limits]\nnodes = 2\nmem = \"1G\"\n");
    assert!(combine(&slurm, "-t 5").is_ok());
}

#[test]
fn options_that_would_pass_a_limit_cannot_be_allowed_past_it() {
    let slurm = slurm(
        "[slurm]\nallow = [\"nodefile\", \"ntasks-per-gpu\", \"ntasks-per-tres\", \"extra-node-info\", \"gpus-per-socket\"]\n[slurm.limits]\nnodes = 2\nntasks = 2\ngres = { gpu = 1 }\n",
    );
    for text in ["-F hosts", "--ntasks-per-gpu=9", "--ntasks-per-tres=9", "-B 8 --gpus-per-socket=1", "-B 2:4:1"] {
        assert!(combine(&slurm, text).expect_err(text).contains("slurm.limits."), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_limits_panic(name in proptest::sample::select(TABLE), value in "[0-9kKmMgGtT:,=a-z-]{1,12}") {
        let slurm = slurm("[slurm.limits]\nnodes = 2\nntasks = 4\ncpus_per_task = 4\ntime = \"1h\"\nmem = \"1G\"\ngres = { gpu = 1 }\n");
        let _ = combine(&slurm, &format!("--{}={value}", name.name));
    }
}
