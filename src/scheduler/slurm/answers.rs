//! What the answers of Slurm's programs mean, `scontrol show job` excepted. Measured with 22.05.

use crate::scheduler::{CancelledBy, Expected, JobId, SubmitAnswer};
use crate::sys::call::Answer;

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

/// Whether sbatch says that it has no answer of the controller.
pub(super) fn is_no_answer(out: &str, err: &str) -> bool {
    NO_ANSWER.iter().any(|words| err.contains(words) || out.contains(words))
}

/// Slurm's own number of a job. Of all that a [`JobId`] may be, digits only.
pub(super) fn number(text: &str) -> Option<JobId> {
    let good = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| JobId::parse(text)).flatten()
}

/// Of sbatch.
pub(super) fn submitted(answer: &Answer) -> SubmitAnswer {
    match answer {
        Answer::Exited { status: 0, out, .. } => {
            // `id`, or `id;cluster` in a federation; warnings of plugins may stand before it.
            let id = out.lines().rev().find_map(|line| number(line.split(';').next().unwrap_or_default().trim()));
            id.map_or_else(
                || SubmitAnswer::Unknown(format!("sbatch said no number: {}", answer.words())),
                SubmitAnswer::Id,
            )
        }
        Answer::Exited { out, err, .. } if is_no_answer(out, err) => SubmitAnswer::Unknown(answer.words()),
        Answer::Exited { .. } => SubmitAnswer::Refused(refusal(&answer.words())),
        Answer::Ended(words) => SubmitAnswer::Unknown(format!("sbatch: {words}")),
        Answer::NotStarted(words) => SubmitAnswer::NotAsked(words.clone()),
    }
}

/// Of squeue.
pub(super) fn found(expected: &Expected, answer: &Answer) -> Result<Vec<JobId>, String> {
    let Answer::Exited { status: 0, out, .. } = answer else { return Err(answer.words()) };
    let ours = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (id, uid, name) = (words.next()?, words.next()?, words.next()?);
        let ours = uid.parse() == Ok(expected.uid) && name == expected.name.as_str() && words.next().is_none();
        ours.then(|| number(id)).flatten()
    };
    Ok(out.lines().filter_map(ours).collect())
}

/// Of scancel.
pub(super) fn done(answer: &Answer) -> Result<(), String> {
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

/// Of sacct. It fails where there is no accounting. Where there is, the controller tells the database a moment later than
/// us: until then the database knows no such job, or shows it as it was.
pub(super) fn who_cancelled(answer: &Answer) -> CancelledBy {
    let Answer::Exited { status: 0, out, .. } = answer else { return CancelledBy::NotKept };
    for line in out.lines().map(str::trim) {
        if let Some(uid) = line.strip_prefix("CANCELLED by ").and_then(|uid| uid.parse().ok()) {
            return CancelledBy::User(uid);
        }
        if line == "CANCELLED" {
            return CancelledBy::NotKept;
        }
    }
    CancelledBy::NotYet
}

/// The end of sbatch's words, without its name in front of each line.
pub(super) fn refusal(words: &str) -> String {
    let words: Vec<&str> = words
        .split("; ")
        .map(|line| line.trim_start_matches("sbatch: ").trim_start_matches("error: ").trim_start_matches("fatal: "))
        .map(|line| line.trim_start_matches("Batch job submission failed: ").trim_start_matches("allocation failure: "))
        .collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::JobName;

    fn exited(status: u8, out: &str, err: &str) -> Answer {
        Answer::Exited { status, out: out.into(), err: err.into() }
    }

    fn id() -> JobId {
        number("17").expect("digits")
    }

    #[test]
    fn a_submission_is_a_number_a_refusal_or_unknown() {
        let submitted = |answer| submitted(&answer);
        assert_eq!(submitted(exited(0, "17\n", "")), SubmitAnswer::Id(id()));
        assert_eq!(submitted(exited(0, "a warning\n17;deep\n", "")), SubmitAnswer::Id(id()));
        assert!(matches!(submitted(exited(0, "", "")), SubmitAnswer::Unknown(_)), "no number is no job that we know");
        let words = "sbatch: error: invalid partition specified: nosuch\nsbatch: error: Batch job submission failed: Invalid partition name specified\n";
        assert_eq!(
            submitted(exited(1, "", words)),
            SubmitAnswer::Refused("invalid partition specified: nosuch; Invalid partition name specified".into())
        );
        for words in NO_ANSWER {
            assert!(matches!(submitted(exited(1, "", &format!("sbatch: error: {words}"))), SubmitAnswer::Unknown(_)));
        }
        assert!(matches!(submitted(Answer::Ended("x".into())), SubmitAnswer::Unknown(_)));
    }

    #[test]
    fn a_name_finds_the_owners_jobs_only() {
        let expected = Expected { name: JobName::new("101-ab", 1), uid: 1001 };
        let answer = exited(0, "17 1001 motmot-101-ab-1\n18 1002 motmot-101-ab-1\n19 1001 motmot-101-ab-1 x\n", "");
        assert_eq!(found(&expected, &answer), Ok(vec![id()]));
        assert!(found(&expected, &exited(1, "", "down")).is_err());
    }

    #[test]
    fn what_is_not_a_number_is_no_job_of_slurms() {
        for word in ["", "-1", "17_2", "17+1", "17.batch", "f2xYZ", "123.srv", "17 ", "999999999999999999999"] {
            assert_eq!(number(word), None, "{word:?}");
            assert!(matches!(submitted(&exited(0, &format!("{word}x\n"), "")), SubmitAnswer::Unknown(_)), "{word:?}");
        }
        let expected = Expected { name: JobName::new("101-ab", 1), uid: 1001 };
        assert_eq!(found(&expected, &exited(0, "17_2 1001 motmot-101-ab-1\n", "")), Ok(Vec::new()));
    }

    #[test]
    fn a_database_that_has_not_heard_of_the_end_is_told_from_one_that_does_not_keep_who_cancelled() {
        let said = |out| who_cancelled(&exited(0, out, ""));
        assert_eq!(said("CANCELLED by 1001\n"), CancelledBy::User(1001));
        for not_yet in ["", "RUNNING\n", "PENDING\n", "CANCELLED by nobody\n"] {
            assert_eq!(said(not_yet), CancelledBy::NotYet, "{not_yet:?}");
        }
        assert_eq!(said("CANCELLED\n"), CancelledBy::NotKept);
        let disabled = exited(1, "", "Slurm accounting storage is disabled");
        for answer in [disabled, Answer::Ended("too slow".into()), Answer::NotStarted("no sacct".into())] {
            assert_eq!(who_cancelled(&answer), CancelledBy::NotKept, "{answer:?}");
        }
    }
}
