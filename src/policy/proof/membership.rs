//! In which groups the users of jobs are.
//!
//! Of each group one of three things is so: he is a member, he is none, or nobody has said. What rules ask is that he is a member of some
//! of a list, or that of all of a list it is known that he is none; and what is taken away is the opposite of one of these. Whatever is
//! asked to be so of some of a list stays so if he is a member of one more of it; so there is such a user if each of these lists still
//! has a group for it, and no two of them get in each other's way.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::bits::{FIRST, SECOND, UNKNOWN};
use crate::evidence::memberships::Memberships;

/// A list of groups, by their paths.
pub type List = Rc<BTreeSet<String>>;

/// Of how many of a list something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Some,
    All,
}

/// What is so of groups: first that he is no member, second that he is one.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Of a group that nothing was asked about.
    usual: u8,
    others: BTreeMap<String, u8>,
    /// So it is of some of each of these.
    some: Vec<(List, u8)>,
}

impl Groups {
    /// Where nobody says anything of groups.
    pub fn unknown() -> Self {
        Self::all(UNKNOWN)
    }

    /// Where GitLab says of each that he is in it, or not.
    pub fn asked() -> Self {
        Self::all(FIRST | SECOND)
    }

    /// Where GitLab says of some that he is in them, and else nothing.
    pub fn signed() -> Self {
        Self::all(UNKNOWN | SECOND)
    }

    fn all(usual: u8) -> Self {
        Self { usual, others: BTreeMap::new(), some: Vec::new() }
    }

    /// Those of which something is so of some or of all of a list, if there are any.
    pub fn narrow(&self, of: Of, list: &List, bits: u8) -> Option<Self> {
        let mut narrower = self.clone();
        match of {
            Of::Some => narrower.some.push((Rc::clone(list), bits)),
            Of::All => {
                for group in list.iter() {
                    let left = narrower.may_be(group) & bits;
                    narrower.others.insert(group.clone(), left);
                    if left == 0 {
                        return None;
                    }
                }
            }
        }
        let is_possible = |(list, bits): &(List, u8)| list.iter().any(|group| narrower.may_be(group) & bits != 0);
        narrower.some.iter().all(is_possible).then_some(narrower)
    }

    fn may_be(&self, group: &str) -> u8 {
        self.others.get(group).copied().unwrap_or(self.usual)
    }

    /// One of them: a member of as few as possible. What was asked earlier is met first, so that he stays the same where more is
    /// asked that is so of him already.
    pub fn example(&self) -> Memberships {
        let mut is = BTreeMap::new();
        for (list, bits) in &self.some {
            let least = |group: &str| match self.may_be(group) {
                bits if bits & FIRST != 0 => FIRST,
                bits if bits & UNKNOWN != 0 => UNKNOWN,
                _ => SECOND,
            };
            let is_so = |group: &String| is.get(group.as_str()).copied().unwrap_or_else(|| least(group)) & bits != 0;
            if list.iter().any(is_so) {
                continue;
            }
            if let Some(group) = list.iter().find(|group| self.may_be(group) & bits & SECOND != 0) {
                is.insert(group.as_str(), SECOND);
            }
        }
        let member_of = is.into_keys().map(str::to_owned).collect();
        if self.usual & FIRST != 0 { Memberships::supposed(member_of) } else { Memberships::at_least(member_of) }
    }
}
