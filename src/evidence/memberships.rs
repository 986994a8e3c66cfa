//! Of which groups somebody is a member, as far as it is known.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Groups of GitLab by their full paths: those that he is a member of, and others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memberships {
    member_of: BTreeSet<String>,
    #[serde(default)]
    not_of: NotOf,
}

/// The groups that somebody is known not to be a member of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum NotOf {
    These(BTreeSet<String>),
    /// Of a job that is made up all of it can be said.
    AllOthers,
}

impl Default for NotOf {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Memberships {
    /// These, and no others: what is supposed of a job that is made up.
    pub fn supposed(member_of: BTreeSet<String>) -> Self {
        Self { member_of, not_of: NotOf::AllOthers }
    }

    /// These at least.
    pub fn at_least(member_of: BTreeSet<String>) -> Self {
        Self { member_of, not_of: NotOf::default() }
    }

    /// GitLab's answer about one of them.
    pub(super) fn add(&mut self, group: &str, is_member: bool) {
        if is_member {
            self.member_of.insert(group.to_owned());
        } else if let NotOf::These(groups) = &mut self.not_of {
            groups.insert(group.to_owned());
        }
    }

    /// Whether he is a member of this one, if that is known.
    pub fn of(&self, group: &str) -> Option<bool> {
        let is_not = match &self.not_of {
            NotOf::These(groups) => groups.contains(group),
            NotOf::AllOthers => true,
        };
        if self.member_of.contains(group) { Some(true) } else { is_not.then_some(false) }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those that he is a member of.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.member_of.iter().map(String::as_str)
    }
}
