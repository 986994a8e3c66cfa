//! Plays a table: lines of `seconds event => actions`, all of one course. What is not written must not happen.
//!
//! The course is told of each deadline between two lines, too; should it act then, the table has to say so in a line of its
//! own (`time`). What an action brings at once is told at once, as in the drive.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Action, BatchEvent, Calling, Course, Hopeless, Job, Plan, Question, StartBy, Tokens, Until};
use crate::launch::batch::pace::Urgency;
use crate::launch::batch::result::{AskedBy, BatchOutcome, Judgement};
use crate::launch::error::LaunchError;
use crate::order::completion::{Completion, ScriptEnd, Started};
use crate::order::frames::{Blame, Drained, Report, WorkerFailure};
use crate::scheduler::BatchPlacement;
use crate::scheduler::slurm::{KIND, Slurm};
use crate::scheduler::{
    Alive, End, EndReason, Expected, JobId, JobName, Phase, Placement, Prospect, Requeue, Signal, State, Submission,
    Unknown,
};
use crate::sys::call::Answer;
use crate::sys::spawn::NewPrivileges;

pub const KILL_TIMEOUT: Duration = Duration::from_secs(10);
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const UNKNOWN_TIMEOUT: Duration = Duration::from_mins(10);
/// Half the life of a token.
pub const TOKEN: Duration = Duration::from_mins(7);

/// When a job has to have begun that has to begin in time.
pub const START_BY: Duration = Duration::from_mins(1);

/// What a course is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A stage in a job of its own.
    Stage,
    /// The same, and its author has chosen resources.
    ChosenResources,
    /// The same without tokens.
    NoTokens,
    /// The same, and the scheduler may start it twice.
    Requeue,
    /// The same, and it has to begin in time.
    Impatient,
    /// The same without such a time, and what can never start waits all the same.
    Hopeful,
    /// The prepare stage, which allocates.
    Allocating,
    /// A stage in the job that prepare has allocated, which is number 17.
    Allocated,
    /// Cleanup, of job 17.
    Left,
    /// Cleanup, of a job whose number nobody knows.
    LeftWithoutNumber,
    /// Cleanup, of job 17, whose script has ended.
    LeftEnded,
}

pub fn id(number: &str) -> JobId {
    JobId::parse(number).expect("a number")
}

pub fn plan(what: For) -> Plan {
    let name = JobName::new("1-a", 1);
    let submission = Submission {
        name: name.clone(),
        comment: String::new(),
        wrapper: "",
        new_privileges: NewPrivileges::Allowed,
        dir: "/d".into(),
        environment: [].into(),
        options: Vec::new(),
        requeue: Requeue::Never,
    };
    let asked_by = match what {
        For::ChosenResources => AskedBy::Job(vec!["--mem".into()]),
        _ => AskedBy::Site,
    };
    let (job, until) = match what {
        For::Stage | For::ChosenResources | For::NoTokens | For::Requeue | For::Impatient | For::Hopeful => {
            (Job::New(submission), Until::ScriptEnd)
        }
        For::Allocating => (Job::New(submission), Until::Submitted),
        For::Allocated => (Job::Existing(id("17")), Until::ScriptEnd),
        For::Left => (Job::Left(Some(id("17"))), Until::Gone),
        For::LeftWithoutNumber => (Job::Left(None), Until::Gone),
        For::LeftEnded => (Job::Ended(id("17")), Until::Gone),
    };
    Plan {
        scheduler: Arc::new(Slurm::new(Path::new("/usr/bin"), None)),
        job,
        asked_by,
        expected: Expected { name, uid: 1001 },
        owner: "ada".into(),
        until,
        requeue: if what == For::Requeue { Requeue::Allowed } else { Requeue::Never },
        kill_timeout: KILL_TIMEOUT,
        patience: PATIENCE,
        unknown_timeout: UNKNOWN_TIMEOUT,
        start_by: None,
        hopeless: if what == For::Hopeful { Hopeless::Wait } else { Hopeless::Cancel },
    }
}

pub fn tokens(what: For) -> Tokens {
    match what {
        For::Stage | For::ChosenResources | For::Requeue | For::Allocated => Tokens::WhileRunning,
        For::NoTokens
        | For::Impatient
        | For::Hopeful
        | For::Allocating
        | For::Left
        | For::LeftWithoutNumber
        | For::LeftEnded => Tokens::Never,
    }
}

/// One course and its time.
pub struct Bench {
    course: Course,
    start: Instant,
    now: Instant,
    asked: Instant,
    questions: u32,
    /// What the ledger says.
    disk: Result<(), String>,
}

