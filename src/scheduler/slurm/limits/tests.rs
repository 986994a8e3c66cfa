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
        &["-n 8", "--ntasks-per-node=4 -N 2", "--ntasks-per-node=8", "-w n[1-9] -n 8", "-n 8 -N 9", "-N 1-8"],
        &[
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
        &["-c 16", "--cpus-per-gpu=1", "--mincpus=16"],
        &["-c 17", "--cpus-per-gpu=17", "--mincpus=17", "--tres-per-task=cpu:64", "-c 16k"],
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
            "--gpus-per-task=1 -n 8 -N 2",
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
    for text in ["-F hosts", "--ntasks-per-gpu=9", "--ntasks-per-tres=9", "-B 8 --gpus-per-socket=1"] {
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
