//! What `scontrol show job` says of a job, and what of it is believed. Measured with 22.05.

use std::collections::BTreeMap;

use super::advice::{KIND, Waiting, prospect};
use crate::scheduler::{Alive, BatchPlacement, End, EndReason, Expected, JobId, Phase, Placement, State, Unknown};
use crate::sys::call::Answer;

/// Of `scontrol --oneliner show job`.
pub(super) fn state(id: &JobId, expected: &Expected, answer: &Answer) -> State {
    match answer {
        Answer::Exited { status: 0, out, .. } => Shown::parse(out, id, expected)
            .map_or_else(|words| State::Unknown(Unknown::NotOurs(words)), |shown| shown.state()),
        Answer::Exited { err, .. } if err.contains("Invalid job id specified") => State::Unknown(Unknown::NoSuchJob),
        _ => State::Unknown(Unknown::NoAnswer(answer.words())),
    }
}

/// The fields that are believed.
const MEANING: [&str; 13] = [
    "UserId",
    "JobState",
    "Reason",
    "Restarts",
    "ExitCode",
    "TimeLimit",
    "StartTime",
    "Account",
    "QOS",
    "Partition",
    "BatchHost",
    "NodeList",
    "NumNodes",
];
/// How much of a list of nodes is told. A job may have thousands, with names that are no range.
const NODES: usize = 200;

/// One line of `scontrol --oneliner show job`.
struct Shown<'a> {
    fields: BTreeMap<&'a str, &'a str>,
}

