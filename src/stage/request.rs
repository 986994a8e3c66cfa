//! Why a stage was asked to end. The runner sends the same signal for all reasons; the audit log shall tell them apart.

use std::time::Duration;

use super::edge::Arguments;
use super::still_runs;
use crate::evidence::payload::Payload;
use crate::session::Session;
use crate::settings::Settings;
use crate::sys::signals::AskedBy;

/// The runner's clock for a job begins before our config stage: by what it does until then.
const HEAD_START: Duration = Duration::from_secs(5);

/// In one or two words.
pub fn reason(arguments: &Arguments, settings: &Settings, session: &Session) -> &'static str {
    if arguments.termination.asked() == Some(AskedBy::Abandonment) {
        return "runner gone";
    }
    let Ok(payload) = arguments.payload() else { return "terminated" };
    judge(still_runs::ask(arguments, settings.gitlab.timeout), is_over(&payload, session.age()))
}

/// Whether the job has had all of its time.
fn is_over(payload: &Payload, age: Option<Duration>) -> bool {
    age.zip(payload.timeout).is_some_and(|(age, timeout)| age + HEAD_START >= timeout)
}

/// How much of its time a job has left, and how much it was given; `None` without a limit. GitLab's own word, in the payload: a
/// pipeline can set `CI_JOB_TIMEOUT`.
pub(super) fn time_left(arguments: &Arguments, session: &Session) -> Option<(Duration, Duration)> {
    let timeout = arguments.payload().ok()?.timeout?;
    Some((timeout.saturating_sub(session.age()? + HEAD_START), timeout))
}

/// `still_runs` is GitLab's word, if it gave one.
fn judge(still_runs: Option<bool>, over: bool) -> &'static str {
    match (still_runs, over) {
        (Some(false), _) => "cancelled",
        (_, true) => "timed out",
        // The runner stops, or has a shorter limit of its own for this script.
        (Some(true), false) => "interrupted",
        (None, false) => "terminated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_a_time_out_and_a_runner_that_stops_are_told_apart() {
        assert_eq!(judge(Some(false), false), "cancelled");
        assert_eq!(judge(Some(true), true), "timed out");
        assert_eq!(judge(None, true), "timed out");
        assert_eq!(judge(Some(true), false), "interrupted");
        assert_eq!(judge(None, false), "terminated", "nobody knows");
    }

    #[test]
    fn a_job_without_a_limit_never_times_out() {
        let payload = |timeout: &str| {
            let text = format!(
                r#"{{"id":1,"token":"t","job_info":{{"project_id":7}},"runner_info":{{"timeout":{timeout}}}}}"#
            );
            Payload::parse(text.as_bytes()).expect("valid")
        };
        let hour = Some(Duration::from_hours(1));
        assert!(is_over(&payload("3600"), hour) && is_over(&payload("3604"), hour));
        assert!(!is_over(&payload("3700"), hour) && !is_over(&payload("3600"), None));
        for unknown in ["0", "null", "-1"] {
            assert!(!is_over(&payload(unknown), hour), "{unknown}");
        }
    }
}
