//! `motmot check` with `jobs.executor = "slurm"`: what it finds about a real cluster, and in which words.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::world::check::{ask, ask_for_runner, check, first_rule};
use crate::world::{Cluster, Rule, World, cases, chmod, chown, copy_program, make_dir};

cases!(
    fn a_cluster_that_can_be_used_has_no_problem(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| {
                section.defaults(["--partition=debug"]).limits(|limits| limits.partitions(["debug", "other"]))
            })
            .build();
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
        let plain = World::root(slurm).build();
        check(&plain).does_not_say("lurm");
    },
    fn all_that_jobs_leave_in_the_state_directory_is_known_so_that_it_is_mended_and_not_given_up(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| section.defaults(["--partition=debug"]))
            .build();
        world.simulate().script("true").run().assert_success();
        let state = world.dir.join("state/motmot");
        let (shown, user) = (state.display(), &world.user);
        chmod(&state, 0o755);
        check(&world).is_good(false).says(&["PROBLEM  state directory: ", &format!("chmod 0700 {shown}")]);
        let fails = || world.simulate().option("--retry-interval", "10ms").script("true").run();
        fails().assert_failed("runner_system_failure").assert_log("chmod 0700 /");
        chmod(&state, 0o700);
        check(&world).is_good(true);
        // As root leaves it that has tried jobs before the runner became another account; here the other way round.
        for entry in fs::read_dir(&state).expect("state") {
            let part = entry.expect("an entry").path();
            chown(&part, user.uid, user.gid);
            check(&world).is_good(false).says(&[
                "PROBLEM  state directory: ",
                &format!("{} belongs to {}", part.display(), user.name),
                &format!("--runner-account {}", user.name),
                &format!("chown -R root {shown}"),
            ]);
            chown(&part, 0, 0);
        }
        chown(&state, user.uid, user.gid);
        let end = fails();
        end.assert_failed("runner_system_failure");
        end.assert_log(&format!("motmot simulate --runner-account {}", user.name)).assert_log("chown -R root /");
    },
    fn a_controller_that_is_dead_or_says_nothing_is_told_soon(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).start();
        let world = World::root(slurm).at(&cluster).build();
        cluster.stop_controller();
        let start = Instant::now();
        ask(&world).is_good(false).says(&[
            "PROBLEM  Slurm controller: ",
            "no answer within 5 s",
            "systemctl status slurmctld",
        ]);
        assert!(start.elapsed() < Duration::from_mins(2), "{:?}", start.elapsed());
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
        check(&world).is_good(true).says(&["skipped  Slurm: is not asked: --offline"]);
    },
    fn munge_that_does_not_answer_is_not_taken_for_a_dead_controller(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let mut world = World::root(slurm).at(cluster).build();
        let conf = world.dir.join("slurm.conf");
        let text = fs::read_to_string(cluster.conf()).expect("slurm.conf");
        fs::write(&conf, text + "AuthInfo=socket=/nonexistent/munge.socket\n").expect("slurm.conf");
        chmod(&conf, 0o644);
        world.change(|config| config.slurm(|section| section.conf(&conf)));
        ask(&world)
            .is_good(false)
            .says(&[
                "PROBLEM  Slurm controller: munge does not answer here",
                "/nonexistent/munge.socket",
                "systemctl start munge",
            ])
            .does_not_say("systemctl status slurmctld");
    },
    fn partitions_that_slurm_does_not_have_are_told_where_they_are_named(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| {
                section.defaults(["--partition=debug,nosuch"]).limits(|limits| limits.partitions(["debug", "ohter"]))
            })
            .rules([Rule::everybody().slurm(["--partition=gpuu"])])
            .build();
        let rule =
            format!("PROBLEM  rule at {}:{}: ", world.dir.join("with-gitlab.toml").display(), first_rule(&world));
        ask(&world)
            .is_good(false)
            .says(&["PROBLEM  slurm.defaults: Slurm has no partition \"nosuch\"", "there are: ", "debug"])
            .says(&[&rule, "Slurm has no partition \"gpuu\"", "every job under this rule"])
            .says(&["warning  slurm.limits.partitions: Slurm has no partition \"ohter\"", "a typing error?"]);
    },
    fn a_runner_that_slurm_shows_no_jobs_is_told_what_it_must_be(slurm: Slurm) {
        let cluster = Cluster::build(slurm).nodes(1).set("PrivateData", "jobs").start();
        let world = World::with_capabilities(slurm).at(&cluster).build();
        let name = &world.runner.as_ref().expect("a runner").name;
        ask_for_runner(&world).is_good(true).says(&[
            "warning  Slurm jobs: ",
            "PrivateData",
            &format!("sacctmgr modify user {name} set AdminLevel=Operator"),
        ]);
        // Root sees all.
        ask(&World::root(slurm).at(&cluster).build()).is_good(true).does_not_say("PrivateData");
    },
    fn ones_own_runner_needs_no_rights_in_slurm(slurm: Slurm) {
        let world = World::one_user().at(Cluster::shared(slurm)).build();
        ask(&world).is_good(true).says(&["ok       Slurm controller: "]).does_not_say("PrivateData");
    },
    fn commands_of_slurm_that_are_missing_or_that_others_can_change_are_told(root: Root) {
        let mut world = World::root(root).slurm(|section| section.bin_dir("/nonexistent/bin")).build();
        let said = check(&world);
        said.is_good(false).says(&["PROBLEM  Slurm programs: /nonexistent/bin is not a directory", "slurm.bin_dir"]);
        assert_eq!(said.words.matches("/nonexistent/bin").count(), 1, "one mistake is told once: {}", said.words);

        let dir = world.dir.join("slurm-bin");
        world.change(|config| config.slurm(|section| section.bin_dir(&dir)));
        commands(&world);
        check(&world).is_good(true).says(&["ok       Slurm programs: "]).says(&["skipped  Slurm: is not asked"]);

        let sbatch = dir.join("sbatch");
        fs::remove_file(&sbatch).expect("rm");
        check(&world)
            .is_good(false)
            .says(&[&format!("PROBLEM  Slurm programs: sbatch: not in {}", dir.display())])
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
        check(&world)
            .is_good(false)
            .says(&["PROBLEM  scontrol: ", &format!("{}: is a directory with mode 0777", dir.display())])
            .does_not_say("chmod");
    },
    fn a_slurm_conf_that_cannot_be_used_is_told(root: Root) {
        let mut world = World::root(root).slurm(|section| section.conf("/nonexistent/slurm.conf")).build();
        let dir = commands(&world);
        let conf = world.dir.join("slurm.conf");
        world.change(|config| config.slurm(|section| section.bin_dir(&dir)));
        ask(&world)
            .is_good(false)
            .says(&["PROBLEM  slurm.conf: /nonexistent/slurm.conf does not exist", "slurm.conf"])
            .does_not_say("Slurm version");
        world.change(|config| config.slurm(|section| section.conf(&conf)));
        fs::write(&conf, "ClusterName=x\n").expect("slurm.conf");
        let shown = conf.display();
        for (mode, mend) in [(0o666, "chmod go-w"), (0o600, "chmod 0644")] {
            chmod(&conf, mode);
            check(&world).is_good(false).says(&["PROBLEM  slurm.conf: ", &format!("{mend} {shown}")]);
        }
        chmod(&conf, 0o644);
        check(&world).is_good(true).says(&[&format!("ok       slurm.conf: {shown}")]);
        // Whoever can exchange it decides as well what the driver loads.
        let open = world.dir.join("open");
        make_dir(&open, 0o777);
        fs::copy(&conf, open.join("slurm.conf")).expect("copied");
        world.change(|config| config.slurm(|section| section.conf(open.join("slurm.conf"))));
        check(&world)
            .is_good(false)
            .says(&["PROBLEM  slurm.conf: ", "names what the driver loads, and can be exchanged: "]);
        world.change(|config| config.slurm(|section| section.conf(&conf)));
        chown(&conf, world.user.uid, 0);
        check(&world).is_good(true).says(&["warning  slurm.conf: ", &format!("chown root {shown}")]);
    },
    fn stages_that_leave_out_the_script_are_a_warning(root: Root) {
        let world = World::root(root).slurm(|section| section.bin_dir("/nonexistent/bin").stages(["script"])).build();
        check(&world).says(&["warning  slurm.stages: has neither"]);
    },
    fn directories_that_do_not_suit_slurm_are_warnings(root: Root) {
        let world = World::root(root)
            .slurm(|section| section)
            .token(|token| token.ttl("2m"))
            .jobs(|jobs| jobs.state_dir("/dev/shm/motmot-test-none").data_dir("/dev/shm/{user}"))
            .build();
        check(&world)
            .says(&["warning  jobs.state_dir: /dev/shm/motmot-test-none is in memory", "nobody would cancel them"])
            .says(&["warning  jobs.data_dir: /dev/shm seems to be on a disk of this machine (tmpfs)", "every node"])
            .says(&["warning  token.ttl: ", "5m or more"]);
    }
);

/// Commands that do nothing, in a directory of root's.
fn commands(world: &World) -> PathBuf {
    let dir = world.dir.join("slurm-bin");
    make_dir(&dir, 0o755);
    for name in ["sbatch", "scancel", "scontrol", "squeue"] {
        symlink("/bin/true", dir.join(name)).expect("symlink");
    }
    dir
}
