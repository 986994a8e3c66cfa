use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proptest::prelude::*;

use super::outline::Outline;
use super::reader::attempt;
use super::values::{BaseUrl, Template};
use super::*;

/// What a test reads: tables `[[tree]]`, and beside them a section.
#[expect(clippy::unnecessary_wraps, reason = "what a reader is asked for")]
fn forest(mut root: Section<'_>) -> Option<String> {
    let trees = root.tables("tree", |mut section| {
        let (place, name) = (section.place(), section.string("name"));
        let (apples, list) = (section.number("apples"), section.strings("list"));
        let mut below = section.section("below");
        let roots = below.string("roots");
        below.finish();
        section.finish();
        format!("{} {name:?} {apples:?} {list:?} {roots:?}", place.line()).replace('\n', "")
    });
    let mut ground = root.section("ground");
    let words = ground.string("words");
    let lists: Vec<_> = ground.tables("stones", |section| section.place().line());
    ground.finish();
    root.finish();
    Some(format!("{trees:#?} {words:?} {lists:?}"))
}

fn parse(text: &str) -> Result<String, String> {
    read(&Source::new("/etc/c.toml", text), forest).map_err(|error| error.to_string())
}

#[test]
fn unknown_keys_are_errors_with_place_and_a_guess() {
    let error = parse("[ground]\nwords = \"x\"\nword = \"y\"\n").unwrap_err();
    assert!(error.contains("/etc/c.toml:3:1: unknown key `ground.word` (did you mean `words`?)"), "{error}");
    let error = parse("\n[tree]\n").unwrap_err();
    assert!(error.contains("/etc/c.toml:2:1: `tree` must be an array of tables ([[tree]]), not a table"), "{error}");
}

#[test]
fn syntax_errors_carry_their_place() {
    let error = parse("[ground\nwords = 1\n").unwrap_err();
    assert!(error.contains("c.toml:1:"), "{error}");
}

#[test]
fn the_rendered_form_shows_the_line_and_a_marker() {
    let error = read(&Source::new("c.toml", "[ground]\nwords = 5\n"), forest).unwrap_err();
    let rendered = error.render();
    assert!(rendered.contains("words = 5") && rendered.contains('^'), "{rendered}");
}

#[test]
fn lines_and_columns_are_counted_as_editors_do() {
    let source = Source::new("c.toml", "a\näö = 1\n\nb");
    for (at, place) in [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (3, (2, 1)), (6, (2, 3)), (11, (3, 1)), (12, (4, 1))] {
        assert_eq!(source.line_and_column(at), place, "{at}");
    }
    assert_eq!(source.line_and_column(99), (4, 2), "behind the end");
    assert_eq!(Source::new("c.toml", "").line_and_column(0), (1, 1));
}

#[test]
fn a_place_names_its_file_without_the_directory() {
    let place =
        read(&Source::new("/etc/secret/c.toml", "\n[ground]\n"), |mut root| Some(root.section("ground").place()));
    let place = place.expect("valid");
    assert_eq!((place.file_name().as_str(), place.line()), ("c.toml", 2));
}

/// So many tables, all valid.
fn trees(count: usize) -> String {
    let mut text = "[ground]\nwords = \"\"\"\nof several\n[[tree]]\n\"\"\"\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "[[tree]]\nname = \"{number}\"\nbelow = {{ roots = \"deep\" }}\napples = {number}");
    }
    text
}

#[test]
fn long_runs_of_tables_are_read_one_by_one() {
    let text = trees(500);
    let text = &text[text.find("[[tree]]\nname").expect("a tree")..];
    let source = Source::new("c.toml", text);
    let outline = Outline::of(&source);
    assert_eq!(outline.text, "[[tree]]\n");
    assert_eq!(outline.parts_at(0).expect("a run").len(), 500);
    let apart = attempt(&source, &outline, forest).expect("valid");
    assert_eq!(Ok(apart), attempt(&source, &Outline::whole(&source), forest));
}

