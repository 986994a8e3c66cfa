//! `motmot check` with `jobs.executor = "slurm"`: what it finds about a real cluster, and in which words.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::check::{Checked, check, chmod, finish, first_rule};
use crate::cluster::Cluster;
use crate::world::{World, chown, copy_program, make_dir};
use crate::{Case, root, slurm};

pub const CASES: &[Case] = &[
    slurm("a_cluster_that_can_be_used_has_no_problem", good),
    slurm("a_controller_that_is_dead_or_says_nothing_is_told_soon", no_controller),
    slurm("munge_that_does_not_answer_is_not_taken_for_a_dead_controller", no_munge),
    slurm("partitions_that_slurm_does_not_have_are_told_where_they_are_named", partitions),
    slurm("a_runner_that_slurm_shows_no_jobs_is_told_what_it_must_be", private_data),
    slurm("ones_own_runner_needs_no_rights_in_slurm", own_runner),
    root("commands_of_slurm_that_are_missing_or_that_others_can_change_are_told", programs),
    root("a_slurm_conf_that_cannot_be_used_is_told", configuration),
    root("stages_that_leave_out_the_script_are_a_warning", stages),
    root("directories_that_do_not_suit_slurm_are_warnings", directories),
];

/// With the controller asked.
fn ask(world: &World) -> Checked {
    finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &[])
}

/// As root, for the runner's account, with the controller asked.
fn ask_for_runner(world: &World) -> Checked {
    let runner = world.runner.as_ref().expect("a runner").name.clone();
    finish(Command::new(world.bins.join("motmot")), &world.config_file(), &["--runner-account", &runner])
}

fn on(cluster: &Cluster) -> World {
    let mut world = World::new();
    world.use_slurm(cluster);
    world.write_config();
    world
}

/// A world whose jobs go to Slurm, but not to a real one.
fn without_cluster(slurm: &str) -> World {
    let world = World::new();
    let text = fs::read_to_string(world.config_file()).expect("config");
    let text = text.replace("[jobs]\n", "[jobs]\nexecutor = \"slurm\"\n") + &format!("\n[slurm]\n{slurm}\n");
    fs::write(world.config_file(), text).expect("config");
    world
}

/// Commands that do nothing, in a directory of root's.
fn commands(world: &World) -> PathBuf {
    let dir = world.dir.join("slurm-bin");
    make_dir(&dir, 0o755);
    for name in ["sbatch", "scancel", "scontrol", "squeue"] {
        symlink("/bin/true", dir.join(name)).expect("symlink");
    }
    dir
}

fn good() {
    let mut world = on(Cluster::shared());
    world.slurm = "defaults = [\"--partition=debug\"]\n[slurm.limits]\npartitions = [\"debug\", \"other\"]\n".into();
    world.write_config();
    ask(&world)
        .is_good(true)
        .says(&["ok       Slurm programs: sbatch, scancel, scontrol, squeue in /usr/bin"])
        .says(&["ok       slurm.conf: ", "slurm.conf"])
        .says(&["ok       Slurm version: "])
        .says(&["ok       Slurm controller: Slurmctld(primary) at ", " is UP"])
        .says(&["ok       Slurm partitions: ", "debug", "other"])
        .does_not_say("PROBLEM")
        .does_not_say("PrivateData");
    // A site without Slurm hears nothing of it.
    let plain = World::new();
    check(&plain).does_not_say("lurm");
}

fn no_controller() {
    let cluster = Cluster::build().nodes(1).start();
    let world = on(&cluster);
    cluster.stop_controller();
    let start = Instant::now();
    ask(&world).is_good(false).says(&[
        "PROBLEM  Slurm controller: ",
        "no answer within 5 s",
        "systemctl status slurmctld",
    ]);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    cluster.continue_controller();
    cluster.kill_controller();
    ask(&world)
        .is_good(false)
        .says(&[
            "PROBLEM  Slurm controller: does not answer (Slurmctld(primary) at ",
            "is DOWN",
            "systemctl status slurmctld",
        ])
        .does_not_say("Slurm partitions");
    check(&world).is_good(true).says(&["ok       Slurm: not asked: --offline"]);
}

fn no_munge() {
    let cluster = Cluster::shared();
    let world = on(cluster);
    let conf = world.dir.join("slurm.conf");
    let text = fs::read_to_string(cluster.conf()).expect("slurm.conf");
    fs::write(&conf, text + "AuthInfo=socket=/nonexistent/munge.socket\n").expect("slurm.conf");
    chmod(&conf, 0o644);
    let config = fs::read_to_string(world.config_file()).expect("config");
    let (old, new) = (cluster.conf().display().to_string(), conf.display().to_string());
    fs::write(world.config_file(), config.replace(&old, &new)).expect("config");
    ask(&world)
        .is_good(false)
        .says(&[
            "PROBLEM  Slurm controller: munge does not answer here",
            "/nonexistent/munge.socket",
            "systemctl start munge",
        ])
        .does_not_say("systemctl status slurmctld");
}

fn partitions() {
    let mut world = on(Cluster::shared());
    world.slurm =
        "defaults = [\"--partition=debug,nosuch\"]\n[slurm.limits]\npartitions = [\"debug\", \"ohter\"]\n".into();
    world.map = "[[map]]\nrun_as = \"{gitlab_user}\"\nslurm = [\"--partition=gpuu\"]\n".into();
    world.write_config();
    let rule = format!("PROBLEM  rule at line {}: ", first_rule(&world));
    ask(&world)
        .is_good(false)
        .says(&["PROBLEM  slurm.defaults: Slurm has no partition \"nosuch\"", "there are: ", "debug"])
        .says(&[&rule, "Slurm has no partition \"gpuu\"", "every job under this rule"])
        .says(&["warning  slurm.limits.partitions: Slurm has no partition \"ohter\"", "a typing error?"]);
}

