use std::path::Path;

use proptest::prelude::*;

use super::table::{self, Argument, Setter, TABLE};
use super::*;
use crate::settings::Settings;

fn settings(more: &str) -> Result<Settings, String> {
    let text = format!("[gitlab]\nurl = \"https://gitlab.example.com\"\n{more}");
    Settings::parse(Path::new("/etc/motmot/config.toml"), &text).map_err(|error| error.to_string())
}

fn slurm(more: &str) -> SlurmSettings {
    settings(more).expect("valid").slurm
}

fn line(text: &str) -> Result<Vec<String>, String> {
    SlurmOptions::parse_line(text).map(|options| options.args()).map_err(|error| error.to_string())
}

fn combine(slurm: &SlurmSettings, text: &str) -> Result<Vec<String>, String> {
    let job = [("SCHEDULER_PARAMETERS".to_owned(), text.to_owned())];
    slurm
        .combine(None, &job, Path::new("/etc/motmot/config.toml"))
        .map(|combined| combined.options.args())
        .map_err(|refused| refused.to_string())
}

/// Each line has to be refused for the limit, or to pass.
fn judged(limits: &str, good: &[&str], bad: &[&str]) {
    let slurm = slurm(&format!("[slurm.limits]\n{limits}\n"));
    for text in good {
        assert!(combine(&slurm, text).is_ok(), "{limits}: {text}: {:?}", combine(&slurm, text));
    }
    for text in bad {
        let refused = combine(&slurm, text).expect_err(text);
        assert!(refused.contains("is refused: slurm.limits."), "{limits}: {text}: {refused}");
    }
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
        let own = |spec: &table::Spec| matches!(spec.setter, Setter::Driver(_));
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

#[test]
fn serialized_options_are_checked_again() {
    let options = SlurmOptions::parse_line("-p gpu --exclusive").expect("valid");
    let json = serde_json::to_string(&options).expect("json");
    assert_eq!(json, "[\"--partition=gpu\",\"--exclusive\"]");
    assert_eq!(serde_json::from_str::<SlurmOptions>(&json).expect("valid"), options);
    assert!(serde_json::from_str::<SlurmOptions>("[\"--uid=0\"]").is_err());
}

#[test]
fn defaults_are_safe_and_there_without_the_section() {
    let slurm = slurm("");
    assert_eq!(slurm.bin_dir, Path::new("/usr/bin"));
    assert_eq!(slurm.parameters, ["SCHEDULER_PARAMETERS"]);
    assert_eq!((slurm.allocation, slurm.requeue), (Allocation::Stage, Requeue::Never));
    assert_eq!(slurm.limits, Limits::default());
    for name in ["nodefile", "bbf", "container", "mail-user", "priority", "reboot", "no-kill", "output"] {
        assert!(!slurm.allow.contains(name), "{name}");
    }
    for (stage, runs) in [("build_script", true), ("step_script", true), ("step_", true), ("after_script", false)] {
        assert_eq!(slurm.runs(stage), runs, "{stage}");
    }
}

#[test]
fn sessions_of_slurm_jobs_outlive_a_reboot_of_the_login_node() {
    let state = |jobs: &str| settings(jobs).expect("valid").jobs.state_dir.as_str().to_owned();
    assert_eq!(state("[jobs]\nexecutor = \"slurm\"\n"), "/var/lib/motmot");
    assert_eq!(state("[jobs]\nexecutor = \"shell\"\n"), "/run/motmot");
    assert_eq!(state("[jobs]\nexecutor = \"slurm\"\ndownscope = \"none\"\n"), "{home}/.local/state/motmot");
}

#[test]
fn problems_of_the_section_carry_their_places() {
    for (text, wanted) in [
        ("[slurm]\nbin_dir = \"usr\"\n", "4:11: `slurm.bin_dir` must be an absolute path"),
        ("[slurm]\ndefaults = [\"--time=1\", \"-o\", \"x\"]\n", "4:25: `slurm.defaults`: `-o` cannot be set"),
        ("[slurm]\nparameters = [\"A-B\"]\n", "4:15: `slurm.parameters` is not the name of a variable"),
        ("[slurm]\nallow = [\"time\", \"partiton\"]\n", "is not an option of sbatch (did you mean \"partition\"?)"),
        ("[slurm]\nallow = [\"--time\"]\n", "(did you mean \"time\"?)"),
        ("[slurm]\nallow = [\"uid\"]\n", "4:10: `slurm.allow` cannot have \"uid\""),
        ("[slurm]\nstages = [\"*\"]\n", "`slurm.stages` is not the name of a stage"),
        ("[slurm]\nstages = [\"a*b\"]\n", "`slurm.stages` is not the name of a stage"),
        ("[slurm]\nallocation = \"both\"\n", "`slurm.allocation` is \"both\""),
        ("[slurm]\nlimit = 1\n", "unknown key `slurm.limit` (did you mean `limits`?)"),
        ("[slurm.limits]\nmem = \"lots\"\n", "4:7: `slurm.limits.mem` is not an amount of memory"),
        ("[slurm.limits]\nnodes = 0\n", "`slurm.limits.nodes` must be at least 1"),
        ("[slurm.limits]\ngres = { gpu = \"4\" }\n", "must be a whole number"),
        ("[slurm.limits]\npartitions = [\"a,b\"]\n", "not a name: \"a,b\""),
        ("[[map]]\nrun_as = \"x\"\nslurm = [\"--uid=0\"]\n", "5:10: `map.slurm`: `--uid=0` cannot be set"),
    ] {
        let error = settings(text).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn the_job_overrides_defaults_and_the_rule_overrides_the_job() {
    let slurm = slurm(
        "[slurm]\ndefaults = [\"--partition=batch\", \"--time=1h\", \"--mem=4G\", \"--oversubscribe\"]\nparameters = [\"A\", \"B\"]\n",
    );
    let fixed = SlurmOptions::parse_line("--account=climate --exclusive").expect("valid");
    let job = |a: &str, b: &str| {
        [("B".to_owned(), b.to_owned()), ("A".to_owned(), a.to_owned()), ("C".into(), "--uid=0".into())]
    };
    let path = Path::new("/etc/motmot/config.toml");
    let rule = Some(("\"climate\" (line 9)", &fixed));
    let combined =
        slurm.combine(rule, &job("-p gpu -t 5 -A climate", "--mem-per-cpu=1G -t 7"), path).expect("admitted");
    assert_eq!(
        combined.options.args(),
        ["--partition=gpu", "--mem-per-cpu=1G", "--time=7", "--account=climate", "--exclusive"]
    );
    assert_eq!(combined.from_job, ["partition", "mem-per-cpu", "time"]);
    let nothing = slurm.combine(rule, &job("", " "), path).expect("admitted");
    assert!(nothing.from_job.is_empty());
    for (text, words) in [
        (
            "-A physics",
            "`-A physics` in A is refused: rule \"climate\" (line 9) in config.toml sets `--account=climate`; leave the option out",
        ),
        ("-s", "sets `--exclusive`"),
        ("--exclusive=user", "sets `--exclusive`"),
    ] {
        let refused = slurm.combine(rule, &job(text, ""), path).expect_err(text).to_string();
        assert!(refused.contains(words) && !refused.contains("/etc"), "{refused}");
    }
}

#[test]
fn what_the_rule_says_too_needs_no_permission() {
    let slurm = slurm("[slurm]\nallow = [\"time\"]\n[slurm.limits]\npartitions = [\"batch\"]\n");
    let fixed = SlurmOptions::parse_line("-p gpu").expect("valid");
    let job = [("SCHEDULER_PARAMETERS".to_owned(), "--partition=gpu".to_owned())];
    assert!(slurm.combine(Some(("r", &fixed)), &job, Path::new("c")).expect("admitted").from_job.is_empty());
    let refused = combine(&slurm, "-p batch").unwrap_err();
    assert_eq!(
        refused,
        "`-p batch` in SCHEDULER_PARAMETERS is refused: jobs do not set --partition here; slurm.allow (config.toml) has time"
    );
}

#[test]
fn a_refusal_says_what_the_limit_is_and_where() {
    let slurm = slurm("[slurm.limits]\npartitions = [\"batch\", \"debug\"]\ntime = \"24h\"\nmem = \"64G\"\n");
    for (text, words) in [
        (
            "--part=gpu",
            "`--part=gpu` in SCHEDULER_PARAMETERS is refused: slurm.limits.partitions (config.toml line 4) admits batch, debug",
        ),
        (
            "-t 2-0",
            "`-t 2-0` in SCHEDULER_PARAMETERS is refused: slurm.limits.time (config.toml line 5) admits at most 24h",
        ),
        ("--mem=1T", "slurm.limits.mem (config.toml line 6) admits at most 64G"),
        ("--time=soon", "cannot be compared with it; write MINUTES"),
        ("--uid=0", "in SCHEDULER_PARAMETERS: `--uid=0` cannot be set: --uid is the driver's own"),
    ] {
        let refused = combine(&slurm, text).expect_err(text);
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn lists_of_names_are_judged_name_by_name() {
    judged(
        "partitions = [\"batch\", \"debug\"]\naccounts = [\"a\"]\nqos = []",
        &["-p batch", "-p batch,debug", "-A a", ""],
        &["-p gpu", "-p batch,gpu", "-p batch,", "-p Batch", "-p 'batch '", "-A b", "-q normal"],
    );
}

#[test]
fn nodes_are_bounded_also_by_their_names_and_their_tasks() {
    judged(
        "nodes = 4",
        &["-N 4", "-N1-4", "--nodes=2", "-n 8", "-n 8 --ntasks-per-node=2", "--spread-job -N 2"],
        &[
            "-N 5",
            "-N 1-5",
            "-N 5-1",
            "-N 1k",
            "-N 0",
            "-N 1,2",
            "-N +1",
            "-N ' 1'",
            "-N 4-",
            "-N 1-2-3",
            "-w n1",
            "--spread-job",
            "-n 8 --ntasks-per-node=1",
            "-N 99999999999999999999",
        ],
    );
}

#[test]
fn tasks_are_bounded_also_where_they_follow_from_nodes() {
    judged(
        "ntasks = 8",
        &["-n 8", "--ntasks-per-node=4 -N 2", "--ntasks-per-node=8", "-w n[1-9] -n 8", "-n 8 -N 9", "-N 1-8"],
        &[
            "-n 9",
            "-n 0",
            "-n 0x1",
            "--ntasks-per-node=4 -N 1-3",
            "--ntasks-per-node=9",
            "-N 9",
            "-w n[1-9]",
            "--gpus=100 --gpus-per-task=1",
            "--ntasks-per-socket=4",
            "--ntasks-per-core=4",
            "--tres-per-task=cpu:1",
        ],
    );
}

#[test]
fn processors_are_bounded() {
    judged(
        "cpus_per_task = 16",
        &["-c 16", "--cpus-per-gpu=1", "--mincpus=16"],
        &["-c 17", "--cpus-per-gpu=17", "--mincpus=17", "--tres-per-task=cpu:64", "-c 16k"],
    );
}

#[test]
fn times_in_all_of_slurms_forms_are_bounded() {
    judged(
        "time = \"24h\"",
        &["-t 1440", "-t 30:59", "-t 24:00:00", "-t 1-0", "-t 0-23:59", "-t 0-23:59:59", "--time-min=5"],
        &[
            "-t 1441",
            "-t 1440:01",
            "-t 24:00:01",
            "-t 1-0:1",
            "-t 2-0",
            "-t 1-1:1:1",
            "-t 0",
            "-t 0:0",
            "-t 0-0",
            "-t UNLIMITED",
            "-t infinite",
            "--time=-1",
            "-t 1h",
            "-t 1:2:3:4",
            "-t 1-",
            "-t :5",
            "-t 5:",
            "--time-min=2-0",
            "-t 18446744073709551615-0",
        ],
    );
}

#[test]
fn memory_is_bounded_and_all_of_a_node_is_too_much() {
    judged(
        "mem = \"64G\"",
        &["--mem=64G", "--mem=65536", "--mem=65536M", "--mem=1024k", "--mem-per-cpu=4g", "--mem-per-gpu=64G"],
        &[
            "--mem=65G",
            "--mem=65537",
            "--mem=0",
            "--mem=0G",
            "--mem=1T",
            "--mem=1P",
            "--mem=G",
            "--mem=1GB",
            "--mem=-1",
            "--mem-per-cpu=65G",
            "--mem-per-cpu=0",
            "--mem-per-gpu=1t",
            "--mem=99999999999999999T",
            "--tres-per-task=mem:1T",
        ],
    );
}

#[test]
fn generic_resources_are_bounded_by_name_whichever_option_asks() {
    judged(
        "gres = { gpu = 4, nic = 1 }",
        &[
            "--gres=gpu",
            "--gres=gpu:4",
            "--gres=gpu:a100:2,gpu:v100:2",
            "--gres=gres:gpu:4,nic",
            "--gres=none",
            "-G 4",
            "--gres=gpu:a100",
            "--gres=gpu:1g.5gb:4",
            "-G a100:4",
            "--gpus-per-node=a100:2,v100:2",
            "--gpus-per-task=1 -n 4",
            "--gpus-per-task=1 -n 8 -N 2",
            "--gpus-per-socket=2 --sockets-per-node=2",
        ],
        &[
            "--gres=gpu:5",
            "--gres=gpu:a100:3,gpu:v100:2",
            "--gres=gres:gpu:5",
            "--gres=gres/gpu:5",
            "--gres=gpu:1k",
            "--gres=fpga",
            "--gres=nic:2",
            "--gres=GPU:5",
            "--gres=gpu:",
            "--gres=:5",
            "--gres=gpu:a:b:1",
            "--gres=gpu=5",
            "--gres=gpu:5x",
            "--gres=gpu:+5",
            "-G 5",
            "-G a100:5",
            "-G a100:4,v100:1",
            "--gpus-per-node=5",
            "--gpus-per-task=5",
            "--gpus-per-task=1 -n 5",
            "--gpus-per-task=2 --ntasks-per-node=4 -N 2",
            "--gpus-per-socket=3 --sockets-per-node=2",
            "--gpus-per-socket=1",
            "--tres-per-task=gres/gpu:8",
        ],
    );
}

#[test]
fn a_bound_counts_what_the_site_sets_beside_the_job() {
    let slurm = slurm("[slurm]\ndefaults = [\"--ntasks-per-node=4\"]\n[slurm.limits]\nntasks = 8\n");
    assert!(combine(&slurm, "-N 2").is_ok());
    assert!(combine(&slurm, "-N 3").is_err());
    // What is the site's alone is not the job's fault.
    let slurm =
        self::slurm("[slurm]\ndefaults = [\"--nodes=9\", \"--mem=0\"]\n[slurm.limits]\nnodes = 2\nmem = \"1G\"\n");
    assert!(combine(&slurm, "-t 5").is_ok());
}

#[test]
fn options_that_would_pass_a_limit_cannot_be_allowed_past_it() {
    let slurm = slurm(
        "[slurm]\nallow = [\"nodefile\", \"ntasks-per-gpu\", \"ntasks-per-tres\", \"extra-node-info\", \"gpus-per-socket\"]\n[slurm.limits]\nnodes = 2\nntasks = 2\ngres = { gpu = 1 }\n",
    );
    for text in ["-F hosts", "--ntasks-per-gpu=9", "--ntasks-per-tres=9", "-B 8 --gpus-per-socket=1"] {
        assert!(combine(&slurm, text).expect_err(text).contains("slurm.limits."), "{text}");
    }
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
        if let Ok(options) = SlurmOptions::parse_line(&words.join(" ")) {
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

    #[test]
    fn no_text_makes_limits_panic(name in proptest::sample::select(TABLE), value in "[0-9kKmMgGtT:,=a-z-]{1,12}") {
        let slurm = slurm("[slurm.limits]\nnodes = 2\nntasks = 4\ncpus_per_task = 4\ntime = \"1h\"\nmem = \"1G\"\ngres = { gpu = 1 }\n");
        let _ = combine(&slurm, &format!("--{}={value}", name.name));
    }
}
