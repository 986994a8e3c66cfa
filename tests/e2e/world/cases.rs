//! How a test is written down, and how all of them are found.

use std::collections::BTreeMap;
use std::process::ExitCode;

use libtest_mimic::Trial;

use super::needs::Body;
use super::selection::Selection;

/// One test. [`cases!`] makes it.
pub struct Case {
    /// Where it is, for the order.
    place: (&'static str, u32),
    /// With the path of its module, which begins with the name of this program.
    path: &'static str,
    body: Body,
}

inventory::collect!(Case);

impl Case {
    pub const fn new(place: (&'static str, u32), path: &'static str, body: Body) -> Self {
        Self { place, path, body }
    }

    fn name(&self) -> &'static str {
        self.path.split_once("::").map_or(self.path, |(_, name)| name)
    }
}

/// Tests: functions whose names are sentences about behaviour. The parameter says what a test needs, and is the proof that
/// it is there; see [`super::needs`]. Its full name begins with the path of its module.
///
/// With parentheses and commas, since rustfmt looks into no braces.
macro_rules! cases {
    ($($(#[$meta:meta])* fn $name:ident($($proof:ident: $Need:ident)?) $body:block),+ $(,)?) => {
        $(
            $(#[$meta])*
            fn $name($($proof: $crate::world::$Need)?) $body

            inventory::submit! {
                $crate::world::Case::new(
                    (file!(), line!()),
                    concat!(module_path!(), "::", stringify!($name)),
                    cases!(@body $name $($Need)?),
                )
            }
        )+
    };
    (@body $name:ident) => { $crate::world::Body::Nothing($name) };
    (@body $name:ident $Need:ident) => { $crate::world::Body::$Need($name) };
}
pub(crate) use cases;

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let mut selection = Selection::from_args(std::env::args());
    // Tests wait more than they compute: for a scheduler, for time-outs.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    selection.arguments.test_threads.get_or_insert(3 * cores);
    let mut cases: Vec<&Case> = inventory::iter::<Case>.into_iter().collect();
    cases.sort_by_key(|case| case.place);
    let mut trials = Vec::new();
    // Tests that lack the same thing are told together.
    let mut skipped: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for case in cases {
        let (name, body, missing) = (case.name(), case.body, case.body.missing());
        if !selection.has(name) {
            continue;
        }
        let skip = !missing.is_empty();
        if skip && selection.would_run(name) {
            skipped.entry((body.need(), missing)).or_default().push(name);
        }
        let run = move || {
            body.run();
            Ok(())
        };
        trials.push(Trial::test(name, run).with_ignored_flag(skip));
    }
    let conclusion = libtest_mimic::run(&selection.arguments, trials);
    super::tear_down(conclusion.has_failed());
    if !selection.arguments.list {
        // Behind everything: at the head a thousand lines would hide it.
        tell_skipped(&in_words(&skipped));
    }
    conclusion.exit_code()
}

/// What was not run, and why.
fn in_words(skipped: &BTreeMap<(&str, Vec<&str>), Vec<&str>>) -> String {
    let mut words = String::new();
    for ((need, missing), names) in skipped {
        let (count, missing) = (names.len(), missing.join(", "));
        let tests = if count == 1 { "test needs" } else { "tests need" };
        let are = if count == 1 { "is" } else { "are" };
        words.extend([format!("{count} {tests} {need} and {are} skipped (missing: {missing}):\n")]);
        words.extend(names.iter().map(|name| format!("  {name}\n")));
    }
    words
}

/// To the file that `tests/run.sh` shows when the last of all tests is over, or here and now.
fn tell_skipped(words: &str) {
    match std::env::var_os("MOTMOT_TESTS_SKIPPED") {
        Some(file) => std::fs::write(&file, words).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
        None => eprint!("{words}"),
    }
}
