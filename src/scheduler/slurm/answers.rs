//! Slurm: its command lines, and what its answers mean. Measured with 22.05; sbatch(1), scontrol(1), squeue(1), scancel(1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::scheduler::{
    Alive, End, EndReason, Expected, JobId, JobName, Phase, Placement, Requeue, Scheduler, State, Submission,
    Submitted, Unknown, Word,
};
use crate::sys::call::{Answer, Call, quoted};

/// The file of the job that Slurm itself opens: its own words, and those of a wrapper that cannot write elsewhere.
const OWN_OUTPUT: &str = "slurm.out";

/// What Slurm's programs say when nobody knows whether the controller has done what it was asked. Everything else that
/// makes sbatch fail is a refusal: the controller has answered, or was not even asked.
const NO_ANSWER: [&str; 15] = [
    "Unable to contact slurm controller",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Transport endpoint",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "No route to host",
    "Insane message length",
    "Unexpected message received",
    "backup controller",
    "in standby mode",
    "temporarily unable to accept job",
    "authentication error",
    "auth_munge",
];

/// One Slurm.
#[derive(Clone, Debug)]
pub struct Slurm {
    bin_dir: PathBuf,
    conf: Option<PathBuf>,
}

impl Slurm {
    /// Slurm whose programs are in `bin_dir`; `conf` is `SLURM_CONF`.
    pub fn new(bin_dir: &Path, conf: Option<&Path>) -> Self {
        Self { bin_dir: bin_dir.to_owned(), conf: conf.map(Path::to_owned) }
    }

    /// One of its programs, in an environment in which nothing changes what it does.
    pub fn call<const N: usize>(&self, program: &str, args: [&str; N]) -> Call {
        let mut environment =
            BTreeMap::from([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")].map(|(k, v)| (k.into(), v.into())));
        self.name_the_configuration(&mut environment);
        Call {
            program: self.bin_dir.join(program),
            args: args.map(str::to_owned).into(),
            environment,
            input: String::new(),
        }
    }

    fn name_the_configuration(&self, environment: &mut BTreeMap<String, String>) {
        if let Some(conf) = &self.conf {
            environment.insert("SLURM_CONF".into(), conf.to_string_lossy().into_owned());
        }
    }
}

impl Scheduler for Slurm {
    fn name(&self) -> &'static str {
        "Slurm"
    }

    fn own_output(&self) -> &'static str {
        OWN_OUTPUT
    }

    fn submit(&self, submission: &Submission) -> Call {
        let dir = submission.dir.to_string_lossy();
        let requeue = match submission.requeue {
            Requeue::Never => "--no-requeue",
            Requeue::Allowed => "--requeue",
        };
        // The limits of the runner's service are not those of a person who has logged in: with its locked memory MPI
        // does not start. First, so that a site or a job can say otherwise.
        let mut args = vec!["--propagate=NONE".to_owned()];
        args.extend(submission.options.clone());
        // Behind the options, so that these hold whatever those say.
        args.extend([
            "--parsable".to_owned(),
            // Of the environment below, which holds nothing secret. With NONE, or with names, Slurm would run the
            // account's login profile on the node first, and hold the job for good if that takes too long.
            "--export=ALL".to_owned(),
            format!("--job-name={}", submission.name),
            format!("--comment={}", submission.comment),
            // A plain path: Slurm would replace % in it.
            format!("--output={}", dir.replace('%', "%%") + "/" + OWN_OUTPUT),
            "--open-mode=append".to_owned(),
            "--input=/dev/null".to_owned(),
            "--chdir=/".to_owned(),
            requeue.to_owned(),
        ]);
        let mut call = self.call("sbatch", []);
        call.args = args;
        call.environment = submission.environment.clone();
        self.name_the_configuration(&mut call.environment);
        call.input = format!(
            "#!/bin/bash\nmotmot_dir={}\nmotmot_job=$SLURM_JOB_ID\nmotmot_restarts=${{SLURM_RESTART_COUNT:-0}}\nmotmot_node=${{SLURMD_NODENAME:-$HOSTNAME}}\n{}",
            quoted(&dir),
            submission.wrapper
        );
        call
    }

