//! Tests that need a process of their own: what they do concerns the whole process, and other tests run in this one.

use std::process::Command;

const ALONE: &str = "MOTMOT_TEST_ALONE";

/// Runs `test`, the body of the test called `name` in `module` (its `module_path!()`), in a process of its own.
///
/// For whatever changes the credentials of all threads, ends or collects all children, or blocks signals.
pub fn alone(module: &str, name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let own = std::env::current_exe().expect("this program");
    let name = format!("{}::{name}", module.split_once("::").expect("a module").1);
    let output = Command::new(own).args(["--exact", &name]).env(ALONE, "1").output().expect("a test alone");
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}
