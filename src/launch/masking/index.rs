//! Finds pieces of secrets in a text, at a few bytes a nanosecond where there are none.
//!
//! A piece has so many characters in a row that, wherever it begins, one of every few positions of the text is the beginning
//! of four of its characters. So only those positions are looked at, and of four characters there a table says whether any
//! secret has them. What the four begin is compared only then.

use super::gaps::{self, Next};
use super::shapes::{GRAM, Shape};

/// Where four characters occur: they, the number of the shape, and their place in it, in one number. That is sorted several
/// times as fast as a structure, and a job of many stages has 1,400 of them for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Occurrence(u64);

impl Occurrence {
    fn new(gram: u32, shape: u16, at: u16) -> Self {
        Self(u64::from(gram) << 32 | u64::from(shape) << 16 | u64::from(at))
    }

    fn gram(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn shape(self) -> usize {
        usize::from((self.0 >> 16 & 0xffff) as u16)
    }

    fn at(self) -> usize {
        usize::from((self.0 & 0xffff) as u16)
    }
}

/// All shapes of all secrets.
pub(super) struct Index {
    shapes: Vec<Shape>,
    occurrences: Vec<Occurrence>,
    /// A bit for each hash of four characters.
    filter: Vec<u64>,
    shift: u32,
    /// From one position that is looked at to the next.
    stride: usize,
}

/// What is known about a run of characters that a secret has, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Which shape.
    pub(super) shape: usize,
    /// Where in the shape it begins.
    pub(super) first: usize,
    /// How many characters.
    pub(super) length: usize,
    /// Where in the text.
    pub(super) start: usize,
    /// Behind its last character.
    pub(super) end: usize,
    /// Whether more of it may follow.
    pub(super) is_open: bool,
}

impl Index {
    /// Of shapes that have four characters or more.
    pub(super) fn new(shapes: Vec<Shape>) -> Self {
        let mut occurrences: Vec<Occurrence> = Vec::new();
        for (number, shape) in shapes.iter().enumerate() {
            occurrences.extend(shape.symbols.windows(GRAM).enumerate().filter_map(|(at, gram)| {
                let (shape, at) = (u16::try_from(number).ok()?, u16::try_from(at).ok()?);
                Some(Occurrence::new(u32::from_le_bytes(gram.try_into().ok()?), shape, at))
            }));
        }
        occurrences.sort_unstable();
        // Of 32 bits one is set.
        let bits = (occurrences.len() * 32).next_power_of_two().max(1 << 10);
        let mut index = Self {
            stride: shapes.iter().map(|shape| (shape.least + 1).saturating_sub(GRAM)).min().unwrap_or(1).max(1),
            filter: vec![0; bits / 64],
            shift: 32 - bits.trailing_zeros().min(31),
            shapes,
            occurrences,
        };
        for at in 0..index.occurrences.len() {
            let hash = index.hash(index.occurrences[at].gram());
            index.filter[hash / 64] |= 1 << (hash % 64);
        }
        index
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// How long a run in this shape must be to be masked.
    pub(super) fn least(&self, run: &Run) -> usize {
        self.shapes[run.shape].least
    }

    #[inline]
    fn hash(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }

    #[inline]
    fn may_have(&self, gram: u32) -> bool {
        let hash = self.hash(gram);
        self.filter[hash / 64] & (1 << (hash % 64)) != 0
    }

    /// Calls `found` for the wanted runs at the next position of the text where there are some, if there are. Nothing before `from`
    /// is looked at. Of each run that is long enough some position is looked at.
    pub(super) fn search(&self, text: &[u8], from: usize, wanted: impl Fn(&Run) -> bool, mut found: impl FnMut(Run)) {
        // Never within a sequence: its letters and digits would be taken for those of a run.
        let (mut at, mut sequence) = (from, gaps::next_sequence(text, from));
        while at < text.len() {
            if at > sequence {
                sequence = gaps::next_sequence(text, at);
            }
            let gram = match text.get(at..at + GRAM).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes) {
                Some(four) if !gaps::have_gap(four) => four,
                _ => match gather(text, at) {
                    Gathered::Gram(gram) => gram,
                    Gathered::NotHere(next) => {
                        at = next;
                        continue;
                    }
                    Gathered::End => return,
                },
            };
            if self.may_have(gram) {
                let mut any = false;
                self.runs(text, gram, at, from, |run| {
                    if wanted(&run) {
                        any = true;
                        found(run);
                    }
                });
                if any {
                    return;
                }
            }
            at = (at + self.stride).min(sequence);
        }
    }

    /// Calls `found` for the runs that the last four characters of the text are in, if more of them may follow.
    pub(super) fn at_end(&self, text: &[u8], from: usize, mut found: impl FnMut(Run)) {
        let mut before = gaps::complete_end(text);
        let mut gram = [0; GRAM];
        for byte in gram.iter_mut().rev() {
            let Some(at) = gaps::previous(text, before, from) else { return };
            (*byte, before) = (text[at], at);
        }
        let gram = u32::from_le_bytes(gram);
        if self.may_have(gram) {
            self.runs(text, gram, before, from, |run| {
                if run.is_open {
                    found(run);
                }
            });
        }
    }

    /// The runs that these four characters at this place are in.
    fn runs(&self, text: &[u8], gram: u32, at: usize, floor: usize, mut found: impl FnMut(Run)) {
        let first = self.occurrences.partition_point(|known| known.gram() < gram);
        for known in self.occurrences[first..].iter().take_while(|known| known.gram() == gram) {
            found(self.run(text, known.shape(), known.at(), at, floor));
        }
    }

    /// The whole run around a character that is at this place both of the shape and of the text.
    fn run(&self, text: &[u8], shape: usize, in_shape: usize, at: usize, floor: usize) -> Run {
        let symbols = &self.shapes[shape].symbols;
        let (mut first, mut start) = (in_shape, at);
        while first > 0
            && let Some(before) = gaps::previous(text, start, floor)
            && text[before] == symbols[first - 1]
        {
            (first, start) = (first - 1, before);
        }
        let (mut last, mut end) = (in_shape, at);
        let is_open = loop {
            if last == symbols.len() {
                break false;
            }
            match gaps::next(text, end) {
                Next::At(next) if text[next] == symbols[last] => (last, end) = (last + 1, next + 1),
                Next::At(_) | Next::TooLong(_) => break false,
                Next::End => break true,
            }
        };
        Run { shape, first, length: last - first, start, end, is_open }
    }
}

/// What four characters in a row come to, gaps left out.
enum Gathered {
    Gram(u32),
    /// A gap is here, or one that is too long follows; behind it one can go on.
    NotHere(usize),
    End,
}

fn gather(text: &[u8], from: usize) -> Gathered {
    let mut gram = [0; GRAM];
    let mut at = from;
    for (count, byte) in gram.iter_mut().enumerate() {
        match gaps::next(text, at) {
            Next::At(next) if count == 0 && next > from => return Gathered::NotHere(next),
            Next::At(next) => (*byte, at) = (text[next], next + 1),
            Next::TooLong(end) => return Gathered::NotHere(end),
            Next::End => return Gathered::End,
        }
    }
    Gathered::Gram(u32::from_le_bytes(gram))
}
