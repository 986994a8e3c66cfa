//! What the end of a script means: for the runner, for the job's author, and for the audit log.

use crate::launch::batch::result::{BatchOutcome, Judgement};
use crate::launch::supervise::Outcome;
use crate::report::events::AuditedEnd;
use crate::report::{Failure, tell};
use crate::scheduler::JobId;
use crate::sys::process::Ending;

/// From the end of a script in a shell to the verdict on the stage.
pub fn conclude(outcome: &Outcome) -> Result<(), Failure> {
    match *outcome {
        Outcome::Ended(Ending::Exited(0)) | Outcome::Done => Ok(()),
        // The shell itself exited; what it said is the job's affair, and the runner shows the code.
        Outcome::Ended(Ending::Exited(code)) => {
            tell_meaning(code);
            Err(Failure::script(String::new(), code))
        }
        Outcome::Ended(Ending::Signaled(signal)) => {
            let code = 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0));
            Err(Failure::script(
                format!(
                    "the shell of this script was ended by signal {signal}{}; it did not exit by itself",
                    signal_hint(signal)
                ),
                code,
            ))
        }
        Outcome::Terminated | Outcome::TookTooLong => Err(ended_on_request()),
    }
}

/// From what became of a batch job to the verdict on the stage.
pub fn conclude_batch(outcome: BatchOutcome) -> Result<(), Failure> {
    match outcome {
        BatchOutcome::Submitted(_) | BatchOutcome::Gone => Ok(()),
        BatchOutcome::Judged(_, verdict) => match verdict.judgement() {
            Judgement::Success => Ok(()),
            Judgement::Job(code) => {
                if verdict.words().is_empty() {
                    tell_meaning(code);
                }
                Err(Failure::script(verdict.words().to_owned(), code))
            }
            Judgement::Site | Judgement::NeverStarted => Err(Failure::site(verdict.words())),
        },
        BatchOutcome::NotGone(words) => Err(Failure::site(words)),
        BatchOutcome::Terminated(_) => Err(ended_on_request()),
    }
}

/// A stage that was asked to end must not count as done, whatever the script made of it.
///
/// The audit log has it as the end that it is: no failure of the site.
pub fn ended_on_request() -> Failure {
    Failure::noted("ended on request (cancelled, timed out, or the runner stops)")
}

/// What an exit code means that is more than a number.
fn tell_meaning(code: u8) {
    if let Some(signal) = code.checked_sub(128).filter(|signal| (1..=64).contains(signal)) {
        tell(format_args!(
            "exit code {code}: as a rule that means that a command was ended by signal {signal}{}",
            signal_hint(i32::from(signal))
        ));
    }
}

fn signal_hint(signal: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(signal).map(|signal| format!(" ({signal})")).unwrap_or_default();
    if signal == libc::SIGKILL { format!("{name}, often for lack of memory") } else { name }
}

/// For the audit log. `asked` says why a stage was asked to end, where it was.
pub fn audited(outcome: &Outcome, asked: impl FnOnce() -> &'static str) -> AuditedEnd<'static> {
    let (outcome, exit_code, signal) = match outcome {
        Outcome::Ended(Ending::Exited(code)) => ("exited", Some(*code), None),
        Outcome::Ended(Ending::Signaled(signal)) => ("signaled", None, Some(*signal)),
        Outcome::Done => ("done", None, None),
        Outcome::Terminated => (asked(), None, None),
        Outcome::TookTooLong => ("took too long", None, None),
    };
    AuditedEnd::Shell { outcome, exit_code, signal }
}

/// For the audit log. `asked` says why a stage was asked to end, where it was.
pub fn audited_batch(outcome: &BatchOutcome, asked: impl FnOnce() -> &'static str) -> AuditedEnd<'_> {
    let (id, outcome, exit_code) = match outcome {
        BatchOutcome::Submitted(id) => (Some(id), "submitted", None),
        BatchOutcome::Judged(id, verdict) => match verdict.judgement() {
            Judgement::Success => (id.as_ref(), "exited", Some(0)),
            Judgement::Job(code) => (id.as_ref(), "job failed", Some(code)),
            Judgement::Site => (id.as_ref(), "site failed", None),
            Judgement::NeverStarted => (id.as_ref(), "never started", None),
        },
        BatchOutcome::Terminated(id) => (id.as_ref(), asked(), None),
        BatchOutcome::Gone | BatchOutcome::NotGone(_) => (None, "gone", None),
    };
    AuditedEnd::Batch { slurm_job_id: id.map(JobId::as_str), outcome, exit_code }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FailureKind;

    #[test]
    fn a_stage_that_was_asked_to_end_never_counts_as_done() {
        assert_eq!(conclude(&Outcome::Terminated).unwrap_err().kind(), FailureKind::System);
        let batch = conclude_batch(BatchOutcome::Terminated(None));
        assert_eq!(batch.unwrap_err().kind(), FailureKind::System);
    }

    #[test]
    fn an_exit_and_a_signal_with_the_same_number_are_told_apart() {
        let exited = conclude(&Outcome::Ended(Ending::Exited(137))).unwrap_err();
        let signaled = conclude(&Outcome::Ended(Ending::Signaled(9))).unwrap_err();
        assert_eq!((exited.exit_code(), signaled.exit_code()), (Some(137), Some(137)));
        assert_ne!(exited.for_author(), signaled.for_author());
    }
}
