//! The audit log, where its disk is full, was full, or lies open.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::check::{check, finish};
use crate::world::{JobEnd, World, cases, make_dir};

cases!(
    fn a_record_that_a_full_disk_does_not_take_is_told_in_the_jobs_log_and_check_says_that_it_is_full(root: Root) {
        let world = World::root(root).build();
        let simulate = world.simulate().script("echo ran=yes");
        let (command, log, runner_log) = simulate.command();
        let output = on_a_full_disk(&world, &command).output().expect("motmot simulate");
        let end = JobEnd::read(&output, &log, &runner_log);
        end.assert_success().assert_log("ran=yes");
        let file = world.audit_file().display().to_string();
        let told = |text: &str| text.matches(&format!("warning: the audit log {file} cannot be written")).count();
        // Once in each stage: config, and a script for each token.
        assert!(told(&end.log) >= 2 && told(&end.log) < 10, "{}", end.log);
        assert_eq!(told(&end.runner_log), 1, "{}", end.runner_log);
        let check = on_a_full_disk(&world, &Command::new(world.bins.join("motmot")));
        finish(check, &world.config_file(), &["--offline"]).says(&["warning  log", &file, "has 0 KiB left"]);
    },
    fn half_a_line_of_a_disk_that_was_full_spoils_no_record_behind_it() {
        let world = World::one_user().build();
        world.simulate().script("true").run().assert_success();
        let before = fs::read(world.audit_file()).expect("a log");
        fs::write(world.audit_file(), &before[..before.len() - 20]).expect("cut");
        world.simulate().script("true").run().assert_success();
        let text = fs::read_to_string(world.audit_file()).expect("a log");
        let (good, bad): (Vec<_>, Vec<_>) = text.lines().partition(|line| serde_json::from_str::<Value>(line).is_ok());
        let lines = String::from_utf8_lossy(&before).lines().count();
        assert_eq!((good.len(), bad.len()), (2 * lines - 1, 1), "{text}");
    },
    fn check_refuses_a_directory_for_the_log_that_every_stage_refuses_also_before_there_is_a_log(root: Root) {
        let mut world = World::root(root).build();
        let open = world.dir.join("open");
        make_dir(&open, 0o777);
        for file in [open.join("audit.log"), open.join("new/audit.log")] {
            world.change(|config| config.log(&file));
            let why = format!("{}: is a directory with mode 0777", open.display());
            check(&world).is_good(false).says(&["PROBLEM  log: ", &why]).does_not_say("chmod");
            let end = world.simulate().script("true").run();
            end.assert_success().assert_log("warning: the audit log ").assert_log(&why);
            assert!(!file.exists());
            if file.starts_with(open.join("new")) {
                // The stage has made it, and then seen where it is.
                check(&world).is_good(false).says(&["PROBLEM  log: ", &why]);
            }
        }
    }
);

/// The same command where nothing can be written beside the audit log.
fn on_a_full_disk(world: &World, command: &Command) -> Command {
    const MOUNT: &str = "mount -t tmpfs -o size=16k,mode=755 none \"$1\" && ! cat /dev/zero 2>/dev/null > \"$1/full\" && shift && exec \"$@\"";
    let mut full = Command::new("unshare");
    full.args(["--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"]).arg(world.dir.join("audit"));
    full.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    full
}
