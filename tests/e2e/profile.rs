//! What a login profile leaves to a job: functions, aliases, options. And what it cannot do to it: decide over its result,
//! take its token, keep it from being ended.

use nix::sys::signal::Signal;

use crate::world::stage::Stage;
use crate::world::{Cluster, ModuleSystems, Single, World, cases, chown, until};

/// What a person finds after logging in, and nothing of it is exported.
const RICH: &str = "hello() { echo \"hello=$1\"; }\nshopt -s expand_aliases extglob nullglob\nalias hi='hello alias'\n\
                    declare -A colour=([sky]=blue)\nset -o pipefail\nplain=yes\n";

cases!(
    fn functions_aliases_options_and_variables_of_a_profile_are_there(_root: Root) {
        let world = World::one_user().build();
        world.user_file(".bash_profile", RICH);
        rich(&world);
    },
    fn functions_aliases_options_and_variables_of_a_profile_are_there_on_a_node(slurm: Slurm) {
        let world = World::root(slurm).at(Cluster::shared(slurm)).build();
        world.user_file(".bash_profile", RICH);
        world.user_file(".bash_logout", "echo logout ran\nexit 5\n");
        rich(&world);
    },
    fn lmod_and_environment_modules_work_as_after_logging_in(modules: ModuleSystems) {
        for profile in ModuleSystems::PROFILES {
            // As the site has it, and where the function is not exported, nor a BASH_ENV that would define it anew.
            for more in ["", "export -nf module ml 2>/dev/null\nunset BASH_ENV\n"] {
                let world = World::root(modules).build();
                world.user_file(".bash_profile", &format!(". {profile}\n{more}"));
                let dir = world.user.home.join("modulefiles");
                std::fs::create_dir_all(dir.join("solver")).expect("mkdir");
                let text = "#%Module1.0\nsetenv SOLVER there\nprepend-path PATH /opt/solver/bin\n";
                std::fs::write(dir.join("solver/2.1"), text).expect("a module");
                chown(&dir, world.user.uid, world.user.gid);
                let end = world
                    .simulate()
                    .script("module use \"$HOME/modulefiles\"")
                    .script("module load solver/2.1")
                    .script("echo solver=$SOLVER")
                    .script("echo path=$PATH")
                    .script("echo list=$(module -t list 2>&1 | grep solver)")
                    .script("ml purge; echo purged=.$SOLVER.")
                    .run();
                end.assert_success();
                assert_eq!(
                    (end.value("solver"), end.value("list"), end.value("purged")),
                    ("there", "solver/2.1", "..")
                );
                assert!(end.value("path").starts_with("/opt/solver/bin:"), "{}", end.value("path"));
            }
        }
    },
    fn options_that_would_break_or_betray_a_script_and_traps_stay_in_the_profile(_root: Root) {
        let world = World::one_user().build();
        let traps = "trap 'echo debug-trap' DEBUG\ntrap 'echo exit-trap; exit 0' EXIT\ntrap '' TERM USR1\nset -T -E\n";
        let profile = format!("set -o noclobber\nshopt -s nocasematch extdebug\n{traps}set -euxv\n");
        world.user_file(".bash_profile", &profile);
        let single = Single::new(&world, 3);
        let script = single.script(
            "echo unset=.$NOT_SET_AT_ALL.\ncase A in a) echo same=yes ;; esac\ntrap -p USR1\nperl -e 'print \"usr1=\", $SIG{USR1} // q(default), qq(\\n)'",
        );
        let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "unset=..\nsame=yes\nusr1=default\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is traced, no trap has spoken");
        let end = Stage::run(&world, &single, "exit 7").end();
        end.assert_job(7);
    },
    fn nothing_that_a_profile_names_like_a_command_of_the_shell_decides_over_a_job(_root: Root) {
        for profile in [
            "exit() { builtin exit 0; }\n",
            "exit() { :; }\nset() { :; }\ntrap() { :; }\n",
            "eval() { :; }\nexec() { :; }\nexport() { :; }\nunset() { :; }\n",
            "builtin() { :; }\ncommand() { :; }\n",
            "builtin() { command builtin \"$@\"; }\nunset() { command unset \"$@\"; }\nexit() { command exit 0; }\n",
            "printf() { :; }\nread() { :; }\nshopt() { :; }\necho() { :; }\n[() { return 0; }\ntest() { return 0; }\n",
            "shopt -s expand_aliases\nalias exit='true' set='true' eval='true' trap='true' unset='true' '[=false'\n",
            "shopt -s expand_aliases\nalias case='true' if='true' builtin='true'\n",
            "readonly -f exit 2>/dev/null\nreadonly motmot_script=true motmot_status=0 motmot_rest=true\n",
            "readonly TMPDIR=/tmp CI_JOB_JWT=forged\n",
            "enable -n exit eval trap\n",
            "set -o posix\n",
            "set -r\n",
            "set -k; set -B; set -h\nIFS=ab\n",
            "umask 077; cd /; exec >/dev/null 2>&1 </dev/null\n",
            "exec 40<&- 41>&- 42>&- 43>&-\n",
            "trap 'kill -9 $$' EXIT; (sleep 1000 &)\n",
            "motmot_status=0; motmot_terminated=yes\n",
        ] {
            let world = World::one_user().build();
            world.user_file(".bash_profile", profile);
            let single = Single::new(&world, 5);
            let body =
                "touch \"$HOME/ran\"; /bin/test \"$CI_JOB_JWT\" = \"$(cat \"$CI_JOB_JWT_FILE\")\" || exit 9; exit 7";
            let end = Stage::run(&world, &single, body).end();
            assert_eq!((end.code, end.script.as_deref()), (1, Some("7")), "{profile}: {}", end.log);
            assert!(world.user.home.join("ran").exists(), "{profile}");
            single.clean_up();
        }
    },
    fn a_script_is_not_begun_for_a_job_that_is_ended_while_its_profile_runs(_root: Root) {
        let world = World::one_user().build();
        world.user_file(".bash_profile", "touch \"$HOME/logging-in\"\nsleep 1000\n");
        let single = Single::new(&world, 5);
        let stage = Stage::run(&world, &single, "touch \"$HOME/begun\"; sleep 1000");
        until("the profile runs", || world.user.home.join("logging-in").exists());
        stage.signal(Signal::SIGTERM);
        let end = stage.end();
        assert_ne!(end.code, 0, "{}", end.log);
        assert!(!world.user.home.join("begun").exists(), "{}", end.log);
    },
    fn the_shell_of_a_job_shows_what_it_runs_to_nobody(_root: Root) {
        let world = World::one_user().build();
        let end = world.simulate().script("ps -o args= -p $$ | sed 's/^/args=/'").run();
        end.assert_success();
        let args = end.value("args");
        assert!(args.starts_with("/bin/bash -l -c ") && args.len() < 100, "{args}");
    }
);

#[track_caller]
fn rich(world: &World) {
    let end = world
        .simulate()
        .script("hello function")
        .script("echo sky=${colour[sky]} plain=$plain")
        .script("echo none=.$(echo /nonexistent/*).")
        .script("case abab in +(ab)) echo glob=extended ;; esac")
        .script("echo alias=$(hi)")
        .script("echo pipe=$(false | true && echo fine || echo failed)")
        .script("exit 7")
        .run();
    end.assert_failed("script_failure").assert_not_in_log("logout ran");
    assert_eq!(end.json["exit_code"], 7);
    assert_eq!((end.value("hello"), end.value("sky")), ("function", "blue plain=yes"));
    assert_eq!((end.value("none"), end.value("glob"), end.value("pipe")), ("..", "extended", "failed"));
    assert_eq!(end.value("alias"), "hello=alias");
}
