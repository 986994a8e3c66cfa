//! Words for bash.

use std::fmt::Write as _;

/// One word for bash: as it is where that is safe, otherwise `$'...'`.
pub(crate) fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,@%+=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut word = String::with_capacity(text.len() + 4);
    word.push_str("$'");
    for character in text.chars() {
        match character {
            '\n' => word.push_str("\\n"),
            '\r' => word.push_str("\\r"),
            '\t' => word.push_str("\\t"),
            '\\' => word.push_str("\\\\"),
            '\'' => word.push_str("\\'"),
            control if control.is_ascii_control() => {
                let _ = write!(word, "\\x{:02x}", u32::from(control));
            }
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::quote;

    #[test]
    fn bash_reads_a_quoted_word_back_unchanged() {
        let all: String = ('\u{1}'..='\u{ff}').collect();
        for text in ["", "plain", "a b", "it's", "$(id) `id` \\ \"", "\x1bA1", "line\nline\r\n\t", &all] {
            let output = Command::new("bash").arg("-c").arg(format!("printf %s {}", quote(text))).output();
            let stdout = output.map(|output| output.stdout).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&stdout), text);
        }
    }
}
