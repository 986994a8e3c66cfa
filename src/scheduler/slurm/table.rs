//! What sbatch knows: every option of the versions 20.11 to 24.05 and what is newer, and who may set it.

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// It is a flag.
    None,
    /// `--name=value` or `--name value`.
    Required,
    /// `--name` or `--name=value`; a word behind it is no value.
    Optional,
}

/// Who may set an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setter {
    /// A job, unless `slurm.allow` says otherwise.
    Job,
    /// The site; a job if `slurm.allow` has it.
    Site,
    /// The driver alone, and why.
    Driver(&'static str),
}

/// One option of sbatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Long name, without dashes.
    pub name: &'static str,
    /// Short name.
    pub letter: Option<char>,
    /// Whether it has a value.
    pub argument: Argument,
    /// Who may set it.
    pub setter: Setter,
}

const fn job(name: &'static str, letter: Option<char>, argument: Argument) -> Spec {
    Spec { name, letter, argument, setter: Setter::Job }
}

const fn site(name: &'static str, letter: Option<char>, argument: Argument) -> Spec {
    Spec { name, letter, argument, setter: Setter::Site }
}

const fn driver(name: &'static str, letter: Option<char>, argument: Argument, why: &'static str) -> Spec {
    Spec { name, letter, argument, setter: Setter::Driver(why) }
}

const OUTPUT: &str = "the job's input and output belong to its log";
const ENVIRONMENT: &str = "the job's environment comes from its CI variables";
const PARSED: &str = "the driver reads what sbatch says";
const ACCOUNT: &str = "the site's rules decide as whom a job runs";
const FOUND: &str = "the driver finds its Slurm jobs by it";
const REQUEUE: &str = "`slurm.requeue` in the site's configuration decides";
const CLUSTER: &str = "the driver asks one cluster only about its jobs";
const NO_JOB: &str = "with it no job runs";
const ONE_SCRIPT: &str = "the script is the stage of the job, submitted once";

use crate::config;

use Argument::{None as Flag, Optional, Required};