fn private_data() {
    let cluster = Cluster::build().nodes(1).set("PrivateData", "jobs").start();
    let mut world = World::with_capabilities();
    world.use_slurm(&cluster);
    world.write_config();
    let name = &world.runner.as_ref().expect("a runner").name;
    ask_for_runner(&world).is_good(true).says(&[
        "warning  Slurm jobs: ",
        "PrivateData",
        &format!("sacctmgr modify user {name} set AdminLevel=Operator"),
    ]);
    // Root sees all.
    ask(&on(&cluster)).is_good(true).does_not_say("PrivateData");
}

fn own_runner() {
    let mut world = World::one_user();
    world.use_slurm(Cluster::shared());
    world.write_config();
    ask(&world).is_good(true).says(&["ok       Slurm controller: "]).does_not_say("PrivateData");
}

fn stages() {
    let world = without_cluster("bin_dir = \"/nonexistent/bin\"\nstages = [\"script\"]");
    check(&world).says(&["warning  slurm.stages: has neither"]);
}

fn programs() {
    let world = without_cluster("bin_dir = \"/nonexistent/bin\"");
    check(&world).is_good(false).says(&["PROBLEM  sbatch: /nonexistent/bin/sbatch does not exist", "slurm.bin_dir"]);

    let dir = world.dir.join("slurm-bin");
    let text = fs::read_to_string(world.config_file()).expect("config");
    fs::write(world.config_file(), text.replace("/nonexistent/bin", &dir.display().to_string())).expect("config");
    commands(&world);
    check(&world).is_good(true).says(&["ok       Slurm programs: "]).says(&["ok       Slurm: not asked"]);

    let sbatch = dir.join("sbatch");
    fs::remove_file(&sbatch).expect("rm");
    check(&world)
        .is_good(false)
        .says(&[&format!("PROBLEM  sbatch: {} does not exist", sbatch.display())])
        .does_not_say("PROBLEM  scontrol");
    copy_program(Path::new("/bin/true"), &sbatch, 0o755);
    let shown = sbatch.display();
    for (mode, mend) in [(0o777, "chmod go-w"), (0o700, "chmod 0755")] {
        chmod(&sbatch, mode);
        // Nor is anything executed that somebody else could have written.
        ask(&world)
            .is_good(false)
            .says(&["PROBLEM  sbatch: ", &format!("{mend} {shown}")])
            .does_not_say("Slurm version");
    }
    chmod(&sbatch, 0o755);
    chown(&sbatch, world.user.uid, 0);
    check(&world).is_good(false).says(&["PROBLEM  sbatch: ", &format!("chown root {shown}")]);
    chown(&sbatch, 0, 0);
    // Not needed, but executed where it is.
    let sacct = dir.join("sacct");
    copy_program(Path::new("/bin/true"), &sacct, 0o755);
    chmod(&sacct, 0o777);
    check(&world).is_good(false).says(&["PROBLEM  sacct: ", &format!("chmod go-w {}", sacct.display())]);
    fs::remove_file(&sacct).expect("rm");
    chmod(&dir, 0o777);
    check(&world).is_good(false).says(&["PROBLEM  scontrol: ", &format!("chmod go-w {}", dir.display())]);
}

fn configuration() {
    let world = without_cluster("conf = \"/nonexistent/slurm.conf\"");
    let dir = commands(&world);
    let conf = world.dir.join("slurm.conf");
    let text = fs::read_to_string(world.config_file()).expect("config");
    let text = text.replace("[slurm]\n", &format!("[slurm]\nbin_dir = {dir:?}\n"));
    fs::write(world.config_file(), &text).expect("config");
    ask(&world)
        .is_good(false)
        .says(&["PROBLEM  slurm.conf: /nonexistent/slurm.conf does not exist", "slurm.conf"])
        .does_not_say("Slurm version");
    fs::write(world.config_file(), text.replace("/nonexistent/slurm.conf", &conf.display().to_string()))
        .expect("write");
    fs::write(&conf, "ClusterName=x\n").expect("slurm.conf");
    let shown = conf.display();
    for (mode, mend) in [(0o666, "chmod go-w"), (0o600, "chmod 0644")] {
        chmod(&conf, mode);
        check(&world).is_good(false).says(&["PROBLEM  slurm.conf: ", &format!("{mend} {shown}")]);
    }
    chmod(&conf, 0o644);
    check(&world).is_good(true).says(&[&format!("ok       slurm.conf: {shown}")]);
    chown(&conf, world.user.uid, 0);
    check(&world).is_good(true).says(&["warning  slurm.conf: ", &format!("chown root {shown}")]);
}

fn directories() {
    let mut world = without_cluster("");
    world.token =
        Some("issuer = \"https://ci.hpc.example\"\naudience = \"https://hpc.example\"\nttl = \"2m\"\n".into());
    world.write_config();
    let text = fs::read_to_string(world.config_file()).expect("config");
    let state = format!("state_dir = {:?}", world.dir.join("state/motmot"));
    let text = text.replace(&state, "state_dir = \"/dev/shm/motmot-test-none\"\ndata_dir = \"/dev/shm/{user}\"");
    fs::write(world.config_file(), text.replace("[jobs]\n", "[jobs]\nexecutor = \"slurm\"\n")).expect("config");
    check(&world)
        .says(&["warning  jobs.state_dir: /dev/shm/motmot-test-none is in memory", "nobody would cancel them"])
        .says(&["warning  jobs.data_dir: /dev/shm seems to be on a disk of this machine (tmpfs)", "every node"])
        .says(&["warning  token.ttl: ", "5m or more"]);
}
