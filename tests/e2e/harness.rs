//! The tests' own command line.

use std::path::Path;
use std::process::Command;

use crate::world::{cases, chmod, copy_program, is_root};

cases!(
    fn several_filters_run_what_matches_any_of_them() {
        let list = |args: &[&str]| {
            let own = std::env::current_exe().expect("this program");
            let output = Command::new(own).arg("--list").args(args).output().expect("a list");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let mut names: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
            names.sort();
            names
        };
        let (reap, panic, all) = (list(&["reap::"]), list(&["panic::"]), list(&[]));
        assert!(!reap.is_empty() && !panic.is_empty() && all.len() > 200);
        let both: Vec<String> =
            all.iter().filter(|name| reap.contains(name) || panic.contains(name)).cloned().collect();
        assert_eq!(list(&["reap::", "panic::"]), both);
        assert_eq!(list(&["--test-threads", "2", "reap::", "--color=never", "panic::"]), both);
        assert_eq!(list(&["reap::", "panic::", "--skip", "panic::"]), reap);
        let whole = panic[0].split(':').next().map(|_| panic[0].trim_end_matches(": test")).expect("a name");
        assert_eq!(list(&["--exact", "reap", whole]), panic[..1], "half a name is none");
        assert_eq!(list(&["no-such-test", "nor-this"]), Vec::<String>::new());
    },
    fn what_is_skipped_is_told_by_name_and_nothing_else() {
        // As somebody who is not root, so that what needs root is skipped.
        let dir = tempfile::tempdir().expect("a directory");
        chmod(dir.path(), 0o777);
        let (program, file) = (dir.path().join("e2e"), dir.path().join("skipped"));
        copy_program(&std::env::current_exe().expect("this program"), &program, 0o755);
        let run = |args: &[&str], file: Option<&Path>| {
            let mut command = if is_root() {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
                command
            } else {
                Command::new(&program)
            };
            command.args(args).env_remove("MOTMOT_TESTS_SKIPPED");
            command.envs(file.map(|file| ("MOTMOT_TESTS_SKIPPED", file)));
            let output = command.output().expect("this program");
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{words}");
            words
        };
        let one = "munge_that_does_not_answer";
        let words = run(&[one], None);
        let lines: Vec<&str> = words.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].starts_with("1 test needs Slurm and is skipped (missing: root"),
            "{words}"
        );
        assert!(lines[1].starts_with("  check::slurm::munge_that_does_not_answer"), "{words}");
        assert_eq!(run(&[one, "--skip", "check::slurm"], None), "");
        assert_eq!(run(&[one], Some(&file)), "", "tests/run.sh shows it, behind all other tests");
        assert_eq!(std::fs::read_to_string(file).expect("the file"), words);
    }
);
