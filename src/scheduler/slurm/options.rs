//! Options for sbatch as people write them, brought to one spelling.
//!
//! What an abbreviation means depends on the version of sbatch. Here it is decided once, by one table, and sbatch only ever
//! sees `--name=value` with the full name: one word for each option, so that no value can become an option.

use thiserror::Error;

use super::table::{self, Argument, Setter, Spec};
use crate::report::one_line;
use crate::scheduler::settings::WrongWord;

/// Longest part of somebody's text that a message repeats.
const SHOWN: usize = 80;

/// Most names that a message lists.
const NAMED: usize = 8;

/// Options for sbatch, each at most once. None of them is one that the driver keeps for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmOptions(Vec<SlurmOption>);

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlurmOption {
    /// Full name, without dashes.
    pub(super) name: &'static str,
    /// Its value, if it has one.
    pub(super) value: Option<String>,
}

/// One option and how it was written.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// What it means.
    pub(super) option: SlurmOption,
    /// The words, as far as a message should repeat them.
    pub(super) written: String,
}

/// Words that are not options for sbatch, or not such that anybody but the driver may set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{written}` {why}")]
pub struct OptionError {
    written: String,
    index: usize,
    why: Wrong,
}

impl From<OptionError> for WrongWord {
    fn from(error: OptionError) -> Self {
        Self { index: error.index, why: error.to_string() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum Wrong {
    #[error("cannot be split into words: a quote is not closed, or nothing follows the last backslash")]
    Quotes,
    #[error("contains a control character; words are separated by spaces, tabs and line ends only")]
    Control,
    #[error("is not an option: a batch script or a stray word; options look like --name=value")]
    Stray,
    #[error("begins another job of a heterogeneous job, which is not possible here")]
    Heterogeneous,
    #[error("is not an option of sbatch{}", .0.map(|name| format!("; did you mean --{name}?")).unwrap_or_default())]
    Unknown(Option<&'static str>),
    #[error("can mean {0}; write the name in full")]
    Ambiguous(String),
    #[error("cannot be set: --{0} is the driver's own; {1}")]
    Reserved(&'static str, &'static str),
    #[error("needs a value: write --{0}=VALUE")]
    Missing(&'static str),
    #[error("has no value: write --{0} alone")]
    Needless(&'static str),
    #[error("has a value that begins with =; write --{0}=VALUE")]
    Equals(&'static str),
    #[error("asks sbatch for help; then no job runs")]
    Help,
    #[error("names a file; write the names of the nodes")]
    NodeFile,
}

impl SlurmOptions {
    /// Understands words as sbatch does. Of an option that is there twice the last one counts.
    pub fn parse_words(words: &[String]) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for given in read_words(words)? {
            options.set(given.option);
        }
        Ok(options)
    }

    /// The same of words in a configuration, of which all that is wrong is told at once.
    pub fn parse_all_words(words: &[String]) -> Result<Self, Vec<WrongWord>> {
        let wrong = all_wrong(words);
        if wrong.is_empty() { Self::parse_words(words).map_err(|error| vec![error.into()]) } else { Err(wrong) }
    }

    /// One word for each option, for sbatch.
    pub fn args(&self) -> Vec<String> {
        self.0.iter().map(SlurmOption::word).collect()
    }

    /// The value of an option; empty for a flag. None if it is not set. The name is the full one, without dashes.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|option| option.name == name).map(|option| option.value.as_deref().unwrap_or_default())
    }

    /// Sets one. It becomes the last: where two options are two words for one thing, sbatch believes the last.
    pub(super) fn set(&mut self, option: SlurmOption) {
        self.remove(option.name);
        self.0.push(option);
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|option| option.name != name);
    }

    /// In the order in which sbatch will get them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SlurmOption> {
        self.0.iter()
    }
}

impl SlurmOption {
    /// `--name` or `--name=value`.
    pub(super) fn word(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// Words of a line, split as a POSIX shell would. Nothing is expanded.
pub(super) fn split(line: &str) -> Result<Vec<String>, OptionError> {
    let fail = |why| OptionError { written: shown(line), index: 0, why };
    // Before quotes are looked at: what is quoted here must not be in a value either, except for line ends and tabs,
    // which are refused there.
    if line.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(fail(Wrong::Control));
    }
    shlex::split(line).ok_or_else(|| fail(Wrong::Quotes))
}

/// Options in the words, in their order.
pub(super) fn read_words(words: &[String]) -> Result<Vec<Given>, OptionError> {
    let mut reader = Reader { words, next: 0, given: Vec::new() };
    while reader.next < words.len() {
        let first = reader.next;
        if let Err(why) = reader.word() {
            return Err(OptionError { written: shown(&words[first]), index: first, why });
        }
    }
    Ok(reader.given)
}

/// All words that are wrong. What follows an option that is not known, or not possible, may be its value, and says nothing by itself.
fn all_wrong(words: &[String]) -> Vec<WrongWord> {
    let mut reader = Reader { words, next: 0, given: Vec::new() };
    let mut wrong = Vec::new();
    while reader.next < words.len() {
        let index = reader.next;
        if let Err(why) = reader.word() {
            let is_value = |word: &String| !word.starts_with('-') && !word.contains('=');
            let has_none = reader.next == index + 1 && !words[index].contains('=');
            if matches!(why, Wrong::Unknown(_) | Wrong::Reserved(..))
                && has_none
                && words.get(reader.next).is_some_and(is_value)
            {
                reader.next += 1;
            }
            wrong.push(OptionError { written: shown(&words[index]), index, why }.into());
        }
    }
    wrong
}

struct Reader<'w> {
    words: &'w [String],
    next: usize,
    given: Vec<Given>,
}

impl<'w> Reader<'w> {
    /// Reads one word and, where the option in it needs one, the value behind it.
    fn word(&mut self) -> Result<(), Wrong> {
        let words = self.words;
        let word = words[self.next].as_str();
        self.next += 1;
        if word.chars().any(char::is_control) {
            return Err(Wrong::Control);
        }
        match word.strip_prefix('-') {
            // sbatch looks for this word before it looks for options.
            None if word == ":" => Err(Wrong::Heterogeneous),
            // `-` and `--` too: what follows is a script.
            None | Some("" | "-") => Err(Wrong::Stray),
            Some(rest) => match rest.strip_prefix('-') {
                Some(long) => self.long(word, long),
                None => self.letters(word, rest),
            },
        }
    }

    fn long(&mut self, word: &str, long: &str) -> Result<(), Wrong> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        if name.is_empty() {
            return Err(Wrong::Stray);
        }
        let spec = find(name)?;
        if let (Argument::Required, None) = (spec.argument, value) {
            let value = self.following(spec)?;
            return self.add(spec, Some(value), &format!("{word} {value}"));
        }
        self.add(spec, value, word)
    }

    fn letters(&mut self, word: &str, letters: &str) -> Result<(), Wrong> {
        for (at, letter) in letters.char_indices() {
            let spec = table::by_letter(letter).ok_or(Wrong::Unknown(None))?;
            reserved(spec)?;
            // The rest of the word is the value, whatever it looks like.
            let rest = &letters[at + letter.len_utf8()..];
            match spec.argument {
                Argument::None => self.add(spec, None, word)?,
                Argument::Optional | Argument::Required if rest.starts_with('=') => {
                    return Err(Wrong::Equals(spec.name));
                }
                Argument::Optional => {
                    return self.add(spec, Some(rest).filter(|rest| !rest.is_empty()), word);
                }
                Argument::Required if rest.is_empty() => {
                    let value = self.following(spec)?;
                    return self.add(spec, Some(value), &format!("{word} {value}"));
                }
                Argument::Required => return self.add(spec, Some(rest), word),
            }
        }
        Ok(())
    }

    /// The next word as a value. sbatch would take any; one that looks like an option means that the value was forgotten.
    fn following(&mut self, spec: &Spec) -> Result<&'w str, Wrong> {
        let words = self.words;
        match words.get(self.next) {
            Some(value) if !value.starts_with('-') && value != ":" => {
                self.next += 1;
                Ok(value)
            }
            _ => Err(Wrong::Missing(spec.name)),
        }
    }

    fn add(&mut self, spec: &Spec, value: Option<&str>, written: &str) -> Result<(), Wrong> {
        match (spec.argument, value) {
            (Argument::None, Some(_)) => return Err(Wrong::Needless(spec.name)),
            (Argument::Required, None) | (_, Some("")) => return Err(Wrong::Missing(spec.name)),
            _ => {}
        }
        if let Some(value) = value {
            judge(spec.name, value)?;
        }
        let option = SlurmOption { name: spec.name, value: value.map(str::to_owned) };
        self.given.push(Given { option, written: shown(written) });
        Ok(())
    }
}

/// The option that a long name or the beginning of one means.
fn find(name: &str) -> Result<&'static Spec, Wrong> {
    if let Some(spec) = table::by_name(name) {
        return reserved(spec).map(|()| spec);
    }
    // Ambiguous even if all but one are the driver's: another version of sbatch may know fewer of them.
    match table::by_beginning(name).as_slice() {
        [] => Err(Wrong::Unknown(table::nearest(name))),
        [spec] => reserved(spec).map(|()| *spec),
        many => {
            let mut names: Vec<String> = many.iter().take(NAMED).map(|spec| format!("--{}", spec.name)).collect();
            names.extend((many.len() > NAMED).then(|| format!("{} others", many.len() - NAMED)));
            Err(Wrong::Ambiguous(names.join(", ")))
        }
    }
}

fn reserved(spec: &Spec) -> Result<(), Wrong> {
    match spec.setter {
        Setter::Driver(why) => Err(Wrong::Reserved(spec.name, why)),
        Setter::Job | Setter::Site => Ok(()),
    }
}

/// Values that make sbatch do something else than submit a job with this option.
fn judge(name: &str, value: &str) -> Result<(), Wrong> {
    if value.chars().any(char::is_control) {
        return Err(Wrong::Control);
    }
    match name {
        "gres" | "gpu-bind" | "mem-bind" | "hint" | "profile" | "cpu-freq"
            if value.split(',').any(|part| part.eq_ignore_ascii_case("help")) =>
        {
            Err(Wrong::Help)
        }
        "nodelist" | "exclude" if value.contains('/') => Err(Wrong::NodeFile),
        _ => Ok(()),
    }
}

/// Text of somebody in a message: not too long, and nothing that a terminal obeys.
pub(super) fn shown(text: &str) -> String {
    let text = one_line(text);
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
pub(super) mod tests;
