//! Tables of accounts: a file with a user and his account in each line, for sites where those differ for thousands.
//!
//! Read only when a rule that names one is reached, and looked through once: of a hundred thousand lines one counts.

use std::path::{Path, PathBuf};

use super::lines::lines;
use crate::evidence::Human;
use crate::report::{FailureKind, Fault};
use crate::sys::files::TrustError;
use crate::sys::installed::read_deciding;

/// Largest table that is read.
const MAX_BYTES: usize = 16 << 20;
/// What is before the number of a user. No login name of GitLab has a colon.
const BY_NUMBER: &str = "id:";

/// A table cannot be used. It may have the line that would have decided, so nobody is mapped by what is left of it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file can't be read, or must not be believed.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// A line is not one.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The table.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl Fault for TableError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn for_author(&self) -> String {
        "a table of accounts of this runner's driver is not usable; its administrators have to mend it".to_owned()
    }
}

/// Where tables come from.
pub trait Tables {
    /// Reads one.
    fn read(&self, path: &Path) -> Result<Table, TableError>;
}

/// From files, each of which must be believed as the configuration is.
#[derive(Clone, Copy, Debug)]
pub struct Files;

impl Tables for Files {
    fn read(&self, path: &Path) -> Result<Table, TableError> {
        let bytes = read_deciding(path, MAX_BYTES)?;
        Ok(Table { path: path.to_owned(), bytes })
    }
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// A line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'t> {
    /// From 1.
    pub line: usize,
    /// Whose it is.
    pub user: User<'t>,
    /// The account.
    pub account: &'t str,
}

/// By what a line knows its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User<'t> {
    /// Login name.
    Login(&'t str),
    /// Number, which does not change hands.
    Number(u64),
}

impl Table {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn for_test(text: &str) -> Self {
        Self { path: "users.map".into(), bytes: text.into() }
    }

