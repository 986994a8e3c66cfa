//! Two configurations on one host, each with a Slurm of its own, that share a state directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::world::check::finish;
use crate::world::stage::kill_with_its_worker;
use crate::world::{Cluster, Single, World, cases, until};

cases!(
    fn a_running_job_of_another_configuration_and_its_cluster_is_left_alone_and_named(slurm: Slurm) {
        let (one, two) = (Cluster::shared(slurm), Cluster::build(slurm).nodes(1).start());
        let world = World::root(slurm).at(one).build();
        let (session, job) = crashed(&world, one, 5);
        let other = at_another_cluster(&world, &two);
        let listed = reap(&world, &other, &["--dry-run"]);
        assert!(listed.stdout.is_empty() && words(&listed).contains(&session), "{}", words(&listed));
        let reaped = reap(&world, &other, &[]);
        let own = world.config_file();
        for left in [&listed, &reaped] {
            assert_eq!(left.status.code(), Some(2), "something is left: {}", words(left));
        }
        for part in [&format!("left alone: {session} (job 5)"), own.to_str().expect("UTF-8")] {
            assert!(words(&reaped).contains(part), "{}", words(&reaped));
        }
        assert_is_there(&world, one, &session, job);
        // Nor by the word of an admin: this cluster knows nothing of the job, which would pass for its end.
        let refused = reap(&world, &other, &["--session", &session]);
        assert!(!refused.status.success(), "{}", words(&refused));
        for part in [one.name(), two.name(), "motmot --config"] {
            assert!(words(&refused).contains(part), "{part}: {}", words(&refused));
        }
        assert_is_there(&world, one, &session, job);
        let cleanup = stage(&world, &other, "cleanup").env("MOTMOT_SESSION", &session).output().expect("cleanup");
        assert!(!cleanup.status.success() && words(&cleanup).contains(two.name()), "{}", words(&cleanup));
        assert_is_there(&world, one, &session, job);
        let reaped = reap(&world, &own, &[]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert!(
            one.jobs_of(&world.user.name).is_empty() && world.sessions().join(&session).symlink_metadata().is_err()
        );
    },
    fn a_configuration_that_names_another_cluster_than_before_does_not_forget_the_jobs_of_the_first(slurm: Slurm) {
        let (one, two) = (Cluster::shared(slurm), Cluster::build(slurm).nodes(1).start());
        let mut world = World::root(slurm).at(one).build();
        let (session, job) = crashed(&world, one, 5);
        world.change(|config| config.slurm(|slurm| slurm.conf(two.conf())));
        let own = world.config_file();
        let reaped = reap(&world, &own, &[]);
        assert!(words(&reaped).contains(&format!("left alone: {session} (job 5)")), "{}", words(&reaped));
        for part in [one.name(), "this configuration asks", "has changed since", "--session"] {
            assert!(words(&reaped).contains(part), "{part}: {}", words(&reaped));
        }
        assert!(!words(&reaped).contains(&format!("--config {}", own.display())), "typed just now: {}", words(&reaped));
        assert_eq!(reaped.status.code(), Some(2), "something is left: {}", words(&reaped));
        assert_is_there(&world, one, &session, job);
        // The next job of the same account, which would clean up for it, goes to the other cluster.
        let next = Single::new(&world, 6);
        let cleanup = next.stage("cleanup").output().expect("cleanup");
        assert!(cleanup.status.success(), "{}", words(&cleanup));
        assert!(words(&cleanup).contains(&format!("left alone: {session}")), "{}", words(&cleanup));
        assert_is_there(&world, one, &session, job);
        world.change(|config| config.slurm(|slurm| slurm.conf(one.conf())));
        assert!(reap(&world, &own, &[]).status.success());
        assert!(one.jobs_of(&world.user.name).is_empty());
    },
    fn a_job_that_began_with_one_cluster_does_not_go_on_in_another(slurm: Slurm) {
        let (one, two) = (Cluster::shared(slurm), Cluster::build(slurm).nodes(1).start());
        let world = World::root(slurm).at(one).build();
        let single = Single::new(&world, 5);
        world.write_config_with(|config| config.slurm(|slurm| slurm.conf(two.conf())));
        let script = single.script("touch \"$HOME/ran\"");
        let run = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(run.status.code(), Some(2), "{}", words(&run));
        assert!(words(&run).contains("this job has begun with cluster"), "{}", words(&run));
        single.clean_up();
        assert!(!world.user.home.join("ran").exists() && two.jobs_of(&world.user.name).is_empty());
    },
    fn a_session_of_an_older_motmot_with_jobs_waits_for_somebody_who_knows_whose_they_are(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let (session, job) = crashed(&world, cluster, 5);
        let without = crashed_before_its_job(&world, 6);
        for name in [&session, &without] {
            world.change_record(name, |record| {
                record.as_object_mut().expect("object").remove("made_under").expect("recorded");
            });
        }
        let own = world.config_file();
        let reaped = reap(&world, &own, &[]);
        assert!(
            words(&reaped).contains("motmot: cleaned up after 1 job; of 1 something is left"),
            "that without a Slurm job: {}",
            words(&reaped)
        );
        assert!(words(&reaped).contains(&format!("motmot reap --session {session}")), "{}", words(&reaped));
        assert_is_there(&world, cluster, &session, job);
        let reaped = reap(&world, &own, &["--session", &session]);
        assert!(reaped.status.success(), "{}", words(&reaped));
        assert!(cluster.jobs_of(&world.user.name).is_empty());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn check_warns_of_sessions_of_another_configuration_in_its_state_directory(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let _single = Single::new(&world, 5);
        let own = world.config_file();
        let check = |config: &Path| finish(Command::new(world.bins.join("motmot")), config, &["--offline"]);
        check(&own).does_not_say("another configuration");
        let other = world.write_other_config("other.toml", |config| config);
        check(&other).says(&["jobs.state_dir", "another configuration", own.to_str().expect("UTF-8")]);
    },
    fn a_session_of_another_configuration_is_named_and_counts_as_left_when_its_runner_is_gone(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let (own, other) = (world.config_file(), world.write_other_config("other.toml", |config| config));
        let said = |args: &[&str], code| {
            let reaped = reap(&world, &other, args);
            let said = words(&reaped);
            assert_eq!(reaped.status.code(), Some(code), "{said}");
            let by = format!("motmot --config {} reap", own.display());
            for part in [&format!("left alone: {} (job 5)", single.session), "another configuration", &by] {
                assert!(said.contains(part), "{part}: {said}");
            }
            assert!(!said.contains("nothing was left behind"), "{said}");
            said
        };
        for args in [[].as_slice(), &["--dry-run"]] {
            assert!(said(args, 0).contains("whether its runner lives is not known"));
        }
        world.start_anew(&single.session);
        assert!(said(&[], 2).contains("of 1 something is left"));
        said(&["--dry-run"], 2);
        assert!(reap(&world, &own, &[]).status.success());
        assert!(reap(&world, &other, &[]).status.success());
    }
);

/// A job whose stage and worker are gone with the machine, while it runs on.
fn crashed(world: &World, cluster: &Cluster, number: u64) -> (String, u32) {
    let single = Single::new(world, number);
    let script = single.script("touch \"$HOME/started\"; sleep 1000");
    let mut stage = single.stage("run");
    let stage = stage.arg(&script).arg("build_script").stdout(Stdio::null()).stderr(Stdio::null());
    let mut stage = stage.spawn().expect("run");
    until("the script runs", || world.user.home.join("started").exists());
    // Nobody of them cancels anything.
    kill_with_its_worker(&stage, &world.user);
    let _ = stage.wait();
    world.start_anew(&single.session);
    (single.session.clone(), cluster.until_job_of(&world.user.name).id)
}

/// The same with a job that never came to its script.
fn crashed_before_its_job(world: &World, number: u64) -> String {
    let single = Single::new(world, number);
    world.start_anew(&single.session);
    single.session.clone()
}

/// A configuration beside the world's own that differs in its cluster alone.
fn at_another_cluster(world: &World, cluster: &Cluster) -> PathBuf {
    world.write_other_config("other.toml", |config| config.slurm(|slurm| slurm.conf(cluster.conf())))
}

#[track_caller]
fn assert_is_there(world: &World, cluster: &Cluster, session: &str, job: u32) {
    assert_eq!(cluster.job(job)["JobState"], "RUNNING");
    assert!(world.sessions().join(session).join("session.json").exists(), "{session}");
}

fn stage(world: &World, config: &Path, stage: &str) -> Command {
    let mut command = Command::new(world.bins.join(format!("motmot-{stage}")));
    command.arg("--config").arg(config).env("SYSTEM_FAILURE_EXIT_CODE", "2").env("BUILD_FAILURE_EXIT_CODE", "1");
    command
}

fn reap(world: &World, config: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(world.bins.join("motmot"));
    command.arg("--config").arg(config).arg("reap").args(args).output().expect("motmot reap")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