impl<'a> Shown<'a> {
    /// Believes an answer only if it is about our job, and if nobody has written into it.
    ///
    /// Fields are separated by blanks, and some hold text that the job's owner can change at any time, blanks included:
    /// the name, which stands before all others, the account, the comment. Slurm even prints line breaks in them as they
    /// are. So the answer has to be one line, and no field that means something may stand in it twice: the true one always
    /// does, since whole answers only come here.
    fn parse(text: &'a str, id: &JobId, expected: &Expected) -> Result<Self, String> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        if line.chars().any(char::is_control) {
            return Err(format!(
                "the answer about job {id} has line breaks in it, which its owner must have put there"
            ));
        }
        let head = format!("JobId={id} JobName={} UserId=", expected.name);
        let rest = line
            .strip_prefix(&head)
            .ok_or_else(|| format!("job {id} is not the one that was submitted as {}", expected.name))?;
        let (owner, rest) = rest.split_once(' ').ok_or("an answer that ends in its first words")?;
        if !owner.ends_with(&format!("({})", expected.uid)) {
            return Err(format!("job {id} belongs to {owner}"));
        }
        let mut fields = BTreeMap::from([("UserId", owner)]);
        for (key, value) in rest.split(' ').filter_map(|word| word.split_once('=')) {
            if fields.insert(key, value).is_some() && MEANING.contains(&key) {
                return Err(format!("the answer about job {id} has {key} twice, which its owner must have put there"));
            }
        }
        Ok(Self { fields })
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.fields.get(key).copied().filter(|value| !["", "(null)", "N/A", "Unknown", "None"].contains(value))
    }

    fn state(&self) -> State {
        let Some(word) = self.get("JobState") else {
            return State::Unknown(Unknown::NoAnswer("an answer without JobState".into()));
        };
        let reason = self.get("Reason").unwrap_or_default();
        let restarts = self.get("Restarts").and_then(|number| number.parse().ok()).unwrap_or(0);
        let alive = |phase| {
            let text = |key| self.get(key).map(str::to_owned);
            State::Alive(Alive {
                phase,
                restarts,
                placement: Placement::Batch(BatchPlacement {
                    kind: KIND,
                    account: text("Account"),
                    partition: text("Partition"),
                    qos: text("QOS"),
                    job_id: None,
                }),
                node: text("BatchHost"),
                nodes: self.nodes(),
            })
        };
        let ended = |why| {
            let (status, signal) = self.exit_code();
            let words = if reason.is_empty() { word.to_owned() } else { format!("{word}, reason {reason}") };
            let node = self.get("BatchHost").map(str::to_owned);
            State::Ended(End { reason: why, status, signal, restarts, node, words })
        };
        match word {
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
            | "RESV_DEL_HOLD" | "POWER_UP_NODE" => {
                let reason = if word == "PENDING" { reason.to_owned() } else { word.to_owned() };
                let start = self.get("StartTime");
                let (partition, time_min) = (self.get("Partition"), self.get("TimeMin"));
                let prospect = prospect(&Waiting { reason: &reason, partition, time_min, start });
                alive(Phase::Pending { reason, start: start.map(str::to_owned), prospect })
            }
            "RUNNING" | "RESIZING" | "SIGNALING" => alive(Phase::Running),
            "SUSPENDED" | "STOPPED" => alive(Phase::Suspended),
            "COMPLETING" | "STAGE_OUT" => alive(Phase::Completing),
            // The node could not even open the job's files (53), or not start its script.
            "FAILED" if reason.contains("Launch") || self.exit_code() == (0, 53) => ended(EndReason::NotLaunched),
            "COMPLETED" => ended(EndReason::Completed),
            "FAILED" => ended(EndReason::Failed),
            "TIMEOUT" => ended(EndReason::TimeLimit(self.get("TimeLimit").unwrap_or("?").to_owned())),
            "OUT_OF_MEMORY" => ended(EndReason::OutOfMemory),
            "CANCELLED" => ended(EndReason::Cancelled),
            "PREEMPTED" => ended(EndReason::Preempted),
            "NODE_FAIL" => ended(EndReason::NodeFailed),
            "BOOT_FAIL" | "LAUNCH_FAILED" | "RECONFIG_FAIL" => ended(EndReason::BootFailed),
            "DEADLINE" => ended(EndReason::Deadline),
            "REVOKED" => ended(EndReason::Other),
            // A state of a newer Slurm. It may be an end, or not.
            other => State::Unknown(Unknown::NoAnswer(format!(
                "the job's state is {other}, which this version does not know"
            ))),
        }
    }

    /// `NodeList=n[1-2,7]`
    fn nodes(&self) -> Option<String> {
        let all = self.get("NodeList")?;
        let Some((end, _)) = all.char_indices().nth(NODES) else { return Some(all.to_owned()) };
        let count = self.get("NumNodes").filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
        Some(format!("{}... ({} nodes)", &all[..end], count.unwrap_or("many")))
    }

    /// `ExitCode=status:signal`
    fn exit_code(&self) -> (u8, u8) {
        let parts = self.get("ExitCode").and_then(|text| text.split_once(':'));
        parts.map_or((0, 0), |(status, signal)| (status.parse().unwrap_or(u8::MAX), signal.parse().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::JobName;

    const LINE: &str = "JobId=17 JobName=motmot-101-ab-1 UserId=ada(1001) GroupId=ada(1001) MCS_label=N/A Priority=4294901757 Nice=0 Account=(null) QOS=normal JobState=RUNNING Reason=None Dependency=(null) Requeue=0 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:01 TimeLimit=00:30:00 TimeMin=N/A StartTime=2026-01-01T00:00:00 Partition=debug NodeList=n1 BatchHost=n1 Command=(null) WorkDir=/ Comment=https://gl.example/g/p/-/jobs/101 StdOut=/d/slurm.out Power= \n";

    fn id() -> JobId {
        JobId::parse("17").expect("digits")
    }

    fn expected() -> Expected {
        Expected { name: JobName::new("101-ab", 1), uid: 1001 }
    }

    fn exited(status: u8, out: &str, err: &str) -> Answer {
        Answer::Exited { status, out: out.into(), err: err.into() }
    }

    fn state(line: &str) -> State {
        super::state(&id(), &expected(), &exited(0, line, ""))
    }

    fn with(changes: &[(&str, &str)]) -> State {
        let line = changes.iter().fold(LINE.to_owned(), |line, (from, to)| line.replace(from, to));
        state(&line)
    }

    #[test]
    fn a_running_job_has_partition_and_account_as_the_controller_says() {
        let State::Alive(alive) = state(LINE) else { panic!() };
        assert_eq!(alive.phase, Phase::Running);
        let Placement::Batch(BatchPlacement { account, partition, qos, .. }) = alive.placement else { panic!() };
        assert_eq!((account, partition.as_deref(), qos.as_deref()), (None, Some("debug"), Some("normal")));
    }

    #[test]
    fn all_nodes_of_a_job_are_told_and_a_long_list_has_an_end() {
        let nodes = |list: &str, count: &str| {
            let list = format!("NumNodes={count} NodeList={list} BatchHost");
            let State::Alive(alive) = with(&[("NodeList=n1 BatchHost", &list)]) else { panic!("{list}") };
            assert_eq!(alive.node.as_deref(), Some("n1"));
            alive.nodes
        };
        assert_eq!(nodes("n[1-2,7]", "3").as_deref(), Some("n[1-2,7]"));
        assert_eq!(nodes("(null)", "1"), None);
        let long: Vec<String> = (0..5000).map(|number| format!("rack{number}-ä")).collect();
        let told = nodes(&long.join(","), "5000").expect("nodes");
        assert!(told.ends_with("... (5000 nodes)") && told.chars().count() < NODES + 30, "{told}");
        assert!(nodes(&long.join(","), "5;id").is_none_or(|told| told.ends_with("... (many nodes)")));
    }

    #[test]
    fn no_answer_and_a_forgotten_job_are_unknown_and_never_an_end() {
        for (answer, expected_state) in [
            (exited(1, "", "slurm_load_jobs error: Invalid job id specified"), Unknown::NoSuchJob),
            (
                exited(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"),
                Unknown::NoAnswer("slurm_load_jobs error: Unable to contact slurm controller (connect failure)".into()),
            ),
            (Answer::Ended("no answer within 20 s".into()), Unknown::NoAnswer("no answer within 20 s".into())),
        ] {
            assert_eq!(super::state(&id(), &expected(), &answer), State::Unknown(expected_state));
        }
        assert!(matches!(state(""), State::Unknown(_)));
        assert!(matches!(with(&[("RUNNING", "QUANTUM")]), State::Unknown(_)), "a state of the future");
    }

    #[test]
    fn a_job_of_another_owner_or_name_is_not_ours() {
        for (from, to) in
            [("UserId=ada(1001)", "UserId=eve(1002)"), ("motmot-101-ab-1", "other"), ("JobId=17", "JobId=18")]
        {
            assert!(matches!(with(&[(from, to)]), State::Unknown(_)), "{to}");
        }
        let forged = LINE.replace("UserId=ada(1001)", "UserId=eve(1002) UserId=ada(1001)");
        assert!(matches!(state(&forged), State::Unknown(_)));
        assert!(matches!(with(&[("JobName=motmot-101-ab-1", "JobName=x JobName=motmot-101-ab-1")]), State::Unknown(_)));
    }

    #[test]
    fn what_an_owner_writes_into_text_fields_forges_no_other_field() {
        let not_ours = |state: State| matches!(state, State::Unknown(Unknown::NotOurs(_)));
        let forged = "UserId=ada(1001) GroupId=ada(1001) Account=nuclear QOS=urgent JobState=RUNNING Restarts=0 Partition=premium BatchHost=n9";
        for (from, to) in [
            ("Comment=https", "Comment=x JobState=COMPLETED https"),
            ("Account=(null)", "Account=x JobState=PENDING"),
            ("Account=(null)", "Account=x Partition=premium"),
            ("Comment=https", "Comment=x Restarts=3 https"),
            ("Comment=https", "Comment=x NodeList=n9 https"),
            ("JobName=motmot-101-ab-1", &format!("JobName=motmot-101-ab-1 {forged} x")),
            // Slurm 22.05 prints what the owner has in a name as it is.
            ("JobName=motmot-101-ab-1", &format!("JobName=motmot-101-ab-1 {forged} x\n")),
            ("JobName=motmot-101-ab-1", &format!("JobName=motmot-101-ab-1 {forged} x\r")),
            ("Account=(null)", "WCKey=x JobState=COMPLETED\n Account=(null)"),
        ] {
            assert!(not_ours(with(&[(from, to)])), "{to}");
        }
        assert!(matches!(with(&[("Comment=https", "Comment=a=b Color=red https")]), State::Alive(_)), "no harm done");
    }

    #[test]
    fn each_end_has_its_reason() {
        for (word, more, reason) in [
            ("COMPLETED", ("x", "x"), EndReason::Completed),
            ("FAILED", ("ExitCode=0:0", "ExitCode=3:0"), EndReason::Failed),
            ("FAILED", ("ExitCode=0:0", "ExitCode=0:53"), EndReason::NotLaunched),
            ("FAILED", ("Reason=None", "Reason=JobLaunchFailure"), EndReason::NotLaunched),
            ("TIMEOUT", ("x", "x"), EndReason::TimeLimit("00:30:00".into())),
            ("OUT_OF_MEMORY", ("x", "x"), EndReason::OutOfMemory),
            ("CANCELLED", ("x", "x"), EndReason::Cancelled),
            ("PREEMPTED", ("x", "x"), EndReason::Preempted),
            ("NODE_FAIL", ("x", "x"), EndReason::NodeFailed),
            ("BOOT_FAIL", ("x", "x"), EndReason::BootFailed),
            ("DEADLINE", ("x", "x"), EndReason::Deadline),
        ] {
            let State::Ended(end) = with(&[("JobState=RUNNING", &format!("JobState={word}")), more]) else {
                panic!("{word}")
            };
            assert_eq!(end.reason, reason, "{word}");
        }
        let State::Ended(end) = with(&[("RUNNING", "FAILED"), ("ExitCode=0:0", "ExitCode=3:9")]) else { panic!() };
        assert_eq!((end.status, end.signal), (3, 9));
    }

    #[test]
    fn waiting_in_any_way_is_no_end() {
        for word in ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED", "COMPLETING"] {
            assert!(matches!(with(&[("RUNNING", word)]), State::Alive(_)), "{word}");
        }
    }
}
