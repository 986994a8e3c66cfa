//! The manual against the readers. What they accept is asked of them as a site would find out: by files with what is wrong in
//! them, and by the words that they have for it.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::*;
use crate::config::manual::{Bounds, Key, Takes, Unset};
use crate::settings::Settings;

/// No key has this name, and none takes this value.
const NO_KEY: &str = "no-such-key-at-all";
const NO_VALUE: &str = "1979-05-27";

/// What a reader takes, as far as its words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Read {
    Text,
    Word(Vec<String>),
    Boolean,
    Number,
    Time,
    Texts,
    OneOrMore,
    OneOrMoreNumbers,
    TextTable,
    NumberTable,
    TextsTable,
}

impl From<Takes> for Read {
    fn from(takes: Takes) -> Self {
        match takes {
            Takes::Text(_) => Self::Text,
            Takes::Word(_) | Takes::MadeWord(_) => Self::Word(takes.words().into_iter().map(str::to_owned).collect()),
            Takes::Boolean => Self::Boolean,
            Takes::Number(..) => Self::Number,
            Takes::Time(_) => Self::Time,
            Takes::Texts(_) => Self::Texts,
            Takes::TextTable(_) => Self::TextTable,
            Takes::NumberTable(_) => Self::NumberTable,
            Takes::OneOrMore(_) => Self::OneOrMore,
            Takes::OneOrMoreNumbers(_) => Self::OneOrMoreNumbers,
            Takes::TextsTable(..) => Self::TextsTable,
        }
    }
}

/// A file, to which lines are added.
#[derive(Clone, Default)]
struct File(Table);

impl File {
    /// What every file must have, and a section of each kind, so that their keys are asked for.
    fn smallest() -> Self {
        let mut file = Self::default();
        for (path, key, _) in documented().filter(|(_, key, _)| matches!(key.unset, Unset::Required)) {
            file.set(&path, key.example);
        }
        file
    }

    /// The table of a section, made if need be; of several the first.
    fn table(&mut self, section: &str) -> &mut Table {
        section.split('.').filter(|part| !part.is_empty()).fold(&mut self.0, |table, part| {
            let several = ["map", "test", "never"].contains(&part);
            let new = if several { Value::Array(vec![Value::Table(Table::new())]) } else { Table::new().into() };
            match table.entry(part).or_insert(new) {
                Value::Array(tables) => tables[0].as_table_mut(),
                table => table.as_table_mut(),
            }
            .expect("a section")
        })
    }

    /// All tables of a section that are there.
    fn tables(&self, section: &str) -> impl Iterator<Item = &Table> {
        section
            .split('.')
            .fold(vec![&self.0], |tables, part| {
                let below = tables.into_iter().filter_map(|table| table.get(part));
                below
                    .flat_map(|value| match value {
                        Value::Array(tables) => tables.iter().filter_map(Value::as_table).collect(),
                        value => value.as_table().into_iter().collect::<Vec<_>>(),
                    })
                    .collect()
            })
            .into_iter()
    }

    fn set(&mut self, path: &str, value: &str) {
        let mut line: Table = format!("value = {value}").parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        self.table(section).insert(key.to_owned(), line.remove("value").expect("a value"));
    }

    fn with(&self, path: &str, value: &str) -> Self {
        let mut file = self.clone();
        file.set(path, value);
        file
    }

    fn without(&self, path: &str) -> Self {
        let mut file = self.clone();
        let (section, key) = path.rsplit_once('.').expect("a section");
        file.table(section).remove(key);
        file
    }

    /// The settings that come of it, without the places.
    fn read(&self) -> Result<String, String> {
        let text = toml::to_string(&self.0).expect("TOML");
        let read = Settings::parse(Path::new("/c.toml"), text.as_str());
        let shown = format!("{:?}", read.map_err(|error| format!("{error}\n{text}"))?);
        let mut pieces = shown.split("/c.toml:");
        let first = pieces.next().unwrap_or_default().to_owned();
        let rest = pieces.map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
        let shown = rest.fold(first, |all, piece| all + piece);
        // Which schedulers the file speaks of at all.
        let (before, behind) = shown.split_once("configured: [").expect("the schedulers");
        Ok(format!("{before}{}", behind.split_once("] }").expect("their end").1))
    }

