//! Looks for a text that is in all of some sets and in none of others, and knows when there is none.
//!
//! Each set is an automaton: a tree of the listed texts, and one of few states for each pattern. All of them read the same text
//! at once, letter by letter. What they have read so far matters only by the states that they are in, and of those there are
//! finitely many: when all that can be reached have been looked at, and none is the end of a text that was looked for, there is
//! none. Letters that no set asks for are all alike: one of them stands for them all.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use super::sequence::Sequence;
use super::set::OneOf;
use super::{Steps, Undecided};

/// Several sets that read the same text. Where they are is one row of words: for each set the node in its tree, counted from 1 with 0 for
/// none, and then the bits of its forms.
struct Product<'s> {
    sets: Vec<&'s OneOf>,
    /// So many of them, the first ones, are those that the text must be in.
    within: usize,
    words: usize,
    /// What a letter costs.
    cost: usize,
}

impl<'s> Product<'s> {
    fn of(within: &[&'s OneOf], without: &[&'s OneOf]) -> Self {
        let sets: Vec<&OneOf> = within.iter().chain(without).copied().collect();
        let forms = || sets.iter().flat_map(|set| set.forms());
        let words = sets.len() + forms().map(Sequence::words).sum::<usize>();
        let cost = words + forms().map(Sequence::places).sum::<usize>();
        Self { within: within.len(), words, cost, sets }
    }

    fn start(&self) -> Vec<u64> {
        let mut row = vec![0; self.words];
        let mut rest = row.as_mut_slice();
        for set in &self.sets {
            rest[0] = 1;
            rest = &mut rest[1..];
            for form in set.forms() {
                let (at, others) = rest.split_at_mut(form.words());
                form.start(at);
                rest = others;
            }
        }
        row
    }

    /// Where all of them are a letter later. False if no text that begins like that is in those that it must be in.
    fn step(&self, row: &[u64], letter: char, next: &mut [u64]) -> bool {
        next.fill(0);
        let mut from = 0;
        for (number, set) in self.sets.iter().enumerate() {
            let begin = from;
            let after = node(row[from]).and_then(|node| set.tree().after(node, letter));
            next[from] = after.map_or(0, |node| node as u64 + 1);
            from += 1;
            for form in set.forms() {
                let to = from + form.words();
                form.step(&row[from..to], letter, &mut next[from..to]);
                from = to;
            }
            if number < self.within && next[begin..from].iter().all(|word| *word == 0) {
                return false;
            }
        }
        true
    }

    /// Whether the text read so far is what is looked for.
    fn is_found(&self, row: &[u64]) -> bool {
        let mut from = 0;
        self.sets.iter().enumerate().all(|(number, set)| {
            let mut ends = node(row[from]).is_some_and(|node| set.tree().ends_at(node));
            from += 1;
            for form in set.forms() {
                let to = from + form.words();
                ends |= form.is_end(&row[from..to]);
                from = to;
            }
            ends == (number < self.within)
        })
    }
}

/// The node that a word stands for.
fn node(word: u64) -> Option<usize> {
    usize::try_from(word).ok()?.checked_sub(1)
}

/// So many words may be kept of where sets have been: some hundred megabytes.
const MOST_WORDS: usize = 30_000_000;

/// Words that a place needs besides its own.
const BESIDES: usize = 12;

/// Letters for texts that may be anything, nice ones first.
const USUAL: &str = "nxyzuvwabcdefghijklmopqrst-_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// One of the shortest texts that are in all of the first sets and in none of the others.
pub(super) fn find(within: &[&OneOf], without: &[&OneOf], steps: &Steps) -> Result<Option<String>, Undecided> {
    let letters = alphabet(&within.iter().chain(without).flat_map(|of| of.letters()).collect());
    let product = Product::of(within, without);
    let start: Rc<[u64]> = product.start().into();
    let mut seen = HashSet::from([Rc::clone(&start)]);
    // Each with the one that it was reached from, and by which letter.
    let mut reached = vec![(start, 0, '/')];
    let mut next = vec![0; product.words];
    let mut at = 0;
    while let Some((row, ..)) = reached.get(at).cloned() {
        if product.is_found(&row) {
            return Ok(Some(text_of(&reached, at)));
        }
        for letter in &letters {
            steps.take(product.cost)?;
            if product.step(&row, *letter, &mut next) && !seen.contains(next.as_slice()) {
                if reached.len() * (product.words + BESIDES) > MOST_WORDS {
                    return Err(Undecided::TooLarge);
                }
                let row: Rc<[u64]> = next.as_slice().into();
                seen.insert(Rc::clone(&row));
                reached.push((row, at, *letter));
            }
        }
        at += 1;
    }
    Ok(None)
}

/// The letters that lead to a place.
fn text_of(reached: &[(Rc<[u64]>, usize, char)], mut at: usize) -> String {
    let mut letters = Vec::new();
    while at != 0 {
        letters.push(reached[at].2);
        at = reached[at].1;
    }
    letters.iter().rev().collect()
}

/// All letters that sets ask for, and one for each kind of others.
fn alphabet(asked: &BTreeSet<char>) -> Vec<char> {
    let more = || USUAL.chars().chain('\u{e0}'..='\u{d7ff}');
    let other = |kind: fn(char) -> bool| more().find(|letter| kind(*letter) && !asked.contains(letter));
    let kinds: [fn(char) -> bool; 3] = [
        |letter| !letter.is_ascii_hexdigit(),
        |letter| letter.is_ascii_digit(),
        |letter| letter.is_ascii_hexdigit() && !letter.is_ascii_digit(),
    ];
    let mut letters: Vec<char> = kinds.into_iter().filter_map(other).collect();
    letters.extend(asked.iter().copied());
    if !letters.contains(&'/') {
        letters.push('/');
    }
    letters
}
