//! What must not compile: every way around a type that proves something.
//!
//! Each file of `tests/doors` is a few lines that somebody could write by mistake in a stage: an account that policy has not
//! seen, a token of facts that nobody vouches for. The compiler must refuse each of them, for the reason and at the line
//! that the file itself names (`//~ E0451`: `rustc --explain E0451`). It is compiled where it would stand, as a module of
//! `src/stage`, since from outside of the crate these names cannot even be spelled. Those of `tests/doors/e2e` are end-to-end
//! tests, and so are modules of `tests/e2e`.
//!
//! To add a door: a file with one attempt in it, named after what it attempts, with `//~` behind the line that must not
//! compile. Run `cargo test --test doors`; then open the door by hand once and see the test fail.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may panic, and says why it did nothing

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Line and code of each error of one file.
type Errors = BTreeSet<(usize, String)>;

/// A place where attempts are compiled.
struct Room {
    /// Where they are kept.
    attempts: &'static str,
    /// The file whose modules they become.
    parent: &'static str,
    /// Where they are put for that.
    modules: &'static str,
    /// What cargo is told to build.
    cargo: &'static [&'static str],
}

const STAGE: Room = Room {
    attempts: "tests/doors",
    parent: "src/stage/mod.rs",
    modules: "src/stage/doors",
    cargo: &["build", "--lib"],
};

const CASES: Room = Room {
    attempts: "tests/doors/e2e",
    parent: "tests/e2e/main.rs",
    modules: "tests/e2e/doors",
    cargo: &["test", "--no-run", "--test", "e2e"],
};

/// The attempts, by their names, with what the compiler must say of each.
fn attempts(room: &Room) -> BTreeMap<String, Errors> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(room.attempts);
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let marked = text.lines().enumerate().filter_map(|(number, line)| {
            let (_, code) = line.split_once("//~ ")?;
            Some((number + 1, code.trim().to_owned()))
        });
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let marked: Errors = marked.collect();
        assert!(!marked.is_empty(), "{name} does not say what the compiler must refuse in it");
        all.insert(name, marked);
    }
    all
}

/// A copy of the crate, in which modules can be added. It has one place, so that what it is built from is built once.
fn copy_of_the_crate(room: &Room) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.ends_with("fuzz/target") {
                // What cargo-fuzz has built there.
            } else if from.is_dir() {
                copy(&from, &to);
            } else {
                fs::copy(&from, &to).unwrap();
                // As old as the original: cargo builds a crate anew whose files are new.
                fs::File::open(&to).unwrap().set_modified(entry.metadata().unwrap().modified().unwrap()).unwrap();
            }
        }
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    for entry in fs::read_dir(here).unwrap() {
        let entry = entry.unwrap();
        match entry.file_name().to_str().unwrap() {
            name @ ("src" | "tests") => copy(&entry.path(), &dir.join(name)),
            "target" | ".git" => {}
            name => symlink(entry.path(), dir.join(name)).unwrap(),
        }
    }
    fs::create_dir(dir.join(room.modules)).unwrap();
    let parent = dir.join(room.parent);
    let text = fs::read_to_string(&parent).unwrap() + "\nmod doors;\n";
    fs::write(parent, text).unwrap();
    dir
}

/// Compiles the copy with these attempts in it. Says what the compiler refused, by attempt.
fn compile<'n>(room: &Room, crate_dir: &Path, names: impl Iterator<Item = &'n String>) -> BTreeMap<String, Errors> {
    let doors = crate_dir.join(room.modules);
    let mut list = String::new();
    for name in names {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join(room.attempts).join(format!("{name}.rs"));
        fs::copy(original, doors.join(format!("{name}.rs"))).unwrap();
        list.extend(["mod ", name, ";\n"]);
    }
    fs::write(doors.join("mod.rs"), list).unwrap();
    // target/debug/deps/doors-0123: the crates that ours is built from lie beside this program.
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    cargo.args(room.cargo).args(["--locked", "--offline", "--message-format=json", "--target-dir"]).arg(target);
    // What cargo tells this test about its own package is not for the other's build.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if name.to_str().is_some_and(|name| own.iter().any(|prefix| name.starts_with(prefix))) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.current_dir(crate_dir).stderr(Stdio::piped()).output().unwrap();
    let mut refused: BTreeMap<String, Errors> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let code = message["code"]["code"].as_str().unwrap_or("none");
        // More than one for the private fields of one literal; none where the compiler only counts its errors.
        for span in message["spans"].as_array().unwrap().iter().filter(|span| span["is_primary"] == true) {
            let file = span["file_name"].as_str().unwrap();
            let name = file.strip_prefix(room.modules).and_then(|name| name.strip_prefix('/')?.strip_suffix(".rs"));
            let name = name.unwrap_or_else(|| panic!("the crate itself does not compile: {}", message["rendered"]));
            let line = usize::try_from(span["line_start"].as_u64().unwrap()).unwrap();
            refused.entry(name.to_owned()).or_default().insert((line, code.to_owned()));
        }
    }
    let words = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.success(), !refused.is_empty(), "cargo could not even begin:\n{words}");
    refused
}

/// What of the attempts in a room the compiler does not refuse as it must.
fn open_doors(room: &Room, least: usize) -> Vec<String> {
    let mut left = attempts(room);
    assert!(left.len() >= least, "these are not all: {left:?}");
    // Another run of this test in the same build directory waits.
    let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors.lock")).unwrap();
    lock.lock().unwrap();
    let crate_dir = copy_of_the_crate(room);
    let mut wrong = Vec::new();
    // The compiler gives up after the first of its passes that finds something, and each attempt is for one of them.
    while !left.is_empty() {
        let refused = compile(room, &crate_dir, left.keys());
        if refused.is_empty() {
            wrong.extend(left.keys().map(|name| format!("{name}: compiles")));
            break;
        }
        for (name, errors) in refused {
            let expected = left.remove(&name).unwrap();
            if errors != expected {
                wrong.push(format!("{name}: must be refused with {expected:?}, but the compiler says {errors:?}"));
            }
        }
    }
    wrong
}

#[test]
fn no_step_from_the_evidence_to_the_worker_can_be_skipped_and_no_test_needs_root_without_saying_so() {
    if std::env::var_os("CARGO").is_none() {
        println!("not run by cargo, so nothing can be compiled");
        return;
    }
    // One after the other: both are compiled at the same place.
    let wrong = [open_doors(&STAGE, 20), open_doors(&CASES, 4)].concat();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
