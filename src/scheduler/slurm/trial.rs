//! `sbatch --test-only`: whether Slurm would ever start a job, and when. Measured with 22.05.
//!
//! Its answer is about this moment. "Requested node configuration is not available" is said of more nodes than there are,
//! and also of nodes that are down today. So after that one `sinfo` is asked what there is, and only what cannot be with all
//! nodes up, or with more nodes than the partition has, can never be. And it is silent about some limits: see `too_long`.

mod too_long;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::advice::OF_ONE_JOB;
use super::answers::{is_no_answer, refusal};
use super::calls::Slurm;
use super::options::SlurmOptions;
use crate::scheduler::{Submission, Trial};
use crate::sys::call::{Answer, Call};

/// What stays wrong, whatever the nodes do. Only what is certain: a job that is refused by mistake is worse than one that waits.
const NEVER: [&str; 11] = [
    "Invalid partition name specified",
    "Invalid account or account/partition combination specified",
    "Invalid qos specification",
    "Invalid feature specification",
    "Invalid generic resource (gres) specification",
    "Invalid node name specified",
    "Invalid license specification",
    "Requested reservation is invalid",
    "Requested time limit is invalid",
    "User's group not permitted to use this partition",
    "Invalid time-min specification",
];
/// What may be so for now, or for ever.
const NOT_NOW: [&str; 2] =
    ["Requested node configuration is not available", "Requested partition configuration not available now"];
/// What a site refuses by its accounting, behind the reason. Some of these limits are used up for now, others are those of one
/// job.
const POLICY: &str = "Job violates accounting/QOS policy";
/// How much of Slurm's words is repeated. They quote what the job has asked for, and come by way of its account.
const WORDS: usize = 400;
/// States of nodes on which jobs run or could run.
const UP: [&str; 5] = ["idle", "mixed", "allocated", "completing", "planned"];

impl Slurm {
    /// The submission, word for word, but only to be judged.
    pub(super) fn test_only(&self, submission: &Submission) -> Call {
        let mut call = self.sbatch(submission);
        call.args.push("--test-only".to_owned());
        // Seconds since 1970, whatever the zone.
        call.environment.insert("SLURM_TIME_FORMAT".to_owned(), "%s".to_owned());
        call
    }

    /// Partitions, numbers and states of their nodes, and how many of them a job may have.
    pub(super) fn nodes(&self) -> Call {
        self.call("sinfo", ["--local", "--all", "--noheader", "--format=%P %D %T %s"])
    }
}

/// What the answer to [`Slurm::test_only`] means, with what `ask` answers to what it leaves open.
pub(super) fn tried(
    slurm: &Slurm,
    submission: &Submission,
    answer: &Answer,
    ask: &mut dyn FnMut(Call) -> Option<Answer>,
) -> Trial {
    match said(answer) {
        Trial::NotNow(words) => match ask(slurm.nodes()) {
            Some(answer) if can_never_be(submission, &answer) => Trial::Never(words),
            _ => Trial::NotNow(words),
        },
        Trial::Starts(at) => {
            let too_long = place(answer).and_then(|placed| too_long::judge(slurm, submission, placed, ask));
            too_long.unwrap_or(Trial::Starts(at))
        }
        said => said,
    }
}

/// In itself.
fn said(answer: &Answer) -> Trial {
    let words = || refusal(&answer.words()).chars().take(WORDS).collect::<String>();
    match answer {
        Answer::Exited { status: 0, out, err } => Trial::Starts(start(err).or_else(|| start(out))),
        Answer::Exited { out, err, .. } => {
            let says = |any: &[&str]| any.iter().any(|words| err.contains(words) || out.contains(words));
            if is_no_answer(out, err) {
                Trial::NotSaid(words())
            } else if says(&NEVER) || says(&[POLICY]) && says(&[OF_ONE_JOB]) {
                Trial::Never(words())
            } else if says(&NOT_NOW) {
                Trial::NotNow(words())
            } else {
                Trial::NotSaid(words())
            }
        }
        Answer::Ended(_) | Answer::NotStarted(_) => Trial::NotSaid(words()),
    }
}

/// What comes before the start in
/// `sbatch: Job 17 to start at 1767225600 using 1 processors on nodes n1 in partition debug`
const PROMISE: &str = " to start at ";

/// The partition in that line.
fn place(answer: &Answer) -> Option<&str> {
    let Answer::Exited { out, err, .. } = answer else { return None };
    let (_, rest) = [err, out].into_iter().find_map(|text| text.lines().find_map(|line| line.split_once(PROMISE)))?;
    rest.rsplit_once(" in partition ").map(|(_, name)| name.trim())
}

