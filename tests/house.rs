//! The rules of the house, as far as they can be read from the files: who imports whom, no circle, no file too long, no
//! word of one scheduler in rooms that are there for all, unsafe code in one room, and that attacks name tests that exist.
//!
//! The table of who may import whom stands in `src/lib.rs`, where people look for it.

#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const LONGEST: usize = 500;

/// Crates below `src` that import nothing of ours, so that no arrow of theirs has to be looked at.
const CRATES: [&str; 2] = ["emulator", "jose"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All source files with their texts, by their paths below `src`.
fn files() -> BTreeMap<String, String> {
    fn collect(dir: &Path, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(src()).unwrap().to_str().unwrap().to_owned();
                into.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(&src(), &mut all);
    assert!(all.len() > 80, "these are not all files: {}", all.len());
    all
}

/// Those of the one package that has rooms.
fn rooms_files() -> BTreeMap<String, String> {
    let of_a_crate = |name: &str| CRATES.iter().any(|room| name.starts_with(&format!("{room}/")));
    files().into_iter().filter(|(name, _)| !of_a_crate(name) && !name.starts_with("bin/")).collect()
}

/// `a/b.rs`, `a/b/mod.rs` -> `["a", "b"]`
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// A text without comments, so that a link in one is no import.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// A file in pieces: each inline module has a `super` of its own. The first piece is the file's own.
fn pieces(text: &str) -> Vec<(Option<String>, String)> {
    let mut pieces = vec![(None, String::new())];
    let mut inside = false;
    for line in text.lines() {
        let name = line.strip_suffix(" {").and_then(|line| line.trim_start_matches("pub(crate) ").strip_prefix("mod "));
        if let Some(name) = name {
            pieces.push((Some(name.to_owned()), String::new()));
            inside = true;
        } else if inside && line == "}" {
            inside = false;
        }
        let at = if inside { pieces.len() - 1 } else { 0 };
        pieces[at].1 += line;
        pieces[at].1.push('\n');
    }
    pieces
}

/// All paths in a piece of code, with what stands in braces multiplied out.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let word = |at: usize| {
        let end = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(code.len(), |length| at + length);
        &code[at..end]
    };
    let mut at = 0;
    while at < bytes.len() {
        let begins = (bytes[at].is_ascii_alphabetic() || bytes[at] == b'_')
            && (at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || b"_:'".contains(&bytes[at - 1])));
        at = if begins { follow(code, at, &word, Vec::new(), &mut found) } else { at + word(at).len().max(1) };
        while at < bytes.len() && !code.is_char_boundary(at) {
            at += 1;
        }
    }
    found
}

/// Follows one path from one of its words on; returns where it ends.
fn follow<'c>(
    code: &'c str,
    mut at: usize,
    word: &dyn Fn(usize) -> &'c str,
    mut path: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    loop {
        let name = word(at);
        at += name.len();
        path.push(name.to_owned());
        if !code[at..].starts_with("::") {
            break;
        }
        at += 2;
        if code[at..].starts_with('{') {
            at += 1;
            loop {
                at += code[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
                if code[at..].starts_with('}') || at >= code.len() {
                    return at + 1;
                }
                if word(at).is_empty() {
                    at += 1;
                } else if word(at) == "as" {
                    at += "as ".len();
                    at += word(at).len();
                } else {
                    at = follow(code, at, word, path.clone(), found);
                }
            }
        }
        if word(at).is_empty() {
            break;
        }
    }
    if path.len() > 1 {
        found.push(path);
    }
    at
}

/// Whether code of a test may be the reason of an arrow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    With,
    Without,
}

