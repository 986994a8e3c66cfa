//! How the lines of the log hang together: each has a number and the SHA-256 of the line before it.
//!
//! The chain's head is a record beside the file, so that a file which ends too early, or is another one since a rotation, is
//! noticed. All that is said here of a line is said of its bytes without the line break.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Of the head, with blanks up to its end: written over the old one in one piece, since it never grows.
const HEAD_BYTES: usize = 256;
/// Where the last line of a file is looked for.
const TAIL_BYTES: u64 = 256 << 10;

/// The hash of a line.
pub fn hash(line: &[u8]) -> String {
    format!("{:x}", Sha256::digest(line))
}

/// In place of a hash, where there is no line before.
pub fn nothing_before() -> String {
    "0".repeat(64)
}

/// A line that others can follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// What a line says of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// Its own number.
    pub seq: u64,
    /// The hash of the line before.
    pub prev: String,
    /// What is odd about its place.
    pub note: Option<Note>,
}

/// What is odd about the place of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Note {
    /// It is the first of all.
    #[serde(rename = "start")]
    Start,
    /// There was no head when it was written: whether lines before it are missing, nobody could tell.
    #[serde(rename = "head missing")]
    HeadMissing,
}

impl Note {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::HeadMissing => "head missing",
        }
    }
}

impl Chained {
    /// What a line says; nothing for one that is no record, or one of a version that chained nothing.
    pub fn of(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            seq: Option<u64>,
            prev: Option<String>,
            chain: Option<Note>,
        }
        let Fields { seq, prev, chain } = serde_json::from_slice(line).ok()?;
        Some(Self { seq: seq?, prev: prev?, note: chain })
    }

    /// What it adds to a record.
    pub(super) fn as_fields(&self) -> String {
        let note = self.note.map(|note| format!(",\"chain\":\"{}\"", note.as_str())).unwrap_or_default();
        format!(",\"seq\":{},\"prev\":\"{}\"{note}", self.seq, self.prev)
    }

    fn after(link: &Link, note: Option<Note>) -> Self {
        Self { seq: link.seq.saturating_add(1), prev: link.hash.clone(), note }
    }
}

/// Where the chain ends, as the record beside the file says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Head {
    /// Number of the last line.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// The file that it is in: device, inode, and its length with that line.
    dev: u64,
    ino: u64,
    len: u64,
}

impl Head {
    /// Reads it; nothing if there is none, or if it was cut by a crash of the machine.
    pub fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; HEAD_BYTES];
        file.read_exact_at(&mut bytes, 0).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(super) fn of(link: Link, file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { seq: link.seq, hash: link.hash, dev: meta.dev(), ino: meta.ino(), len: meta.len() })
    }

    /// Writes it over the one before.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let text = format!("{:<width$}\n", serde_json::to_string(self)?, width = HEAD_BYTES - 1);
        file.write_all_at(text.as_bytes(), 0)
    }

    pub(super) fn is_at_the_end_of(&self, file: &File) -> bool {
        self.is_of(file) && file.metadata().is_ok_and(|meta| meta.len() == self.len)
    }

    pub(super) fn is_of(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == (self.dev, self.ino))
    }

    fn link(&self) -> Link {
        Link { seq: self.seq, hash: self.hash.clone() }
    }
}

/// Where the next line belongs. `current` is the file, `renamed` the one that the head is about where that is another (logrotate).
///
/// Whoever was killed between its line and the head has left a head that lags by a line; a file that ends before its head has
/// lost something, and the next number says so for ever.
pub(super) fn next(head: Option<&Head>, current: &File, renamed: Option<&File>) -> Chained {
    if let Some(head) = head.filter(|head| head.is_at_the_end_of(current)) {
        return Chained::after(&head.link(), None);
    }
    let ends = [Some(current), renamed].into_iter().flatten().map(end_of);
    let (mut last, mut unchained) = (None, None);
    for end in ends {
        match end {
            Some(End::Chained(link)) if last.as_ref().is_none_or(|before: &Link| before.seq < link.seq) => {
                last = Some(link);
            }
            Some(End::Unchained(hash)) => unchained = unchained.or(Some(hash)),
            _ => {}
        }
    }
    match (head.map(Head::link), last) {
        (Some(head), Some(last)) if last.seq > head.seq => Chained::after(&last, None),
        (Some(head), _) => Chained::after(&head, None),
        (None, Some(last)) => Chained::after(&last, Some(Note::HeadMissing)),
        (None, None) => Chained { seq: 1, prev: unchained.unwrap_or_else(nothing_before), note: Some(Note::Start) },
    }
}

/// How a file ends.
enum End {
    /// With this line.
    Chained(Link),
    /// With a line of before there was a chain, whose hash this is.
    Unchained(String),
}

fn end_of(file: &File) -> Option<End> {
    let len = file.metadata().ok()?.len();
    let from = len.saturating_sub(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(len - from).ok()?];
    file.read_exact_at(&mut bytes, from).ok()?;
    // What a full disk has cut is no line, unless it has cut the line break alone.
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole = if Chained::of(&bytes[end..]).is_some() { bytes.as_slice() } else { &bytes[..end.checked_sub(1)?] };
    let mut lines = whole.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut last = None;
    lines
        .find_map(|line| {
            last.get_or_insert(line);
            Chained::of(line).map(|chained| End::Chained(Link { seq: chained.seq, hash: hash(line) }))
        })
        .or_else(|| last.map(|line| End::Unchained(hash(line))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_follows_in_words_that_are_read_back() {
        let first = Chained { seq: 1, prev: nothing_before(), note: Some(Note::Start) };
        let line = format!("{{\"event\":\"x\"{}}}", first.as_fields());
        assert_eq!(Chained::of(line.as_bytes()), Some(first));
        let odd = [
            "",
            "{}",
            "x",
            "{\"seq\":1}",
            "{\"prev\":\"\"}",
            "{\"seq\":-1,\"prev\":\"\"}",
            "{\"seq\":1,\"seq\":2,\"prev\":\"\"}",
            "[]",
        ];
        for line in odd {
            assert_eq!(Chained::of(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_head_is_read_back_and_a_cut_one_is_none() {
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(Head::read(&file), None);
        let head = Head::of(Link { seq: u64::MAX, hash: nothing_before() }, &file).expect("a head");
        head.write(&file).expect("written");
        assert_eq!(file.metadata().expect("metadata").len(), HEAD_BYTES as u64);
        assert_eq!(Head::read(&file), Some(head));
        file.set_len(100).expect("cut");
        assert_eq!(Head::read(&file), None);
    }
}
