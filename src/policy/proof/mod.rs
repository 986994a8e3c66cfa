//! What rules can do, for all jobs that there could be and not for those that somebody thought of.
//!
//! Rules ask for few facts, each in few ways: whether a text is in a list or like a pattern, whether a number is in a list,
//! whether something is true. So the jobs of a rule are a *region*: for each fact a set of values, all of their combinations.
//! Such a set is finite, or all but a finite one, or one of patterns, which are automata; and of each it can be said whether
//! it is empty, and if not what is in it ([`region`], [`texts`], [`automaton`]).
//!
//! A question ("does anybody but ... become ...?") is a region of jobs that must have nothing in it once the jobs of other rules
//! are taken away. [`search`] takes one job out of it, and asks the code that decides about jobs. If that gives the account, the
//! job is the answer. If an earlier rule takes the job, all jobs of that rule are taken away from the region, which falls into
//! smaller ones, and each of those is asked again. No rule can be met twice on the same way down, so that this ends; and as
//! nothing but jobs of earlier rules was left out, what ends without an answer is proven.
//!
//! What a job asks for (`MOTMOT_RUN_AS`) matters only as far as rules have it in `may_request`: so each question is asked once for jobs
//! that ask for nothing, and once for each account that they may ask for.
//!
//! It ends, but perhaps late: whoever writes rules for it can have it take exponential time. So steps are counted, and what takes
//! too many is told as undecided, and never as proven.

pub mod approved;
pub mod automaton;
pub mod bits;
pub mod diff;
pub mod jobs;
pub mod membership;
pub mod never;
pub mod region;
pub mod rulebook;
pub mod search;
pub mod sequence;
pub mod set;
pub mod texts;

use std::cell::Cell;

/// So many steps a question may take: seconds. A step is about what it takes to hold one place of a pattern against a letter.
pub const MOST_STEPS: usize = 200_000_000;

/// And one that has an answer for each rule.
const MOST_OF_ALL: usize = 10 * MOST_STEPS;

/// A question that is not decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// There are too many ways to look at.
    #[error("not decided: that takes too long, as too many patterns overlap")]
    TooLarge,
    /// A job that was found is not what it was found for. A fault of ours, and no proof of anything.
    #[error(
        "not decided: the proof and the rules disagree about a job, which is a bug of motmot; please report it with your rules"
    )]
    Disagree,
    /// A table cannot be read, and may have the line that counts.
    #[error("not decided: {0}")]
    Table(String),
}

/// The steps that are left.
#[derive(Debug)]
pub struct Steps(Cell<usize>);

impl Steps {
    /// As many as a question may take.
    pub fn new() -> Self {
        Self(Cell::new(MOST_STEPS))
    }

    /// As many as one may take that has an answer for each rule.
    pub fn for_each_rule() -> Self {
        Self(Cell::new(MOST_OF_ALL))
    }

    #[cfg(test)]
    pub(super) fn few(count: usize) -> Self {
        Self(Cell::new(count))
    }

    fn take(&self, many: usize) -> Result<(), Undecided> {
        let left = self.0.get().checked_sub(many).ok_or(Undecided::TooLarge)?;
        self.0.set(left);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