/// Which file imports which, and the first path that says so.
fn arrows(files: &BTreeMap<String, String>, tests: Tests) -> BTreeMap<(String, String), String> {
    let by_module: BTreeMap<Vec<String>, &String> = files.keys().map(|file| (module(file), file)).collect();
    let mut arrows = BTreeMap::new();
    for (file, text) in files {
        let own = module(file);
        for (inline, piece) in pieces(&code(text)) {
            let is_test = inline.as_deref() == Some("tests") || file.ends_with("/tests.rs");
            if is_test && tests == Tests::Without {
                continue;
            }
            let mut base = own.clone();
            base.extend(inline);
            for path in paths(&piece) {
                let mut full = match path[0].as_str() {
                    "crate" => Vec::new(),
                    "self" | "super" => base.clone(),
                    // A child's name: `use reader::Section`.
                    child => {
                        let mut child_path = base.clone();
                        child_path.push(child.to_owned());
                        if !by_module.contains_key(&child_path) {
                            continue;
                        }
                        base.clone()
                    }
                };
                for name in &path {
                    match name.as_str() {
                        "crate" | "self" => {}
                        "super" => drop(full.pop()),
                        name => full.push(name.to_owned()),
                    }
                }
                // The longest beginning that is a file.
                let target = (1..=full.len()).rev().find_map(|length| by_module.get(&full[..length]));
                if let Some(target) = target.filter(|target| **target != file) {
                    arrows.entry((file.clone(), (**target).clone())).or_insert_with(|| path.join("::"));
                }
            }
        }
    }
    arrows
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The table in lib.rs: each room with those that it imports, from the ground up.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(src().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `")?.strip_suffix(" |"));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
        let (name, imports) = (cells.next().unwrap(), cells.next_back().unwrap());
        (name.to_owned(), imports.split(", ").filter(|name| *name != "nothing").map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn the_table_in_lib_rs_is_true_and_every_arrow_in_it_points_down() {
    let table = table();
    assert!(table.len() > 10, "the table was not found: {table:?}");
    let mut below = BTreeSet::new();
    for (name, imports) in &table {
        let up: Vec<_> = imports.difference(&below).collect();
        assert!(up.is_empty(), "{name} is to import {up:?}, which stand above it or nowhere");
        below.insert(name.clone());
    }
    let files = rooms_files();
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for ((from, to), path) in arrows(&files, Tests::With) {
        let (room_from, room_to) = (room(&from).to_owned(), room(&to).to_owned());
        if room_from != room_to && room_from != "lib" && room_to != "lib" {
            found.entry(room_from).or_default().entry(room_to).or_insert(format!("{from}: {path}"));
        }
    }
    for file in files.keys().filter(|file| *file != "lib.rs") {
        assert!(below.contains(room(file)), "src/{file} is in no room of the table in src/lib.rs");
    }
    for (name, imports) in &table {
        let none = BTreeMap::new();
        let real = found.get(name).unwrap_or(&none);
        for (target, place) in real {
            assert!(imports.contains(target), "{name} must not import {target}: {place} (the table is in src/lib.rs)");
        }
        for target in imports {
            assert!(real.contains_key(target), "{name} does not import {target}, but src/lib.rs says so");
        }
    }
}

#[test]
fn no_two_files_import_each_other_nor_any_more_of_them_in_a_circle() {
    let mut next: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for ((from, to), path) in arrows(&rooms_files(), Tests::Without) {
        // The first page of a folder holds its children: what it takes from them, or passes on of theirs, is no circle.
        let holds = from.strip_suffix("mod.rs").is_some_and(|folder| to.starts_with(folder))
            || to.starts_with(&format!("{}/", from.trim_end_matches(".rs")));
        if !holds && from != "lib.rs" && to != "lib.rs" {
            next.entry(from).or_default().insert(to, path);
        }
    }
    // What imports nobody that is left cannot be in a circle, nor what nobody imports.
    loop {
        let alive: BTreeSet<String> = next.keys().cloned().collect();
        for targets in next.values_mut() {
            targets.retain(|target, _| alive.contains(target));
        }
        let wanted: BTreeSet<String> = next.values().flat_map(BTreeMap::keys).cloned().collect();
        let before = next.len();
        next.retain(|file, targets| !targets.is_empty() && wanted.contains(file));
        if next.len() == before {
            break;
        }
    }
    assert!(next.is_empty(), "these files import each other, directly or through others of them:\n{next:#?}");
}

#[test]
fn no_file_is_longer_than_one_can_keep_in_mind() {
    let long: Vec<_> = files()
        .into_iter()
        .map(|(name, text)| (text.lines().count(), name))
        .filter(|(lines, _)| *lines > LONGEST)
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:?}");
}

/// Files beside the scheduler's own folder whose code may speak of it, and why.
const NAME_A_SCHEDULER: [(&str, &str); 6] = [
    ("scheduler/mod.rs", "has its folder"),
    ("scheduler/known.rs", "is the list"),
    ("report/events.rs", "a field of the audit log, which dashboards read"),
    ("admin/audit/wanted.rs", "the same field, as the log has it"),
    ("stage/ends.rs", "fills that field"),
    ("admin/man/words.rs", "pages for people"),
];

#[test]
fn no_word_of_one_scheduler_is_in_rooms_that_are_there_for_all_of_them() {
    let mut needed = BTreeSet::new();
    for (file, text) in rooms_files() {
        if file.starts_with("scheduler/slurm/") || file.contains("/tests") {
            continue;
        }
        let own: String = pieces(&code(&text))
            .into_iter()
            .filter(|(name, _)| name.as_deref() != Some("tests"))
            .map(|(_, own)| own)
            .collect();
        let lower = own.to_lowercase();
        if let Some(word) =
            ["slurm", "sbatch", "scontrol", "squeue", "scancel"].iter().find(|word| lower.contains(*word))
        {
            let allowed = NAME_A_SCHEDULER.iter().any(|(name, _)| *name == file);
            assert!(allowed, "src/{file} says {word:?}; what is one scheduler's belongs into its folder");
            needed.insert(file);
        }
    }
    for (file, why) in NAME_A_SCHEDULER {
        assert!(needed.contains(file), "src/{file} ({why}) names no scheduler any more: strike it from the list");
    }
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    for (name, text) in files() {
        let unsafe_code = code(&text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        assert!(!unsafe_code || name.starts_with("sys/"), "src/{name} has unsafe code");
    }
}

/// All texts below a folder whose names end like this.
fn texts(folder: &Path, ending: &str) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &texts(&path, ending);
        } else if path.to_str().unwrap().ends_with(ending) {
            all += &fs::read_to_string(&path).unwrap();
        }
    }
    all
}

#[test]
fn every_attack_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("packaging/doc/attacks.md")).unwrap();
    let tests = texts(&root.join("src"), ".rs") + &texts(&root.join("tests"), ".rs");
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack")) {
        let (_, names) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        for name in names.split(", ") {
            let name =
                name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or_else(|| panic!("{row}"));
            let there = tests.contains(&format!("fn {name}(")) || tests.contains(&format!("\"{name}\""));
            assert!(there, "packaging/doc/attacks.md names a test that is not there: {name}");
        }
        rows += 1;
    }
    assert!(rows > 40, "these are not all rows: {rows}");
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let found = |code: &str| {
        let mut found: Vec<String> = paths(code).into_iter().map(|path| path.join("::")).collect();
        found.sort();
        found
    };
    assert_eq!(
        found("use crate::a::{B, c::{D, self}, e as f};"),
        ["crate::a::B", "crate::a::c::D", "crate::a::c::self", "crate::a::e"]
    );
    assert_eq!(found("let x = super::y::z(crate::q::R);"), ["crate::q::R", "super::y::z"]);
    assert_eq!(found("use super::*;"), Vec::<String>::new());
    let tests = "use super::a::B;\nmod tests {\n    use super::c::D;\n}\n";
    let files = BTreeMap::from([("r/x.rs", tests), ("r/a.rs", ""), ("r/c.rs", ""), ("r/mod.rs", "")]);
    let files = files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let arrows: Vec<_> = arrows(&files, Tests::With).into_keys().map(|(from, to)| format!("{from} {to}")).collect();
    assert_eq!(arrows, ["r/x.rs r/a.rs"], "super of an inline module is the file itself");
}