    fn submitted(&self, answer: &Answer) -> Submitted {
        match answer {
            Answer::Exited { status: 0, out, .. } => {
                // `id`, or `id;cluster` in a federation; warnings of plugins may stand before it.
                let id =
                    out.lines().rev().find_map(|line| JobId::parse(line.split(';').next().unwrap_or_default().trim()));
                id.map_or_else(
                    || Submitted::Unknown(format!("sbatch said no number: {}", answer.words())),
                    Submitted::Id,
                )
            }
            Answer::Exited { out, err, .. }
                if NO_ANSWER.iter().any(|words| err.contains(words) || out.contains(words)) =>
            {
                Submitted::Unknown(answer.words())
            }
            Answer::Exited { .. } => Submitted::Refused(refusal(&answer.words())),
            Answer::Ended(words) => Submitted::Unknown(format!("sbatch: {words}")),
            Answer::NotStarted(words) => Submitted::NotAsked(words.clone()),
        }
    }

    fn ask(&self, id: &JobId) -> Call {
        // --local: without it every question asks for the federation, too.
        self.call("scontrol", ["--local", "--oneliner", "show", "job", id.as_str()])
    }

    fn state(&self, id: &JobId, expected: &Expected, answer: &Answer) -> State {
        match answer {
            Answer::Exited { status: 0, out, .. } => Shown::parse(out, id, expected)
                .map_or_else(|words| State::Unknown(Unknown::NotOurs(words)), |shown| shown.state()),
            Answer::Exited { err, .. } if err.contains("Invalid job id specified") => {
                State::Unknown(Unknown::NoSuchJob)
            }
            _ => State::Unknown(Unknown::NoAnswer(answer.words())),
        }
    }

    fn find(&self, name: &JobName) -> Call {
        // All states: it may have come and gone before anybody looks for it.
        self.call("squeue", ["--local", "--noheader", "--states=all", "--name", name.as_str(), "--format=%A %U %j"])
    }

    fn found(&self, expected: &Expected, answer: &Answer) -> Result<Vec<JobId>, String> {
        let Answer::Exited { status: 0, out, .. } = answer else { return Err(answer.words()) };
        let ours = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (id, uid, name) = (words.next()?, words.next()?, words.next()?);
            let ours = uid.parse() == Ok(expected.uid) && name == expected.name.as_str() && words.next().is_none();
            ours.then(|| JobId::parse(id)).flatten()
        };
        Ok(out.lines().filter_map(ours).collect())
    }

    fn cancel(&self, id: &JobId) -> Call {
        self.call("scancel", [id.as_str()])
    }

    fn cancel_by_name(&self, name: &JobName, owner: &str) -> Call {
        self.call("scancel", ["--name", name.as_str(), "--user", owner])
    }

    fn interrupt(&self, id: &JobId, word: Word) -> Call {
        // Signals that the wrapper knows, and that nobody else sends.
        let signal = match word {
            Word::First => "--signal=URG",
            Word::Last => "--signal=TTIN",
        };
        self.call("scancel", ["--batch", signal, id.as_str()])
    }

    fn done(&self, answer: &Answer) -> Result<(), String> {
        match answer {
            Answer::Exited { status: 0, .. } => Ok(()),
            // There is nothing left to cancel.
            Answer::Exited { err, .. }
                if err.contains("Invalid job id") || err.contains("already completing or completed") =>
            {
                Ok(())
            }
            _ => Err(answer.words()),
        }
    }

    fn ask_who_cancelled(&self, id: &JobId) -> Call {
        self.call("sacct", ["--noheader", "--parsable2", "--allocations", "--format=State", "--jobs", id.as_str()])
    }

    fn who_cancelled(&self, answer: &Answer) -> Option<u32> {
        let Answer::Exited { status: 0, out, .. } = answer else { return None };
        out.lines().find_map(|line| line.trim().strip_prefix("CANCELLED by ")?.parse().ok())
    }

    fn look_up(&self, id: &JobId) -> String {
        format!("scontrol show job {id}, or later sacct -j {id}")
    }
}

/// The end of sbatch's words, without its name in front of each line.
fn refusal(words: &str) -> String {
    let words: Vec<&str> = words
        .split("; ")
        .map(|line| line.trim_start_matches("sbatch: ").trim_start_matches("error: ").trim_start_matches("fatal: "))
        .map(|line| line.trim_start_matches("Batch job submission failed: "))
        .collect();
    words.join("; ")
}