/// All options. A name that begins another one is fine only where every version of sbatch has both, or where neither
/// is the driver's: an sbatch without the shorter one would take it for the longer.
#[rustfmt::skip]
pub const TABLE: &[Spec] = &[
    job("account", Some('A'), Required),
    job("acctg-freq", None, Required),
    driver("array", Some('a'), Required, ONE_SCRIPT),
    site("batch", None, Required),
    job("begin", Some('b'), Required),
    site("bb", None, Required),
    site("bbf", None, Required),
    driver("chdir", Some('D'), Required, "stages begin in the directory that GitLab Runner expects"),
    driver("cluster-constraint", None, Required, CLUSTER),
    driver("clusters", Some('M'), Required, CLUSTER),
    driver("comment", None, Required, FOUND),
    site("consolidate-segments", None, Flag),
    job("constraint", Some('C'), Required),
    site("container", None, Required),
    site("container-id", None, Required),
    site("context", None, Required),
    job("contiguous", None, Flag),
    job("core-spec", Some('S'), Required),
    job("cores-per-socket", None, Required),
    job("cpu-freq", None, Required),
    job("cpus-per-gpu", None, Required),
    job("cpus-per-task", Some('c'), Required),
    job("deadline", None, Required),
    site("delay-boot", None, Required),
    job("dependency", Some('d'), Required),
    job("distribution", Some('m'), Required),
    driver("error", Some('e'), Required, OUTPUT),
    job("exclude", Some('x'), Required),
    job("exclusive", None, Optional),
    driver("export", None, Required, ENVIRONMENT),
    driver("export-file", None, Required, ENVIRONMENT),
    site("extra", None, Required),
    site("extra-node-info", Some('B'), Required),
    driver("get-user-env", None, Optional, ENVIRONMENT),
    driver("gid", None, Required, ACCOUNT),
    job("gpu-bind", None, Required),
    job("gpu-freq", None, Required),
    job("gpus", Some('G'), Required),
    job("gpus-per-node", None, Required),
    job("gpus-per-socket", None, Required),
    job("gpus-per-task", None, Required),
    job("gres", None, Required),
    job("gres-flags", None, Required),
    driver("help", Some('h'), Flag, NO_JOB),
    job("hint", None, Required),
    driver("hold", Some('H'), Flag, "the runner waits for the job, and nobody would release it"),
    driver("ignore-pbs", None, Flag, ONE_SCRIPT),
    driver("input", Some('i'), Required, OUTPUT),
    driver("job-name", Some('J'), Required, FOUND),
    site("kill-on-invalid-dep", None, Required),
    job("licenses", Some('L'), Required),
    site("mail-type", None, Required),
    site("mail-user", None, Required),
    site("mcs-label", None, Required),
    job("mem", None, Required),
    job("mem-bind", None, Required),
    job("mem-per-cpu", None, Required),
    job("mem-per-gpu", None, Required),
    job("mincpus", None, Required),
    job("network", None, Required),
    job("nice", None, Optional),
    site("no-kill", Some('k'), Optional),
    driver("no-requeue", None, Flag, REQUEUE),
    site("nodefile", Some('F'), Required),
    job("nodelist", Some('w'), Required),
    job("nodes", Some('N'), Required),
    job("ntasks", Some('n'), Required),
    job("ntasks-per-core", None, Required),
    site("ntasks-per-gpu", None, Required),
    job("ntasks-per-node", None, Required),
    job("ntasks-per-socket", None, Required),
    site("ntasks-per-tres", None, Required),
    site("oom-kill-step", None, Optional),
    driver("open-mode", None, Required, OUTPUT),
    driver("output", Some('o'), Required, OUTPUT),
    job("overcommit", Some('O'), Flag),
    job("oversubscribe", Some('s'), Flag),
    driver("parsable", None, Flag, PARSED),
    job("partition", Some('p'), Required),
    site("power", None, Required),
    job("prefer", None, Required),
    site("priority", None, Required),
    job("profile", None, Required),
    job("propagate", None, Optional),
    job("qos", Some('q'), Required),
    driver("quiet", Some('Q'), Flag, PARSED),
    site("reboot", None, Flag),
    driver("requeue", None, Flag, REQUEUE),
    job("reservation", None, Required),
    site("resv-ports", None, Optional),
    site("segment", None, Required),
    job("signal", None, Required),
    job("sockets-per-node", None, Required),
    job("spread-job", None, Flag),
    site("stepmgr", None, Flag),
    job("switches", None, Required),
    driver("test-only", None, Flag, NO_JOB),
    job("thread-spec", None, Required),
    job("threads-per-core", None, Required),
    job("time", Some('t'), Required),
    job("time-min", None, Required),
    job("tmp", None, Required),
    site("tres-bind", None, Required),
    job("tres-per-task", None, Required),
    driver("uid", None, Required, ACCOUNT),
    driver("usage", None, Flag, NO_JOB),
    job("use-min-nodes", None, Flag),
    driver("verbose", Some('v'), Flag, PARSED),
    driver("version", Some('V'), Flag, NO_JOB),
    driver("wait", Some('W'), Flag, "the driver waits itself, and must be able to cancel meanwhile"),
    driver("wait-all-nodes", None, Required, "when the script begins is between the driver and Slurm"),
    job("wckey", None, Required),
    driver("wrap", None, Required, ONE_SCRIPT),
];

/// Other names that sbatch has for some of them.
pub const ALIASES: &[(&str, &str)] = &[("cluster", "clusters"), ("tasks-per-node", "ntasks-per-node")];

/// The option with exactly this name.
pub fn by_name(name: &str) -> Option<&'static Spec> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    TABLE.iter().find(|spec| spec.name == name)
}

/// The option with this letter.
pub fn by_letter(letter: char) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.letter == Some(letter))
}

/// All options whose names begin so, each once.
pub fn by_beginning(beginning: &str) -> Vec<&'static Spec> {
    let alias = |spec: &Spec| ALIASES.iter().any(|(alias, name)| *name == spec.name && alias.starts_with(beginning));
    TABLE.iter().filter(|spec| spec.name.starts_with(beginning) || alias(spec)).collect()
}

/// The name that somebody who wrote this may have meant: its letter, its beginning, or nearly it.
pub fn nearest(name: &str) -> Option<&'static str> {
    let possible = |spec: &&Spec| !matches!(spec.setter, Setter::Driver(_));
    let mut letters = name.chars();
    if let (Some(letter), None) = (letters.next(), letters.next()) {
        return by_letter(letter).filter(possible).map(|spec| spec.name);
    }
    if let [one] = by_beginning(name).into_iter().filter(possible).collect::<Vec<_>>().as_slice() {
        return Some(one.name);
    }
    config::nearest(name, TABLE.iter().filter(possible).map(|spec| spec.name))
}
