use proptest::prelude::*;

use super::table::TABLE;
use super::*;
use crate::scheduler::slurm::wishes::RIVALS;

pub(in crate::scheduler::slurm) fn options(line: &str) -> Result<SlurmOptions, OptionError> {
    SlurmOptions::parse_words(&split(line)?)
}

fn line(text: &str) -> Result<Vec<String>, String> {
    options(text).map(|options| options.args()).map_err(|error| error.to_string())
}

#[test]
fn every_spelling_of_an_option_becomes_the_full_one() {
    for (written, words) in [
        ("--partition=gpu", &["--partition=gpu"][..]),
        ("--partition gpu", &["--partition=gpu"]),
        ("--part=gpu", &["--partition=gpu"]),
        ("--part gpu", &["--partition=gpu"]),
        ("-pgpu", &["--partition=gpu"]),
        ("-p gpu", &["--partition=gpu"]),
        ("-Nof", &["--nodes=of"]),
        ("-sO", &["--oversubscribe", "--overcommit"]),
        ("-sOpgpu -t 5", &["--oversubscribe", "--overcommit", "--partition=gpu", "--time=5"]),
        ("-k", &["--no-kill"]),
        ("-koff", &["--no-kill=off"]),
        ("--exclusive --nice=5", &["--exclusive", "--nice=5"]),
        ("--exclusive=user", &["--exclusive=user"]),
        ("--tasks-per-node=2", &["--ntasks-per-node=2"]),
        ("--mem=1G", &["--mem=1G"]),
        ("--time=1 --time=2", &["--time=2"]),
        ("--time=1 --mem=5 -t2", &["--mem=5", "--time=2"]),
        ("--constraint='a&b'", &["--constraint=a&b"]),
        ("-C \"[rack1|rack2]\"", &["--constraint=[rack1|rack2]"]),
        ("-p \"x --uid=0\"", &["--partition=x --uid=0"]),
        ("--acctg-freq=task=5", &["--acctg-freq=task=5"]),
        ("--partition=$HOME`id`*~", &["--partition=$HOME`id`*~"]),
        ("--part\\\nition=x\n\t--time=1\n", &["--partition=x", "--time=1"]),
        ("--time=1 # --mem=1\n--qos=a#b", &["--time=1", "--qos=a#b"]),
        ("", &[]),
        (" \n", &[]),
    ] {
        assert_eq!(line(written).unwrap_or_else(|error| panic!("{written}: {error}")), words, "{written}");
    }
}

#[test]
fn attacks_by_spelling_are_refused() {
    for (written, why) in [
        ("-of", "--output is the driver's own"),
        ("-o f", "--output is the driver's own"),
        ("-ofoo", "--output is the driver's own"),
        ("-sofoo", "--output is the driver's own"),
        ("--outp f", "--output is the driver's own"),
        ("--ou f", "--output is the driver's own"),
        ("--out=f", "--output is the driver's own"),
        ("--o=f", "can mean"),
        ("-Hsv", "--hold is the driver's own"),
        ("--uid=0", "--uid is the driver's own"),
        ("--time=1\n--uid=0", "--uid is the driver's own"),
        ("--time=1\n--wrap=id", "--wrap is the driver's own"),
        ("'--uid=0'", "--uid is the driver's own"),
        ("--ui\\d=0", "--uid is the driver's own"),
        ("--cluster=x", "--clusters is the driver's own"),
        ("--requeue", "`slurm.requeue` in the site's configuration decides"),
        ("--par -o", "can mean --parsable, --partition"),
        ("--part -o", "needs a value: write --partition=VALUE"),
        ("--partition", "needs a value"),
        ("--partition=", "needs a value"),
        ("--partition ''", "needs a value"),
        ("--exclusive=", "needs a value"),
        ("-p=x", "begins with ="),
        ("--contiguous=x", "write --contiguous alone"),
        ("--exclusive user", "a batch script or a stray word"),
        ("script.sh", "a batch script or a stray word"),
        ("--", "a batch script or a stray word"),
        ("-", "a batch script or a stray word"),
        ("''", "a batch script or a stray word"),
        ("=", "a batch script or a stray word"),
        ("--=x", "a batch script or a stray word"),
        ("--time=1 : --time=2", "heterogeneous"),
        ("--time :", "needs a value"),
        ("--nod=1", "can mean --nodefile, --nodelist, --nodes; write"),
        ("--time=1\r", "control character"),
        ("--time='1\n--uid=0'", "control character"),
        ("--time=1\0", "control character"),
        ("--time='1", "a quote is not closed"),
        ("--time=1 \\", "a quote is not closed"),
        ("--partitoin=x", "did you mean --partition?"),
        ("--gres=help", "asks sbatch for help"),
        ("--nodelist=./hosts", "names a file"),
        ("-?", "is not an option of sbatch"),
        ("-é", "is not an option of sbatch"),
    ] {
        let error = line(written).expect_err(written);
        assert!(error.contains(why), "{written:?}: {error}");
    }
}

