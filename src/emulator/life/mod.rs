//! The life of one job, as the runner leads it: attempts to prepare, sub-stages, cleanup, report.

mod attempt;
mod sub_stages;

use std::sync::{Arc, PoisonError};

use crate::build::Build;
use crate::context::Context;
use crate::contract::failure::{FailureReason, RunnerError};
use crate::contract::result::{JobResult, Status};
use crate::contract::version::RunnerVersion;
use crate::go_duration;
use attempt::Attempt;
use sub_stages::SubStages;

/// How often the runner tries to prepare a job.
const PREPARE_ATTEMPTS: u32 = 3;

/// Plays the job, unless the runner dies before its end.
pub(crate) async fn play(build: &Arc<Build>) -> JobResult {
    let shutdown = async {
        build.control.interrupted().await;
        tokio::time::sleep(build.simulation.runner.shutdown_timeout).await;
    };
    let result = tokio::select! {
        biased;
        () = build.control.killed() => None,
        () = shutdown => None,
        result = run(build) => Some(result),
    };
    let mut told = JobResult {
        job_id: build.payload.id,
        status: Status::RunnerGone,
        failure_reason: None,
        exit_code: None,
        message: None,
        attempts: build.attempts(),
        calls: Vec::new(),
    };
    if let Some(result) = result {
        report(build, result, &mut told).await;
    }
    told.calls.clone_from(&build.calls.lock().unwrap_or_else(PoisonError::into_inner));
    told
}

/// A job that the runner gives back before it prepares anything: one line of log, and its code for options that it does not
/// support.
pub(crate) async fn not_taken(build: &Build, words: &str) -> JobResult {
    build.logs.line(words).await;
    JobResult {
        job_id: build.payload.id,
        status: Status::Failed,
        failure_reason: Some(FailureReason::RunnerSystemFailure),
        exit_code: Some(3),
        message: Some(words.to_owned()),
        attempts: 0,
        calls: Vec::new(),
    }
}

async fn run(build: &Arc<Build>) -> Result<(), RunnerError> {
    let runner = &build.simulation.runner;
    let version = runner.version.number();
    build.logs.line(&format!("Running with gitlab-runner {version} ({})", RunnerVersion::REVISION)).await;
    build.logs.line(&format!("  on {} {}, system ID: s_simulated000", runner.name, runner.short_token())).await;
    let prepare = build.control.job.child(runner.prepare_timeout.filter(|_| runner.version.has_pipeline_id()));
    build.logs.section("start", "prepare_executor").await;
    build.logs.line("\x1b[36;1mPreparing the \"custom\" executor\x1b[0;m").await;
    let prepared = prepare_attempts(build, &prepare).await;
    build.logs.section("end", "prepare_executor").await;
    let attempt = Arc::new(prepared?);
    let result = SubStages::new(build, &attempt).run(&prepare).await;
    // Only now is GitLab told: a slow cleanup keeps the job running there.
    attempt.cleanup().await;
    result
}

/// Up to three attempts, each with a cleanup when it failed.
async fn prepare_attempts(build: &Arc<Build>, context: &Context) -> Result<Attempt, RunnerError> {
    let mut last = RunnerError::System("the job was never prepared".to_owned());
    for number in 1..=PREPARE_ATTEMPTS {
        build.set_attempts(number);
        let mut attempt = Attempt::new(Arc::clone(build), number);
        let Err(failure) = attempt.prepare(context).await else {
            return Ok(attempt);
        };
        attempt.cleanup().await;
        if failure.is_final() {
            return Err(failure);
        }
        if let Some(ended) = context.ended() {
            return Err(build.out_of_time(ended));
        }
        let interval = build.simulation.runner.retry_interval;
        build.logs.error(&format!("Preparation failed: {}", failure.message())).await;
        build.logs.info(&format!("Will be retried in {} ...", go_duration::show(interval))).await;
        // Also after the last attempt, like the runner.
        tokio::time::sleep(interval).await;
        last = failure;
    }
    Err(last)
}

/// Writes the last line of the log and fills in what GitLab is told.
async fn report(build: &Build, result: Result<(), RunnerError>, told: &mut JobResult) {
    // The runner opens the log anew for its last word.
    build.logs.reopen();
    let Err(failure) = result else {
        build.logs.info("Job succeeded").await;
        told.status = Status::Success;
        return;
    };
    told.status = Status::Failed;
    let (reason, exit_code) = match &failure {
        RunnerError::Build { reason, exit_code, .. } => (*reason, *exit_code),
        // `job_canceled` is a word of the runner that GitLab does not know.
        RunnerError::Canceled => (FailureReason::UnknownFailure, 0),
        RunnerError::ScriptTimeout => (FailureReason::JobExecutionTimeout, 0),
        RunnerError::System(_) | RunnerError::Ended(_) => (FailureReason::RunnerSystemFailure, 0),
    };
    let kind = if reason == FailureReason::RunnerSystemFailure { " (system failure)" } else { "" };
    build.logs.error(&format!("Job failed{kind}: {}", failure.message())).await;
    let known = |reason: FailureReason| {
        build.payload.features.failure_reasons.iter().flatten().any(|known| known == reason.name())
    };
    told.failure_reason = Some(match reason {
        FailureReason::RunnerConfigurationError if !known(reason) => FailureReason::ScriptFailure,
        other => other,
    });
    told.exit_code = Some(exit_code).filter(|&code| code != 0);
    told.message = Some(failure.message());
}
