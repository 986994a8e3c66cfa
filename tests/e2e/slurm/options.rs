//! What Slurm is asked for, and what a job may not ask for.

use super::world;
use crate::world::batch::until_nothing_left;
use crate::world::{Cluster, JobEnd, Rule, World, cases, job_numbers};

cases!(
    fn defaults_variables_and_rule_meet_in_one_job(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| section.defaults(["--partition=other", "--time=5", "-n2"]))
            .rules([Rule::everybody().name("same name").slurm(["--nice=7"])])
            .build();
        let end = show(&world, &[]);
        end.assert_success().assert_log("in Slurm, with --partition=other");
        let seen = ["Partition", "TimeLimit", "NumTasks", "Nice"].map(|name| end.value(name).to_owned());
        assert_eq!(seen, ["other", "00:05:00", "2", "7"]);

        let end = show(&world, &["SCHEDULER_PARAMETERS=-p debug --time 00:07:00 --nice=7"]);
        end.assert_success();
        let seen = ["Partition", "TimeLimit", "NumTasks", "Nice"].map(|name| end.value(name).to_owned());
        assert_eq!(seen, ["debug", "00:07:00", "2", "7"], "what the rule says as well is no offence");

        let end = show(&world, &["SCHEDULER_PARAMETERS=#SBATCH --time=3"]);
        end.assert_success()
            .assert_log("motmot: warning: in the variable SCHEDULER_PARAMETERS what stands behind # is a comment");
        assert_eq!(end.value("TimeLimit"), "00:05:00", "and so it has had no effect");
    },
    fn options_in_quotes_and_in_several_variables_reach_slurm(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| section.parameters(["SCHEDULER_PARAMETERS", "SITE_PARAMETERS"]))
            .build();
        let end = show(
            &world,
            &[
                "SITE_PARAMETERS=--time='00:06:00'",
                "SCHEDULER_PARAMETERS=\"--partition=other\" -t 3 --wck\\ey='a b'",
                "OTHER_PARAMETERS=--output=x",
            ],
        );
        end.assert_success().assert_log("--wckey=a b");
        assert_eq!(
            (end.value("Partition"), end.value("TimeLimit")),
            ("other", "00:06:00"),
            "the later variable counts"
        );
        // A variable may hold nothing that a shell would take.
        let end = show(&world, &["SCHEDULER_PARAMETERS=--time=5 --wckey='$(touch $HOME/ran)`touch $HOME/ran`;x'"]);
        end.assert_success();
        assert!(!world.user.home.join("ran").exists());
    },
    fn what_a_job_may_not_ask_for_is_refused_before_anything_is_submitted(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm)
            .at(cluster)
            .slurm(|section| {
                section.allow(["time", "partition", "nodes", "nice", "mem"]);
                section.limits(|limits| limits.time("10m").nodes(2).partitions(["debug", "other"]).mem("1G"))
            })
            .rules([Rule::everybody().name("same name").slurm(["--nice=7"])])
            .build();
        for (parameters, words) in [
            ("--exclusive", ["--exclusive", "slurm.allow"]),
            ("-t 11", ["-t 11", "slurm.limits.time"]),
            ("--time=UNLIMITED", ["--time=UNLIMITED", "slurm.limits.time"]),
            ("-N1-3", ["-N1-3", "slurm.limits.nodes"]),
            ("-p debug,short", ["-p debug,short", "slurm.limits.partitions"]),
            ("--mem=1025M", ["--mem=1025M", "slurm.limits.mem"]),
            ("--nice=8", ["--nice=8", "same name"]),
            ("--nice", ["--nice", "--nice=7"]),
            ("--nosuch=1", ["--nosuch=1", "not an option of sbatch"]),
            ("--time='5", ["--time='5", "a quote is not closed"]),
            ("script.sh", ["script.sh", "stray word"]),
            ("-t 5 : -t 5", ["`:`", "heterogeneous"]),
        ] {
            assert_refused(&world, parameters, &words);
        }
        // Slurm's controller would still know a job that had ended at once.
        let known = cluster.command("scontrol").args(["--oneliner", "show", "job"]).output().expect("scontrol");
        assert!(!String::from_utf8_lossy(&known.stdout).contains(&format!("UserId={}(", world.user.name)));
        until_nothing_left(&world, cluster);
    },
    fn an_option_in_any_spelling_is_the_drivers_own(slurm: Slurm) {
        let world = world(slurm);
        let file = world.user.home.join("f").display().to_string();
        for spelling in [
            format!("-o {file}"),
            format!("-o{file}"),
            format!("--output={file}"),
            format!("--output {file}"),
            format!("--out={file}"),
            format!("--outp {file}"),
            format!("-Oo{file}"),
            format!("'-o' {file}"),
            format!("\"--out\"put={file}"),
            format!("--e=x --error={file}"),
        ] {
            assert_refused(&world, &spelling, &["SCHEDULER_PARAMETERS"]);
            assert!(!world.user.home.join("f").exists(), "{spelling}");
        }
        for (spelling, name) in [
            ("--export=ALL", "--export"),
            ("--uid=root", "--uid"),
            ("-J mine", "--job-name"),
            ("--wrap=id", "--wrap"),
            ("-D /tmp", "--chdir"),
            ("--comm=x", "--comment"),
            ("-a 1-3", "--array"),
            ("--requeue", "--requeue"),
            ("-M other", "--clusters"),
        ] {
            assert_refused(&world, spelling, &[name, "cannot be set"]);
        }
    },
    fn what_slurm_refuses_is_the_jobs_failure_only_if_the_job_asked(slurm: Slurm) {
        let mut world = world(slurm);
        let cluster = Cluster::shared(slurm);
        let end =
            world.simulate().option("--variable", "SCHEDULER_PARAMETERS=-p nosuch").script("echo it-$(echo ran)").run();
        end.assert_failed("script_failure").assert_log("Slurm does not accept this job").assert_log("nosuch");
        end.assert_not_in_log("it-ran");
        assert_eq!(end.json["exit_code"], 1);
        until_nothing_left(&world, cluster);
        world.change(|config| config.slurm(|section| section.defaults(["-p", "nosuch"])));
        let end = world.simulate().option("--stage-retry-interval", "10ms").script("echo it-$(echo ran)").run();
        end.assert_failed("runner_system_failure").assert_log("the site's own configuration").assert_log("nosuch");
        end.assert_not_in_log("it-ran");
        until_nothing_left(&world, cluster);
    }
);

