//! Takes minted tokens out of a stream of bytes, however it is cut into pieces.

use std::sync::{Arc, Mutex};

use memchr::memmem::Finder;

/// What stands in the log in place of a token; GitLab's own word for it.
pub const MASK: &[u8] = b"[MASKED]";

/// The secrets of a stage: shared between what mints tokens and what passes output on.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<KnownSecret>>);

#[derive(Default)]
struct KnownSecret {
    generation: u64,
    needles: Vec<(Arc<Finder<'static>>, i64)>,
}

impl Secrets {
    /// From now on `secrets` are masked, at least until the time `until` (seconds since 1970). Those that were to be
    /// masked until before `now` are forgotten: they have expired, and each costs a look at every byte.
    pub fn add<'s>(&self, secrets: impl IntoIterator<Item = &'s str>, until: i64, now: i64) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.needles.retain(|(_, until)| *until >= now);
        known.needles.extend(
            secrets
                .into_iter()
                .filter(|secret| !secret.is_empty())
                .map(|secret| (Arc::new(Finder::new(secret).into_owned()), until)),
        );
        known.generation += 1;
    }
}

impl Secrets {
    /// A text of somebody else's, masked.
    pub fn masked(&self, text: &str) -> String {
        let mut masker = Masker::new(self.clone());
        let mut bytes = Vec::with_capacity(text.len());
        let mut out = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        };
        let Ok(()) = masker.feed(text.as_bytes(), &mut out);
        let Ok(()) = masker.finish(&mut out);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Whether a stream goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    MayCome,
    Never,
}

/// Masks one stream. Holds back only what could be the beginning of a secret: secrets have no line break in them, so a
/// complete line is never held back.
pub struct Masker {
    secrets: Secrets,
    generation: u64,
    needles: Vec<Arc<Finder<'static>>>,
    held: Vec<u8>,
}