#[test]
fn what_only_looks_like_a_run_of_tables_is_read_as_it_is() {
    for text in [
        &trees(3),
        "[ground]\nwords = \"\"\"\n[[tree]]\nname = 'no name'\n\"\"\"\n",
        "[[tree]]\nlist = [\n\"a\",\n\"b\"\n]\n[[tree]]\n",
        "[[tree]]\n[tree.below]\nroots = \"a\"\n[[tree]]\n  [tree.below]\n  roots = \"b\"\n",
        "[[tree]]\nname = \"a\"\n[ground]\nwords = \"\"\n[[tree]]\nname = \"b\"\n",
        "[[tree]]\nname = \"a\"\n[ground]\nwords = \"\"\n[tree.below]\nroots = \"late\"\n",
        "  [[tree]]  \r\n\tname = \"a\"\r\n  [[tree]]\r\nname = \"b\"",
        "[ground]\nwords = \"\"\n[[ground.stones]]\n[[ground.stones]]\n",
    ] {
        let source = Source::new("c.toml", text);
        let whole = attempt(&source, &Outline::whole(&source), forest);
        assert_eq!(read(&source, forest).expect(text), whole.expect(text), "{text}");
    }
    for (text, wanted) in [
        ("[[tree]]\nname = \"a\"\nname = \"b\"\n", "c.toml:3:1: duplicate key"),
        ("[tree]\n[[tree]]\nname = \"a\"\n[[tree]]\n", "duplicate key"),
        ("[[tree]]\nname = \"a\"\n[[tree]]\nnam = \"b\"\n", "c.toml:4:1: unknown key `tree.nam`"),
        ("[[bush]]\n=\n[[bush]]\n", "c.toml:2:1: "),
        ("list = [\n[[tree]]\nname = \"a\"\n[1], ]\n[[tree]]\n", "c.toml:2:"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

/// Lines that make sense, and lines that upset a reader of lines.
const LINES: &[&str] = &[
    "[[tree]]",
    "[[tree]]",
    "[[tree]]\nname = 'b' # [[tree]]",
    "  [[tree]]\t\r\n\r",
    "[[tree]] # one",
    "[[ tree ]]",
    "\u{feff}[[tree]]",
    "\u{feff}name = \"a\"",
    "name = \"a\"",
    "apples = 1",
    "list = [",
    "list = [\n\"a\",\n[[tree]]",
    "[1], ]",
    "]",
    "below.roots = \"r\"",
    "[tree.below]",
    "[ tree.below ]\nroots = \"r\"",
    "[ground]",
    "[ground]\nwords = \"\"\"",
    "words = '''",
    "\"\"\"",
    "\"\"\"",
    "'''",
    "[[ground.stones]]",
    "tree = [{}]",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn a_file_read_table_by_table_says_what_the_whole_file_says(picks in prop::collection::vec(0..LINES.len(), 1..8)) {
        let lines: Vec<&str> = picks.iter().map(|pick| LINES[*pick]).collect();
        let text = lines.join("\n");
        let source = Source::new("c.toml", text.as_str());
        if let Ok(apart) = attempt(&source, &Outline::of(&source), forest) {
            prop_assert_eq!(Ok(apart), attempt(&source, &Outline::whole(&source), forest), "{}", text);
        }
    }
}

/// CPU time of this thread: other tests run beside it.
fn cost(text: &str) -> Duration {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    let once = || {
        let start = now();
        assert!(parse(text).is_ok());
        now().saturating_sub(start)
    };
    (0..3).map(|_| once()).min().expect("some")
}

#[test]
fn four_times_the_tables_take_about_four_times_as_long() {
    let (few, many) = (cost(&trees(1000)), cost(&trees(4000)));
    assert!(many < few * 8, "{few:?} for 1000, {many:?} for 4000");
}

#[test]
fn plain_http_is_for_loopback_only() {
    for good in ["http://127.0.0.1:8080", "http://[::1]:3000/gitlab", "http://localhost", "https://gitlab.example.com"]
    {
        assert!(BaseUrl::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "http://gitlab.example.com",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "ftp://x",
        "gitlab.example.com",
        "https://u:p@h",
        "https://h?x",
        "https://h#x",
        "",
    ] {
        assert!(BaseUrl::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn templates_expand_and_never_climb() {
    let template = Template::parse("/scratch/{user}/{uid}").expect("valid");
    assert_eq!(template.expand(Path::new("/home/a"), "ada", 7), Path::new("/scratch/ada/7"));
    let home = Template::parse("{home}/.motmot").expect("valid");
    for (text, above) in [
        ("/scratch/{user}/{uid}", "/scratch"),
        ("/project/climate/ci/of-{uid}/x", "/project/climate/ci"),
        ("/{user}", "/"),
        ("/scratch/ci", "/"),
        ("{home}/.motmot", "/home/arthur"),
        ("{home}/ci/{uid}", "/home/arthur"),
        ("/scratch/{home}", "/scratch"),
    ] {
        let template = Template::parse(text).expect("valid");
        assert_eq!(template.above_own(Path::new("/home/arthur")), std::path::PathBuf::from(above), "{text}");
    }
    assert_eq!(home.expand(Path::new("/home/{uid}"), "ada", 7), Path::new("/home/{uid}/.motmot"));
    for bad in ["/a/../b", "relative", "{user}/x", "/a/{group}", "/a/{"] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}
