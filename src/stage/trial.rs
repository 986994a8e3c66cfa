//! A job that can never start is refused in the prepare stage. In the queue it would wait until its time in GitLab is over, and
//! hold a slot of the runner; and its author would not be told why.

use std::time::{Duration, SystemTime};

use super::scheduled::BatchStage;
use super::{confine, ends, request};
use crate::launch::batch::inquiry::{self, Inquiry};
use crate::launch::batch::pace::Pace;
use crate::launch::batch::result::BatchOutcome;
use crate::launch::workplace::Start;
use crate::report::{Failure, about_in_words, tell};
use crate::scheduler::Trial;
use crate::scheduler::batch::Resources;
use crate::sys::spawn::WorkerProgram;

/// How long the scheduler may take to judge a job. Then the job goes on: it can be submitted all the same.
const LIMIT: Duration = Duration::from_secs(15);

/// Beyond that nobody expects anything.
const FORESEEABLE: Duration = Duration::from_hours(24 * 365);

/// Asks, as the account, whether the scheduler would ever start a job like the ones that this CI job will submit; and when.
/// `None` where that is not asked or not known.
pub(super) fn try_out(stage: &BatchStage<'_>, resources: &Resources) -> Result<Option<SystemTime>, Failure> {
    if !stage.batch.tries_out() {
        return Ok(None);
    }
    // Partitions may be asked for.
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
        Some(stage.batch.tried(&submission, &answer, &mut |question| line.ask(question)))
    })?;
    if stage.arguments.termination.asked().is_some() {
        return Err(ends::ended_on_request());
    }
    match said {
        Some(Trial::Starts(at)) => return Ok(at),
        Some(Trial::Never(words)) => {
            let words = format!("{words}; a job like this never starts here");
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

/// Its author can still ask for something else, or for more time.
pub(super) fn warn_of_a_late_start(stage: &BatchStage<'_>, start: SystemTime) {
    let Some((left, timeout)) = request::time_left(stage.arguments, stage.session) else { return };
    if let Ok(waits) = start.duration_since(SystemTime::now())
        && waits >= left
        // What it says of a job behind one without a limit of time; that one may end in the next second.
        && waits < FORESEEABLE
    {
        tell(format_args!(
            "warning: {} expects to start a job like this one in {}, but its time in GitLab (timeout: \
                {}) is over before: unless the queue moves faster it never starts; ask for less, or for a longer \
                timeout (of the job, the project and the runner)",
            stage.batch.kind().name(),
            about_in_words(waits),
            about_in_words(timeout)
        ));
    }
}
