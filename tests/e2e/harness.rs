//! The tests' own command line.

use std::process::Command;

use crate::world::cases;

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
    }
);