/// Plays a table, and says what is wrong in it.
pub fn play(what: For, table: &str) -> Result<(), String> {
    let start = Instant::now();
    let start_by = (what == For::Impatient).then(|| StartBy { at: start + START_BY, timeout: START_BY });
    let plan = Plan { start_by, ..plan(what) };
    let mut bench = Bench {
        course: Course::new(Arc::new(plan), tokens(what), start),
        start,
        now: start,
        asked: start,
        questions: 0,
        disk: Ok(()),
    };
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        bench.line(line).map_err(|wrong| format!("{line}\n{wrong}"))?;
    }
    Ok(())
}

impl Bench {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (left, expected) = line.split_once("=>").ok_or("no arrow")?;
        let (seconds, event) = left.trim().split_once(' ').ok_or("no event")?;
        let at = self.start + Duration::from_secs_f64(seconds.parse().map_err(|_| "no time")?);
        let actions = match event.trim().split_once(' ') {
            Some(("always", answer)) => self.answer_until(at, answer)?,
            Some(("times", event)) => {
                let (times, event) = event.split_once(' ').ok_or("no event")?;
                self.pass_time(at)?;
                self.tell_often(times.parse().map_err(|_| "no number")?, event)?
            }
            _ => {
                self.pass_time(at)?;
                let event = self.event(event.trim())?;
                self.tell(event)
            }
        };
        let expected: Vec<&str> = expected.split(" & ").map(str::trim).filter(|words| !words.is_empty()).collect();
        let same = actions.len() == expected.len()
            && actions.iter().zip(&expected).all(|(actual, expected)| is_like(actual, expected));
        if same { Ok(()) } else { Err(format!("but: {}", actions.join(" & "))) }
    }

    /// Time passes, and nothing is done.
    fn pass_time(&mut self, at: Instant) -> Result<(), String> {
        while let Some(due) = self.course.next_deadline().filter(|due| *due < at) {
            self.now = self.now.max(due);
            let actions = self.tell(BatchEvent::Time);
            if !actions.is_empty() {
                let seconds = (self.now - self.start).as_secs_f64();
                return Err(format!("but at {seconds} already: {}", actions.join(" & ")));
            }
            self.must_go_on()?;
        }
        self.now = at;
        Ok(())
    }

    /// What was due is done, or it would be due for ever.
    fn must_go_on(&self) -> Result<(), String> {
        if self.course.next_deadline().is_some_and(|due| due <= self.now) {
            Err("time stands still".into())
        } else {
            Ok(())
        }
    }

    /// Time passes, and each question is answered like this. All other actions, and how many questions there were.
    fn answer_until(&mut self, at: Instant, answer: &str) -> Result<Vec<String>, String> {
        let (before, mut all) = (self.questions, Vec::new());
        while let Some(due) = self.course.next_deadline().filter(|due| *due <= at) {
            self.now = self.now.max(due);
            let mut actions = self.tell(BatchEvent::Time);
            if actions.iter().any(|action| action.starts_with("ask ") || action.starts_with("find")) {
                let event = self.event(answer)?;
                actions.extend(self.tell(event));
            }
            all.extend(actions.into_iter().filter(|action| !action.starts_with("ask ") && !action.starts_with("find")));
            if all.iter().any(|action| action.starts_with("finish")) {
                break;
            }
            self.must_go_on()?;
        }
        self.now = at;
        all.push(format!("{} questions", self.questions - before));
        Ok(all)
    }

    /// The same event again and again. Actions that come more than once are counted.
    fn tell_often(&mut self, times: u32, words: &str) -> Result<Vec<String>, String> {
        let mut counts: Vec<(String, u32)> = Vec::new();
        for _ in 0..times {
            let event = self.event(words)?;
            for action in self.tell(event) {
                match counts.iter_mut().find(|(before, _)| *before == action) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((action, 1)),
                }
            }
        }
        let words = |(action, count)| if count == 1 { action } else { format!("{count} times {action}") };
        Ok(counts.into_iter().map(words).collect())
    }

    /// Tells the course, and what its actions bring at once.
    fn tell(&mut self, event: BatchEvent) -> Vec<String> {
        let mut all = Vec::new();
        for action in self.course.handle(event, self.now) {
            all.push(words_of(&action));
            match &action {
                Action::RememberName => all.extend(self.tell(BatchEvent::Remembered(self.disk.clone()))),
                Action::RememberNumber(_) => {
                    if let Err(why) = self.disk.clone() {
                        all.extend(self.tell(BatchEvent::NumberLost(why)));
                    }
                }
                Action::MintToken(_) | Action::RenewToken | Action::HoldToken => {
                    all.extend(self.tell(BatchEvent::Token(self.now + TOKEN)));
                }
                Action::Ask(Question::State(..) | Question::Find(_)) => {
                    self.asked = self.now;
                    self.questions += 1;
                }
                _ => {}
            }
        }
        all
    }

    fn event(&mut self, words: &str) -> Result<BatchEvent, String> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let after = |name| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
        let restarts = after("restart").map_or(0, |number| number.parse().expect("a number"));
        let exited = |status, out: &str, err: String| {
            BatchEvent::Report(Report::Answered(Answer::Exited { status, out: out.into(), err }))
        };
        let rest = || words[1..].join(" ");
        Ok(match words[..] {
            ["time"] => BatchEvent::Time,
            ["disk", "full"] => {
                self.disk = Err("disk full".into());
                BatchEvent::Time
            }
            ["ready"] => BatchEvent::Report(Report::Ready),
            ["mark", ..] => BatchEvent::Report(Report::Started(Started { restarts, node: "n1".into() })),
            ["record", end, ..] => {
                let end = match end {
                    "no-token" => ScriptEnd::NoToken,
                    "ran-before" => ScriptEnd::RanBefore,
                    "no-output" => ScriptEnd::NoOutput,
                    code => ScriptEnd::Exited(code.parse().map_err(|_| "no code")?),
                };
                let terminated = words.contains(&"terminated");
                BatchEvent::Report(Report::Recorded(Completion {
                    end,
                    bytes: 0,
                    spilled: false,
                    terminated,
                    restarts,
                    node: "n1".into(),
                }))
            }
            ["drained", ..] => {
                let missing = after("missing").map_or(0, |number| number.parse().expect("a number"));
                let scheduler_words = after("says").unwrap_or_default().into();
                BatchEvent::Report(Report::Drained(Drained { missing, scheduler_words }))
            }
            ["notice", ..] => BatchEvent::Report(Report::Notice(rest())),
            ["failed", ..] => {
                BatchEvent::Report(Report::Failed(WorkerFailure { blame: Blame::Account, words: rest() }))
            }
            ["done"] => BatchEvent::Report(Report::Done),
            ["garbled"] => BatchEvent::NoReport(std::io::ErrorKind::InvalidData.into()),
            ["end-of-reports"] => BatchEvent::NoMoreReports,
            ["worker-ended"] => BatchEvent::WorkerEnded,
            ["SIGTERM"] => BatchEvent::Terminate,
            ["called", "17"] => exited(0, "17\n", String::new()),
            ["called", "ok"] => exited(0, "", String::new()),
            ["called", "hangs"] => BatchEvent::Report(Report::Answered(Answer::Ended("no answer within 120 s".into()))),
            ["called", "not-started"] => BatchEvent::Report(Report::Answered(Answer::NotStarted("no sbatch".into()))),
            ["called", ..] => exited(1, "", rest()),
            ["found", "silent"] => BatchEvent::Found(Err("Unable to contact slurm controller".into())),
            ["found", ..] => BatchEvent::Found(Ok(words[1..].iter().copied().map(id).collect())),
            ["canceller", uid] => BatchEvent::Canceller(uid.parse().ok()),
            ["not-asked"] => BatchEvent::NotAsked,
            ["not-called"] => BatchEvent::NotCalled,
            _ => BatchEvent::State { asked: self.asked, state: state(&words, restarts)? },
        })
    }
}