/// What the controller knows of the job that the script runs in.
const SHOW: &str = "scontrol --oneliner show job $SLURM_JOB_ID | tr ' ' '\\n' | sed -n 's/^\\(Partition\\|NumTasks\\|TimeLimit\\|Nice\\|ReqNodeList\\|Account\\|MinMemoryNode\\|OverSubscribe\\)=/&/p'";

fn show(world: &World, variables: &[&str]) -> JobEnd {
    let mut simulate = world.simulate();
    for variable in variables {
        simulate = simulate.option("--variable", *variable);
    }
    simulate.script(SHOW).run()
}

/// Asks for this, and finds that it is the build's failure and that Slurm never heard of it.
#[track_caller]
fn assert_refused(world: &World, parameters: &str, words: &[&str]) {
    let end = world
        .simulate()
        .option("--variable", format!("SCHEDULER_PARAMETERS={parameters}"))
        .script("touch \"$HOME/ran\"")
        .run();
    end.assert_failed("script_failure");
    assert_eq!(end.json["exit_code"], 1, "{parameters}");
    for word in words {
        assert!(end.log.contains(word), "{word:?} for {parameters}:\n{}", end.log);
    }
    assert_eq!(job_numbers(&end.log), Vec::<u32>::new(), "{parameters}");
    assert!(!world.user.home.join("ran").exists(), "{parameters}");
}
