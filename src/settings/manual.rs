//! What the manual says of the whole file: the declarations of all rooms, put together.

use crate::approval::settings::manual::APPROVALS;
use crate::config::manual::{Header, Key, Part, Program, Takes, Unset};
use crate::evidence::settings::manual::GITLAB;
use crate::launch::settings::manual::{JOBS, LIMITS};
use crate::policy::hook::settings::manual::HOOK;
use crate::policy::settings::manual::assertions::{NEVER, NEVER_NOT, TEST, UNLESS};
use crate::policy::settings::manual::{ACCOUNTS, GROUPS, MAP, NOT, POLICY, WHEN};
use crate::report::settings::manual::LOG;
use crate::scheduler::known;
use crate::token::settings::manual::TOKEN;

/// The only key that stands above all sections.
pub const INCLUDE: Key = Key {
    name: "include",
    takes: Takes::Texts(
        "files, from the root or from the directory of this one; * in the name of the file is any text",
    ),
    unset: Unset::Is("[]"),
    example: "[\"map.d/*.toml\"]",
    says: "Files with [[map]] rules, and with [groups] that are for the rules of that file alone; nothing else may be in them. Their rules come before those \
        of this file, in the order of this list, and of those that one * matches in the order of their names; names that begin with a full stop \
        are left out. Each must be root's, as this file. A file that is named and missing, and a directory that is, are errors.",
    used_by: &[Program::Config, Program::Check],
};

/// One section, with all that rooms have in it.
pub struct Documented {
    /// Its name, such as `slurm.limits`.
    pub section: &'static str,
    /// How it begins.
    pub header: Header,
    /// Never empty.
    pub parts: Vec<&'static Part>,
}

/// All sections, in the order of the page, which is that of the sample configuration.
pub fn sections() -> Vec<Documented> {
    let own = [&GITLAB, &JOBS, &LIMITS, &TOKEN, &ACCOUNTS];
    let mut sections: Vec<Documented> = Vec::new();
    for part in own
        .into_iter()
        .chain(known::manual())
        .chain([&LOG, &APPROVALS, &POLICY, &HOOK, &GROUPS, &MAP, &WHEN, &NOT, &TEST, &NEVER, &UNLESS, &NEVER_NOT])
    {
        match sections.iter_mut().find(|known| known.section == part.section) {
            Some(known) => known.parts.push(part),
            None => sections.push(Documented { section: part.section, header: part.header, parts: vec![part] }),
        }
    }
    // What a scheduler has in a rule comes behind what the rule itself has.
    for section in &mut sections {
        section.parts.sort_by_key(|part| part.says.is_empty());
    }
    sections.sort_by_key(|section| section.header != Header::Table);
    sections
}

#[cfg(test)]
mod tests;