/// The fields that are believed.
const MEANING: [&str; 11] = [
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
];

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
                placement: Placement::Slurm {
                    account: text("Account"),
                    partition: text("Partition"),
                    qos: text("QOS"),
                    job_id: None,
                },
                node: text("BatchHost"),
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
                alive(Phase::Pending { reason, start: self.get("StartTime").map(str::to_owned) })
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

    /// `ExitCode=status:signal`
    fn exit_code(&self) -> (u8, u8) {
        let parts = self.get("ExitCode").and_then(|text| text.split_once(':'));
        parts.map_or((0, 0), |(status, signal)| (status.parse().unwrap_or(u8::MAX), signal.parse().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "JobId=17 JobName=motmot-101-ab-1 UserId=ada(1001) GroupId=ada(1001) MCS_label=N/A Priority=4294901757 Nice=0 Account=(null) QOS=normal JobState=RUNNING Reason=None Dependency=(null) Requeue=0 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:01 TimeLimit=00:30:00 TimeMin=N/A StartTime=2026-01-01T00:00:00 Partition=debug NodeList=n1 BatchHost=n1 Command=(null) WorkDir=/ Comment=https://gl.example/g/p/-/jobs/101 StdOut=/d/slurm.out Power= \n";

    fn slurm() -> Slurm {
        Slurm::new(Path::new("/usr/bin"), None)
    }

    fn id() -> JobId {
        JobId::parse("17").expect("digits")
    }

    fn expected() -> Expected {
        Expected { name: JobName("motmot-101-ab-1".into()), uid: 1001 }
    }

    fn exited(status: u8, out: &str, err: &str) -> Answer {
        Answer::Exited { status, out: out.into(), err: err.into() }
    }

    fn state(line: &str) -> State {
        slurm().state(&id(), &expected(), &exited(0, line, ""))
    }

    fn with(changes: &[(&str, &str)]) -> State {
        let line = changes.iter().fold(LINE.to_owned(), |line, (from, to)| line.replace(from, to));
        state(&line)
    }

    #[test]
    fn a_running_job_has_partition_and_account_as_the_controller_says() {
        let State::Alive(alive) = state(LINE) else { panic!() };
        assert_eq!(alive.phase, Phase::Running);
        let Placement::Slurm { account, partition, qos, .. } = alive.placement else { panic!() };
        assert_eq!((account, partition.as_deref(), qos.as_deref()), (None, Some("debug"), Some("normal")));
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
            assert_eq!(slurm().state(&id(), &expected(), &answer), State::Unknown(expected_state));
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

    #[test]
    fn a_submission_is_a_number_a_refusal_or_unknown() {
        let submitted = |answer| slurm().submitted(&answer);
        assert_eq!(submitted(exited(0, "17\n", "")), Submitted::Id(id()));
        assert_eq!(submitted(exited(0, "a warning\n17;deep\n", "")), Submitted::Id(id()));
        assert!(matches!(submitted(exited(0, "", "")), Submitted::Unknown(_)), "no number is no job that we know");
        let words = "sbatch: error: invalid partition specified: nosuch\nsbatch: error: Batch job submission failed: Invalid partition name specified\n";
        assert_eq!(
            submitted(exited(1, "", words)),
            Submitted::Refused("invalid partition specified: nosuch; Invalid partition name specified".into())
        );
        for words in NO_ANSWER {
            assert!(matches!(submitted(exited(1, "", &format!("sbatch: error: {words}"))), Submitted::Unknown(_)));
        }
        assert!(matches!(submitted(Answer::Ended("x".into())), Submitted::Unknown(_)));
    }

    #[test]
    fn a_name_finds_the_owners_jobs_only() {
        let answer = exited(0, "17 1001 motmot-101-ab-1\n18 1002 motmot-101-ab-1\n19 1001 motmot-101-ab-1 x\n", "");
        assert_eq!(slurm().found(&expected(), &answer), Ok(vec![id()]));
        assert!(slurm().found(&expected(), &exited(1, "", "down")).is_err());
    }

    #[test]
    fn a_path_cannot_add_a_line_or_a_command_to_the_wrapper() {
        let submission = Submission {
            name: expected().name,
            comment: "c".into(),
            wrapper: "exit 0\n",
            dir: "/home/it's $(x) %j/d".into(),
            environment: BTreeMap::new(),
            options: vec!["--time=5".into()],
            requeue: Requeue::Never,
        };
        let call = slurm().submit(&submission);
        assert!(call.input.contains("\nmotmot_dir='/home/it'\\''s $(x) %j/d'\n"), "{}", call.input);
        assert!(call.args.contains(&"--output=/home/it's $(x) %%j/d/slurm.out".to_owned()), "{:?}", call.args);
        assert!(call.args.contains(&"--no-requeue".to_owned()));
    }
}
