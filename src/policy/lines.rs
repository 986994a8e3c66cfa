//! Files of the site with one thing in each line: tables of accounts, names of groups.

/// The lines that say something, each with its number from 1 and without blanks around it. `#` begins a comment.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, &'static str>)> {
    let mut rest = Some(bytes);
    // Of a hundred thousand lines: not byte by byte.
    let split = std::iter::from_fn(move || {
        let all = rest?;
        let end = memchr::memchr(b'\n', all);
        rest = end.map(|end| &all[end + 1..]);
        Some(&all[..end.unwrap_or(all.len())])
    });
    (1..)
        .zip(split.map(<[u8]>::trim_ascii))
        .filter(|(_, line)| !line.is_empty() && line[0] != b'#')
        .map(|(number, line)| (number, std::str::from_utf8(line).map_err(|_| "is not UTF-8")))
}
