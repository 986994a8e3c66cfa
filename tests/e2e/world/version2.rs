//! Tests under a kernel of their own: user-mode Linux, a program of its own package. Its control groups are of version 2 alone,
//! as on most sites, whatever this machine has.

use std::fs;
use std::process::{Command, Stdio};

use super::UserModeLinux;
use super::files::{base, chmod};

const INIT: &str = include_str!("version2.bash");

/// Runs these tests of this program there, one after the other.
#[track_caller]
pub fn run(_: UserModeLinux, tests: &[&str]) {
    let own = std::env::current_exe().expect("this program");
    let init = base().join("version2");
    let quoted: Vec<String> = tests.iter().map(|word| format!("'{word}'")).collect();
    let words = format!("set -- '{}' {} --test-threads 1 --nocapture\n", own.display(), quoted.join(" "));
    let text = INIT.replace("set -u\n", &format!("set -u\n{words}"));
    fs::write(&init, text).expect("a script");
    chmod(&init, 0o755);
    let output = Command::new("timeout")
        .args(["1800", "linux.uml", "mem=2G", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "con=null"])
        .args(["con0=fd:0,fd:1", &format!("init={}", init.display())])
        .env("TMPDIR", "/dev/shm")
        .stdin(Stdio::null())
        .output()
        .expect("linux.uml");
    let said = String::from_utf8_lossy(&output.stdout);
    let good = said.lines().any(|line| line.trim_end() == "the program has ended with 0");
    assert!(good && said.contains(" passed; 0 failed"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in said.lines().filter(|line| line.contains("test result") || line.contains("another user's job")) {
        eprintln!("{}", line.trim_end());
    }
}
