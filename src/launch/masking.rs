//! Takes minted tokens out of a stream of bytes, however it is cut into pieces.
//!
//! What is secret of a token is its signature: 86 characters, without which the rest is of no use. So pieces of the
//! signature are looked for, as it is and in the [`shapes`] that everyday encoders give it; line breaks and the like between
//! its characters ([`gaps`]) do not count. A log has hundreds of megabytes, and this is done to each byte of it: [`index`]
//! says how.

mod gaps;
mod index;
mod shapes;

use std::sync::{Arc, Mutex};

use index::{Index, Run};
use memchr::memchr;

/// What stands in the log in place of a token; GitLab's own word for it.
pub const MASK: &[u8] = b"[MASKED]";

/// A line that ends in so many characters of a secret is held back until it is known what follows. Fewer occur by chance,
/// and then a line would be late.
const CERTAIN: usize = 6;

/// What is to be masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What is masked together with the signature that follows it.
    head: Vec<u8>,
    signature: String,
}

impl Secret {
    /// A token in compact form (RFC 7515, section 7.1).
    pub fn token(compact: &str) -> Self {
        let (head, signature) = compact.split_at(compact.rfind('.').map_or(0, |dot| dot + 1));
        Self { head: head.into(), signature: signature.into() }
    }

    /// A signature of a token that is not known any more.
    pub fn signature(signature: &str) -> Self {
        Self { head: Vec::new(), signature: signature.into() }
    }
}

/// The secrets of a stage: shared between what mints tokens and what passes output on.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<KnownSecrets>>);

#[derive(Default)]
struct KnownSecrets {
    generation: u64,
    secrets: Vec<(Secret, i64)>,
    /// Made when there is something to look through: a job of many stages has many signatures, and may print nothing.
    sought: Option<Arc<Sought>>,
}

/// The secrets, in the form in which they are looked for.
struct Sought {
    index: Index,
    whole: Vec<Whole>,
}

/// A token, or a signature.
struct Whole {
    text: Vec<u8>,
    /// Length of its head.
    head: usize,
    /// The number of the shape that is its signature.
    shape: usize,
}

impl Secrets {
    /// From now on `secret` is masked, at least until the time `until` (seconds since 1970). Those that were to be masked
    /// until before `now` are forgotten: they have expired.
    pub fn add(&self, secret: Secret, until: i64, now: i64) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.secrets.retain(|(_, until)| *until >= now);
        known.secrets.push((secret, until));
        known.sought = None;
        known.generation += 1;
    }

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

impl Default for Sought {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl Sought {
    fn new<'s>(secrets: impl Iterator<Item = &'s Secret>) -> Self {
        let (mut shapes, mut whole) = (Vec::new(), Vec::new());
        for Secret { head, signature } in secrets {
            let more = shapes::shapes_of(signature);
            if !more.is_empty() {
                let text = [head, signature.as_bytes()].concat();
                whole.push(Whole { text, head: head.len(), shape: shapes.len() });
                shapes.extend(more);
            }
        }
        Self { index: Index::new(shapes), whole }
    }

    /// Where the run begins together with the head of the token that it is the signature of.
    fn start_with_head(&self, text: &[u8], floor: usize, run: &Run) -> usize {
        let token = self.whole.iter().find(|whole| whole.shape == run.shape && run.first == 0);
        let head = token.map(|token| &token.text[..token.head]).filter(|head| text[floor..run.start].ends_with(head));
        run.start - head.map_or(0, <[u8]>::len)
    }

    /// Where an unfinished line begins to be what a token or a signature begins with; the end of the text if it does not.
    fn beginning(&self, text: &[u8], floor: usize) -> usize {
        let one = |secret: &[u8]| {
            let tail = text.len().saturating_sub(secret.len() - 1).max(floor);
            memchr::memchr_iter(secret[0], &text[tail..])
                .map(|at| at + tail)
                .find(|at| secret.starts_with(&text[*at..]))
        };
        let wholes = self.whole.iter().flat_map(|whole| [whole.text.as_slice(), &whole.text[whole.head..]]);
        wholes.filter_map(one).min().unwrap_or(text.len())
    }
}

/// Whether a stream goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    MayCome,
    Never,
}

/// So many bytes that have been passed on are remembered: a piece may have begun in them.
const CONTEXT: usize = gaps::LONGEST;

