//! Lines of a log, one at a time and each with an end, whatever is in the file.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line that is looked at. No record is a tenth as long.
const MOST_LINE: usize = 1 << 20;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'b> {
    /// Without its line break.
    Whole(&'b [u8]),
    /// The last one, without a line break.
    Unended(&'b [u8]),
    /// No record of ours.
    TooLong,
}

/// The lines of something.
pub(super) struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(super) fn of(from: R) -> Self {
        Self { from: BufReader::with_capacity(64 << 10, from), line: Vec::new() }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut long = false;
        loop {
            let bytes = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if bytes.is_empty() {
                return Ok(match (long, self.line.is_empty()) {
                    (true, _) => Some(Line::TooLong),
                    (false, true) => None,
                    (false, false) => Some(Line::Unended(&self.line)),
                });
            }
            let end = memchr::memchr(b'\n', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if long || self.line.len() + piece.len() > MOST_LINE {
                long = true;
                self.line.clear();
            } else {
                self.line.extend_from_slice(piece);
            }
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.from.consume(used);
            if end.is_some() {
                return Ok(Some(if long { Line::TooLong } else { Line::Whole(&self.line) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<String> {
        let mut lines = Lines::of(bytes);
        let mut found = Vec::new();
        while let Some(line) = lines.next().expect("read") {
            found.push(match line {
                Line::Whole(line) => format!("{}$", String::from_utf8_lossy(line)),
                Line::Unended(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong => "too long".into(),
            });
        }
        found
    }

    #[test]
    fn a_line_without_an_end_is_told_from_one_that_has_it() {
        assert_eq!(all(b""), Vec::<String>::new());
        assert_eq!(all(b"a\n\nb"), ["a$", "$", "b"]);
    }

    #[test]
    fn a_line_that_never_ends_is_passed_over_and_kept_nowhere() {
        let long = vec![b'x'; 3 * MOST_LINE];
        let text = [b"a\n".as_slice(), &long, b"\nb\n", &long].concat();
        assert_eq!(all(&text), ["a$", "too long", "b$", "too long"]);
        let mut lines = Lines::of(text.as_slice());
        while lines.next().expect("read").is_some() {}
        assert!(lines.line.capacity() <= 2 * MOST_LINE);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn lines_are_what_splitting_says_whatever_the_bytes_are(bytes: Vec<u8>) {
            let mut split: Vec<String> = bytes.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned() + "$").collect();
            let last = split.pop().unwrap_or_default();
            if last != "$" {
                split.push(last.trim_end_matches('$').to_owned());
            }
            // A line may end in the sign that marks its end here.
            prop_assume!(!bytes.contains(&b'$'));
            prop_assert_eq!(all(&bytes), split);
        }
    }
}
