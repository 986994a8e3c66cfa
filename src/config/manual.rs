//! What the manual says of a section and its keys: declared by the room that reads them, in its `settings/manual.rs`.
//!
//! The page motmot-config.toml(5) is made of these declarations and of nothing else, and tests (`settings/manual/tests.rs`)
//! hold them against the readers: every key that a reader accepts is declared and no other, its type, words, bounds and
//! default are what the reader does.

/// A section of the file, or what one room has in a section that several share.
#[derive(Debug)]
pub struct Part {
    /// Its name, such as `slurm.limits`.
    pub section: &'static str,
    /// Whether it can stand in the file more than once.
    pub header: Header,
    /// What it is for; empty where another part says it.
    pub says: &'static str,
    /// Its keys, in the order of the page.
    pub keys: &'static [Key],
    /// The file of this declaration, for whoever has to add a key to it: `file!()`.
    pub file: &'static str,
}

/// How a section begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `[section]`, once.
    Table,
    /// `[[section]]`, as often as needed.
    Tables,
    /// A table within one of those, on one line.
    Inline,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name in the section; none where the section itself is the value.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds where the file does not have it.
    pub unset: Unset,
    /// As TOML, and something else than what holds anyway; empty where every value is named.
    pub example: &'static str,
    /// What it means.
    pub says: &'static str,
    /// Which programs act by it. All of them read and judge the whole file.
    pub used_by: &'static [Program],
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A string that is this.
    Text(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// The same, where other code has to say which.
    MadeWord(fn() -> Vec<&'static str>),
    /// `true` or `false`.
    Boolean,
    /// A whole number of these, from the first to the last.
    Number(&'static str, Bounds),
    /// A span of time.
    Time(Bounds),
    /// A list of strings that are these.
    Texts(&'static str),
    /// One string that is this, or a list of them.
    OneOrMore(&'static str),
    /// The same of whole numbers.
    OneOrMoreNumbers(&'static str),
    /// A table of free names of these, with strings for values.
    TextTable(&'static str),
    /// A table of free names of these, with whole numbers for values.
    NumberTable(&'static str),
    /// A table of free names of these, with lists of strings that are the others for values.
    TextsTable(&'static str, &'static str),
}

/// The smallest and the largest value, as the file would say them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Without one: whatever the type has.
    pub least: Option<&'static str>,
    /// Likewise.
    pub most: Option<&'static str>,
}

impl Takes {
    /// The words that it may be; none where it is something else.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::Word(words) => words.to_vec(),
            Self::MadeWord(words) => words(),
            _ => Vec::new(),
        }
    }
}

impl Bounds {
    /// None but those of the type.
    pub const NONE: Self = Self { least: None, most: None };

    /// Not below this.
    pub const fn from(least: &'static str) -> Self {
        Self { least: Some(least), most: None }
    }

    /// Not above this.
    pub const fn up_to(most: &'static str) -> Self {
        Self { least: None, most: Some(most) }
    }

    /// Neither below the one nor above the other.
    pub const fn between(least: &'static str, most: &'static str) -> Self {
        Self { least: Some(least), most: Some(most) }
    }
}

/// Other lines, and what holds with them, as TOML.
pub type Case = (Vec<String>, String);

/// What holds where the file does not have a key.
#[derive(Clone, Copy, Debug)]
pub enum Unset {
    /// Nothing: where the section is, the key has to be.
    Required,
    /// As if this stood there, as TOML.
    Is(&'static str),
    /// The same, where the code that the reader uses has to say it.
    Made(fn() -> String),
    /// What other lines of the file (`jobs.downscope = "none"`; first without any) make of it.
    Depends(fn() -> Vec<Case>),
    /// What no value says, in words that follow "Without it: ".
    Means(&'static str),
}

/// What acts by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `motmot-config`
    Config,
    /// `motmot-prepare`
    Prepare,
    /// `motmot-run`
    Run,
    /// `motmot-cleanup`
    Cleanup,
    /// `motmot check`
    Check,
    /// `motmot simulate`
    Simulate,
    /// `motmot reap`
    Reap,
    /// `motmot keys`
    Keys,
    /// `motmot jwks`
    Jwks,
    /// `motmot approve`
    Approve,
    /// `motmot audit`
    Audit,
}

impl Program {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "motmot-config",
            Self::Prepare => "motmot-prepare",
            Self::Run => "motmot-run",
            Self::Cleanup => "motmot-cleanup",
            Self::Check => "motmot check",
            Self::Simulate => "motmot simulate",
            Self::Reap => "motmot reap",
            Self::Keys => "motmot keys",
            Self::Jwks => "motmot jwks",
            Self::Approve => "motmot approve",
            Self::Audit => "motmot audit",
        }
    }
}
