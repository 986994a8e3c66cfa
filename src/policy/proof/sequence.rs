//! Forms of texts: what a pattern is, letter by letter.

use crate::policy::pattern::{Pattern, Piece};

/// What letters a place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Is(char),
    NotSlash,
    Any,
    Digit,
    Hex,
}

/// How many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    One,
    /// None included.
    Any,
}

/// A form of texts: places, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence(Vec<(Class, Count)>);

impl Class {
    fn takes(self, letter: char) -> bool {
        match self {
            Self::Is(this) => this == letter,
            Self::NotSlash => letter != '/',
            Self::Any => true,
            Self::Digit => letter.is_ascii_digit(),
            Self::Hex => letter.is_ascii_hexdigit(),
        }
    }
}

impl Sequence {
    pub(super) fn new(places: impl IntoIterator<Item = (Class, Count)>) -> Self {
        Self(places.into_iter().collect())
    }

    /// That of a pattern.
    pub fn of(pattern: &Pattern) -> Self {
        Self(pattern.pieces().iter().flat_map(places).collect())
    }

    /// A text as it is.
    pub(super) fn text(text: &str) -> impl Iterator<Item = (Class, Count)> {
        text.chars().map(|letter| (Class::Is(letter), Count::One))
    }

    /// This form, and then another one.
    pub(super) fn then(mut self, places: impl IntoIterator<Item = (Class, Count)>) -> Self {
        self.0.extend(places);
        self
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = char> {
        self.0.iter().filter_map(|(class, _)| match class {
            Class::Is(letter) => Some(*letter),
            Class::NotSlash => Some('/'),
            Class::Any | Class::Digit | Class::Hex => None,
        })
    }

    /// Whether a text has this form.
    pub fn matches(&self, text: &str) -> bool {
        let mut at = vec![0; self.words()];
        self.start(&mut at);
        for letter in text.chars() {
            let mut next = vec![0; at.len()];
            self.step(&at, letter, &mut next);
            at = next;
        }
        self.is_end(&at)
    }

    /// So many words hold where it may be, a bit for each place and one for the end.
    pub(super) fn words(&self) -> usize {
        self.0.len() / 64 + 1
    }

    /// So many places: what a letter costs.
    pub(super) fn places(&self) -> usize {
        self.0.len()
    }

    /// Where it may be before the first letter.
    pub(super) fn start(&self, at: &mut [u64]) {
        self.enter(at, 0);
    }

    /// At a place, and at those behind it: what stands for none as well may be passed over.
    fn enter(&self, at: &mut [u64], mut place: usize) {
        loop {
            at[place / 64] |= 1 << (place % 64);
            match self.0.get(place) {
                Some((_, Count::Any)) => place += 1,
                _ => return,
            }
        }
    }

    /// Where it may be a letter later. `at` is nowhere yet.
    pub(super) fn step(&self, before: &[u64], letter: char, at: &mut [u64]) {
        for (word, mut bits) in before.iter().copied().enumerate() {
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some((class, count)) = self.0.get(place)
                    && class.takes(letter)
                {
                    self.enter(at, if *count == Count::Any { place } else { place + 1 });
                }
            }
        }
    }

    pub(super) fn is_end(&self, at: &[u64]) -> bool {
        let end = self.0.len();
        at[end / 64] & (1 << (end % 64)) != 0
    }
}

fn places(piece: &Piece) -> Vec<(Class, Count)> {
    match piece {
        Piece::Text(text) => Sequence::text(text).collect(),
        Piece::OnePart => vec![(Class::NotSlash, Count::Any)],
        Piece::Anything => vec![(Class::Any, Count::Any)],
    }
}