/// The start in that line.
fn start(text: &str) -> Option<SystemTime> {
    let (_, rest) = text.lines().find_map(|line| line.split_once(PROMISE))?;
    let seconds = rest.split_whitespace().next()?.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// With the answer to [`Slurm::nodes`]: whether what cannot be now can never be.
fn can_never_be(submission: &Submission, answer: &Answer) -> bool {
    let Answer::Exited { status: 0, out, .. } = answer else { return false };
    let Ok(options) = SlurmOptions::parse_words(&submission.options) else { return false };
    let wanted = options.get("nodes").and_then(fewest);
    let named: Option<Vec<&str>> = options.get("partition").map(|names| names.split(',').collect());
    let mut partitions = BTreeMap::<&str, Nodes>::new();
    for line in out.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(count), Some(state), Some(size)) =
            (words.next(), words.next().and_then(|count| count.parse().ok()), words.next(), words.next())
        else {
            return false;
        };
        let bare = name.trim_end_matches('*');
        if named.as_ref().map_or(name != bare, |named| named.contains(&bare)) {
            let nodes = partitions.entry(bare).or_insert(Nodes { count: 0, most: most(size), all_up: true });
            nodes.count = nodes.count.saturating_add(count);
            // `~`: switched off, and switched on when there is a job for it.
            nodes.all_up &= UP.contains(&state.trim_end_matches('~'));
        }
    }
    let never = |nodes: &Nodes| nodes.all_up || wanted.is_some_and(|wanted| wanted > nodes.count.min(nodes.most));
    let all_known = partitions.len() == named.map_or(1, |named| named.len());
    all_known && partitions.values().all(never)
}

struct Nodes {
    count: u64,
    most: u64,
    all_up: bool,
}

/// `1-infinite`, `2-4`, `1`
fn most(size: &str) -> u64 {
    size.rsplit('-').next().and_then(|most| most.parse().ok()).unwrap_or(u64::MAX)
}

/// Of `--nodes`: `4`, `4-8`. In any other form nothing is known.
fn fewest(nodes: &str) -> Option<u64> {
    nodes.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &str) -> Trial {
        said(&Answer::Exited { status: 1, out: String::new(), err: words.into() })
    }

    #[test]
    fn what_can_never_be_is_told_from_what_cannot_be_now_and_from_no_answer() {
        let line = "sbatch: error: invalid partition specified: nosuch\nallocation failure: Invalid partition name specified\n";
        let words = "invalid partition specified: nosuch; Invalid partition name specified";
        assert_eq!(refused(line), Trial::Never(words.into()));
        for words in NEVER {
            assert_eq!(refused(&format!("allocation failure: {words}\n")), Trial::Never(words.into()));
        }
        for words in NOT_NOW {
            assert_eq!(refused(&format!("allocation failure: {words}\n")), Trial::NotNow(words.into()));
        }
        for words in [
            "Unable to contact slurm controller (connect failure): Invalid partition name specified",
            "Required partition not available (inactive or drain)",
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nallocation failure: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "something new",
        ] {
            assert!(matches!(refused(words), Trial::NotSaid(_)), "{words}");
        }
        // A QOS with the flag DenyOnLimit.
        let line = "sbatch: error: QOSMaxNodePerJobLimit\nallocation failure: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n";
        assert!(
            matches!(refused(line), Trial::Never(words) if words.starts_with("QOSMaxNodePerJobLimit; Job violates"))
        );
        for answer in [Answer::Ended("x".into()), Answer::NotStarted("x".into())] {
            assert!(matches!(said(&answer), Trial::NotSaid(_)), "{answer:?}");
        }
    }

    #[test]
    fn the_expected_start_is_a_time_or_nothing() {
        let starts = |err: &str| said(&Answer::Exited { status: 0, out: String::new(), err: err.into() });
        let line =
            |at: &str| format!("a plugin's word\nsbatch: Job 17 to start at {at} using 1 processors on nodes n1\n");
        let at = SystemTime::UNIX_EPOCH + Duration::from_hours(490_896);
        assert_eq!(starts(&line("1767225600")), Trial::Starts(Some(at)));
        for odd in ["", "2026-01-01T00:00:00", "Unknown", "-1", "99999999999999999999999", "18446744073709551615"] {
            assert_eq!(starts(&line(odd)), Trial::Starts(None), "{odd}");
        }
        assert_eq!(starts(""), Trial::Starts(None));
    }

    #[test]
    fn words_of_an_answer_that_an_account_has_forged_have_an_end() {
        let Trial::Never(words) = refused(&format!("{} Invalid qos specification", "x".repeat(1 << 20))) else {
            panic!()
        };
        assert_eq!(words.chars().count(), WORDS);
    }

    #[test]
    fn only_more_nodes_than_there_are_or_a_wish_for_which_all_nodes_are_up_can_never_be() {
        let never = |options: &[&str], out: &str| {
            let submission = Submission::for_test(options);
            can_never_be(&submission, &Answer::Exited { status: 0, out: out.into(), err: String::new() })
        };
        let up = "debug* 2 idle 1-infinite\ndebug* 1 mixed 1-infinite\none 3 idle 1\n";
        let down = "debug* 2 drained 1-infinite\ndebug* 1 idle~ 1-infinite\none 3 down* 1\nopen 3 idle 1-infinite\n";
        for (options, out, wanted) in [
            (&["--mem=9T"][..], up, true),
            (&["--mem=9T"], down, false),
            (&["--nodes=4"], down, true),
            (&["--nodes=3"], down, false),
            (&["--nodes=2-9"], down, false),
            (&["--nodes=4-9"], down, true),
            (&["--nodes=2", "--partition=one"], down, true),
            (&["--nodes=4", "--partition=debug,open"], down, true),
            (&["--nodes=3", "--partition=debug,open"], down, false),
            (&["--nodes=4", "--partition=debug,unknown"], down, false),
            (&["--nodes=2k"], down, false),
            (&["--nodes=4"], "", false),
            (&["--nodes=4"], "one line\n", false),
            (&["--nodes=4"], "debug 3 idle 1-infinite\n", false),
        ] {
            assert_eq!(never(options, out), wanted, "{options:?} {out}");
        }
    }
}
