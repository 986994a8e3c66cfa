//! Programs that tests make.
//!
//! What is open for writing in any process cannot be executed (ETXTBSY of execve(2)). A test that writes a program and
//! executes it can be hit by a neighbour: another thread forks while the file is open, and its child holds the descriptor
//! until it executes something itself. So this process never opens a program for writing: a child of it does, which nobody
//! forks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::make_dir;

/// A copy of a program, in a file of its own.
#[track_caller]
pub fn copy_program(from: &Path, to: &Path, mode: u32) {
    let mut install = Command::new("install");
    install.arg("-m").arg(format!("{mode:o}")).arg("--").args([from, to]);
    let output = install.output().expect("install");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A script that everybody may execute.
#[track_caller]
pub fn make_script(path: &Path, text: &str) {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    fs::write(&draft, text).expect("a draft");
    copy_program(&draft, path, 0o755);
    fs::remove_file(&draft).expect("the draft goes");
}

/// The programs of this project.
pub const PROGRAMS: [&str; 6] =
    ["motmot", "motmot-config", "motmot-prepare", "motmot-run", "motmot-cleanup", "motmot-worker"];

/// Copies of all of them in a new directory.
pub fn copy_programs(to: &Path) {
    make_dir(to, 0o755);
    let from = Path::new(env!("CARGO_BIN_EXE_motmot")).parent().expect("a directory");
    for program in PROGRAMS {
        let mode = if program == "motmot-worker" { 0o711 } else { 0o755 };
        copy_program(&from.join(program), &to.join(program), mode);
    }
}