    fn valid(&self) -> String {
        self.read().unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is said about one value in it.
    fn said(&self, path: &str) -> String {
        let error = self.read().err().unwrap_or_default();
        let begin = format!("`{path}` ");
        error.lines().filter_map(|line| line.split_once(&begin)).map(|(_, said)| said).collect()
    }
}

/// All keys of the manual: path, words, file of the declaration.
fn documented() -> impl Iterator<Item = (String, &'static Key, &'static str)> {
    let parts = sections().into_iter().flat_map(|section| section.parts);
    parts.flat_map(|part| {
        part.keys.iter().map(|key| {
            let path = if key.name.is_empty() { part.section.into() } else { format!("{}.{}", part.section, key.name) };
            (path, key, part.file)
        })
    })
}

/// All keys that the readers of a section and of those below it ask for.
fn read_below(file: &File, section: &str, found: &mut BTreeMap<String, Read>) {
    let full = |key: &str| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    let error = file.with(&full(NO_KEY), NO_VALUE).read().expect_err("an unknown key");
    let line = error.lines().find(|line| line.contains(&format!("unknown key `{}`", full(NO_KEY))));
    let line = line.unwrap_or_else(|| panic!("[{section}] accepts keys that nobody knows: {error}"));
    let known = line.split_once("(allowed here: ").map_or("", |(_, known)| known.trim_end_matches(')'));
    for path in known.split(", ").filter(|key| !key.is_empty()).map(full) {
        let said = file.with(&path, NO_VALUE).said(&path);
        let is = |begin: &str| said.starts_with(begin);
        let read = if is("must be true or false") {
            Read::Boolean
        } else if is("must be a whole number or a list") {
            Read::OneOrMoreNumbers
        } else if is("must be a string or a list") {
            Read::OneOrMore
        } else if is("must be a whole number") {
            Read::Number
        } else if is("must be a list of strings") {
            Read::Texts
        } else if is("must be a string") {
            text_of(file, &path)
        } else if is("must be a table") || is("must be an array of tables") {
            let inside = format!("{path}.{NO_KEY}");
            let said = file.with(&inside, NO_VALUE).said(&inside);
            if said.starts_with("must be a string") {
                Read::TextTable
            } else if said.starts_with("must be a list of strings") {
                Read::TextsTable
            } else if said.starts_with("must be a whole number") {
                Read::NumberTable
            } else {
                let mut file = file.clone();
                file.table(&path);
                read_below(&file, &path, found);
                continue;
            }
        } else {
            panic!("the reader of `{path}` takes {NO_VALUE}, or says something new about it: {said:?}");
        };
        found.insert(path, read);
    }
}

/// What kind of string a reader wants.
fn text_of(file: &File, path: &str) -> Read {
    if file.with(path, "7").said(path).starts_with("needs a unit") {
        return Read::Time;
    }
    let said = file.with(path, "\"no such word\"").said(path);
    match said.strip_prefix("is \"no such word\", but must be ") {
        Some(words) => Read::Word(words.split(" or ").map(|word| word.trim_matches('"').to_owned()).collect()),
        None => Read::Text,
    }
}

/// What is not in both, and what is there in two ways, each with what to do about it.
fn lies(read: &BTreeMap<String, Read>) -> Vec<String> {
    let declared: BTreeMap<String, (&Key, &str)> = documented().map(|(path, key, file)| (path, (key, file))).collect();
    assert_eq!(declared.len(), documented().count(), "a key is declared twice");
    let one = |(path, takes): (&String, &Read)| match declared.get(path) {
        None => Some(undocumented(path)),
        Some((key, _)) if *takes == Read::from(key.takes) => None,
        Some((key, file)) => Some(format!("`{path}`: {file} says {:?}, and the reader takes {takes:?}", key.takes)),
    };
    let unread = declared.iter().filter(|(path, _)| !read.contains_key(*path)).map(|(path, (_, file))| {
        format!("`{path}` is documented in {file}, and no reader asks for it: remove it there")
    });
    read.iter().filter_map(one).chain(unread).collect()
}

fn undocumented(path: &str) -> String {
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    let (add, file) = match sections().iter().find(|known| known.section == section) {
        Some(known) => (format!("a `Key` {key:?}"), known.parts[0].file),
        None => (
            format!("a `Part` for [{section}] with a `Key` {key:?}"),
            "settings/manual.rs of the room that reads it, and that part to src/settings/manual.rs",
        ),
    };
    format!("`{path}` is read and not documented: add {add} to {file}, with its type, its default and what it means")
}

#[test]
fn the_manual_has_every_key_that_the_readers_accept_and_no_other() {
    let mut read = BTreeMap::new();
    read_below(&File::smallest(), "", &mut read);
    assert!(read.len() > 40, "{read:#?}");
    // Of no section, and so in no list of them.
    assert_eq!(read.remove(INCLUDE.name), Some(Read::from(INCLUDE.takes)));
    let wrong = lies(&read).join("\n");
    assert!(wrong.is_empty(), "see CONTRIBUTING.md, \"A key of the configuration\":\n{wrong}");
    // And this comparison finds what is wrong.
    read.insert("jobs.new".to_owned(), Read::Text);
    read.insert("pbs.bin_dir".to_owned(), Read::Text);
    read.insert("jobs.image".to_owned(), Read::Text);
    read.remove("log.file");
    let found = lies(&read).join("\n");
    for wanted in [
        "`jobs.new` is read and not documented: add a `Key` \"new\" to src/launch/settings/manual.rs",
        "`pbs.bin_dir` is read and not documented: add a `Part` for [pbs]",
        "`jobs.image`: src/launch/settings/manual.rs says Word([\"warn\", \"refuse\"]), and the reader takes Text",
        "`log.file` is documented in src/report/settings/manual.rs, and no reader asks for it",
    ] {
        assert!(found.contains(wanted), "{found}");
    }
}

/// Keys that cannot be without another one, and that one with a value.
const NEEDS: [(&str, &str, &str); 8] = [
    ("test.environment_protected", "test.environment", "\"production\""),
    ("map.executor", "jobs.executor", "\"slurm\""),
    ("map.token_ttl", "token.ttl", "\"6h\""),
    ("map.gitlab", "gitlab.name", "\"prod\""),
    ("test.gitlab", "gitlab.name", "\"prod\""),
    ("never.gitlab", "gitlab.name", "\"prod\""),
    ("jobs.limits.swap", "jobs.limits.memory", "\"1G\""),
    ("gitlab.identity", "gitlab.id_token_audience", "\"https://ci.hpc.example\""),
];

#[test]
fn a_default_of_the_manual_is_what_holds_without_the_key() {
    let smallest = File::smallest();
    let unsaid = smallest.valid();
    for (path, key, file) in documented() {
        let same = |base: &File, value: &str| {
            let (with, without) = (base.with(&path, value).valid(), base.valid());
            assert!(
                with == without,
                "`{path}`: {file} says that the default is {value}:\n{without}\nbut with it:\n{with}"
            );
        };
        match key.unset {
            Unset::Required => {
                let said = smallest.without(&path).said(&path);
                assert!(said.starts_with("is missing"), "`{path}`: {file} says that it is required");
            }
            Unset::Is(value) => same(&smallest, value),
            Unset::Made(value) => same(&smallest, &value()),
            Unset::Depends(cases) => {
                let cases = cases();
                assert!(cases.first().is_some_and(|(lines, _)| lines.is_empty()), "{path}: first without other lines");
                for (lines, value) in &cases {
                    let base = lines.iter().fold(smallest.clone(), |base, line| {
                        let (path, value) = line.split_once(" = ").expect("path = value");
                        base.with(path, value)
                    });
                    same(&base, value);
                }
            }
            Unset::Means(_) => {}
        }
        // And a value that is another one makes a difference, so that these comparisons can say something.
        let others: Vec<String> = match key.takes {
            Takes::Word([_]) => continue,
            Takes::Word(_) | Takes::MadeWord(_) => key.takes.words().iter().map(|word| format!("{word:?}")).collect(),
            Takes::Boolean => vec!["true".to_owned(), "false".to_owned()],
            _ => vec![key.example.to_owned()],
        };
        let (file_before, base) = if matches!(key.unset, Unset::Required) {
            (smallest.clone(), smallest.without(&path).read().ok())
        } else if let Some((_, other, value)) = NEEDS.iter().find(|(needing, ..)| *needing == path) {
            let file = smallest.with(other, value);
            (file.clone(), Some(file.valid()))
        } else {
            (smallest.clone(), Some(unsaid.clone()))
        };
        let differ = others.iter().filter(|value| Some(file_before.with(&path, value).valid()) != base).count();
        assert!(
            differ > 0,
            "`{path}` = {others:?} changes nothing: {file} needs another example, or nobody uses the key"
        );
    }
}

#[test]
fn a_bound_of_the_manual_is_where_the_reader_begins_to_refuse() {
    let smallest = File::smallest();
    for (path, key, file) in documented() {
        let needs = NEEDS.iter().filter(|(needy, ..)| *needy == path);
        let base = needs.fold(smallest.clone(), |base, (_, other, value)| base.with(other, value));
        let takes = |value: &str| base.with(&path, value).read().is_ok();
        let (least, below, most, above) = match key.takes {
            Takes::Number(_, Bounds { least, most }) => {
                let moved = |text: &str, by: i64| (text.parse::<i64>().expect("a number") + by).to_string();
                (
                    least.unwrap_or("0").to_owned(),
                    least.map(|least| moved(least, -1)),
                    most.map_or_else(|| i64::MAX.to_string(), str::to_owned),
                    most.map(|most| moved(most, 1)),
                )
            }
            Takes::Time(Bounds { least, most }) => {
                let seconds = |text: &str| text.parse::<jiff::SignedDuration>().expect("a time").as_secs();
                (
                    format!("\"{}\"", least.unwrap_or("1s")),
                    least.map(|least| format!("\"{}s\"", seconds(least) - 1)),
                    format!("\"{}\"", most.unwrap_or("10000h")),
                    most.map(|most| format!("\"{}s\"", seconds(most) + 1)),
                )
            }
            _ => continue,
        };
        assert!(takes(&least), "`{path}`: {file} says that it takes {least}");
        assert!(takes(&most), "`{path}` does not take {most}: its bound is missing in {file}");
        for value in below.iter().chain(&above) {
            assert!(!takes(value), "`{path}` takes {value}, beyond the bounds in {file}");
        }
    }
}

#[test]
fn every_key_of_the_manual_is_in_the_sample_configuration_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/config.toml");
    let text = std::fs::read_to_string(path).expect("the sample");
    let all: String = text.lines().flat_map(|line| [line.strip_prefix("#: ").unwrap_or(line), "\n"]).collect();
    let sample = File(all.parse().expect("TOML"));
    for (path, key, _) in documented() {
        // What may hold and what may not are the same keys, and those of rules.
        let again = ["map.when.not", "never.unless", "never.unless.not"];
        let Some((section, name)) = path.rsplit_once('.').filter(|(section, _)| !again.contains(section)) else {
            continue;
        };
        let shown = sample.tables(section).find_map(|table| table.get(name).cloned());
        let shown = shown.unwrap_or_else(|| {
            panic!("packaging/config.toml does not have `{path}`: add a line that begins with \"#: \"")
        });
        let default = match key.unset {
            Unset::Is(value) => value.to_owned(),
            Unset::Depends(cases) => cases().swap_remove(0).1,
            // One that code makes is long: the sample has an example, and says so.
            Unset::Made(_) | Unset::Required | Unset::Means(_) => continue,
        };
        // Where the default is nothing, an example is shown.
        if !["[]", "{}", "\"\""].contains(&default.as_str()) {
            let mut wanted = File::default();
            wanted.set("value", &default);
            assert_eq!(Some(&shown), wanted.0.get("value"), "packaging/config.toml shows another default of `{path}`");
        }
    }
}
