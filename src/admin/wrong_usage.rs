//! What is said about a wrong command line, without the secret that somebody may have put there.
//!
//! Who types `motmot verify $TOKEN` has shown it to every user of the machine, for as long as the program ran. A message that
//! repeats it would keep it: in the log of a job, of a service, of a terminal.

use std::path::Path;

use clap::error::{ContextKind, ContextValue};

/// In its place.
const INSTEAD: &str = "(not repeated here: it may be a secret)";
/// No verb, no option and hardly a word that was meant for one has so many characters in a row; every token has.
const LONG: usize = 24;
/// Of base64url, behind the beginning of each JSON object.
const PIECE: usize = 16;

/// The same words about a wrong usage, but for what may be a secret in them.
pub(super) fn without_secrets(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue] {
        let told = match error.get(kind) {
            Some(ContextValue::String(told)) if has_long_word(told) => told,
            _ => continue,
        };
        // `--token=eyJ...` is shown as far as it says what is wrong.
        let option = told.split_once('=').map(|(option, _)| option).filter(|option| !has_long_word(option));
        let instead = option.map_or_else(|| INSTEAD.to_owned(), |option| format!("{option}={INSTEAD}"));
        error.insert(kind, ContextValue::String(instead));
        // "to pass ... as a value", "a similar argument": with the same word.
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Whether some part of it is as long as a secret. Names of our own options with their placeholders are not: they have
/// spaces and brackets.
pub(super) fn has_long_word(text: &str) -> bool {
    longest(text) >= LONG
}

fn longest(text: &str) -> usize {
    text.split(|character| !is_in_tokens(character)).map(str::len).max().unwrap_or(0)
}

fn is_in_tokens(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '+' | '=')
}

/// A path as it is told, unless it is rather a token: `--token-file "$CI_JOB_JWT"` for `"$CI_JOB_JWT_FILE"`.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if has_token(&text) { INSTEAD.to_owned() } else { text }
}

/// Whether some part of it begins as every JWT does: base64url of `{"`.
pub(super) fn has_token(text: &str) -> bool {
    text.match_indices("eyJ").any(|(at, _)| {
        let rest = &text[at..];
        rest.split(|character| !is_in_tokens(character)).next().is_some_and(|word| word.len() >= PIECE)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "motmot")]
    enum Verb {
        Check {
            #[arg(long, value_parser = number)]
            count: Option<u8>,
        },
    }

    fn number(text: &str) -> Result<u8, &'static str> {
        text.parse().map_err(|_| "write a number")
    }

    fn told(words: &[&str]) -> String {
        let error = Verb::try_parse_from(["motmot"].iter().chain(words)).expect_err("wrong usage");
        without_secrets(error).render().to_string()
    }

    #[test]
    fn a_word_that_may_be_a_secret_is_not_repeated_and_what_is_wrong_is_still_told() {
        const SECRET: &str = "eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl";
        for words in [
            &[SECRET] as &[&str],
            &["check", SECRET],
            &["check", &format!("--token={SECRET}")],
            &["check", &format!("--{SECRET}")],
            &["check", &format!("-{SECRET}")],
            &["check", "--count", SECRET],
            &["check", "--count=glpat-64xyzGFrDLLQ7PKgKwYV"],
        ] {
            let told = told(words);
            assert!(!told.contains("FUzI1") && !told.contains("c2lnbm") && !told.contains("FrDLLQ"), "{told}");
            assert!(told.contains("error: ") && told.contains("For more information, try '--help'."), "{told}");
        }
        assert!(told(&["check", &format!("--token={SECRET}")]).contains("--token"));
    }

    #[test]
    fn what_is_misspelled_is_told() {
        for (words, part) in [
            (&["chekc"] as &[&str], "'chekc'"),
            (&["check", "--conut", "3"], "'--conut'"),
            (&["check", "--count", "many"], "'many'"),
            (&["check", "--count", "many"], "write a number"),
        ] {
            assert!(told(words).contains(part), "{}", told(words));
        }
        assert!(told(&["check", "--coun"]).contains("--count"), "what was meant");
    }

    #[test]
    fn a_path_is_told_and_a_token_in_its_place_is_not() {
        for path in ["token", "/home/eyJ/token.jwt", "/a/very/long/path/of/somebody/s/own/directory"] {
            assert_eq!(shown(Path::new(path)), path);
        }
        for token in ["eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2ln", "./eyJhbGciOiJFUzI1NiJ9.e30.c2ln"] {
            assert_eq!(shown(Path::new(token)), INSTEAD);
        }
    }
}
