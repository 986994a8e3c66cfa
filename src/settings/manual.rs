//! What the manual says of the whole file: the declarations of all rooms, put together.

use crate::config::manual::{Header, Part};
use crate::evidence::settings::manual::GITLAB;
use crate::launch::settings::manual::{JOBS, LIMITS};
use crate::policy::settings::manual::{ACCOUNTS, GROUPS, MAP, NOT, POLICY, WHEN};
use crate::report::settings::manual::LOG;
use crate::scheduler::known;
use crate::token::settings::manual::TOKEN;

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
    for part in own.into_iter().chain(known::manual()).chain([&LOG, &POLICY, &GROUPS, &MAP, &WHEN, &NOT]) {
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
