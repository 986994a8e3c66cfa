//! What the completion record and the scheduler's words together mean for the stage. Pure.

use crate::order::completion::{Record, ScriptEnd};
use crate::scheduler::{End, EndReason, JobId, Scheduler};

/// What becomes of the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The script exited with 0.
    Success,
    /// The job failed: its script, or what its author has asked for.
    Job {
        /// For GitLab, 1 to 255.
        code: u8,
        /// One sentence. Empty when the exit code says all.
        words: String,
    },
    /// The site failed.
    Site {
        /// One sentence.
        words: String,
    },
}

/// What the scheduler says, at a time when the script has ended or cannot run any more.
#[derive(Clone, Debug)]
pub enum Said {
    /// It has not noticed the end of the job yet, and nothing speaks against the record.
    Alive,
    /// This is how it ended.
    Ended(End),
    /// It has forgotten the job.
    Forgotten,
}

/// All that is known.
#[derive(Debug)]
pub struct Case<'a> {
    /// The job.
    pub id: &'a JobId,
    /// What the wrapper has written.
    pub record: Option<&'a Record>,
    /// What the scheduler says.
    pub said: &'a Said,
    /// The account that the job belongs to.
    pub uid: u32,
    /// Who cancelled it, if the scheduler keeps that.
    pub cancelled_by: Option<u32>,
}

/// Judges. `None` where nothing positive is known: a script that may still run, or a job that is forgotten.
pub fn judge(case: &Case<'_>, scheduler: &dyn Scheduler) -> Option<Verdict> {
    let name = scheduler.name();
    let look_up = format!("{name} job {}; look it up with: {}", case.id, scheduler.look_up(case.id));
    let site = |words: String| Some(Verdict::Site { words: format!("{words} ({look_up})") });
    let job = |code: u8, words: String| Some(Verdict::Job { code: code.max(1), words: format!("{words} ({look_up})") });
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
                return job(
                    code(1),
                    format!("the time limit of this job ({limit}) was reached; ask for more with --time"),
                );
            }
            EndReason::OutOfMemory if status != Some(0) => {
                return job(
                    code(137),
                    "the job used more memory than it had asked for; ask for more with --mem".into(),
                );
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
            (ScriptEnd::Exited(0), _) => Some(Verdict::Success),
            (ScriptEnd::Exited(code), _) => Some(Verdict::Job { code, words: String::new() }),
            (ScriptEnd::NoToken, _) => site(format!(
                "the token of this stage did not come to {} in time, so the script was not started; slurm.token_timeout says how long that may take",
                record.node
            )),
            (ScriptEnd::RanBefore, _) => site(format!(
                "{name} started the job once more, and a script is not run twice unless slurm.requeue = true"
            )),
            (ScriptEnd::NoOutput, _) => {
                site(format!("{} could not open the output file of the job; is a quota used up?", record.node))
            }
        },
        (None, Said::Ended(end)) if end.reason == EndReason::Failed => {
            let (code, how) = match (end.status, end.signal) {
                (_, signal @ 1..) => (128_u8.saturating_add(signal), format!("by signal {signal}")),
                (status, 0) => (status, format!("with exit status {status}")),
            };
            job(
                code,
                format!(
                    "the batch script ended {how}, but its record of how the job's script ended has not come (slurm.output_timeout), and the end of the output may be missing, too"
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

    fn record(end: ScriptEnd) -> Record {
        Record { end, bytes: 0, terminated: false, restarts: 0, node: "n1".into() }
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

    #[expect(clippy::needless_pass_by_value, reason = "shorter at the calls")]
    fn is_site(verdict: Option<Verdict>) -> bool {
        matches!(verdict, Some(Verdict::Site { .. }))
    }

    #[expect(clippy::needless_pass_by_value, reason = "shorter at the calls")]
    fn code(verdict: Option<Verdict>) -> Option<u8> {
        match verdict {
            Some(Verdict::Job { code, .. }) => Some(code),
            _ => None,
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
        let record = Record { terminated: true, ..record(ScriptEnd::Exited(0)) };
        let judge = |said: &Said| {
            let case = Case { id: &id, record: Some(&record), said, uid: 1001, cancelled_by: None };
            judge(&case, &Slurm::new(Path::new("/usr/bin"), None))
        };
        assert!(is_site(judge(&Said::Alive)) && is_site(judge(&Said::Forgotten)));
        assert_eq!(judge(&ended(EndReason::Completed, 0, 0)), Some(Verdict::Success));
    }

    #[test]
    fn the_scripts_own_code_reaches_gitlab() {
        for said in [Said::Alive, Said::Forgotten, ended(EndReason::Failed, 3, 0), ended(EndReason::NodeFailed, 0, 0)] {
            assert_eq!(code(verdict(Some(ScriptEnd::Exited(3)), &said)), Some(3), "{said:?}");
        }
        for said in
            [Said::Alive, Said::Forgotten, ended(EndReason::Completed, 0, 0), ended(EndReason::NodeFailed, 0, 0)]
        {
            assert_eq!(verdict(EXIT_0, &said), Some(Verdict::Success), "{said:?}");
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
        for end in [ScriptEnd::NoToken, ScriptEnd::RanBefore, ScriptEnd::NoOutput] {
            assert!(is_site(verdict(Some(end), &Said::Alive)), "{end:?}");
        }
        assert_eq!(code(verdict_by(None, &ended(EndReason::Cancelled, 0, 0), Some(1001))), Some(1));
        assert!(is_site(verdict_by(None, &ended(EndReason::Cancelled, 0, 0), Some(0))));
    }

    #[test]
    fn each_sentence_names_the_job_and_how_to_look_it_up() {
        for said in [ended(EndReason::TimeLimit("00:01:00".into()), 0, 15), ended(EndReason::NodeFailed, 0, 0)] {
            let Some(Verdict::Job { words, .. } | Verdict::Site { words }) = verdict(None, &said) else { panic!() };
            assert!(words.contains("Slurm job 17") && words.contains("scontrol show job 17"), "{words}");
        }
    }
}
