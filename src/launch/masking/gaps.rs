//! What may stand between two characters of a secret without hiding it from a reader: line breaks, blanks, other control
//! characters, and the escape sequences of terminals (ECMA-48).
//!
//! `fold`, `od`, `base64`, `xxd` and editors break lines; progress bars and `grep --color` put escape sequences in between.

use memchr::{memchr, memrchr};

/// Begins a sequence.
pub(super) const ESCAPE: u8 = 0x1b;
/// No gap is longer, and no sequence: what is held back has an end.
pub(super) const LONGEST: usize = 256;

/// What follows a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A character that counts is here.
    At(usize),
    /// The text ends before there is one.
    End,
    /// It is longer than [`LONGEST`], and ends here.
    TooLong(usize),
}

/// Whether a byte is left out when what stands on both sides is put together.
#[inline]
pub(super) fn is_gap(byte: u8) -> bool {
    byte <= b' '
}

/// The same for any of four bytes.
#[inline]
pub(super) fn have_gap(four: u32) -> bool {
    // The sign bit of each byte that is below 0x21 (Anderson, Bit Twiddling Hacks, "hasless").
    four.wrapping_sub(0x2121_2121) & !four & 0x8080_8080 != 0
}

/// The next character that counts, from `at` on.
#[inline]
pub(super) fn next(text: &[u8], at: usize) -> Next {
    match text.get(at) {
        None => Next::End,
        Some(byte) if !is_gap(*byte) => Next::At(at),
        Some(_) => after_gap(text, at),
    }
}

fn after_gap(text: &[u8], from: usize) -> Next {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        if at - from > LONGEST {
            return Next::TooLong(at);
        }
        if *byte == ESCAPE {
            let Some(end) = sequence_end(text, at) else { return Next::End };
            at = end;
        } else if is_gap(*byte) {
            at += 1;
        } else {
            return Next::At(at);
        }
    }
    Next::End
}

/// The last character that counts before `before`, and not before `floor`.
pub(super) fn previous(text: &[u8], before: usize, floor: usize) -> Option<usize> {
    let mut at = before;
    while at > floor && before - at <= LONGEST {
        if let Some(start) = sequence_that_ends(text, at, floor) {
            at = start;
        } else if is_gap(text[at - 1]) {
            at -= 1;
        } else {
            return Some(at - 1);
        }
    }
    None
}

/// Where the sequence at `at` ends; `None` if the text ends before it does.
pub(super) fn sequence_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at + 1..text.len().min(at + LONGEST)];
    let is_cut = at + LONGEST > text.len();
    let body = |from: usize, is_final: &dyn Fn(u8) -> bool| {
        match rest[from..].iter().position(|byte| is_final(*byte) || is_gap_in_sequence(*byte)) {
            // What cannot be part of it ends it, and is not part of it.
            Some(found) => Some(at + 1 + from + found + usize::from(is_final(rest[from + found]))),
            None => (!is_cut).then_some(at + 2),
        }
    };
    match *rest.first()? {
        b'[' => body(1, &|byte| (0x40..=0x7e).contains(&byte)),
        0x20..=0x2f => body(1, &|byte| (0x30..=0x7e).contains(&byte)),
        // Also one that begins a string (OSC and its kin): what is in the string stands in the log, too.
        0x30..=0x7e => Some(at + 2),
        _ => Some(at + 1),
    }
}

/// A control character in a sequence: no part of it.
fn is_gap_in_sequence(byte: u8) -> bool {
    !(b' '..0x7f).contains(&byte)
}

/// Where the sequence begins that ends just before `end`, if one does.
fn sequence_that_ends(text: &[u8], end: usize, floor: usize) -> Option<usize> {
    let window = end.saturating_sub(LONGEST).max(floor);
    let start = window + memrchr(ESCAPE, &text[window..end])?;
    (sequence_end(text, start) == Some(end)).then_some(start)
}

/// Where text ends that is complete: before a sequence that has only begun.
pub(super) fn complete_end(text: &[u8]) -> usize {
    let window = text.len().saturating_sub(LONGEST);
    match memrchr(ESCAPE, &text[window..]) {
        Some(found) if sequence_end(text, window + found).is_none() => window + found,
        _ => text.len(),
    }
}

/// Where the next sequence begins, from `at` on; the end of the text if there is none.
pub(super) fn next_sequence(text: &[u8], at: usize) -> usize {
    memchr(ESCAPE, &text[at..]).map_or(text.len(), |found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_terminals_are_gaps_in_both_directions() {
        for gap in [
            "\n",
            "\r\n  ",
            "\t\0\u{b}",
            "\u{1b}[0m",
            "\u{1b}[38;5;196m",
            "\u{1b}[01;31m\u{1b}[K",
            "\u{1b}(B\u{1b}[m",
            "\u{1b}7\n\u{1b}8",
            "\u{1b}\n",
        ] {
            let text = format!("A{gap}!");
            let last = text.len() - 1;
            assert_eq!(next(text.as_bytes(), 1), Next::At(last), "{gap:?}");
            assert_eq!(previous(text.as_bytes(), last, 0), Some(0), "{gap:?}");
        }
    }

    #[test]
    fn a_sequence_that_has_only_begun_is_not_read_as_text() {
        for begun in ["\u{1b}", "\u{1b}[", "\u{1b}[38;5", "\u{1b}("] {
            let text = format!("A\n{begun}");
            assert_eq!(next(text.as_bytes(), 1), Next::End, "{begun:?}");
            assert_eq!(complete_end(text.as_bytes()), 2, "{begun:?}");
        }
        assert_eq!(complete_end(b"A\x1b[mB"), 5);
    }

    #[test]
    fn a_gap_and_a_sequence_have_an_end() {
        let blanks = [b"A".as_slice(), &vec![b' '; 2 * LONGEST], b"B"].concat();
        assert!(matches!(next(&blanks, 1), Next::TooLong(_)));
        assert_eq!(previous(&blanks, blanks.len() - 1, 0), None);
        let endless = [b"\x1b[".as_slice(), &vec![b'0'; 2 * LONGEST]].concat();
        assert_eq!(sequence_end(&endless, 0), Some(2));
        assert_eq!(sequence_end(b"\x1b]0;a title\x07", 0), Some(2), "a title is text");
    }

    #[test]
    fn four_bytes_at_once_are_judged_as_one_by_one() {
        for byte in 0..=u8::MAX {
            let four = u32::from_le_bytes([b'a', byte, b'z', 0xff]);
            assert_eq!(have_gap(four), is_gap(byte), "{byte}");
        }
    }
}
