//! Words that somebody else may have had a part in, made fit for a log: names in GitLab, file names, answers of schedulers and
//! servers. A name must not move a cursor, turn a line around, or pass for a line of ours.

/// Without characters that are obeyed rather than shown: control characters but line breaks, and those that hide, join or turn
/// around what stands beside them.
pub fn printable(words: &str) -> String {
    words.chars().map(|c| if c != '\n' && is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a name in the middle of a line, where a line break would begin a line of its own.
pub fn one_line(words: &str) -> String {
    words.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a message, which may have several lines: those after the first are indented, so that a line break in a name
/// begins no message of its own.
pub fn indented(words: &str) -> String {
    printable(words).trim_end_matches('\n').replace('\n', "\n  ")
}

/// Control characters, line and paragraph separators, and the format characters of Unicode (categories Cc, Cf, Zl, Zp) up to
/// those of tags: zero-width ones, bidirectional embeddings, overrides and isolates (Trojan Source, CVE-2021-42574), and the
/// like.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `1 rule`, `2 rules`.
pub fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a name may hold that forges or hides.
    pub(crate) const HOSTILE: &str =
        "arthur\nmotmot: forged\r\u{1b}[2K\u{85}\u{9b}31m\u{202e}txet\u{2066}\u{200b}\u{2028}motmot: too\u{feff}";

    #[test]
    fn escape_sequences_in_foreign_words_do_not_reach_the_log() {
        assert_eq!(printable("a\u{1b}[31mb\nc\r"), "a\u{fffd}[31mb\nc\u{fffd}");
    }

    #[test]
    fn a_name_neither_begins_a_line_nor_turns_one_around() {
        let obeyed = |c: char| c.is_control() || "\u{202e}\u{2066}\u{200b}\u{2028}\u{feff}".contains(c);
        assert!(!one_line(HOSTILE).contains(obeyed));
        assert!(!printable(HOSTILE).replace('\n', "").contains(obeyed));
        let told = indented(&format!("the account {HOSTILE} is no more\n"));
        assert_eq!(told.lines().filter(|line| !line.starts_with("  ")).count(), 1, "{told}");
    }

    #[test]
    fn letters_of_all_languages_are_shown() {
        for words in ["Zoë Müller", "天気/予報", "погода", "مشروع", "a-b_c.d", "🚀 build"] {
            assert_eq!(one_line(words), words);
        }
    }
}
