//! What becomes of the stage: what the completion record and the scheduler's words together mean for it. Pure.

use crate::order::completion::{Completion, ScriptEnd};
use crate::report::printable;
use crate::scheduler::{Advice, End, EndReason, JobId, Scheduler, Setting};

/// What became of a job that a stage has followed.
#[derive(Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// It was submitted, and nothing more was wanted.
    Submitted(JobId),
    /// The script has ended, or never will begin.
    Judged(Option<JobId>, Verdict),
    /// Somebody asked the stage to end.
    Terminated(Option<JobId>),
    /// There is no such job any more.
    Gone,
    /// Whether there is one is not known, and there is no more time to ask.
    NotGone(String),
}

impl BatchOutcome {
    /// The scheduler would not want such a job, or never start it. Its words may quote the account, so they are no more than
    /// text.
    pub fn refused(scheduler: &str, asked_by: &AskedBy, words: &str) -> Self {
        Self::Judged(None, Verdict::refused(scheduler, asked_by, words))
    }
}

/// Whose success or failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The script exited with 0.
    Success,
    /// The job failed: its script, or what its author has asked for. With a code for GitLab, 1 to 255.
    Job(u8),
    /// The site failed.
    Site,
    /// The queue was too long: the job has not begun in the time that GitLab gives it. Not the script's failure.
    NeverStarted,
}

/// What becomes of the stage. Only [`judge`], which has evidence, and the failures named below make one.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    judgement: Judgement,
    words: String,
}

impl Verdict {
    /// Whose success or failure it is.
    pub fn judgement(&self) -> Judgement {
        self.judgement
    }

    /// One sentence. Empty when the exit code says all.
    pub fn words(&self) -> &str {
        &self.words
    }

    fn site(words: String) -> Self {
        Self { judgement: Judgement::Site, words }
    }

    /// There is no job, and nobody has refused it.
    pub(super) fn not_submitted(why: &str) -> Self {
        Self::site(format!("the job was not submitted: {why}"))
    }

    /// The scheduler does not want the job. Its words may quote the account, so they are no more than text.
    pub(super) fn refused(scheduler: &str, asked_by: &AskedBy, words: &str) -> Self {
        let words = printable(words);
        match asked_by {
            AskedBy::Job(options) => {
                Self::of_job(format!("{scheduler} does not accept this job: {words}{}", blame(options)))
            }
            AskedBy::Site => Self::site(format!(
                "{scheduler} does not accept this job, which asks for nothing but what the site's own configuration says: {words}"
            )),
        }
    }

    /// It waits for something that the end of no other job brings.
    pub(super) fn never_starts(asked_by: &AskedBy, words: &str, look_up: &str) -> Self {
        let words = printable(words);
        match asked_by {
            AskedBy::Job(options) => Self::of_job(format!(
                "the job can never start, and is cancelled: {words}{} ({look_up})",
                blame(options)
            )),
            AskedBy::Site => Self::site(format!(
                "the job can never start, and is cancelled; it asks for nothing but what the site's own configuration says: {words} ({look_up})"
            )),
        }
    }

    /// What its author has asked for is what has failed.
    fn of_job(words: String) -> Self {
        Self { judgement: Judgement::Job(1), words }
    }

    /// So many submissions had no answer, and no job of that name was found.
    pub(super) fn never_confirmed(scheduler: &str, submissions: u32) -> Self {
        Self::site(format!("{scheduler} has not confirmed any of {submissions} submissions of this job"))
    }

    /// The scheduler wants to run a script twice that must not be.
    pub(super) fn put_back(scheduler: &dyn Scheduler) -> Self {
        Self::site(format!(
            "{} has put the job back into its queue, and a script is not run twice unless {} = true; the job is cancelled",
            scheduler.name(),
            scheduler.key(Setting::Requeue)
        ))
    }

    /// It has waited for as long as GitLab does.
    pub(super) fn never_started(timeout: &str, look_up: &str) -> Self {
        Self {
            judgement: Judgement::NeverStarted,
            words: format!(
                "the job never started: it was still waiting in the queue when its time in GitLab (timeout: {timeout}) was nearly over, and is cancelled; ask for less, or for a longer timeout, or have it tried again (retry: when: runner_system_failure) ({look_up})"
            ),
        }
    }

