//! Sets of texts that rules name: lists, and forms.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::sequence::Sequence;

/// Texts that are listed, or have one of some forms.
#[derive(Debug, Default)]
pub struct OneOf {
    pub(super) listed: BTreeSet<String>,
    pub(super) forms: Vec<Sequence>,
    /// The listed ones, letter by letter.
    tree: Tree,
    /// All letters that it asks for.
    letters: BTreeSet<char>,
}

/// Listed texts, letter by letter: nodes with what follows, and whether a text ends there.
#[derive(Debug, Default)]
pub(super) struct Tree(Vec<(BTreeMap<char, usize>, bool)>);

impl Tree {
    fn of(listed: &BTreeSet<String>) -> Self {
        let mut nodes = vec![(BTreeMap::new(), false)];
        for text in listed {
            let mut at = 0;
            for letter in text.chars() {
                let next = nodes.len();
                at = *nodes[at].0.entry(letter).or_insert(next);
                if at == next {
                    nodes.push((BTreeMap::new(), false));
                }
            }
            nodes[at].1 = true;
        }
        Self(nodes)
    }

    pub(super) fn after(&self, node: usize, letter: char) -> Option<usize> {
        self.0.get(node)?.0.get(&letter).copied()
    }

    pub(super) fn ends_at(&self, node: usize) -> bool {
        self.0.get(node).is_some_and(|(_, ends)| *ends)
    }
}

impl OneOf {
    /// Of both kinds.
    pub fn new(listed: impl IntoIterator<Item = String>, forms: Vec<Sequence>) -> Rc<Self> {
        let listed: BTreeSet<String> = listed.into_iter().collect();
        let mut letters: BTreeSet<char> = listed.iter().flat_map(|text| text.chars()).collect();
        letters.extend(forms.iter().flat_map(Sequence::letters));
        Rc::new(Self { tree: Tree::of(&listed), listed, forms, letters })
    }

    /// Whether a text is one of them.
    pub fn contains(&self, text: &str) -> bool {
        self.listed.contains(text) || self.forms.iter().any(|form| form.matches(text))
    }

    pub(super) fn forms(&self) -> &[Sequence] {
        &self.forms
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = char> {
        self.letters.iter().copied()
    }
}
