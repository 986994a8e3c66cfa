//! Sets of texts as rules speak of them: lists, patterns, what is in several of them and in none of others.

use std::rc::Rc;

use super::automaton;
use super::set::OneOf;
use super::{Steps, Undecided};

/// On which side of a set a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In it.
    In,
    /// Not in it.
    Out,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }

    pub(super) fn is(self, found: bool) -> bool {
        match self {
            Self::In => found,
            Self::Out => !found,
        }
    }
}

/// What a text may be, and whether it may be unknown. Never empty.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Whether it may be unknown.
    unknown: bool,
    known: Known,
    /// What such texts look like in the world, where there is a choice: the first of these that is possible.
    usual: Rc<[Usual]>,
}

/// What is usual, and in examples nice to read.
#[derive(Debug, Default)]
pub struct Usual {
    pub within: Vec<Rc<OneOf>>,
    pub without: Vec<Rc<OneOf>>,
}

#[derive(Clone, Debug)]
enum Known {
    None,
    /// One of these, which is never none.
    Listed(Rc<[Rc<str>]>),
    /// In all of the first and in none of the others; and such a text.
    Open {
        within: Vec<Rc<OneOf>>,
        without: Vec<Rc<OneOf>>,
        example: Rc<str>,
    },
}

impl Texts {
    /// Any text but the empty one, or unknown as well.
    pub fn all(unknown: bool, usual: Vec<Usual>, steps: &Steps) -> Result<Self, Undecided> {
        let without = vec![OneOf::new([String::new()], Vec::new())];
        let usual = Rc::from(usual);
        let known = open(Vec::new(), without, &usual, steps)?;
        Ok(Self { unknown, known, usual })
    }

    /// Nothing is known.
    pub fn unknown() -> Self {
        Self { unknown: true, known: Known::None, usual: Rc::from([]) }
    }

    /// This one.
    pub fn one(text: &str) -> Self {
        Self { unknown: false, known: Known::Listed(Rc::from([Rc::from(text)])), usual: Rc::from([]) }
    }

    /// Those on one side of a set; unknown if that is to stay. `None`: there is none.
    pub fn narrow(
        &self,
        side: Side,
        of: &Rc<OneOf>,
        keep_unknown: bool,
        steps: &Steps,
    ) -> Result<Option<Self>, Undecided> {
        let known = match &self.known {
            Known::None => Known::None,
            Known::Listed(texts) => listed(texts.iter().filter(|text| side.is(of.contains(text))).cloned()),
            Known::Open { within, without, example } if side == Side::In && of.forms.is_empty() => {
                let fits = |text: &&String| {
                    within.iter().all(|of| of.contains(text)) && !without.iter().any(|of| of.contains(text))
                };
                // The example stays the first, so that it stays the example.
                let before = of.listed.get(&**example).into_iter();
                let all = before.chain(of.listed.iter().filter(|text| ***text != **example));
                listed(all.filter(fits).map(|text| Rc::from(text.as_str())))
            }
            Known::Open { within, without, example } => {
                let (mut within, mut without) = (within.clone(), without.clone());
                match side {
                    Side::In => within.push(Rc::clone(of)),
                    Side::Out => without.push(Rc::clone(of)),
                }
                // What is still one of them need not be looked for.
                if side.is(of.contains(example)) {
                    Known::Open { within, without, example: Rc::clone(example) }
                } else {
                    open(within, without, &self.usual, steps)?
                }
            }
        };
        let unknown = self.unknown && keep_unknown;
        let none = !unknown && matches!(known, Known::None);
        Ok((!none).then(|| Self { unknown, known, usual: Rc::clone(&self.usual) }))
    }

    /// One of them; nothing is for unknown, and only where nothing else is left.
    pub fn example(&self) -> Option<&str> {
        match &self.known {
            Known::None => None,
            Known::Listed(texts) => texts.first().map(|text| &**text),
            Known::Open { example, .. } => Some(example),
        }
    }

    /// The same, but nothing wherever unknown is possible.
    pub fn least(&self) -> Option<&str> {
        if self.unknown { None } else { self.example() }
    }

    /// All of them, if they are listed, and nothing else is possible.
    pub fn listed(&self) -> Option<&[Rc<str>]> {
        match &self.known {
            Known::Listed(texts) if !self.unknown => Some(texts),
            _ => None,
        }
    }
}

fn listed(texts: impl Iterator<Item = Rc<str>>) -> Known {
    let texts: Rc<[Rc<str>]> = texts.collect();
    if texts.is_empty() { Known::None } else { Known::Listed(texts) }
}

fn open(within: Vec<Rc<OneOf>>, without: Vec<Rc<OneOf>>, usual: &[Usual], steps: &Steps) -> Result<Known, Undecided> {
    fn all<'o>(own: &'o [Rc<OneOf>], usual: &'o [Rc<OneOf>]) -> Vec<&'o OneOf> {
        own.iter().chain(usual).map(|of| &**of).collect()
    }
    let mut found = None;
    for usual in usual {
        found = automaton::find(&all(&within, &usual.within), &all(&without, &usual.without), steps)?;
        if found.is_some() {
            break;
        }
    }
    if found.is_none() {
        found = automaton::find(&all(&within, &[]), &all(&without, &[]), steps)?;
    }
    Ok(found.map_or(Known::None, |text| Known::Open { within, without, example: text.into() }))
}