#[test]
fn every_beginning_of_a_name_that_is_the_drivers_is_refused() {
    let own = TABLE.iter().filter(|spec| matches!(spec.setter, Setter::Driver(_)));
    let names = own.map(|spec| spec.name).chain(["cluster"]);
    for name in names {
        for end in 0..=name.len() {
            for behind in ["", "=x", " x", "=''"] {
                let written = format!("--{}{behind}", &name[..end]);
                assert!(line(&written).is_err(), "{written}");
            }
        }
    }
    for letter in TABLE.iter().filter(|s| matches!(s.setter, Setter::Driver(_))).filter_map(|spec| spec.letter) {
        for written in [format!("-{letter}"), format!("-{letter}x"), format!("-{letter} x"), format!("-sO{letter}x")] {
            assert!(line(&written).is_err(), "{written}");
        }
    }
}

#[test]
fn the_table_has_every_name_and_letter_once_and_no_name_that_begins_one_of_the_drivers() {
    for (at, spec) in TABLE.iter().enumerate() {
        for other in &TABLE[at + 1..] {
            assert_ne!(spec.name, other.name);
            assert!(spec.letter.is_none() || spec.letter != other.letter, "{} and {}", spec.name, other.name);
        }
        let own = |spec: &Spec| matches!(spec.setter, Setter::Driver(_));
        if !own(spec) {
            // An sbatch that does not know the one would take it for the other.
            assert!(!TABLE.iter().any(|other| own(other) && other.name.starts_with(spec.name)), "{}", spec.name);
        }
    }
    for name in RIVALS.iter().copied().flatten() {
        assert!(table::by_name(name).is_some(), "{name}");
    }
}

#[test]
fn messages_do_not_repeat_without_end_and_carry_nothing_that_a_terminal_obeys() {
    let error = line(&format!("--bogus={}\x1b[2J", "x".repeat(9000))).unwrap_err();
    assert!(error.len() < 400 && !error.chars().any(char::is_control), "{error}");
}

/// Words of all kinds: right, wrong and nasty.
fn word() -> impl Strategy<Value = String> {
    let names: Vec<String> = TABLE.iter().map(|spec| spec.name.to_owned()).collect();
    let long = (proptest::sample::select(names), 0..30_usize, "[ =:]?", "[a-zA-Z0-9=,:'\"\\\\ \n-]{0,8}").prop_map(
        |(name, length, between, value)| format!("--{}{between}{value}", name.get(..length).unwrap_or(&name)),
    );
    prop_oneof![4 => long, 2 => "-[a-zA-Z]{1,3}[ =]?[a-z0-9\"' -]{0,5}", 1 => "\\PC{0,8}", 1 => any::<String>()]
}

proptest! {
    #[test]
    fn what_is_accepted_reads_the_same_again_and_is_never_the_drivers(words in proptest::collection::vec(word(), 0..5)) {
        if let Ok(options) = options(&words.join(" ")) {
            let args = options.args();
            prop_assert_eq!(&SlurmOptions::parse_words(&args).expect("its own words"), &options);
            for arg in &args {
                let bare = arg.strip_prefix("--").expect("long");
                let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
                let spec = TABLE.iter().find(|spec| spec.name == name).expect("a full name");
                prop_assert!(!matches!(spec.setter, Setter::Driver(_)));
                prop_assert!(spec.argument != Argument::Required || value.is_some_and(|value| !value.is_empty()));
                prop_assert!(!arg.chars().any(char::is_control));
                prop_assert_eq!(options.get(name), Some(value.unwrap_or_default()));
            }
        }
    }
}