    /// Nobody knows how the job ended, and the time to wait for news is over.
    pub(super) fn silence(scheduler: &dyn Scheduler, lasted: &str, look_up: &str) -> Self {
        Self::site(format!(
            "{} has said nothing about this job for {lasted} that could be understood ({}), so nobody knows how it ended ({look_up})",
            scheduler.name(),
            scheduler.key(Setting::UnknownTimeout)
        ))
    }

    /// The same with other words: secrets taken out.
    pub(super) fn masked(self, mask: impl FnOnce(&str) -> String) -> Self {
        Self { words: mask(&self.words), ..self }
    }
}

fn blame(options: &[String]) -> String {
    format!(" (the job has set {}; all else is the site's)", options.join(", "))
}

/// Whose doing the resources are that the scheduler refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// The author of the pipeline has set these of them.
    Job(Vec<String>),
    /// All of them are the site's.
    Site,
}

impl AskedBy {
    /// With the options that the job itself has set.
    pub fn of(from_job: Vec<String>) -> Self {
        if from_job.is_empty() { Self::Site } else { Self::Job(from_job) }
    }
}

/// What the scheduler says, at a time when the script has ended or cannot run any more.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// It has not noticed the end of the job yet, and nothing speaks against the record.
    Alive,
    /// This is how it ended.
    Ended(End),
    /// It has forgotten the job.
    Forgotten,
}

/// All that is known.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// The job.
    pub id: &'a JobId,
    /// What the wrapper has written.
    pub record: Option<&'a Completion>,
    /// What the scheduler says.
    pub said: &'a Said,
    /// The account that the job belongs to.
    pub uid: u32,
    /// Who cancelled it, if the scheduler keeps that.
    pub cancelled_by: Option<u32>,
}

