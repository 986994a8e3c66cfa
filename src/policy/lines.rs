//! Files of the site with one thing in each line: tables of accounts, names of groups.

/// The lines that say something, each with its number from 1 and without blanks around it. `#` begins a comment.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, &'static str>)> {
    let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii));
    numbered
        .filter(|(_, line)| !line.is_empty() && line[0] != b'#')
        .map(|(number, line)| (number, std::str::from_utf8(line).map_err(|_| "is not UTF-8")))
}
