//! `motmot audit verify`: whether the lines of a log hang together.

use std::fmt;
use std::io::{self, Write};

use anyhow::Context;

use super::files::{KnownEnd, LogFiles};
use super::lines::{Line, Lines};
use crate::report::audit::BEGINNING;
use crate::report::audit::chain::{Chained, Link, Note, hash, nothing_before};
use crate::report::{counted, one_line};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: String,
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", one_line(&self.file), self.line)
    }
}

/// What was found out, line by line.
pub(super) struct Verification<W> {
    out: W,
    /// How many problems were told.
    problems: u64,
    /// The last line that belongs to the chain, and where it is.
    last: Option<(Link, Place)>,
    first: Option<u64>,
    /// Records before the chain, and the hash of the last.
    unchained: u64,
    last_unchained: Option<String>,
    end: KnownEnd,
    /// What the head says of its line, held against that line.
    head_is_right: bool,
}

/// Looks at all of it, and tells what is wrong. Whether all is well.
pub(super) fn verify(files: &LogFiles, out: impl Write) -> anyhow::Result<bool> {
    let mut verification = Verification::new(out, files.end.clone());
    for file in &files.files {
        let mut lines = Lines::of(file.open()?);
        let mut number = 0;
        while let Some(line) = lines.next().with_context(|| file.failed())? {
            number += 1;
            verification.see(Place { file: file.to_string(), line: number }, &line)?;
        }
    }
    verification.finish()
}

impl<W: Write> Verification<W> {
    fn new(out: W, end: KnownEnd) -> Self {
        let (problems, unchained) = (0, 0);
        Self { out, problems, last: None, first: None, unchained, last_unchained: None, end, head_is_right: false }
    }

    fn problem(&mut self, place: &Place, words: impl fmt::Display) -> io::Result<()> {
        self.problems += 1;
        writeln!(self.out, "{place}: {words}")
    }

    /// What is odd, and no sign that anybody has changed something.
    fn remark(&mut self, place: &Place, words: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{place}: note: {words}")
    }

    fn see(&mut self, place: Place, line: &Line<'_>) -> io::Result<()> {
        let bytes = match *line {
            Line::Whole(bytes) => bytes,
            Line::Unended(bytes) if Chained::of(bytes).is_some() => {
                self.remark(
                    &place,
                    "it has no line break: a full disk or a crash has cut that, or it is being written",
                )?;
                bytes
            }
            Line::Unended(_) => {
                return self.remark(&place, "half a line: a full disk or a crash has cut it, or it is being written");
            }
            Line::TooLong => return self.problem(&place, "inserted: no record is that long"),
        };
        match Chained::of(bytes) {
            Some(chained) => self.follow(place, &chained, hash(bytes)),
            None if !is_object(bytes) && begins_like_a_record(bytes) => {
                self.remark(&place, "half a line: a full disk or a crash has cut it")
            }
            None if self.last.is_none() && is_object(bytes) => {
                self.unchained += 1;
                self.last_unchained = Some(hash(bytes));
                Ok(())
            }
            None => self.problem(&place, "inserted or changed: it has no place in the chain"),
        }
    }

    fn follow(&mut self, place: Place, chained: &Chained, hash: String) -> io::Result<()> {
        let Chained { seq, prev, note } = chained;
        if let KnownEnd::Head(head) = &self.end
            && (head.seq, &head.hash) == (*seq, &hash)
        {
            self.head_is_right = true;
        }
        match self.last.take() {
            None => self.begin(&place, chained)?,
            Some((last, before)) => {
                if *note == Some(Note::Start) {
                    self.problem(&place, "another chain starts here: the log and its head were begun anew")?;
                } else if *seq <= last.seq {
                    let words = format!("moved or inserted: it has number {seq} and stands behind number {}", last.seq);
                    self.problem(&place, words)?;
                    self.last = Some((last, before));
                    return Ok(());
                } else if *seq > last.seq + 1 {
                    let missing = numbers(last.seq + 1, seq - 1);
                    self.problem(&place, format!("missing before it: {missing}, behind {before}"))?;
                } else if *prev != last.hash {
                    self.problem(&before, format!("changed: the line behind it ({place}) has another hash of it"))?;
                }
            }
        }
        if *note == Some(Note::HeadMissing) {
            self.problem(&place, "the head was missing when it was written: lines before it may be missing as well")?;
        }
        self.last = Some((Link { seq: *seq, hash }, place));
        Ok(())
    }

