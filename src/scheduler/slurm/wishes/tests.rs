use super::*;
use crate::scheduler::slurm::options::tests::options;
use crate::scheduler::slurm::settings::tests::slurm;

pub(in crate::scheduler::slurm) fn combine(slurm: &SlurmSettings, text: &str) -> Result<Vec<String>, String> {
    let job = [("SCHEDULER_PARAMETERS".to_owned(), text.to_owned())];
    slurm.combine(None, &job).map(|combined| combined.options.args()).map_err(|refused| refused.to_string())
}

#[test]
fn the_job_overrides_defaults_and_the_rule_overrides_the_job() {
    let slurm = slurm(
        "[slurm]\ndefaults = [\"--partition=batch\", \"--time=1h\", \"--mem=4G\", \"--oversubscribe\"]\nparameters = [\"A\", \"B\"]\n",
    );
    let fixed = options("--account=climate --exclusive").expect("valid");
    let job = |a: &str, b: &str| {
        [("B".to_owned(), b.to_owned()), ("A".to_owned(), a.to_owned()), ("C".into(), "--uid=0".into())]
    };
    let rule = Some(("\"climate\" (line 9)", &fixed));
    let combined = slurm.combine(rule, &job("-p gpu -t 5 -A climate", "--mem-per-cpu=1G -t 7")).expect("admitted");
    assert_eq!(
        combined.options.args(),
        ["--partition=gpu", "--mem-per-cpu=1G", "--time=7", "--account=climate", "--exclusive"]
    );
    assert_eq!(combined.from_job, ["--partition", "--mem-per-cpu", "--time"]);
    let nothing = slurm.combine(rule, &job("", " ")).expect("admitted");
    assert!(nothing.from_job.is_empty());
    for (text, words) in [
        (
            "-A physics",
            "`-A physics` in A is refused: rule \"climate\" (line 9) in config.toml sets `--account=climate`; leave the option out",
        ),
        ("-s", "sets `--exclusive`"),
        ("--exclusive=user", "sets `--exclusive`"),
    ] {
        let refused = slurm.combine(rule, &job(text, "")).expect_err(text).to_string();
        assert!(refused.contains(words) && !refused.contains("/etc"), "{refused}");
    }
}

#[test]
fn what_the_rule_says_too_needs_no_permission() {
    let slurm = slurm("[slurm]\nallow = [\"time\"]\n[slurm.limits]\npartitions = [\"batch\"]\n");
    let fixed = options("-p gpu").expect("valid");
    let job = [("SCHEDULER_PARAMETERS".to_owned(), "--partition=gpu".to_owned())];
    assert!(slurm.combine(Some(("r", &fixed)), &job).expect("admitted").from_job.is_empty());
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