    /// All its lines, in order.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'_>, TableError>> {
        lines(&self.bytes).map(|(line, text)| {
            let read = text.map_err(str::to_owned).and_then(words);
            let (user, account) = read.map_err(|why| self.wrong(line, why))?;
            Ok(Entry { line, user, account })
        })
    }

    /// The account of somebody: by his number, else by his name. Every line is looked at: one that cannot be read, or a second one
    /// for the same user, may have been meant for him.
    pub fn account_of(&self, human: Human<'_>) -> Result<Option<&str>, TableError> {
        let (mut by_number, mut by_login) = (None, None);
        for entry in self.entries() {
            let entry = entry?;
            let found = match entry.user {
                User::Number(id) if id == human.id => &mut by_number,
                User::Login(login) if Some(login) == human.login => &mut by_login,
                User::Number(_) | User::Login(_) => continue,
            };
            if let Some(Entry { line, .. }) = found.replace(entry) {
                return Err(self.twice(&entry, line));
            }
        }
        Ok(by_number.or(by_login).map(|entry| entry.account))
    }

    /// Whether it has users by number.
    pub fn has_numbers(&self) -> Result<bool, TableError> {
        for entry in self.entries() {
            if matches!(entry?.user, User::Number(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// That a user is there twice.
    pub fn twice(&self, second: &Entry<'_>, first: usize) -> TableError {
        self.wrong(second.line, format!("the user is in line {first} already; leave one of them"))
    }

    fn wrong(&self, line: usize, why: impl Into<String>) -> TableError {
        TableError::Line { path: self.path.clone(), line, why: why.into() }
    }
}

/// A user and an account.
fn words(line: &str) -> Result<(User<'_>, &str), String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(user), Some(account), None) = (words.next(), words.next(), words.next()) else {
        return Err("must be the GitLab user and his account, two words: adent arthur".to_owned());
    };
    if may_have_control(line.as_bytes()) && line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err("has a control character".to_owned());
    }
    let user = match user.strip_prefix(BY_NUMBER) {
        None => User::Login(user),
        Some(number) => User::Number(
            number
                .parse()
                .ok()
                .filter(|id| *id != 0)
                .ok_or_else(|| format!("{user:?} is not the number of a user; write id:42"))?,
        ),
    };
    Ok((user, account))
}

/// Whether it is worth the time to look for control characters byte by byte: eight at once, a half of what a large table takes. There
/// may be none where this says so, never the other way round.
fn may_have_control(line: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (pieces, rest) = line.as_chunks::<8>();
    let mut found = 0;
    for piece in pieces {
        let bytes = u64::from_ne_bytes(*piece);
        let delete = bytes ^ (EACH * 0x7f);
        // The highest bit of a byte is set by what it lacks: to be a blank or more, to be another than DEL.
        found |= (bytes.wrapping_sub(EACH * 0x20) & !bytes) | (delete.wrapping_sub(EACH) & !delete);
    }
    found & (EACH * 0x80) != 0 || rest.iter().any(u8::is_ascii_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn human(id: u64, login: &str) -> Human<'_> {
        Human { id, login: Some(login) }
    }

    #[test]
    fn a_user_has_the_account_of_his_line_and_his_number_counts_more_than_his_name() {
        let table = Table::for_test("# staff\n\nadent arthur\nid:7\tford\r\nslarti  magrathea \nid:42 marvin");
        let account = |human| table.account_of(human).expect("a table").map(str::to_owned);
        assert_eq!(account(human(1, "adent")).as_deref(), Some("arthur"));
        assert_eq!(account(human(7, "adent")).as_deref(), Some("ford"));
        assert_eq!(account(human(42, "nobody")).as_deref(), Some("marvin"));
        assert_eq!(account(human(3, "slarti")).as_deref(), Some("magrathea"));
        for other in ["Adent", "adent ", "aden", "adentx", "", "#", "id:7", "7"] {
            assert_eq!(account(human(3, other)), None, "{other:?}");
        }
        assert_eq!(account(Human { id: 3, login: None }), None);
        assert_eq!(account(Human { id: 7, login: None }).as_deref(), Some("ford"));
    }

    #[test]
    fn a_line_that_is_none_makes_the_table_unusable_for_everybody() {
        for (line, why) in [
            ("adent", "two words"),
            ("adent arthur admin", "two words"),
            ("id:0 arthur", "write id:42"),
            ("id:x arthur", "write id:42"),
            ("id:-1 arthur", "write id:42"),
            ("adent art\u{1b}hur", "control character"),
            ("ad\0ent arthur", "control character"),
        ] {
            let text = format!("ford ford\n{line}\n");
            let error = Table::for_test(&text).account_of(human(1, "ford")).expect_err(line).to_string();
            assert!(error.starts_with("users.map:2: ") && error.contains(why), "{line:?}: {error}");
        }
        let latin = Table { path: "users.map".into(), bytes: b"ford ford\nm\xfcller mueller\n".to_vec() };
        assert!(latin.account_of(human(1, "ford")).expect_err("Latin-1").to_string().contains("is not UTF-8"));
    }

    #[test]
    fn who_is_there_twice_has_neither_account() {
        let table = Table::for_test("adent arthur\nid:7 ford\nadent root\n");
        let error = table.account_of(human(1, "adent")).expect_err("twice").to_string();
        assert_eq!(error, "users.map:3: the user is in line 1 already; leave one of them");
        assert_eq!(table.account_of(human(7, "ford")).expect("another"), Some("ford"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_control_character_is_passed_over_wherever_it_is(mut line: Vec<u8>, at: usize, control in 0..33_u8) {
            for byte in &mut line {
                *byte = if byte.is_ascii_control() { b'x' } else { *byte };
            }
            let text: String = "ordinary words \u{e9}\u{1f426} ".repeat(3);
            prop_assert!(!may_have_control(text.as_bytes()) && !may_have_control(&line), "{:?}", line);
            line.insert(at % (line.len() + 1), if control == 32 { 0x7f } else { control });
            prop_assert!(may_have_control(&line), "{:?}", line);
        }
    }
}
