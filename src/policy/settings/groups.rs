//! `[groups]`: names for several users, written there or in files of lines.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Section;
use crate::config::values::visible_text;
use crate::policy::lines::lines;
use crate::sys::installed::read_deciding;

/// Largest file of names that is read.
const MAX_BYTES: usize = 4 << 20;

/// `[groups]`: the login names that rules use as `@NAME`.
pub type Groups = BTreeMap<String, Vec<String>>;

/// Reads the section. What begins with a slash, as no login name does, is a file of names.
pub fn read_groups(section: Section<'_>) -> Groups {
    section.string_lists(
        |text| if text.starts_with('/') { members_in(Path::new(text)) } else { Ok(vec![text.to_owned()]) },
    )
}

fn members_in(path: &Path) -> Result<Vec<String>, String> {
    let bytes = read_deciding(path, MAX_BYTES);
    members(path, &bytes.map_err(|error| format!("names a file that is not believed: {error}"))?)
}

/// One login name in a line.
fn members(path: &Path, bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut members = Vec::new();
    for (number, line) in lines(bytes) {
        let wrong = |why: &str| format!("names a file with a line that is none: {}:{number}: {why}", path.display());
        let name = line.map_err(wrong)?;
        if name.contains(char::is_whitespace) {
            return Err(wrong("must be one login name of GitLab"));
        }
        members.push(visible_text(name).map_err(|why| wrong(&why))?);
    }
    Ok(members)
}