/// Judges. `None` where nothing positive is known: a script that may still run, or a job that is forgotten.
pub(super) fn judge(case: &Case<'_>, scheduler: &dyn Scheduler) -> Option<Verdict> {
    let name = scheduler.name();
    let look_up = format!("{name} job {}; look it up with: {}", case.id, scheduler.look_up(case.id));
    let site = |words: String| Some(Verdict::site(format!("{words} ({look_up})")));
    let job = |code: u8, words: String| {
        Some(Verdict { judgement: Judgement::Job(code.max(1)), words: format!("{words} ({look_up})") })
    };
    let status = match case.record.map(|record| record.end) {
        Some(ScriptEnd::Exited(status)) => Some(status),
        _ => None,
    };
    if let Said::Ended(end) = case.said {
        // What the scheduler did to the job decides before the script's own words: a script that answers SIGTERM with
        // `exit 0` has not done its work.
        let code = |other: u8| status.filter(|status| *status != 0).unwrap_or(other);
        match &end.reason {
            EndReason::TimeLimit(limit) => {
                let advice = scheduler.advice(Advice::MoreTime);
                return job(code(1), format!("the time limit of this job ({limit}) was reached; {advice}"));
            }
            EndReason::OutOfMemory if status != Some(0) => {
                let advice = scheduler.advice(Advice::MoreMemory);
                return job(code(137), format!("the job used more memory than it had asked for; {advice}"));
            }
            EndReason::Cancelled => {
                return match case.cancelled_by {
                    Some(uid) if uid == case.uid => job(code(1), "the job was cancelled by its own account".into()),
                    Some(uid) => site(format!("the job was cancelled by uid {uid}, who is not its owner")),
                    None => job(code(1), "somebody cancelled the job: its own account, or an administrator".into()),
                };
            }
            EndReason::Preempted => return site("the job had to make way for a more important one".into()),
            EndReason::Deadline => {
                return job(code(1), "the job could not end before the deadline that it was given".into());
            }
            EndReason::NodeFailed if status.is_none() => {
                return site(format!("a node of the job failed{}", on(end.node.as_deref())));
            }
            EndReason::BootFailed => return site("a node of the job could not be started".into()),
            EndReason::NotLaunched if status.is_none() => {
                return site(format!(
                    "the node{} could not start the job; its directory must be on a file system that all nodes share",
                    on(end.node.as_deref())
                ));
            }
            EndReason::Other if status.is_none() => return site(format!("the job ended as {}", end.words)),
            _ => {}
        }
    }
    match (case.record, case.said) {
        (Some(record), said) => match (record.end, said) {
            (ScriptEnd::Exited(0), Said::Ended(end)) if end.reason == EndReason::Failed => site(format!(
                "the script exited with 0, but {name} says that the job failed ({}, exit code {}:{})",
                end.words, end.status, end.signal
            )),
            (ScriptEnd::Exited(code), Said::Alive | Said::Forgotten) if record.terminated => site(format!(
                "{name} has told the job to end, and does not say why; the script has answered with exit code {code}"
            )),
            (ScriptEnd::Exited(0), _) => Some(Verdict { judgement: Judgement::Success, words: String::new() }),
            (ScriptEnd::Exited(code), _) => Some(Verdict { judgement: Judgement::Job(code), words: String::new() }),
            (ScriptEnd::NoToken, _) => site(format!(
                "the token of this stage did not come to {} in time, so the script was not started; {} says how long that may take",
                record.node,
                scheduler.key(Setting::TokenTimeout)
            )),
            (ScriptEnd::RanBefore, _) => site(format!(
                "{name} started the job once more, and a script is not run twice unless {} = true",
                scheduler.key(Setting::Requeue)
            )),
            (ScriptEnd::NoOutput, _) => {
                site(format!("{} could not open the output file of the job; is a quota used up?", record.node))
            }
            (ScriptEnd::NoLauncher, _) => site(format!(
                "{} could not read the job's directory (jobs.data_dir), so the script was not started; does its file system answer there?",
                record.node
            )),
        },
        (None, Said::Ended(end)) if end.reason == EndReason::Failed => {
            let (code, how) = match (end.status, end.signal) {
                (_, signal @ 1..) => (128_u8.saturating_add(signal), format!("by signal {signal}")),
                (status, 0) => (status, format!("with exit status {status}")),
            };
            job(
                code,
                format!(
                    "the batch script ended {how}, but its record of how the job's script ended has not come ({}), and the end of the output may be missing, too",
                    scheduler.key(Setting::OutputTimeout)
                ),
            )
        }
        (None, Said::Ended(end)) => site(format!(
            "{name} says that the job ended ({}), but its completion record has not come; is the job's directory on a file system that all nodes share, and not full?",
            end.words
        )),
        (None, Said::Alive | Said::Forgotten) => None,
    }
}

