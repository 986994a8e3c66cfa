//! Accounts that lie to Slurm, or through it, about their jobs.

use std::fs;
use std::process::{Command, Stdio};

use crate::world::{Cluster, Running, Single, World, cases};

cases!(
    fn a_job_with_line_breaks_in_its_name_gets_no_token_and_forges_no_claim(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).build();
        let cluster = Cluster::shared(slurm);
        let parameters = "SCHEDULER_PARAMETERS=--begin=now+1hour --account=mine";
        let running = Running::start(&world.simulate().script("echo it runs").option("--variable", parameters));
        let job = cluster.until_job_of(&world.user.name);
        let forged = format!(
            "{} UserId={}({}) Account=nuclear QOS=urgent JobState=RUNNING Reason=None Restarts=0 Partition=premium BatchHost=n9 x\nrest",
            job.name, world.user.name, world.user.uid
        );
        let renamed = cluster
            .command_as(&world.user, "scontrol")
            .args(["update", &format!("jobid={}", job.id), &format!("jobname={forged}")])
            .status();
        assert!(renamed.expect("scontrol").success());
        running.until_log("line breaks");
        running.terminate();
        let end = running.end();
        end.assert_not_in_log("runs on n9").assert_not_in_log("it runs");
        let minted = world.audit().iter().any(|line| line["event"] == "minted" && line["sub_stage"] == "build_script");
        assert!(!minted, "{}", end.log);
        cluster.until_no_jobs_of(&world.user.name);
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0, "{}", end.runner_log);
    },
    fn a_job_that_renames_itself_is_cancelled_by_cleanup_all_the_same(slurm: Slurm) {
        let world = World::root(slurm)
            .at(Cluster::shared(slurm))
            .slurm(|section| section.unknown_timeout("3s"))
            .jobs(|jobs| jobs.kill_timeout("2s"))
            .build();
        let script = format!(
            "SLURM_CONF={} scontrol update jobid=$SLURM_JOB_ID jobname=x; sleep 1000",
            Cluster::shared(slurm).conf().display()
        );
        let end = world.simulate().script(script).run();
        end.assert_failed("runner_system_failure").assert_log("is not the one that was submitted");
        Cluster::shared(slurm).until_no_jobs_of(&world.user.name);
        assert_eq!(fs::read_dir(world.sessions()).expect("sessions").count(), 0, "{}", end.runner_log);
    },
    fn an_account_that_changes_what_its_batch_script_reads_gets_no_new_privileges(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).jobs(|jobs| jobs.no_new_privs(true)).build();
        let cluster = Cluster::shared(slurm);
        let parameters = "SCHEDULER_PARAMETERS=--begin=now+1hour";
        let script = r"grep NoNewPrivs /proc/self/status | sed 's/:\s*/=/'";
        let running = Running::start(&world.simulate().script(script).option("--variable", parameters));
        let job = cluster.until_job_of(&world.user.name);
        let jobs = fs::read_dir(world.data_dir().join("jobs")).expect("jobs").flatten().next().expect("one");
        let settings = jobs.path().join("batch").join(&job.name).join("settings");
        let text = fs::read_to_string(&settings).expect("settings");
        assert!(
            !text.contains("no_new_privs"),
            "nothing that could be taken back is in a file of the account's: {text}"
        );
        // Its shell reads this in the process that is to start the script.
        fs::write(&settings, text + "grep NoNewPrivs /proc/$$/status >~/seen\n").expect("the attack");
        let id = format!("jobid={}", job.id);
        let start = cluster.command("scontrol").args(["update", &id, "starttime=now"]).status();
        assert!(start.expect("scontrol").success());
        let end = running.end();
        end.assert_success();
        assert_eq!(end.value("NoNewPrivs"), "1", "of the script");
        let seen = fs::read_to_string(world.user.home.join("seen")).expect("the attack has run");
        assert_eq!(seen, "NoNewPrivs:\t1\n", "of what the batch script itself starts");
    },
    fn the_number_of_another_accounts_job_cancels_nothing(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).build();
        let cluster = Cluster::shared(slurm);
        world.write_config();
        let innocent = cluster.submit(&world.user, &["-o", "/dev/null"], "exec sleep 1000");
        cluster.until_job(innocent, "RUNNING");
        let single = Single::new(&world, 5);
        let session = world.sessions().join(&single.session);
        let file = session.join("session.json");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("record")).expect("JSON");
        record["account"] = "mmghost".into();
        record["uid"] = 4_242_424.into();
        record["tree"] = "mnt:[1] another-boot".into();
        fs::write(&file, record.to_string()).expect("record");
        fs::create_dir(session.join("jobs")).expect("jobs");
        fs::set_permissions(session.join("jobs"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("chmod");
        fs::write(session.join("jobs").join(format!("motmot-{}-1", single.session)), innocent.to_string())
            .expect("job");
        let reaped = Command::new(world.bins.join("motmot"))
            .arg("--config")
            .arg(world.config_file())
            .arg("reap")
            .stdin(Stdio::null())
            .output()
            .expect("motmot reap");
        assert!(reaped.status.success(), "{}", String::from_utf8_lossy(&reaped.stderr));
        assert_eq!(cluster.job(innocent)["JobState"], "RUNNING");
        assert!(cluster.command("scancel").arg(innocent.to_string()).status().expect("scancel").success());
    },
    fn a_token_in_slurms_own_output_file_is_masked(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).build();
        let end = world.simulate().script("echo through=$CI_JOB_JWT >> \"$TMPDIR\"/../batch/*/slurm.out; exit 3").run();
        end.assert_failed("script_failure").assert_log("through=[MASKED]").assert_not_in_log("eyJ");
    }
);