    /// The first line with a place in the chain.
    fn begin(&mut self, place: &Place, chained: &Chained) -> io::Result<()> {
        self.first = Some(chained.seq);
        let before = match self.unchained {
            0 => String::new(),
            lines => format!(
                "; {} before it of an older version, which nothing proves",
                counted(usize::try_from(lines).unwrap_or(usize::MAX), "record")
            ),
        };
        match chained.note {
            Some(Note::Start) => {
                self.remark(place, format!("the chain starts here{before}"))?;
                let expected = self.last_unchained.clone().unwrap_or_else(nothing_before);
                // Older files may not be among these.
                if chained.prev != expected && (self.unchained > 0 || chained.seq != 1) {
                    self.problem(place, "what stands before the start of the chain is not what stood there")?;
                }
                Ok(())
            }
            _ => self.remark(
                place,
                format!("it has number {}: what came before is in none of these files{before}", chained.seq),
            ),
        }
    }

    fn finish(mut self) -> anyhow::Result<bool> {
        let Some((last, place)) = self.last.take() else {
            match &self.end {
                KnownEnd::Head(head) => {
                    let (head, records) = (head.seq, self.unchained);
                    writeln!(
                        self.out,
                        "the log has had {head} lines in a chain; of these none is left, beside {records} others"
                    )?;
                    return Ok(false);
                }
                KnownEnd::HeadMissing(_) | KnownEnd::Open if self.problems == 0 => {
                    writeln!(
                        self.out,
                        "no line is in a chain: {} of an older version, which nothing proves",
                        self.unchained
                    )?;
                    return Ok(true);
                }
                _ => return Ok(false),
            }
        };
        match self.end.clone() {
            KnownEnd::Head(head) if head.seq > last.seq => {
                self.problem(&place, format!("missing behind it: {}", numbers(last.seq + 1, head.seq)))?;
            }
            KnownEnd::Head(head) if !self.head_is_right && head.seq == last.seq => {
                self.problem(&place, "changed: the head has another hash of it")?;
            }
            KnownEnd::Head(head) if !self.head_is_right => {
                self.problem(&place, format!("the head has another line of number {}", head.seq))?;
            }
            KnownEnd::Head(head) if head.seq < last.seq => {
                self.remark(&place, "the head does not know it yet: a stage was killed behind it")?;
            }
            KnownEnd::Head(_) => {}
            KnownEnd::HeadMissing(head) => {
                self.problem(
                    &place,
                    format!("{} is missing or no head: lines behind this one may be missing", head.display()),
                )?;
            }
            KnownEnd::Open => {
                self.remark(&place, "there is no head beside it: lines behind this one may be missing")?;
            }
        }
        let (first, hash) = (self.first.unwrap_or(last.seq), &last.hash);
        if self.problems == 0 {
            writeln!(self.out, "whole: {}; the last has the hash {hash}", numbers(first, last.seq))?;
        } else {
            writeln!(
                self.out,
                "NOT WHOLE: {}",
                counted(usize::try_from(self.problems).unwrap_or(usize::MAX), "problem")
            )?;
        }
        Ok(self.problems == 0)
    }
}

fn numbers(first: u64, last: u64) -> String {
    if first == last { format!("number {first}") } else { format!("numbers {first} to {last}") }
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn begins_like_a_record(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGINNING) || BEGINNING.starts_with(bytes)
}

#[cfg(test)]
mod tests;