fn on(node: Option<&str>) -> String {
    node.map(|node| format!(" {node}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scheduler::slurm::Slurm;

    fn record(end: ScriptEnd) -> Completion {
        Completion { end, bytes: 0, spilled: false, terminated: false, restarts: 0, node: "n1".into() }
    }

    fn ended(reason: EndReason, status: u8, signal: u8) -> Said {
        Said::Ended(End { reason, status, signal, restarts: 0, node: Some("n1".into()), words: "WORD".into() })
    }

    fn verdict(end: Option<ScriptEnd>, said: &Said) -> Option<Verdict> {
        verdict_by(end, said, None)
    }

    fn verdict_by(end: Option<ScriptEnd>, said: &Said, cancelled_by: Option<u32>) -> Option<Verdict> {
        let id = JobId::parse("17").expect("digits");
        let record = end.map(record);
        let case = Case { id: &id, record: record.as_ref(), said, uid: 1001, cancelled_by };
        judge(&case, &Slurm::new(Path::new("/usr/bin"), None))
    }

    fn is_success(verdict: Option<Verdict>) -> bool {
        verdict.is_some_and(|verdict| verdict.judgement == Judgement::Success)
    }

    fn is_site(verdict: Option<Verdict>) -> bool {
        verdict.is_some_and(|verdict| verdict.judgement == Judgement::Site)
    }

    fn code(verdict: Option<Verdict>) -> Option<u8> {
        match verdict?.judgement {
            Judgement::Job(code) => Some(code),
            Judgement::Success | Judgement::Site | Judgement::NeverStarted => None,
        }
    }

    const EXIT_0: Option<ScriptEnd> = Some(ScriptEnd::Exited(0));

    #[test]
    fn a_zero_alone_is_never_success() {
        assert!(is_site(verdict(None, &ended(EndReason::Completed, 0, 0))), "no record");
        assert_eq!(code(verdict(None, &ended(EndReason::Cancelled, 0, 0))), Some(1), "cancelled while it waited");
        assert_eq!(verdict(None, &Said::Alive), None);
        assert_eq!(verdict(None, &Said::Forgotten), None, "that a number is forgotten says nothing");
    }

    #[test]
    fn a_script_that_answers_its_end_with_zero_has_not_succeeded() {
        for reason in [EndReason::TimeLimit("1".into()), EndReason::Cancelled, EndReason::Deadline] {
            assert_eq!(code(verdict(EXIT_0, &ended(reason.clone(), 0, 0))), Some(1), "{reason:?}");
        }
        for reason in [EndReason::Preempted, EndReason::BootFailed, EndReason::Failed] {
            assert!(is_site(verdict(EXIT_0, &ended(reason.clone(), 0, 0))), "{reason:?}");
        }
    }

    #[test]
    fn a_script_that_was_told_to_end_has_not_succeeded_while_nobody_says_why() {
        let id = JobId::parse("17").expect("digits");
        let record = Completion { terminated: true, ..record(ScriptEnd::Exited(0)) };
        let judge = |said: &Said| {
            let case = Case { id: &id, record: Some(&record), said, uid: 1001, cancelled_by: None };
            judge(&case, &Slurm::new(Path::new("/usr/bin"), None))
        };
        assert!(is_site(judge(&Said::Alive)) && is_site(judge(&Said::Forgotten)));
        assert!(is_success(judge(&ended(EndReason::Completed, 0, 0))));
    }

    #[test]
    fn the_scripts_own_code_reaches_gitlab() {
        for said in [Said::Alive, Said::Forgotten, ended(EndReason::Failed, 3, 0), ended(EndReason::NodeFailed, 0, 0)] {
            assert_eq!(code(verdict(Some(ScriptEnd::Exited(3)), &said)), Some(3), "{said:?}");
        }
        for said in
            [Said::Alive, Said::Forgotten, ended(EndReason::Completed, 0, 0), ended(EndReason::NodeFailed, 0, 0)]
        {
            assert!(is_success(verdict(EXIT_0, &said)), "{said:?}");
        }
        assert_eq!(
            code(verdict(Some(ScriptEnd::Exited(143)), &ended(EndReason::TimeLimit("1".into()), 0, 15))),
            Some(143)
        );
        assert_eq!(code(verdict(None, &ended(EndReason::OutOfMemory, 0, 125))), Some(137));
        assert_eq!(code(verdict(None, &ended(EndReason::Failed, 0, 9))), Some(137));
    }

    #[test]
    fn a_failure_of_the_site_is_told_from_one_of_the_job() {
        for reason in [
            EndReason::Preempted,
            EndReason::NodeFailed,
            EndReason::BootFailed,
            EndReason::NotLaunched,
            EndReason::Other,
            EndReason::Completed,
        ] {
            assert!(is_site(verdict(None, &ended(reason.clone(), 0, 0))), "{reason:?}");
        }
        for end in [ScriptEnd::NoToken, ScriptEnd::RanBefore, ScriptEnd::NoOutput, ScriptEnd::NoLauncher] {
            assert!(is_site(verdict(Some(end), &Said::Alive)), "{end:?}");
        }
        assert_eq!(code(verdict_by(None, &ended(EndReason::Cancelled, 0, 0), Some(1001))), Some(1));
        assert!(is_site(verdict_by(None, &ended(EndReason::Cancelled, 0, 0), Some(0))));
    }

    #[test]
    fn each_sentence_names_the_job_and_how_to_look_it_up() {
        for said in [ended(EndReason::TimeLimit("00:01:00".into()), 0, 15), ended(EndReason::NodeFailed, 0, 0)] {
            let words = verdict(None, &said).expect("an end").words;
            assert!(words.contains("Slurm job 17") && words.contains("scontrol show job 17"), "{words}");
        }
    }
}
