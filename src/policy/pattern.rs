//! Patterns of names with `/` in them: projects, namespaces, git refs.
//!
//! `*` stands for any characters of one part, none included, and crosses no `/`; `**` for any characters at all. Everything else
//! stands for itself, in its case. There is no other sign, so that a rule can be read without a manual.

use std::fmt;

/// Longest pattern. GitLab's longest paths and refs are shorter.
const LONGEST: usize = 1024;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Vec<Piece>);

/// A piece of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// These bytes.
    Text(String),
    /// Any bytes but `/`.
    OnePart,
    /// Any bytes.
    Anything,
}

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// Why it can match nothing, or not what its author thinks.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("must have 1 to {LONGEST} characters: {text:?}"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!("must not contain spaces or control characters: {text:?}"));
        }
        if let Some(sign) = text.chars().find(|c| matches!(c, '?' | '[' | ']' | '\\' | '{' | '}')) {
            return Err(format!(
                "has {sign:?}, which means nothing here; there is * within a part, and ** for anything: {text:?}"
            ));
        }
        if text.contains("***") {
            return Err(format!("has more than two * beside each other: {text:?}"));
        }
        if text.starts_with('/') || text.ends_with('/') || text.contains("//") {
            return Err(format!("must not begin or end with / or have two of them beside each other: {text:?}"));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, length) = match rest.find('*') {
                Some(0) if rest.starts_with("**") => (Piece::Anything, 2),
                Some(0) => (Piece::OnePart, 1),
                at => {
                    let length = at.unwrap_or(rest.len());
                    (Piece::Text(rest[..length].to_owned()), length)
                }
            };
            pieces.push(piece);
            rest = &rest[length..];
        }
        Ok(Self(pieces))
    }

    /// Its pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The one name that it matches, if there is no star in it.
    pub fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The first part of all names that it matches, if that is one and the same.
    pub fn first_part(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text.split_once('/').map_or(text, |(first, _)| first)),
            [Piece::Text(text), ..] => text.split_once('/').map(|(first, _)| first),
            _ => None,
        }
    }

    /// Whether it is the pattern of this name. Takes time in proportion to the product of both lengths at most: nothing is tried again.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        if let [Piece::Text(text)] = self.0.as_slice() {
            return text.as_bytes() == name;
        }
        // Up to where the pieces so far may have come. Bit by bit, from piece to piece.
        let mut ends = vec![false; name.len() + 1];
        ends[0] = true;
        for piece in &self.0 {
            let mut next = vec![false; name.len() + 1];
            match piece {
                Piece::Text(text) => {
                    for at in (0..ends.len()).filter(|at| ends[*at]) {
                        if name[at..].starts_with(text.as_bytes()) {
                            next[at + text.len()] = true;
                        }
                    }
                }
                Piece::OnePart | Piece::Anything => {
                    let mut reached = false;
                    for at in 0..ends.len() {
                        if *piece == Piece::OnePart && at > 0 && name[at - 1] == b'/' {
                            reached = false;
                        }
                        reached |= ends[at];
                        next[at] = reached;
                    }
                }
            }
            ends = next;
        }
        ends[name.len()]
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::OnePart => f.write_str("*"),
            Piece::Anything => f.write_str("**"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).expect(pattern).matches(name)
    }

    #[test]
    fn a_star_stays_in_its_part_and_two_go_anywhere() {
        for (pattern, yes, no) in [
            (
                "climate/*",
                &["climate/model", "climate/"][..],
                &["climate", "climate/a/b", "xclimate/a", "Climate/a"][..],
            ),
            ("climate/**", &["climate/model", "climate/a/b"], &["climate", "climate2/a"]),
            ("**/model", &["a/model", "a/b/model"], &["model", "a/model2", "a/supermodel"]),
            ("*/model", &["a/model"], &["a/b/model", "model"]),
            ("release/*-rc*", &["release/1-rc", "release/1-rc2"], &["release/1", "release/1/x-rc"]),
            ("a*c/**/d", &["ac/x/d", "abc/x/y/d"], &["a/c/x/d", "abc/d"]),
            ("main", &["main"], &["main2", "xmain", "Main", "main/x"]),
            ("**", &["", "a", "a/b"], &[]),
        ] {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_pattern_that_its_author_may_mean_otherwise_is_refused() {
        for text in
            ["", "a?", "[ab]", "a{b,c}", "a\\b", "***", "/a", "a/", "a//b", "a b", "a\nb", "a\u{0}", &"a".repeat(2000)]
        {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_pattern_takes_long_whatever_the_name_is() {
        let pattern = Pattern::parse(&format!("{}b", "**a*a".repeat(100))).expect("a pattern");
        let start = std::time::Instant::now();
        assert!(!pattern.matches(&"a".repeat(1000)));
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
    }

    /// As one would write it down, and with trying again.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', '*', rest @ ..] => (0..=name.len()).any(|at| naive(rest, &name[at..])),
            ['*', rest @ ..] => {
                let part = name.iter().position(|c| *c == '/').unwrap_or(name.len());
                (0..=part).any(|at| naive(rest, &name[at..]))
            }
            [first, rest @ ..] => name.first() == Some(first) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_pattern_matches_as_one_that_tries_everything_does(pattern in "[ab/*é]{1,8}", name in "[ab/é]{0,9}") {
            if let Ok(parsed) = Pattern::parse(&pattern) {
                let chars = |text: &str| text.chars().collect::<Vec<_>>();
                prop_assert_eq!(parsed.matches(&name), naive(&chars(&pattern), &chars(&name)));
                prop_assert_eq!(parsed.to_string(), pattern);
            }
        }
    }
}
