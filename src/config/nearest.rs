//! What somebody may have meant who has misspelled a word.

/// So many letters may be wrong.
const WRONG: usize = 2;

/// The one of these that is nearest: at most two of its letters differ, and fewer than half. The word may be anybody's and of any
/// length: what is longer than all of them is compared with none.
pub fn nearest<'w>(word: &str, candidates: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= WRONG)
        .map(|candidate| (strsim::damerau_levenshtein(candidate, word), candidate))
        .min()
        .filter(|(far, _)| *far <= WRONG && far * 2 < word.len())
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_two_wrong_letters_is_known_again_unless_that_is_half_of_it() {
        let known = || ["time", "partition", "url"].into_iter();
        for (word, meant) in [
            ("tmie", Some("time")),
            ("tims", Some("time")),
            ("partitoin", Some("partition")),
            ("partion", Some("partition")),
            ("parton", None),
            ("tiny", None),
            ("uri", Some("url")),
            ("ure", Some("url")),
            ("abl", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known()), meant, "{word}");
        }
    }

    #[test]
    fn a_word_of_any_length_takes_no_time() {
        let start = std::time::Instant::now();
        assert_eq!(nearest(&"a".repeat(1_000_000), std::iter::repeat_n("partition", 1000)), None);
        assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
