use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::*;

type Target = fn(&[u8]);

/// Those of `tests/fuzz/fuzz_targets`, and how many changed inputs each gets: for a second or two.
const TARGETS: [(&str, Target, usize); 4] =
    [("audit", audit, 300), ("id_token", id_token, 3000), ("payload", payload, 6000), ("rules", rules, 2500)];
/// What readers look for.
const SIGNS: [&[u8]; 16] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"null",
    b"0",
    b"-1",
    b"18446744073709551616",
    b"\\u0000",
    b"\xf0\x9f\x90\xa6",
    b"\xff",
    b"**",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

/// What is kept for a target, by its name. What cargo-fuzz has added there by itself has no ending.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let entries =
        fs::read_dir(folder("corpus").join(target)).expect("a corpus").map(|entry| entry.expect("an entry").path());
    let kept = entries.filter(|path| path.extension().is_some());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    kept.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
}

/// Numbers without any meaning, the same in each run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).expect("31 bits") % limit.max(1)
    }

    /// One change.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let (at, end) = (self.below(input.len() + 1), self.below(input.len() + 1));
        let (at, end) = (at.min(end), at.max(end));
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).expect("a byte"),
            2 => drop(input.drain(at..end.min(at + 16))),
            3 => drop(input.splice(at..at, input[at..end].to_vec())),
            4 => drop(input.splice(at..end.min(at + 4), other.iter().copied().skip(self.below(other.len())).take(40))),
            5 => input.truncate(end),
            // For what is made of numbers: all of them others.
            6 => input[at..].fill_with(|| u8::try_from(self.below(256)).expect("a byte")),
            _ => drop(input.splice(at..at, SIGNS[self.below(SIGNS.len())].iter().copied())),
        }
    }
}

fn run(name: &str, target: Target, made_of: &str, input: &[u8]) {
    let withstood = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
    assert!(withstood, "{name} fails for what was made of corpus/{name}/{made_of}: b\"{}\"", input.escape_ascii());
}

#[test]
fn what_is_kept_of_the_fuzz_targets_and_what_changes_make_of_it_is_withstood() {
    for (name, target, rounds) in TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() >= 4, "{name} has no corpus");
        for (file, input) in &corpus {
            run(name, target, file, input);
        }
        let (files, mut numbers) = (corpus.iter().collect::<Vec<_>>(), Numbers(1));
        for _ in 0..rounds {
            let (file, input) = files[numbers.below(files.len())];
            let (other, mut input) = (files[numbers.below(files.len())].1, input.clone());
            for _ in 0..=numbers.below(4) {
                numbers.change(&mut input, other);
            }
            run(name, target, file, &input);
        }
    }
}

#[test]
fn each_fuzz_target_of_cargo_fuzz_is_tried_here_as_well() {
    let listed = |folder: PathBuf| {
        let entries = fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
        let mut names: Vec<String> =
            entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let known = TARGETS.map(|(name, ..)| name);
    assert_eq!(listed(folder("fuzz_targets")), known);
    assert_eq!(listed(folder("corpus")), known);
    let manifest = fs::read_to_string(folder("Cargo.toml")).expect("a manifest");
    for name in known {
        let text = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).expect("a target");
        assert!(text.contains(&format!("motmot::probe::fuzz::{name}(bytes)")), "{text}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
