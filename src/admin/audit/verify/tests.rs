use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::report::audit::head_of;

/// A log of so many lines, as the stages write it, without its head.
fn log(lines: u64) -> Vec<String> {
    let (mut all, mut prev) = (Vec::new(), nothing_before());
    for seq in 1..=lines {
        let note = if seq == 1 { ",\"chain\":\"start\"" } else { "" };
        let line = format!("{{\"timestamp\":\"t\",\"event\":\"e\",\"seq\":{seq},\"prev\":\"{prev}\"{note}}}");
        prev = hash(line.as_bytes());
        all.push(line);
    }
    all
}

/// What is said of files with these lines; `head` is the number of the line that the head has, as it was in a whole log.
fn said(files: &[&[String]], head: Option<u64>) -> (bool, String) {
    let dir = tempfile::tempdir().expect("dir");
    let named: Vec<PathBuf> = (0..files.len()).map(|number| dir.path().join(format!("f{number}"))).collect();
    for (path, lines) in named.iter().zip(files) {
        fs::write(path, lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>()).expect("write");
    }
    if let (Some(seq), Some(last)) = (head, named.last()) {
        let line = &log(seq)[usize::try_from(seq).expect("a number") - 1];
        let text = format!("{{\"seq\":{seq},\"hash\":\"{}\",\"dev\":0,\"ino\":0,\"len\":0}}", hash(line.as_bytes()));
        fs::write(head_of(last), format!("{text:<255}\n")).expect("head");
    }
    // In any order.
    let turned: Vec<PathBuf> = named.iter().rev().cloned().collect();
    let mut out = Vec::new();
    let whole = verify(&LogFiles::find(&turned, Path::new("/nonexistent")).expect("files"), &mut out).expect("read");
    let text = String::from_utf8(out).expect("UTF-8");
    (whole, text.replace(&format!("{}/", dir.path().display()), ""))
}

fn found(lines: &[String], words: &str) {
    let (whole, text) = said(&[lines], Some(6));
    assert!(!whole && text.contains(words), "{words:?} in:\n{text}");
}

#[test]
fn a_whole_log_is_whole_in_one_file_and_in_several() {
    let lines = log(6);
    for files in [vec![lines.as_slice()], vec![&lines[..2], &lines[2..5], &lines[5..]], vec![&lines[3..]]] {
        let (whole, text) = said(&files, Some(6));
        assert!(whole && text.contains("whole: number") && text.contains("6; the last has the hash"), "{text}");
    }
}

#[test]
fn a_last_line_that_lacks_its_line_break_alone_is_a_line_and_half_of_one_is_none() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("log");
    let text = log(6).join("\n");
    let verified = |text: &str| {
        fs::write(&path, text).expect("write");
        let mut out = Vec::new();
        let files = LogFiles::find(std::slice::from_ref(&path), Path::new("/nonexistent")).expect("files");
        let whole = verify(&files, &mut out).expect("read");
        (whole, String::from_utf8(out).expect("UTF-8"))
    };
    let (whole, said) = verified(&text);
    assert!(whole && said.contains("numbers 1 to 6") && said.contains("it has no line break"), "{said}");
    let (_, said) = verified(&text[..text.len() - 1]);
    assert!(said.contains("numbers 1 to 5") && said.contains("half a line"), "{said}");
    // What came behind it says that it was there.
    let next = format!("{text}\n{}\n", log(7)[6]);
    assert!(verified(&next).0, "{}", verified(&next).1);
}

#[test]
fn what_was_done_to_a_line_is_told_with_its_place() {
    let lines = log(6);
    let with = |act: &dyn Fn(&mut Vec<String>)| {
        let mut changed = lines.clone();
        act(&mut changed);
        changed
    };
    found(&with(&|lines| lines[2] = lines[2].replace("\"e\"", "\"x\"")), "f0:3: changed");
    found(&with(&|lines| lines[5] = lines[5].replace("\"e\"", "\"x\"")), "f0:6: changed");
    found(&with(&|lines| drop(lines.remove(2))), "f0:3: missing before it: number 3, behind f0:2");
    found(&with(&|lines| drop(lines.drain(1..4))), "f0:2: missing before it: numbers 2 to 4");
    found(&with(&|lines| lines.truncate(4)), "f0:4: missing behind it: numbers 5 to 6");
    found(&with(&|lines| lines.swap(2, 3)), "f0:4: moved or inserted: it has number 3");
    found(&with(&|lines| lines.insert(3, lines[1].clone())), "f0:4: moved or inserted: it has number 2");
    found(&with(&|lines| lines.insert(3, "{\"event\":\"accepted\"}".into())), "f0:4: inserted or changed");
    found(&with(&|lines| lines.insert(3, "hello".into())), "f0:4: inserted or changed");
    found(&with(&|lines| lines.insert(3, "x".repeat(2 << 20))), "f0:4: inserted: no record is that long");
    found(&with(&|lines| lines.extend(log(2))), "another chain starts here");
    found(&with(&|lines| *lines = vec!["{\"event\":\"old\"}".into()]), "of these none is left");
}