fn state(words: &[&str], restarts: u32) -> Result<State, String> {
    let alive = |phase| State::Alive(alive(phase, restarts));
    let end = |reason, status, signal| {
        let node = (!words.contains(&"never-ran")).then(|| "n1".into());
        State::Ended(End { reason, status, signal, restarts, node, words: "WORD".into() })
    };
    Ok(match words[..] {
        ["pending", ..] => {
            let reason = if words.len() == 2 { words[1] } else { "Priority" };
            let hopeless = reason.contains("PerJob") || reason == "PartitionTimeLimit";
            let prospect = if hopeless { Prospect::Never } else { Prospect::Open };
            alive(Phase::Pending { reason: reason.into(), start: None, prospect })
        }
        ["running", ..] => alive(Phase::Running),
        ["suspended", ..] => alive(Phase::Suspended),
        ["completing", ..] => alive(Phase::Completing),
        ["silent"] => State::Unknown(Unknown::NoAnswer("Socket timed out".into())),
        ["no-such-job"] => State::Unknown(Unknown::NoSuchJob),
        ["not-ours"] => State::Unknown(Unknown::NotOurs("job 17 is not the one".into())),
        ["completed", ..] => end(EndReason::Completed, 0, 0),
        ["exited", code, ..] => end(EndReason::Failed, code.parse().map_err(|_| "no code")?, 0),
        ["killed", ..] => end(EndReason::Failed, 0, 9),
        ["timeout", ..] => end(EndReason::TimeLimit("00:01:00".into()), 0, 15),
        ["out-of-memory", ..] => end(EndReason::OutOfMemory, 0, 9),
        ["cancelled", ..] => end(EndReason::Cancelled, 0, 15),
        ["preempted", ..] => end(EndReason::Preempted, 0, 15),
        ["node-failed", ..] => end(EndReason::NodeFailed, 0, 0),
        _ => return Err(format!("no event: {words:?}")),
    })
}

