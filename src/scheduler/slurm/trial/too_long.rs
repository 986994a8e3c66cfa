//! A `--time` that no partition of the job admits. `sbatch --test-only` promises it a start, and then it waits with
//! `PartitionTimeLimit` until somebody changes the partition (measured with 22.05, `EnforcePartLimits=NO`).
//!
//! Certain is that only where nothing can make an exception: a plugin of the site sees each submission and may change it, and a
//! QOS with the flag `PartitionTimeLimit` lets its jobs run longer; an association can have such a one by default.

use std::time::Duration;

use crate::report::time_in_words;
use crate::scheduler::slurm::amounts::{Time, time};
use crate::scheduler::slurm::calls::Slurm;
use crate::scheduler::slurm::options::SlurmOptions;
use crate::scheduler::slurm::partitions;
use crate::scheduler::{Submission, Trial};
use crate::sys::call::{Answer, Call};

/// Settings of Slurm whose plugins may change a job, on its way or when it has arrived.
const PLUGINS: [&str; 2] = ["CliFilterPlugins", "JobSubmitPlugins"];
/// Without accounting there are no QOS.
const NO_ACCOUNTING: &str = "accounting_storage/none";
/// How much of the names of partitions is repeated.
const NAMES: usize = 100;
/// The flag of a QOS, and the reason for which a job waits.
const FLAG: &str = "PartitionTimeLimit";

/// What Slurm has not said of a job that it would start, by its word, in the partition `placed`.
pub(super) fn judge(
    slurm: &Slurm,
    submission: &Submission,
    placed: &str,
    ask: &mut dyn FnMut(Call) -> Option<Answer>,
) -> Option<Trial> {
    let options = SlurmOptions::parse_words(&submission.options).ok()?;
    let (text, wanted) = options.get("time").and_then(|text| Some((text, time(text)?)))?;
    // Slurm may then make it shorter.
    if options.get("time-min").is_some() {
        return None;
    }
    let longest = partitions::longest(&options, &answered(ask(slurm.call("scontrol", partitions::QUESTION)))?, placed)?;
    if matches!(wanted, Time::Bounded(seconds) if seconds <= longest) {
        return None;
    }
    // It comes by way of the account.
    let named: String = options.get("partition").unwrap_or(placed).chars().take(NAMES).collect();
    let most = time_in_words(Duration::from_secs(longest));
    let words = format!("--time={text} is more than partition {named} admits (at most {most}; {FLAG})");
    Some(if no_exception(slurm, ask) {
        Trial::Never(words)
    } else {
        Trial::NotNow(format!("{words}, unless a plugin of Slurm or a QOS of this site makes an exception"))
    })
}

fn no_exception(slurm: &Slurm, ask: &mut dyn FnMut(Call) -> Option<Answer>) -> bool {
    let Some(settings) = answered(ask(slurm.call("scontrol", ["show", "config"]))) else { return false };
    let setting = |name: &str| {
        let mut pairs = settings.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    // A version that has no such setting has no such plugin.
    if PLUGINS.iter().any(|name| setting(name).is_some_and(|value| !["(null)", ""].contains(&value))) {
        return false;
    }
    match setting("AccountingStorageType") {
        Some(NO_ACCOUNTING) => true,
        Some(_) => {
            let flags = slurm.call("sacctmgr", ["--noheader", "--parsable2", "show", "qos", "format=Flags"]);
            answered(ask(flags)).is_some_and(|flags| !flags.contains(FLAG))
        }
        None => false,
    }
}

fn answered(answer: Option<Answer>) -> Option<String> {
    match answer? {
        Answer::Exited { status: 0, out, .. } => Some(out),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PARTITIONS: &str = "PartitionName=debug Default=YES MaxTime=UNLIMITED State=UP\n\
                              PartitionName=short Default=NO MaxTime=01:00:00 State=UP\n\
                              PartitionName=shorter Default=NO MaxTime=00:10:00 State=UP\n";
    const CONFIG: &str = "AccountingStorageType   = accounting_storage/none\n\
                          CliFilterPlugins        = (null)\nJobSubmitPlugins        = (null)\n";

    fn judged(options: &[&str], placed: &str, config: &str, qos: Option<&str>) -> Option<Trial> {
        let exited = |out: &str| Answer::Exited { status: 0, out: out.into(), err: String::new() };
        judge(&Slurm::new(Path::new("/usr/bin"), None), &Submission::for_test(options), placed, &mut |call| match (
            call.program.file_name()?.to_str()?,
            call.args.last()?.as_str(),
        ) {
            ("scontrol", "partition") => Some(exited(PARTITIONS)),
            ("scontrol", "config") => Some(exited(config)),
            ("sacctmgr", _) => qos.map(exited),
            _ => panic!("{call:?}"),
        })
    }

    #[test]
    fn a_time_that_no_partition_of_a_job_admits_can_never_be() {
        let words = |named: &str, text: &str, most: &str| {
            Some(Trial::Never(format!(
                "--time={text} is more than partition {named} admits (at most {most}; PartitionTimeLimit)"
            )))
        };
        for (options, placed, expected) in [
            (&["--partition=short", "--time=61"][..], "short", words("short", "61", "1h")),
            (&["--partition=short", "--time=1:00:01"], "short", words("short", "1:00:01", "1h")),
            (&["--partition=short", "--time=UNLIMITED"], "short", words("short", "UNLIMITED", "1h")),
            (&["--partition=short", "--time=0"], "short", words("short", "0", "1h")),
            (&["--partition=short,shorter", "--time=2:0:0"], "shorter", words("short,shorter", "2:0:0", "1h")),
            (&["--partition=short", "--time=60"], "short", None),
            (&["--partition=short,shorter", "--time=30"], "shorter", None),
            (&["--partition=short,debug", "--time=1-0"], "short", None),
            (&["--partition=short,nosuch", "--time=61"], "short", None),
            // It has no time of its own, or one that Slurm may cut.
            (&["--partition=short"], "short", None),
            (&["--partition=short", "--time=61", "--time-min=30"], "short", None),
            // The partition is another than that of the options: somebody has chosen for it.
            (&["--partition=short", "--time=61"], "debug", None),
            (&["--time=61"], "short", None),
            (&["--time=61"], "debug", None),
        ] {
            assert_eq!(judged(options, placed, CONFIG, None), expected, "{options:?}");
        }
    }

    #[test]
    fn a_time_that_a_plugin_or_a_qos_may_admit_is_told_and_refuses_nobody() {
        let accounting = CONFIG.replace("/none", "/slurmdbd");
        for (config, qos, certain) in [
            (accounting.clone(), Some("\nDenyOnLimit,OverPartQOS\n"), true),
            (accounting.clone(), Some("\nDenyOnLimit,PartitionTimeLimit\n"), false),
            (accounting, None, false),
            (CONFIG.replace("JobSubmitPlugins        = (null)", "JobSubmitPlugins        = lua"), None, false),
            (CONFIG.replace("CliFilterPlugins        = (null)", "CliFilterPlugins = cli_filter/lua"), None, false),
            (CONFIG.replace("CliFilterPlugins        = (null)\n", ""), None, true),
            (String::new(), None, false),
        ] {
            let said = judged(&["--partition=short", "--time=61"], "short", &config, qos);
            assert_eq!(matches!(said, Some(Trial::Never(_))), certain, "{config} {qos:?}: {said:?}");
            assert!(certain || matches!(said, Some(Trial::NotNow(_))), "{config} {qos:?}: {said:?}");
        }
    }
}