#[test]
fn what_a_full_disk_or_a_killed_stage_leaves_is_no_problem() {
    let mut lines = log(6);
    lines.insert(3, "{\"timestamp\":\"2027".into());
    let (whole, text) = said(&[&lines], Some(6));
    assert!(whole && text.contains("f0:4: note: half a line"), "{text}");
    let (whole, text) = said(&[&log(6)], Some(5));
    assert!(whole && text.contains("note: the head does not know it yet"), "{text}");
}

#[test]
fn a_log_of_before_there_was_a_chain_is_a_beginning_that_nothing_proves() {
    let old: Vec<String> = ["{\"event\":\"a\"}", "{\"event\":\"b\"}"].map(str::to_owned).to_vec();
    let (whole, text) = said(&[&old], None);
    assert!(whole && text.contains("no line is in a chain: 2 of an older version"), "{text}");
    let first =
        format!("{{\"timestamp\":\"t\",\"seq\":1,\"prev\":\"{}\",\"chain\":\"start\"}}", hash(old[1].as_bytes()));
    let all = [old.as_slice(), &[first]].concat();
    let (whole, text) = said(&[&all], None);
    assert!(whole && text.contains("f0:3: note: the chain starts here; 2 records before it"), "{text}");
    let (whole, text) = said(&[&[&all[..1], &all[2..]].concat()], None);
    assert!(!whole && text.contains("is not what stood there"), "{text}");
}

#[test]
fn a_head_that_was_missing_and_one_that_is_are_told() {
    let mut lines = log(6);
    lines[5] = lines[5].replace('}', ",\"chain\":\"head missing\"}");
    let (whole, text) = said(&[&lines], None);
    assert!(!whole && text.contains("f0:6: the head was missing when it was written"), "{text}");
    let (whole, text) = said(&[&log(6)], None);
    assert!(whole && text.contains("note: there is no head beside it"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// With the head nothing that is done to lines goes unseen, unless it leaves what could be the rest of a full disk.
    #[test]
    fn whatever_is_removed_repeated_or_moved_is_found(pick in prop::collection::vec(0..6_usize, 0..10)) {
        let lines = log(6);
        let picked: Vec<String> = pick.iter().map(|at| lines[*at].clone()).collect();
        let begins_late_and_is_whole = !pick.is_empty() && pick.iter().enumerate().all(|(number, at)| *at == pick[0] + number) && pick[pick.len() - 1] == 5;
        let (whole, text) = said(&[&picked], Some(6));
        prop_assert_eq!(whole, begins_late_and_is_whole, "{}", text);
    }

    #[test]
    fn a_byte_that_is_changed_anywhere_is_found(line in 0..6_usize, at in 0..10_000_usize, to in 1..=255_u8) {
        let mut bytes = log(6).join("\n").into_bytes();
        bytes.push(b'\n');
        let length = log(6)[line].len();
        let start: usize = log(6)[..line].iter().map(|line| line.len() + 1).sum();
        bytes[start + at % length] ^= to;
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("f");
        fs::write(&file, bytes).expect("write");
        let last = hash(log(6)[5].as_bytes());
        fs::write(head_of(&file), format!("{:<255}\n", format!("{{\"seq\":6,\"hash\":\"{last}\",\"dev\":0,\"ino\":0,\"len\":0}}"))).expect("head");
        let mut out = Vec::new();
        let whole = verify(&LogFiles::find(&[file], Path::new("/nonexistent")).expect("files"), &mut out).expect("read");
        let text = String::from_utf8_lossy(&out);
        // What is left of the first line is as if it had gone with an older file, and that is said.
        prop_assert!(!whole || line == 0 && text.contains("what came before is in none of these files"), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..4000), lines in prop::collection::vec("[ -~]{0,80}", 0..20)) {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("f");
        fs::write(&file, [bytes.as_slice(), lines.join("\n").as_bytes()].concat()).expect("write");
        let files = LogFiles::find(&[file], Path::new("/nonexistent")).expect("files");
        let mut out = Vec::new();
        verify(&files, &mut out).expect("read");
        prop_assert!(String::from_utf8(out).expect("UTF-8").lines().all(|line| !line.contains(char::is_control)));
    }
}