pub fn alive(phase: Phase, restarts: u32) -> Alive {
    let place = BatchPlacement {
        kind: KIND,
        account: None,
        partition: Some("debug".into()),
        qos: None,
        job_id: JobId::parse("?"),
    };
    let placement = Placement::Batch(place);
    Alive { phase, restarts, placement, node: Some("n1".into()), nodes: None }
}

/// An action is as it is written; of words for people a part is enough.
fn is_like(actual: &str, expected: &str) -> bool {
    let fixed_words = match actual.split(' ').collect::<Vec<_>>()[..] {
        ["tell" | "say", ..] => 1,
        ["finish", "job", ..] => 3,
        ["finish", ..] => 2,
        _ => return actual == expected,
    };
    let split = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let at = fixed_words.min(words.len());
        (words[..at].join(" "), words[at..].join(" "))
    };
    let (actual, expected) = (split(actual), split(expected));
    actual.0 == expected.0 && actual.1.contains(&expected.1)
}

fn words_of(action: &Action) -> String {
    let urgent = |urgency| match urgency {
        Urgency::Low => "",
        Urgency::High => "!",
        Urgency::Start => "!!",
    };
    match action {
        Action::RememberName => "remember".into(),
        Action::RememberNumber(id) => format!("number {id}"),
        Action::Forget => "forget".into(),
        Action::Call(Calling::Submit) => "submit".into(),
        Action::TakeBack => "take-back".into(),
        Action::Call(Calling::Cancel(id)) => format!("cancel {id}"),
        Action::Call(Calling::CancelByName) => "cancel-by-name".into(),
        Action::Call(Calling::Signal(id, Signal::Terminate)) => format!("SIGTERM {id}"),
        Action::Call(Calling::Signal(id, Signal::Kill)) => format!("SIGKILL {id}"),
        Action::Ask(Question::State(id, urgency)) => format!("ask {id}{}", urgent(*urgency)),
        Action::Ask(Question::Find(urgency)) => format!("find{}", urgent(*urgency)),
        Action::Ask(Question::Canceller(id)) => format!("canceller {id}"),
        Action::LastLook => "last-look".into(),
        Action::MintToken(Placement::Batch(BatchPlacement { job_id: Some(id), .. })) => format!("mint {id}"),
        Action::MintToken(_) => "mint".into(),
        Action::RenewToken => "renew".into(),
        Action::HoldToken => "hold".into(),
        Action::WithdrawToken => "withdraw".into(),
        Action::Tell(words) => format!("tell {words}"),
        Action::Say(words) => format!("say {words}"),
        Action::Finish(outcome) => format!("finish {}", outcome_words(outcome)),
    }
}

fn outcome_words(outcome: &Result<BatchOutcome, LaunchError>) -> String {
    match outcome {
        Ok(BatchOutcome::Submitted(id)) => format!("submitted {id}"),
        Ok(BatchOutcome::Judged(_, verdict)) => match verdict.judgement() {
            Judgement::Success => "success".into(),
            Judgement::Job(code) => format!("job {code} {}", verdict.words()),
            Judgement::Site => format!("site {}", verdict.words()),
            Judgement::NeverStarted => format!("never-started {}", verdict.words()),
        },
        Ok(BatchOutcome::Terminated(_)) => "terminated".into(),
        Ok(BatchOutcome::Gone) => "gone".into(),
        Ok(BatchOutcome::NotGone(words)) => format!("not-gone {words}"),
        Err(error) => format!("error {error}"),
    }
}