impl Masker {
    /// For the secrets that are known, now and later.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, generation: 0, needles: Vec::new(), held: Vec::new() }
    }

    /// Passes a piece on to `out`, masked.
    pub fn feed<E>(&mut self, piece: &[u8], mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.refresh();
        if self.held.is_empty() {
            let keep = self.pass(piece, More::MayCome, &mut out)?;
            self.held.extend_from_slice(&piece[keep..]);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(piece);
            let keep = self.pass(&joined, More::MayCome, &mut out)?;
            joined.drain(..keep);
            self.held = joined;
        }
        Ok(())
    }

    /// The stream has ended: what was held back is no more than it is.
    pub fn finish<E>(&mut self, mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let held = std::mem::take(&mut self.held);
        self.pass(&held, More::Never, &mut out).map(drop)
    }

    fn refresh(&mut self) {
        let known = self.secrets.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.generation != self.generation {
            self.generation = known.generation;
            self.needles = known.needles.iter().map(|(needle, _)| Arc::clone(needle)).collect();
        }
    }

    /// Passes on all of `text` that is decided, and says from where on it is not.
    fn pass<E>(&self, text: &[u8], more: More, out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<usize, E> {
        let undecided_from = |start: usize| match more {
            More::MayCome => self.undecided(&text[start..]) + start,
            More::Never => text.len(),
        };
        let mut start = 0;
        let mut undecided = undecided_from(0);
        // Where each needle occurs next, looked up again only when the search has passed it.
        let mut next: Vec<Option<usize>> = self.needles.iter().map(|needle| needle.find(text)).collect();
        loop {
            for (at, needle) in next.iter_mut().zip(&self.needles) {
                if at.is_some_and(|at| at < start) {
                    *at = needle.find(&text[start..]).map(|found| found + start);
                }
            }
            // Of two that begin at one place the longer: a token is masked whole, not only its beginning.
            let first = next
                .iter()
                .zip(&self.needles)
                .filter_map(|(at, needle)| at.map(|at| (at, std::cmp::Reverse(needle.needle().len()))))
                .min();
            let Some((at, std::cmp::Reverse(length))) = first else { break };
            // It may be part of a longer one, which has begun and of which the rest is yet to come.
            if at >= undecided {
                break;
            }
            if at > start {
                out(&text[start..at])?;
            }
            out(MASK)?;
            start = at + length;
            if undecided < start {
                undecided = undecided_from(start);
            }
        }
        if undecided > start {
            out(&text[start..undecided])?;
        }
        Ok(undecided)
    }

    /// Where the longest end of `text` begins that is the beginning of a secret; the end of `text` if there is none.
    fn undecided(&self, text: &[u8]) -> usize {
        self.needles
            .iter()
            .filter_map(|needle| {
                let needle = needle.needle();
                let tail = text.len().saturating_sub(needle.len() - 1);
                memchr::memchr_iter(needle[0], &text[tail..])
                    .map(|at| at + tail)
                    .find(|at| needle.starts_with(&text[*at..]))
            })
            .min()
            .unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJlZSJ9.c2lnbmF0dXJl";
    const SIGNATURE: &str = "c2lnbmF0dXJl";

    fn masked(pieces: &[&[u8]]) -> Vec<u8> {
        masked_of(&[TOKEN, SIGNATURE], pieces)
    }

    fn masked_of(needles: &[&str], pieces: &[&[u8]]) -> Vec<u8> {
        let secrets = Secrets::default();
        secrets.add(needles.iter().copied(), i64::MAX, 0);
        let mut masker = Masker::new(secrets);
        let mut log = Vec::new();
        let mut out = |bytes: &[u8]| {
            log.extend_from_slice(bytes);
            Ok::<(), ()>(())
        };
        for piece in pieces {
            masker.feed(piece, &mut out).expect("passed");
        }
        masker.finish(&mut out).expect("passed");
        log
    }

    #[test]
    fn a_token_is_masked_wherever_the_stream_is_cut() {
        let text = format!("a {TOKEN} b {SIGNATURE} c{TOKEN}{TOKEN}");
        let expected = b"a [MASKED] b [MASKED] c[MASKED][MASKED]";
        for first in 0..text.len() {
            for second in (first..text.len()).step_by(7) {
                let pieces = [&text.as_bytes()[..first], &text.as_bytes()[first..second], &text.as_bytes()[second..]];
                assert_eq!(masked(&pieces), expected, "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(masked(&bytes), expected);
    }

    #[test]
    fn of_a_part_of_a_secret_that_is_one_itself_only_the_longest_that_is_there_is_masked() {
        let (first, second) = SIGNATURE.split_at(SIGNATURE.len() / 2);
        let secrets = [TOKEN, SIGNATURE, first, second];
        for (text, expected) in [
            (format!("a {TOKEN} {SIGNATURE} b"), "a [MASKED] [MASKED] b".to_owned()),
            (format!("{first}\n{second}"), "[MASKED]\n[MASKED]".to_owned()),
            (
                format!("x{}\n{}y", &SIGNATURE[..3], &SIGNATURE[3..]),
                format!("x{}\n{}[MASKED]y", &SIGNATURE[..3], &SIGNATURE[3..SIGNATURE.len() - second.len()]),
            ),
            (first.to_owned(), "[MASKED]".to_owned()),
        ] {
            for size in 1..=text.len() {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                assert_eq!(String::from_utf8_lossy(&masked_of(&secrets, &pieces)), expected, "{size}");
            }
        }
    }

    #[test]
    fn everything_else_passes_unchanged() {
        for text in [
            "",
            "eeeeeyyyJJJ",
            "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJlZSJ9.c2lnbmF0dXJ",
            "c2lc2lnbmF0dXJ\n",
            "\u{0}\u{ff}no newline",
        ] {
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(3).collect();
            assert_eq!(masked(&bytes), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_complete_line_is_never_held_back() {
        let secrets = Secrets::default();
        secrets.add([TOKEN, SIGNATURE], i64::MAX, 0);
        let mut masker = Masker::new(secrets);
        for line in ["some line\n", "ends like one: eyJhbGciOiJFUzI1NiJ9\n"] {
            let mut log = Vec::new();
            masker
                .feed(line.as_bytes(), |bytes| {
                    log.extend_from_slice(bytes);
                    Ok::<(), ()>(())
                })
                .expect("passed");
            assert_eq!(log, line.as_bytes());
        }
    }

    #[test]
    fn a_secret_that_becomes_known_later_is_masked_from_then_on_and_forgotten_when_it_is_over() {
        let secrets = Secrets::default();
        let mut masker = Masker::new(secrets.clone());
        let mut log = Vec::new();
        let mut feed = |piece: &str, log: &mut Vec<u8>| {
            masker.feed(piece.as_bytes(), |bytes| {
                log.extend_from_slice(bytes);
                Ok::<(), ()>(())
            })
        };
        feed("one\n", &mut log).expect("passed");
        secrets.add(["one"], 100, 0);
        feed("one\n", &mut log).expect("passed");
        secrets.add(["two"], 300, 200);
        feed("one two\n", &mut log).expect("passed");
        assert_eq!(log, b"one\n[MASKED]\none [MASKED]\n");
    }
}