/// Masks one stream. Holds back only what is, or could be the beginning of, a piece of a secret: other lines go on when they
/// are complete.
pub struct Masker {
    secrets: Secrets,
    generation: u64,
    sought: Arc<Sought>,
    /// The end of what has been passed on as it was, and what is held back.
    text: Vec<u8>,
    /// How much of it has been passed on.
    passed: usize,
}

impl Masker {
    /// For the secrets that are known, now and later.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, generation: 0, sought: Arc::default(), text: Vec::new(), passed: 0 }
    }

    /// Passes a piece on to `out`, masked.
    pub fn feed<E>(&mut self, piece: &[u8], out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.refresh();
        self.text.extend_from_slice(piece);
        self.pass(More::MayCome, out)
    }

    /// The stream has ended: what was held back is no more than it is.
    pub fn finish<E>(&mut self, out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.pass(More::Never, out)
    }

    fn refresh(&mut self) {
        let mut known = self.secrets.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.generation != self.generation {
            let KnownSecrets { generation, secrets, sought } = &mut *known;
            let new = || Arc::new(Sought::new(secrets.iter().map(|(secret, _)| secret)));
            (self.generation, self.sought) = (*generation, Arc::clone(sought.get_or_insert_with(new)));
        }
    }

    /// Passes on all that is decided.
    fn pass<E>(&mut self, more: More, mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let (text, index) = (self.text.as_slice(), &self.sought.index);
        // Before `floor` are pieces that have been masked.
        let (mut floor, mut passed, mut undecided) = (0, self.passed, text.len());
        // What is masked goes on together: a job may write one piece after the other, and each call is one of the system's.
        let mut masked = Vec::new();
        if !index.is_empty() {
            let goes_on = |run: &Run| more == More::MayCome && run.is_open && is_held(text, run);
            loop {
                let wanted = |run: &Run| run.end > passed && (run.length >= index.least(run) || goes_on(run));
                // Of all at one place the one that begins first, and of those the longest.
                let (mut first, mut open) = (None::<Run>, false);
                index.search(text, floor, wanted, |run| {
                    open |= goes_on(&run);
                    let key = |run: &Run| (run.start, std::cmp::Reverse(run.end));
                    if first.is_none_or(|other| key(&run) < key(&other)) {
                        first = Some(run);
                    }
                });
                let Some(piece) = first else { break };
                let start = self.sought.start_with_head(text, floor, &piece).max(passed);
                if open {
                    // What follows may belong to it, or make it part of something longer.
                    undecided = start;
                    break;
                }
                masked.extend_from_slice(&text[passed..start]);
                masked.extend_from_slice(&mask(&text[start..piece.end]));
                (floor, passed) = (piece.end, piece.end);
            }
            if more == More::MayCome {
                index.at_end(text, floor, |run| {
                    if is_held(text, &run) {
                        undecided = undecided.min(run.start.max(passed));
                    }
                });
                undecided = undecided.min(self.sought.beginning(text, passed));
            }
        }
        if masked.is_empty() {
            out(&text[passed..undecided])?;
        } else {
            masked.extend_from_slice(&text[passed..undecided]);
            out(&masked)?;
        }
        let forgotten = floor.max(undecided.saturating_sub(CONTEXT));
        self.text.drain(..forgotten);
        self.passed = undecided - forgotten;
        Ok(())
    }
}

/// Whether to wait for what follows this run at the end of the text.
fn is_held(text: &[u8], run: &Run) -> bool {
    run.length >= CERTAIN || memchr(b'\n', &text[run.start..]).is_none()
}

/// What stands in place of a piece: one word in each line. Line breaks stay, and so do escape sequences, since one of them may
/// end a colour.
fn mask(piece: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(MASK.len());
    let (mut at, mut in_line) = (0, false);
    while let Some(byte) = piece.get(at) {
        let mut next = at + 1;
        match *byte {
            b'\n' | b'\r' => {
                in_line &= *byte != b'\n';
                masked.push(*byte);
            }
            gaps::ESCAPE => {
                next = gaps::sequence_end(piece, at).unwrap_or(piece.len());
                masked.extend_from_slice(&piece[at..next]);
            }
            other if gaps::is_gap(other) || in_line => {}
            _ => {
                in_line = true;
                masked.extend_from_slice(MASK);
            }
        }
        at = next;
    }
    masked
}

#[cfg(test)]
mod tests;
