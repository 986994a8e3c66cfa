//! A bug of ours is a failure of the site, whatever the language does about it.

use std::process::{Command, ExitCode};

use motmot::probe::{Panicking, panicking_stage};

use crate::world::cases;

cases!(
    fn a_panic_is_a_failure_of_the_site_and_no_other_exit_code() {
        for how in ["main", "thread"] {
            for (code, expected) in [("2", 2), ("20", 20)] {
                let own = std::env::current_exe().expect("this program");
                let output =
                    Command::new(own).env(ASK, how).env("SYSTEM_FAILURE_EXIT_CODE", code).output().expect("runs");
                assert_eq!(output.status.code(), Some(expected), "{how}");
                let words = String::from_utf8_lossy(&output.stderr);
                assert!(words.contains("bug in motmot") && !words.contains("secret"), "{words}");
            }
        }
    }
);

const ASK: &str = "MOTMOT_TEST_PANICS";

/// In a process of its own: a stage that panics, in its main thread or in another.
pub fn when_asked() -> Option<ExitCode> {
    let place = match std::env::var(ASK).ok()?.as_str() {
        "thread" => Panicking::OtherThread,
        _ => Panicking::MainThread,
    };
    Some(panicking_stage(place, "a secret in a panic"))
}
