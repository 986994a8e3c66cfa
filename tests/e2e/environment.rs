//! What a job finds: what a person finds after logging in, and nothing of the runner's.

use crate::world::{Cluster, JobEnd, Single, World, cases, make_dir, make_script, payload as job};

/// A directory of the site's with commands, first on the PATH of all jobs.
fn first_tools(world: &mut World) -> String {
    let tools = world.dir.join("tools");
    make_dir(&tools, 0o755);
    make_script(&tools.join("gitlab-runner"), "#!/bin/sh\n");
    make_script(&tools.join("tool"), "#!/bin/sh\necho tool=there\n");
    world.change(|config| config.jobs(|jobs| jobs.path_prepend([&tools])));
    format!("{}:", tools.display())
}

cases!(
    fn a_job_finds_what_a_person_finds_after_logging_in(root: Root) {
        let world = World::root(root).build();
        world.user_file(".bash_profile", "export FROM_PROFILE=yes\nPATH=$PATH:/opt/site/bin\n");
        let end = world
            .simulate()
            .script("echo home=$HOME")
            .script("echo user=$USER")
            .script("echo logname=$LOGNAME")
            .script("echo shell=$SHELL")
            .script("echo tmp=$TMPDIR")
            .script("echo profile=$FROM_PROFILE")
            .script("echo path=$PATH")
            .script("mktemp >/dev/null; stat -c 'mode=%a' \"$TMPDIR\"")
            .script("echo groups=$(id -G)")
            .script("echo session=$(ps -o tty= -p $$ | tr -d ' ')")
            .run();
        end.assert_success();
        let (name, home) = (world.user.name.as_str(), world.user.home.to_str().expect("utf-8"));
        assert_eq!(
            (end.value("home"), end.value("user"), end.value("logname"), end.value("shell")),
            (home, name, name, "/bin/bash")
        );
        assert!(end.value("tmp").starts_with(&format!("{home}/.motmot/jobs/")));
        assert_eq!((end.value("mode"), end.value("profile")), ("700", "yes"));
        assert!(end.value("path").ends_with(":/opt/site/bin"));
        assert_eq!(end.value("groups"), world.user.gid.to_string());
        assert_eq!(end.value("session"), "?", "no terminal");
    },
    fn the_runners_environment_does_not_reach_the_job() {
        let world = World::one_user().build();
        let end = world
            .simulate()
            .env("RUNNER_SECRET", "hush")
            .env("LD_LIBRARY_PATH", "/runner")
            .script(
                "env | grep -c -e RUNNER_SECRET -e CUSTOM_ENV_ -e BUILD_FAILURE_EXIT_CODE -e JOB_RESPONSE_FILE || true",
            )
            .script("echo ld=$LD_LIBRARY_PATH.")
            .run();
        end.assert_success().assert_not_in_log("hush");
        assert!(end.log.lines().any(|line| line == "0"), "{}", end.log);
        assert_eq!(end.value("ld"), ".");
    },
    fn a_login_profile_works_and_its_noise_is_not_the_jobs(_root: Root) {
        let world = World::one_user().build();
        world.user_file(".bash_profile", "echo MOTD-on-stdout\necho MOTD-on-stderr >&2\nexport PROFILE_RAN=1\n");
        let end = world.simulate().script("echo ran=$PROFILE_RAN").run();
        end.assert_success();
        assert_eq!(end.value("ran"), "1");
        assert_eq!(end.log.matches("MOTD-on-stdout").count(), 1, "in the prepare stage, once:\n{}", end.log);
        let single = Single::new(&world, 3);
        let script = single.script("echo only this");
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"only this\n"[..], &b""[..]));
    },
    fn functions_that_a_profile_exports_work_as_module_does(_root: Root) {
        let world = World::one_user().build();
        // As environment-modules and Lmod do it.
        world.user_file(
            ".bash_profile",
            "module() { echo \"module=$*\"; }\nexport -f module\nexport BASH_ENV=\"$HOME/.module_init\"\n",
        );
        world.user_file(".module_init", "ml() { echo \"ml=$*\"; }\n");
        let end = world.simulate().script("module load gcc/13").script("ml purge").run();
        end.assert_success();
        assert_eq!((end.value("module"), end.value("ml")), ("load gcc/13", "purge"));
    },
    fn a_profile_that_reads_its_input_does_not_eat_the_script(_root: Root) {
        let world = World::one_user().build();
        world.user_file(".bash_profile", "cat >/dev/null\nread -r line\n");
        let end = world.simulate().script("echo whole=yes").run();
        end.assert_success();
        assert_eq!(end.value("whole"), "yes");
    },
    fn a_profile_that_fails_or_exits_does_not_change_the_verdict(_root: Root) {
        for profile in [
            "false\n",
            "exit 3\n",
            "set -e\nfalse\n",
            "exec true\n",
            "kill -9 $$\n",
            "if then fi (\n",
            "return 5\n",
            "trap 'exit 9' EXIT\n",
        ] {
            let world = World::one_user().build();
            world.user_file(".bash_profile", profile);
            let end = world.simulate().script("echo ran=yes").run();
            end.assert_success();
            assert_eq!(end.value("ran"), "yes", "{profile:?}");
            let end = world.simulate().script("exit 7").run();
            end.assert_failed("script_failure");
            assert_eq!(end.json["exit_code"], 7, "{profile:?}");
            if profile.starts_with("exit") {
                end.assert_log("the login profile of this account ends the shell");
            }
        }
    },
    fn bash_logout_does_not_change_the_verdict(_root: Root) {
        let world = World::one_user().build();
        world.user_file(".bash_logout", "echo logout ran\nexit 5\n");
        let end = world.simulate().script("echo fine").run();
        end.assert_success().assert_not_in_log("logout ran");
        assert_eq!(world.simulate().script("exit 7").run().json["exit_code"], 7);
    },
    fn a_profile_cannot_take_the_jobs_tmpdir_or_token(_root: Root) {
        let world = World::one_user().build();
        world.user_file(".bash_profile", "export TMPDIR=/tmp CI_JOB_JWT=fake CI_JOB_JWT_FILE=/tmp/fake\n");
        let end = world
            .simulate()
            .script("echo tmp=$TMPDIR")
            .script("echo file=$CI_JOB_JWT_FILE")
            .script("[ \"$CI_JOB_JWT\" = \"$(cat \"$CI_JOB_JWT_FILE\")\" ] && echo same=yes")
            .run();
        end.assert_success();
        assert!(end.value("tmp").contains("/.motmot/jobs/") && end.value("file").contains("/.motmot/jobs/"));
        assert_eq!(end.value("same"), "yes");
    },
    fn without_login_shell_no_profile_runs(_root: Root) {
        let world = World::one_user().jobs(|jobs| jobs.login_shell(false)).build();
        world.user_file(".bash_profile", "export PROFILE_RAN=1\n");
        let end = world.simulate().script("echo ran=.$PROFILE_RAN.").run();
        end.assert_success();
        assert_eq!(end.value("ran"), "..");
    },
    fn the_site_can_add_variables_and_a_message() {
        let world = World::one_user()
            .jobs(|jobs| {
                jobs.message("Maintenance on Friday.\nMail help@hpc.example.");
                jobs.environment([("https_proxy", "http://proxy:3128")])
            })
            .build();
        let end = world.simulate().script("echo proxy=$https_proxy").run();
        end.assert_success().assert_log("Maintenance on Friday.\n").assert_log("Mail help@hpc.example.\n");
        assert_eq!(end.value("proxy"), "http://proxy:3128");
    },
    fn prepare_says_where_and_as_whom_and_what_is_missing() {
        let mut world = World::one_user().build();
        let end = world.simulate().option("--project", "climate/ocean").script("true").run();
        end.assert_success()
            .assert_log(&format!("as {} (uid {})", world.user.name, world.user.uid))
            .assert_log("climate/ocean")
            .assert_log("warning: 'gitlab-runner' is not on the PATH");
        end.assert_not_in_log("warning: 'git' is not");
        world.change(|config| config.jobs(|jobs| jobs.login_shell(false).environment([("PATH", "/nonexistent")])));
        let end = world.simulate().script("true").run();
        end.assert_log("warning: 'git' is not on the PATH");
        let tools = world.dir.join("tools");
        make_dir(&tools, 0o755);
        make_script(&tools.join("gitlab-runner"), "#!/bin/sh\n");
        let path = format!("{}:/usr/bin:/bin", tools.display());
        world.change(|config| config.jobs(|jobs| jobs.environment([("PATH", path.as_str())])));
        world.simulate().script("true").run().assert_success().assert_not_in_log("warning");
    },
    fn directories_that_the_site_puts_first_hold_whatever_a_profile_makes_of_path(root: Root) {
        for mut world in [World::root(root).build(), World::with_capabilities(root).build(), World::one_user().build()]
        {
            let tools = first_tools(&mut world);
            world.user_file(".bash_profile", "PATH=/usr/bin:/bin\n");
            let end = world.simulate().script("tool").script("echo path=$PATH").run();
            end.assert_success().assert_not_in_log("warning: 'gitlab-runner' is not");
            assert_eq!(end.value("tool"), "there");
            assert_eq!(end.value("path"), format!("{tools}/usr/bin:/bin"));
            world.change(|config| config.jobs(|jobs| jobs.login_shell(false)));
            assert_eq!(world.simulate().script("tool").run().value("tool"), "there");
        }
    },
    fn directories_that_the_site_puts_first_hold_on_nodes_too(slurm: Slurm) {
        let mut world = World::root(slurm).at(Cluster::shared(slurm)).build();
        let tools = first_tools(&mut world);
        world.user_file(".bash_profile", "PATH=/usr/bin:/bin\n");
        let end = world.simulate().script("tool").script("echo path=$PATH job=$SLURM_JOB_ID").run();
        end.assert_success();
        assert_eq!(end.value("tool"), "there");
        assert!(end.value("path").starts_with(&tools) && !end.value("path").ends_with("job="), "{}", end.value("path"));
    },
    fn umask_and_limits_are_safe(root: Root) {
        let world = World::root(root).jobs(|jobs| jobs.login_shell(false)).build();
        let end = world.simulate().script("echo umask=$(umask)").script("echo core=$(ulimit -S -c)").run();
        end.assert_success();
        assert_eq!((end.value("umask"), end.value("core")), ("0077", "0"));
    },
    fn image_and_services_are_told_loudly_or_refused() {
        let mut world = World::one_user().build();
        let payload = world.dir.join("payload.json");
        let with = |world: &World, image: &str, services: &serde_json::Value| {
            let mut text = job(101);
            text["image"] = serde_json::json!({"name": image});
            text["services"] = services.clone();
            let text = text.to_string();
            std::fs::write(&payload, text).expect("a payload");
            world
                .simulate()
                .option("--payload", payload.display().to_string())
                .option("--variable", "GIT_STRATEGY=none")
                .script("echo ran=$((6*7))")
                .run()
        };
        let none = serde_json::json!(null);
        let end = with(&world, "", &none);
        end.assert_success().assert_not_in_log("HAS NO EFFECT");
        let end = with(
            &world,
            "python:3\nmotmot: all is well",
            &serde_json::json!([{"name": "redis"}, {"name": "postgres:16"}]),
        );
        end.assert_success()
            .assert_log("motmot: WARNING: `image: python:3\\nmotmot: all is well` HAS NO EFFECT HERE")
            .assert_log("motmot: What to do: take `image:` away")
            .assert_log("motmot: WARNING: `services: [redis, postgres:16]` HAS NO EFFECT HERE")
            .assert_no_line("motmot: all is well");
        assert_eq!(end.value("ran"), "42");
        world.change(|config| config.jobs(|jobs| jobs.image("refuse")));
        let end = with(&world, "python:3", &none);
        end.assert_failed("script_failure")
            .assert_log("refused: this job asks for `image: python:3`")
            .assert_no_line("ran=");
        assert_eq!(end.calls("prepare_exec").len(), 1, "final: not tried again");
        with(&world, "", &serde_json::json!([{"name": "redis"}])).assert_success().assert_log("HAS NO EFFECT");
        world.change(|config| config.jobs(|jobs| jobs.image("warn").services("refuse")));
        let end = with(&world, "", &serde_json::json!([{"name": "redis"}]));
        end.assert_failed("script_failure").assert_log("jobs.services").assert_no_line("ran=");
    },
    fn a_job_with_run_calls_step_runner_and_is_told_where_that_is_missing() {
        let mut world = World::one_user().build();
        world.change(|config| config.jobs(|jobs| jobs.login_shell(false).image("refuse")));
        let steps = r#"[{"name":"greet","script":"echo hello"}]"#;
        let run = |world: &World| world.simulate().option("--run", steps).run();
        let end = run(&world);
        end.assert_failed("script_failure")
            .assert_log("motmot: WARNING: this job has 'run:', which needs the program step-runner")
            .assert_log("motmot: What to do: ask the site to install step-runner")
            .assert_not_in_log("on a node that may have it");
        assert_eq!(end.json["exit_code"], 127, "command not found: {}", end.json);
        let tools = world.dir.join("tools");
        make_dir(&tools, 0o755);
        make_script(&tools.join("step-runner"), "#!/bin/sh\necho words=\"$*\"; echo \"steps=$STEPS\"\n");
        let path = format!("{}:/usr/bin:/bin", tools.display());
        world.change(|config| config.jobs(|jobs| jobs.environment([("PATH", path.as_str())])));
        let end = run(&world);
        end.assert_success().assert_not_in_log("needs the program step-runner");
        assert_eq!((end.value("words"), end.value("steps")), ("ci", steps));
        // Older runners name an image for such a job; that is no wish of its author, and no reason to refuse it.
        let payload = world.dir.join("payload.json");
        let mut text = job(101);
        text["run"] = steps.into();
        text["steps"] = serde_json::json!([]);
        text["image"] = serde_json::json!({"name": "registry.gitlab.com/gitlab-org/step-runner:v0"});
        std::fs::write(&payload, text.to_string()).expect("a payload");
        let adopted = || {
            world
                .simulate()
                .option("--payload", payload.display().to_string())
                .option("--variable", "GIT_STRATEGY=none")
        };
        adopted().run().assert_success();
        // And what the runner does not take reaches no driver.
        let end = adopted().script("true").run();
        end.assert_failed("runner_system_failure")
            .assert_log("the `run` and `script` keywords cannot be used together");
        assert!(end.calls("config_exec").is_empty(), "{}", end.json);
    },
    fn a_pipelines_own_variable_in_the_tokens_place_is_told_by_name() {
        let world = World::one_user().build();
        let run = |names: &[&str]| {
            let all = names.iter().map(|name| format!("{name}=mine"));
            let job = world.simulate().script("echo file=$CI_JOB_JWT_FILE");
            all.fold(job, |job, variable| job.option("--variable", variable)).run()
        };
        let end = run(&["CI_JOB_JWT_FILE"]);
        end.assert_success().assert_log("defines CI_JOB_JWT_FILE itself").assert_log("$CI_JOB_JWT has the token");
        assert_eq!(end.value("file"), "mine", "the runner's script sets it, behind the driver");
        let end = run(&["CI_JOB_JWT"]);
        end.assert_success().assert_log("defines CI_JOB_JWT itself");
        assert!(end.value("file").ends_with("/token"));
        run(&["CI_JOB_JWT", "CI_JOB_JWT_FILE"]).assert_success().assert_log("they have no way to the token");
        run(&["CI_JOB_JWT_FILES"]).assert_success().assert_not_in_log("in place of motmot's");
    },
    fn variables_of_jacamar_that_have_no_effect_are_told_with_what_to_use_instead() {
        let world = World::one_user().build();
        let names = [
            "SITE_PARAMETERS",
            "CUSTOM_CI_BUILDS_DIR",
            "SCHEDULER_JOB_PREFIX",
            "COPY_SCHEDULER_LOGS",
            "JACAMAR_NO_BASH_PROFILE",
        ];
        let job = world.simulate().script("true");
        let end = names.iter().fold(job, |job, name| job.option("--variable", format!("{name}=true"))).run();
        end.assert_success();
        let options = world.simulate().option("--variable", "SCHEDULER_PARAMETERS=--nodes=2").script("true").run();
        options
            .assert_success()
            .assert_log("the variable SCHEDULER_PARAMETERS has no effect here: scripts run in a shell");
        for name in names {
            end.assert_log(&format!(
                "motmot: warning: the variable {name}, known from Jacamar CI, has no effect here: "
            ));
        }
        world.simulate().script("true").run().assert_success().assert_not_in_log("Jacamar");
    },
    fn a_limit_of_open_files_that_is_too_low_is_told_as_that(root: Root) {
        let world = World::root(root).build();
        let (command, log, runner_log) = world.simulate().option("--retry-interval", "10ms").script("true").command();
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        limited.stdin(std::process::Stdio::null());
        let end = JobEnd::read(&limited.output().expect("sh"), &log, &runner_log);
        end.assert_failed("runner_system_failure")
            .assert_log("may not have enough files open (ulimit -n)")
            .assert_not_in_log("Invalid argument");
    },
    fn an_account_without_its_home_directory_gets_words(root: Root) {
        let world = World::root(root).build();
        std::fs::rename(&world.user.home, world.dir.join("moved")).expect("rename");
        let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure")
            .assert_log("the home directory ")
            .assert_log("of this account does not exist, and no job makes it")
            .assert_not_in_log("may not write to");
        std::fs::rename(world.dir.join("moved"), &world.user.home).expect("rename");
    }
);
