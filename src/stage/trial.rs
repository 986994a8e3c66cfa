//! A job that can never start is refused in the prepare stage. In the queue it would wait until its time in GitLab is over, and
//! hold a slot of the runner; and its author would not be told why.

use std::time::{Duration, SystemTime};

use super::scheduled::BatchStage;
use super::{confine, ends, request};
use crate::launch::batch::inquiry::{self, Inquiry, Line};
use crate::launch::batch::pace::Pace;
use crate::launch::batch::result::BatchOutcome;
use crate::launch::workplace::Start;
use crate::report::{Failure, tell};
use crate::scheduler::batch::Resources;
use crate::scheduler::{Submission, Trial};
use crate::sys::spawn::WorkerProgram;

/// How long the scheduler may take to judge a job. Then the job goes on: it can be submitted all the same.
const LIMIT: Duration = Duration::from_secs(15);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Asks, as the account, whether the scheduler would ever start a job like the ones that this CI job will submit; and when.
/// `None` where that is not asked or not known.
pub(super) fn try_out(stage: &BatchStage<'_>, resources: &Resources) -> Result<Option<SystemTime>, Failure> {
    if !stage.batch.tries_out() {
        return Ok(None);
    }
    // Which may itself be a question.
    let (submission, asked_by) = stage.submission_to_try(resources.clone());
    let call = stage.batch.try_out(&submission);
    let name = stage.batch.kind().name();
    let inquiry = Inquiry {
        program: &WorkerProgram::beside_this_program()?,
        // In no login session: nothing of the job runs here.
        start: &Start::Directly(stage.account.to_become()),
        group: confine::group(stage.arguments, stage.settings, stage.session)?,
        roster: Some(stage.session.roster()),
        pace: Pace::in_directory(stage.session.store()),
        limit: LIMIT,
    };
    let said = inquiry::ask(inquiry, &stage.arguments.termination, |line| {
        let answer = line.try_out(call)?;
        Some(settle(stage, &submission, stage.batch.tried(&answer), line))
    })?;
    if stage.arguments.termination.asked().is_some() {
        return Err(ends::ended_on_request());
    }
    match said {
        Some(Trial::Starts(at)) => return Ok(at),
        Some(Trial::Never(words)) => {
            let words = format!("{words}; it would wait in the queue for ever");
            ends::conclude_batch(BatchOutcome::refused(name, &asked_by, &words))?;
        }
        Some(Trial::NotNow(words)) => {
            tell(format_args!("{name} cannot start a job like this one now, and perhaps never: {words}; it goes on"));
        }
        Some(Trial::NotSaid(words)) => {
            tell(format_args!("whether {name} can start a job like this one is not known: {words}; it goes on"));
        }
        None => tell(format_args!(
            "{name} has not said within {} s whether it can start a job like this one; it goes on",
            LIMIT.as_secs()
        )),
    }
    Ok(None)
}

/// What cannot be now may never be: then somebody has to look what there is.
fn settle(stage: &BatchStage<'_>, submission: &Submission, said: Trial, line: &mut Line) -> Trial {
    match said {
        Trial::NotNow(words) => match line.ask(stage.batch.ask_what_there_is()) {
            Some(answer) if stage.batch.can_never_be(submission, &answer) => Trial::Never(words),
            _ => Trial::NotNow(words),
        },
        said => said,
    }
}

/// Its author can still ask for something else, or for more time.
pub(super) fn warn_of_a_late_start(stage: &BatchStage<'_>, start: SystemTime) {
    let Some((left, timeout)) = request::time_left(stage.arguments, stage.session) else { return };
    if let Ok(waits) = start.duration_since(SystemTime::now())
        && waits >= left
    {
        tell(format_args!(
            "warning: {} expects to start a job like this one in {}, but its time in GitLab (timeout: {}) is over before: unless the queue moves faster it never starts; ask for less, or for a longer timeout (of the job, the project and the runner)",
            stage.batch.kind().name(),
            in_minutes(waits),
            in_minutes(timeout)
        ));
    }
}

/// To the minute: an expectation is no more exact than that. Behind jobs without a limit it is decades ahead.
fn in_minutes(time: Duration) -> String {
    if time > YEAR {
        return "more than a year".to_owned();
    }
    let minutes = time.as_secs().div_ceil(60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
