//! Which stages are Slurm jobs, and how these are called.

use std::fs;
use std::path::Path;

use super::world;
use crate::world::batch::{HELD, begin, meeting_place, until_nothing_left};
use crate::world::{Cluster, JobEnd, Running, Slurm, World, cases, job_numbers, make_dir};

cases!(
    fn the_script_runs_in_slurm_as_the_account_and_the_rest_on_the_login_node(slurm: Slurm) {
        let world = world(slurm);
        spies(&world, &["git", "hostname"]);
        let end = world
            .simulate()
            .option("--git-url", "file:///nonexistent")
            .option("--sha", "0123456789012345678901234567890123456789")
            .script("true")
            .run();
        assert!(!end.succeeded(), "there are no sources");
        let spied = fs::read_to_string(world.user.home.join("spied")).expect("spied");
        assert!(spied.contains("git job=.\n") && !spied.lines().any(|line| !line.ends_with("job=.")), "{spied}");

        let end = world.simulate().script(WHERE).option("--after-script", "echo after=.$SLURM_JOB_ID.").run();
        end.assert_success().assert_log("runs on n");
        let numbers = job_numbers(&end.log);
        assert_eq!(numbers.len(), 1, "{}", end.log);
        let found = end.value("job").to_owned();
        assert!(found.starts_with(&format!("{} on=n", numbers[0])), "{found}");
        assert!(found.ends_with(&format!(" uid={}", world.user.uid)), "{found}");
        assert_eq!(end.value("after"), "..");
        for (stage, job) in ended(&world) {
            let in_slurm = stage == "build_script";
            assert_eq!(job.is_some(), in_slurm, "{stage}");
        }
        let spied = fs::read_to_string(world.user.home.join("spied")).expect("spied");
        assert!(!spied.lines().any(|line| !line.ends_with("job=.")), "{spied}");
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn a_path_that_the_site_has_chosen_for_jobs_is_theirs_alone(slurm: Slurm) {
        let mut world = World::root(slurm).at(Cluster::shared(slurm)).build();
        // All but what the batch script itself needs.
        let bins = world.dir.join("few");
        make_dir(&bins, 0o755);
        for program in Path::new("/usr/bin").read_dir().expect("programs").flatten() {
            if !["mv", "stat", "dd", "cat", "sleep"].iter().any(|name| program.file_name() == *name) {
                std::os::unix::fs::symlink(program.path(), bins.join(program.file_name())).expect("a link");
            }
        }
        let path = bins.to_string_lossy().into_owned();
        world.change(|config| config.jobs(|jobs| jobs.login_shell(false).environment([("PATH", path.as_str())])));
        let end = world.simulate().script("echo \"path=$PATH\"").run();
        end.assert_success();
        assert_eq!(end.value("path"), path);
    },
    fn a_job_with_run_is_told_that_its_script_runs_where_nobody_has_looked_for_step_runner(slurm: Slurm) {
        let world = world(slurm);
        let end = world.simulate().option("--run", r#"[{"name":"greet","script":"id"}]"#).run();
        end.assert_failed("script_failure")
            .assert_log("needs the program step-runner")
            .assert_log("its script runs in Slurm, on a node that may have it");
        assert_eq!((end.json["exit_code"].as_i64(), job_numbers(&end.log).len()), (Some(127), 1), "{}", end.log);
    },
    fn stages_that_the_site_lists_run_in_slurm_too(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| section.stages(["build_script", "step_*", "after_script"]))
            .build();
        let end = world
            .simulate()
            .script("echo script=$SLURM_JOB_ID")
            .option("--step", "release=echo release=$SLURM_JOB_ID")
            .option("--after-script", "echo after=$SLURM_JOB_ID")
            .run();
        end.assert_success();
        let jobs = ["script", "release", "after"].map(|name| end.value(name).parse::<u32>().expect("a number"));
        assert_eq!(jobs.to_vec(), job_numbers(&end.log), "a job for each");
        let in_slurm: Vec<String> = ended(&world).into_iter().filter_map(|(stage, job)| job.map(|_| stage)).collect();
        assert_eq!(in_slurm, ["build_script", "step_release", "after_script"]);
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn the_queue_leads_to_the_ci_job(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(HELD)).build();
        let running = Running::start(
            &world.simulate().option("--job-id", "101").option("--project", "group/deep/ocean").script("true"),
        );
        let job = running.until_submitted();
        let queued = cluster.job(job);
        let sessions: Vec<String> = world
            .sessions()
            .read_dir()
            .expect("sessions")
            .flatten()
            .map(|entry| entry.file_name().into_string().expect("UTF-8"))
            .collect();
        assert!(queued["JobName"].contains(&sessions[0]) && sessions[0].starts_with("101-"), "{queued:?} {sessions:?}");
        assert!(queued["Comment"].ends_with("/group/deep/ocean/-/jobs/101#build_script"), "{queued:?}");
        assert!(queued["Comment"].starts_with("http"), "{queued:?}");
        assert_eq!(queued["UserId"], format!("{}({})", world.user.name, world.user.uid));
        assert_eq!((queued["Requeue"].as_str(), queued["WorkDir"].as_str()), ("0", "/"));
        begin(cluster, job);
        running.end().assert_success();
    },
    fn a_directory_with_an_odd_name_is_no_program(slurm: Slurm) {
        let mut world = world(slurm);
        let odd = world.user.home.join("it's 100%j %% $(touch ran) \"x\" ü");
        world.change(|config| config.jobs(|jobs| jobs.data_dir(&odd)));
        let end = world.simulate().script("echo said=$SLURM_JOB_ID; echo temp=$TMPDIR; cd; ls").run();
        end.assert_success().assert_no_line("ran");
        assert!(end.value("temp").starts_with(odd.to_str().expect("UTF-8")), "{}", end.log);
        assert_eq!(end.value("said"), job_numbers(&end.log)[0].to_string());
    },
    fn variables_of_the_pipeline_do_not_steer_slurms_programs(slurm: Slurm) {
        let world = world(slurm);
        let mut simulate = world.simulate();
        for variable in [
            "SLURM_CONF=/nonexistent",
            "SBATCH_PARTITION=short",
            "SBATCH_OUTPUT=/tmp/x",
            "SBATCH_EXPORT=NONE",
            "SBATCH_TIMELIMIT=1",
            "SBATCH_JOB_NAME=mine",
            "PATH=/nonexistent:/usr/bin:/bin",
            "LD_PRELOAD=/nonexistent.so",
        ] {
            simulate = simulate.option("--variable", variable);
        }
        let end = simulate
            .script("echo partition=$SLURM_JOB_PARTITION; echo name=$SLURM_JOB_NAME; echo theirs=$SBATCH_PARTITION")
            .run();
        end.assert_success();
        assert_eq!((end.value("partition"), end.value("theirs")), ("debug", "short"));
        assert!(end.value("name").starts_with("motmot-"));
    },
    fn one_allocation_serves_all_user_stages(slurm: Slurm) {
        let world = allocating(slurm);
        let cluster = Cluster::shared(slurm);
        let running = Running::start(
            &world
                .simulate()
                .script("echo script=$SLURM_JOB_ID; touch \"$TMPDIR/../kept\"")
                .script("while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done")
                .option("--step", "release=echo release=$SLURM_JOB_ID; ls \"$TMPDIR/../kept\"")
                .option("--after-script", "echo after=$SLURM_JOB_ID"),
        );
        let job = running.until_submitted();
        let place = meeting_place(&world);
        cluster.until_job(job, "RUNNING");
        assert!(
            !running.log().contains("$ echo script"),
            "submitted by prepare, before any script:\n{}",
            running.log()
        );
        world.user_file("go", "");
        let end = running.end();
        end.assert_success();
        in_one_job(&end, &["script", "release", "after"]);
        until_nothing_left(&world, cluster);
        cluster.until_job(job, "CANCELLED");
        assert!(!place.exists());
    },
    fn an_allocation_is_given_back_when_a_script_fails(slurm: Slurm) {
        let world = allocating(slurm);
        let end = world
            .simulate()
            .script("echo script=$SLURM_JOB_ID; exit 7")
            .option("--after-script", "echo after=$SLURM_JOB_ID")
            .run();
        end.assert_failed("script_failure");
        assert_eq!(end.json["exit_code"], 7);
        in_one_job(&end, &["script", "after"]);
        until_nothing_left(&world, Cluster::shared(slurm));
    },
    fn an_allocation_is_given_back_when_the_job_ends_before_its_first_script(slurm: Slurm) {
        let world = allocating(slurm);
        let cluster = Cluster::shared(slurm);
        // What fails behind the submission: the sources.
        let end = world
            .simulate()
            .option("--git-url", "file:///nonexistent")
            .option("--sha", "0123456789012345678901234567890123456789")
            .script("true")
            .run();
        assert!(!end.succeeded());
        assert_eq!(job_numbers(&end.log).len(), 1, "{}", end.log);
        until_nothing_left(&world, cluster);
        // And one that is cancelled in the middle of prepare, or just behind it.
        let end =
            world.simulate().option("--cancel", "hard").option("--cancel-in", "prepare_exec").script("true").run();
        assert!(!end.succeeded());
        until_nothing_left(&world, cluster);
    },
    fn after_script_runs_in_the_allocation_of_a_script_that_was_cancelled(slurm: Slurm) {
        let mut world = allocating(slurm);
        world.change(|config| config.jobs(|jobs| jobs.kill_timeout("1s")));
        for script in ["sleep 600", "trap '' TERM; while :; do sleep 0.1; done"] {
            let end = world
                .simulate()
                .option("--cancel", "graceful")
                .option("--cancel-on", "said-by-script")
                .script(format!("echo script=$SLURM_JOB_ID; echo said-by-$(echo script); {script}"))
                .option("--after-script", "echo after=$SLURM_JOB_ID")
                .run();
            assert!(!end.succeeded(), "{}", end.json);
            in_one_job(&end, &["script", "after"]);
            until_nothing_left(&world, Cluster::shared(slurm));
        }
    }
);

const WHERE: &str = "echo job=$SLURM_JOB_ID on=$SLURMD_NODENAME uid=$(id -u)";

/// Programs of the account that note where they run, and behind that are what they are called.
fn spies(world: &World, names: &[&str]) {
    make_dir(&world.user.home.join("bin"), 0o755);
    for name in names {
        world.user_program(
            &format!("bin/{name}"),
            &format!("#!/bin/sh\necho {name} job=$SLURM_JOB_ID. >> \"$HOME/spied\"\nexec /usr/bin/{name} \"$@\"\n"),
        );
    }
    world.user_file(".bash_profile", "PATH=$HOME/bin:$PATH\n");
}

/// Sub-stages and the Slurm jobs that they ran in, by the audit log.
fn ended(world: &World) -> Vec<(String, Option<String>)> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let audit = world.audit();
    let lines = audit.iter().filter(|line| line["event"] == "ended");
    lines.map(|line| (text(&line["sub_stage"]).expect("a name"), text(&line["slurm_job_id"]))).collect()
}

/// A world with one allocation for each CI job.
fn allocating(slurm: Slurm) -> World {
    World::root(slurm)
        .at(Cluster::shared(slurm))
        .slurm(|section| section.allocation("job").stages(["build_script", "step_*", "after_script"]))
        .build()
}

#[track_caller]
fn in_one_job(end: &JobEnd, names: &[&str]) {
    let submitted = job_numbers(&end.log);
    assert_eq!(submitted.len(), 1, "{}", end.log);
    for name in names {
        assert_eq!(end.value(name), submitted[0].to_string(), "{name}\n{}", end.log);
    }
}
