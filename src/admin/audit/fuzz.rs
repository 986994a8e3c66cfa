//! The audit log: whatever is in its files.

use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::Unstructured;
use serde_json::Value;

use super::files::LogFiles;
use super::lines::{Line, Lines};
use super::show::{Form, show};
use super::verify::verify;
use super::wanted::Wanted;
use crate::report::audit::chain::{Chained, hash, nothing_before};
use crate::report::audit::head_of;

/// Begins with a zero: a log as the stages write it, and what somebody has done to it. Else the files of a log with `%%` between
/// them, the last of which may be the head (`%%head:`).
///
/// Nothing panics, nothing reaches the terminal that a terminal obeys, and a log that is called whole is whole.
///
/// # Panics
/// Where that is not so.
pub fn audit(bytes: &[u8]) {
    if let Some((0, made_of)) = bytes.split_first().map(|(first, rest)| (*first, rest)) {
        let _ = tampered(&mut Unstructured::new(made_of));
        return;
    }
    let (mut files, mut head, mut rest) = (Vec::new(), None, bytes);
    while files.len() < 4 {
        let end = rest.windows(2).position(|two| two == b"%%");
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        match part.strip_prefix(b"head:") {
            Some(text) => head = Some(text),
            None => files.push(part),
        }
        match behind.strip_prefix(b"%%") {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    let whole = looked_at(&files, head);
    if let (true, [only]) = (whole, files.as_slice()) {
        assert_hangs_together(only);
    }
}

/// What `motmot audit` and `motmot audit verify` say of these files. Whether they are whole.
fn looked_at(files: &[&[u8]], head: Option<&[u8]>) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let named: Vec<PathBuf> = (0..files.len()).map(|number| dir.path().join(format!("f{number}"))).collect();
    for (path, bytes) in named.iter().zip(files) {
        fs::write(path, bytes).expect("written");
    }
    if let (Some(head), Some(last)) = (head, named.last()) {
        fs::write(head_of(last), head).expect("written");
    }
    let log = LogFiles::find(&named, Path::new("/nonexistent")).expect("files");
    let shown = |out: Vec<u8>| {
        let text = String::from_utf8(out).expect("UTF-8");
        let obeyed =
            |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert!(!text.contains(obeyed), "{text:?}");
    };
    let of_one_job = Wanted::job(7);
    for (form, wanted) in [(Form::Table, &of_one_job), (Form::Json, &of_one_job), (Form::Timeline, &Wanted::default())]
    {
        let mut out = Vec::new();
        // Too much for a timeline is an answer, too.
        let _ = show(&log, wanted, form, &mut out);
        shown(out);
    }
    let mut out = Vec::new();
    let whole = verify(&log, &mut out).expect("read");
    shown(out);
    whole
}

/// The lines of a file that have a place in the chain.
fn chained(bytes: &[u8]) -> Vec<(Chained, Vec<u8>)> {
    let (mut lines, mut found) = (Lines::of(bytes), Vec::new());
    while let Some(line) = lines.next().expect("bytes in memory can be read") {
        // A full disk may have cut the line break alone.
        if let Line::Whole(line) | Line::Unended(line) = line
            && let Some(place) = Chained::of(line)
        {
            found.push((place, line.to_vec()));
        }
    }
    found
}

fn assert_hangs_together(bytes: &[u8]) {
    let lines = chained(bytes);
    for two in lines.windows(2) {
        let ((before, line), (after, _)) = (&two[0], &two[1]);
        assert_eq!(before.seq.checked_add(1), Some(after.seq), "numbers");
        assert_eq!(hash(line), after.prev, "hashes");
    }
}

/// Some records, each with words of somebody else in it.
fn tampered(from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (mut lines, mut prev) = (Vec::new(), nothing_before());
    for seq in 1..=from.int_in_range(1..=6)? {
        let note = if seq == 1 { ",\"chain\":\"start\"" } else { "" };
        let event = from.choose(&["accepted", "refused", "started", "minted", "ended", "x"])?;
        let words = Value::from(from.arbitrary::<&str>()?);
        let line = format!(
            "{{\"timestamp\":\"2027-01-31T08:30:00.00000{seq}Z\",\"event\":\"{event}\",\"job_id\":7,\"user\":{words},\"reason\":{words},\"request\":\"0123456789ab\",\"seq\":{seq},\"prev\":\"{prev}\"{note}}}"
        );
        prev = hash(line.as_bytes());
        lines.push(line.into_bytes());
    }
    let head = format!("{{\"seq\":{},\"hash\":\"{prev}\",\"dev\":0,\"ino\":0,\"len\":0}}", lines.len());
    let head = format!("{head:<255}\n");
    let text = |lines: &[Vec<u8>]| lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect::<Vec<u8>>();
    assert!(looked_at(&[&text(&lines)], Some(head.as_bytes())), "a log as it was written is whole");

    let mut changed = lines.clone();
    for _ in 0..from.int_in_range(1..=3)? {
        let at = from.choose_index(changed.len().max(1))?.min(changed.len());
        match from.int_in_range(0..=5)? {
            _ if changed.is_empty() => {}
            0 => drop(changed.remove(at)),
            1 => changed.swap(at, 0),
            2 => changed.insert(at, lines[from.choose_index(lines.len())?].clone()),
            3 => changed.insert(at, from.arbitrary::<&[u8]>()?.to_vec()),
            4 => {
                let end = from.choose_index(changed[at].len().max(1))?;
                changed[at].truncate(end);
            }
            _ => {
                let byte = from.choose_index(changed[at].len().max(1))?;
                if let Some(byte) = changed[at].get_mut(byte) {
                    *byte ^= from.int_in_range(1..=255)?;
                }
            }
        }
    }
    let mut bytes = text(&changed);
    if from.ratio(1, 4)? {
        bytes.pop();
    }
    if looked_at(&[&bytes], Some(head.as_bytes())) {
        // Older lines may be in a file that has gone; of the rest each is there, as it was, and nothing beside it.
        let left: Vec<Vec<u8>> = chained(&bytes).into_iter().map(|(_, line)| line).collect();
        assert!(!left.is_empty() && lines.ends_with(&left), "called whole: {:?}", String::from_utf8_lossy(&bytes));
    }
    Ok(())
}
