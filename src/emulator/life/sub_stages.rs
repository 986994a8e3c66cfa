//! The sub-stages of a prepared job: their order, their time, what a failure of one means for the others.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use crate::build::Build;
use crate::build::variables::{get, variables};
use crate::context::{Context, ContextEnd};
use crate::contract::build_stage::BuildStage;
use crate::contract::failure::{FailureReason, RunnerError};
use crate::gitlab::payload::Variable;
use crate::{go_duration, scripts};

/// `RUNNER_AFTER_SCRIPT_TIMEOUT` of a job that does not set it.
const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_mins(5);

/// What runs in one attempt that has been prepared. Cheap to clone.
#[derive(Clone)]
pub(super) struct SubStages {
    build: Arc<Build>,
    attempt: Arc<Attempt>,
}

impl SubStages {
    pub(super) fn new(build: &Arc<Build>, attempt: &Arc<Attempt>) -> Self {
        Self { build: Arc::clone(build), attempt: Arc::clone(attempt) }
    }

    /// Runs the sub-stages, but leaves them alone when the job is stopped and they do not end.
    pub(super) async fn run(&self, prepare: &Context) -> Result<(), RunnerError> {
        let context = self.build.control.job.child(None);
        // prepare_script still belongs to the time for preparation.
        let prepare = context.either(prepare);
        let mut scripts = tokio::spawn({
            let (stages, context) = (self.clone(), context.clone());
            async move { stages.scripts(&context, &prepare).await }
        });
        let failure = tokio::select! {
            biased;
            () = self.build.control.job.done() => self.build.out_of_time(self.build.control.job.ended().unwrap_or(ContextEnd::Canceled)),
            () = self.build.control.interrupted() => RunnerError::Build {
                reason: FailureReason::RunnerInterrupted,
                exit_code: 0,
                message: "aborted: terminated".to_owned(),
            },
            finished = &mut scripts => {
                let result = finished.unwrap_or_else(|error| Err(RunnerError::System(format!("panic: {error}"))));
                return match self.build.control.job.ended() {
                    Some(ended) => Err(self.build.out_of_time(ended)),
                    None => result,
                };
            }
        };
        context.cancel();
        if tokio::time::timeout(self.build.simulation.runner.wait_for_build_finish, scripts).await.is_err() {
            self.build.logs.warning("Timed out waiting for the build to finish").await;
        }
        Err(failure)
    }

    /// All sub-stages in their order.
    async fn scripts(&self, context: &Context, prepare: &Context) -> Result<(), RunnerError> {
        self.stage(&BuildStage::PrepareScript, prepare).await.map_err(|failure| self.own_limit(failure, context, prepare)).map_err(|failure| {
            failure.wrap(|message| {
                format!("prepare environment: {message}. Check https://docs.gitlab.com/runner/shells/#shell-profile-loading for more information")
            })
        })?;
        let runner = &self.build.simulation.runner;
        let sources = context.child(runner.get_sources_timeout.filter(|_| runner.version.traps_term()));
        let mut result = self.attempts(&BuildStage::GetSources, "GET_SOURCES_ATTEMPTS", &sources).await;
        if result.is_err() && context.ended().is_none() && sources.ended().is_some() {
            return Err(self.build.out_of_time(ContextEnd::DeadlineExceeded));
        }
        if result.is_ok() {
            result = self.attempts(&BuildStage::RestoreCache, "RESTORE_CACHE_ATTEMPTS", context).await;
        }
        if result.is_ok() {
            result = self.attempts(&BuildStage::DownloadArtifacts, "ARTIFACT_DOWNLOAD_ATTEMPTS", context).await;
        }
        if result.is_ok() {
            result = self.user_scripts(context).await;
        }
        let success = result.is_ok();
        let cache = self.stage(&BuildStage::ArchiveCache { success }, context).await;
        let upload = self.stage(&BuildStage::UploadArtifacts { success }, context).await;
        if let Err(failure) = self.stage(&BuildStage::CleanupFileVariables, context).await {
            self.build
                .logs
                .runner(
                    "warning",
                    "Error while executing file based variables removal script",
                    &format!("error={:?}", failure.message()),
                )
                .await;
        }
        result.and(cache).and(upload)
    }

    /// A limit of the preparation alone is a time-out of the job, whatever the driver said.
    fn own_limit(&self, failure: RunnerError, context: &Context, own: &Context) -> RunnerError {
        if context.ended().is_none() && own.ended().is_some() {
            self.build.out_of_time(ContextEnd::DeadlineExceeded)
        } else {
            failure
        }
    }

    /// The steps, then `after_script`.
    async fn user_scripts(&self, context: &Context) -> Result<(), RunnerError> {
        let variables = variables(&self.build);
        let script = context.child(limit(&variables, "RUNNER_SCRIPT_TIMEOUT"));
        self.build.control.narrow(script.clone());
        let mut result = Ok(());
        for (position, step) in self.build.payload.steps.iter().flatten().enumerate() {
            if step.name == "after_script" {
                continue;
            }
            result = self.stage(&BuildStage::Step(position, step.name.to_lowercase()), &script).await;
            if result.is_err() {
                break;
            }
        }
        match (context.ended(), script.ended()) {
            (None, Some(ContextEnd::Canceled)) => {
                result = Err(RunnerError::Canceled);
                self.build.logs.warning("script canceled externally (UI, API)").await;
            }
            (None | Some(ContextEnd::Canceled), Some(ContextEnd::DeadlineExceeded)) => {
                result = Err(RunnerError::ScriptTimeout);
            }
            _ => {}
        }
        self.build.set_status(match &result {
            Ok(()) => "success",
            Err(RunnerError::Canceled | RunnerError::Ended(ContextEnd::Canceled)) => "canceled",
            Err(RunnerError::ScriptTimeout | RunnerError::Ended(ContextEnd::DeadlineExceeded)) => "timedout",
            Err(_) => "failed",
        });
        let after =
            context.child(Some(limit(&variables, "RUNNER_AFTER_SCRIPT_TIMEOUT").unwrap_or(AFTER_SCRIPT_TIMEOUT)));
        if let Err(failure) = self.stage(&BuildStage::AfterScript, &after).await {
            let ignored = get(&variables, "AFTER_SCRIPT_IGNORE_ERRORS").is_none_or(|value| !is_false(value));
            if context.ended() == Some(ContextEnd::DeadlineExceeded) {
                // Reported by the job's own limit.
            } else if ignored {
                self.build
                    .logs
                    .warning(&format!("after_script failed, but job will continue unaffected: {}", failure.message()))
                    .await;
            } else if result.is_ok() {
                result = Err(failure);
            }
        }
        result
    }

    /// A sub-stage that a user may have tried several times.
    async fn attempts(&self, stage: &BuildStage, variable: &str, context: &Context) -> Result<(), RunnerError> {
        let wanted =
            get(&variables(&self.build), variable).filter(|value| !value.is_empty()).map_or(Ok(1), str::parse::<u32>);
        let Some(attempts) = wanted.ok().filter(|attempts| (1..=10).contains(attempts)) else {
            return Err(RunnerError::System(format!(
                "number of attempts out of the range [1, 10] for stage: {}",
                stage.name()
            )));
        };
        let mut pause = self.build.simulation.runner.stage_retry_interval;
        let mut result = Ok(());
        for attempt in 1..=attempts {
            if *stage == BuildStage::GetSources && attempt == 2 {
                // Its failure uses up this attempt.
                result = self.stage(&BuildStage::ClearWorktree, context).await;
                if result.is_err() {
                    continue;
                }
            }
            result = self.stage(stage, context).await;
            if result.is_ok() || attempt == attempts {
                break;
            }
            if self.build.simulation.runner.version.backs_off() {
                self.build.logs.info(&format!("Retrying in {}", go_duration::show(pause))).await;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = context.done() => {}
                }
                pause = (pause * 2).min(AFTER_SCRIPT_TIMEOUT);
            }
        }
        result
    }

    /// One sub-stage, or nothing at all if its time is over or it has nothing to do.
    async fn stage(&self, stage: &BuildStage, context: &Context) -> Result<(), RunnerError> {
        if let Some(ended) = context.ended() {
            return Err(RunnerError::Ended(ended));
        }
        let Some(script) = scripts::generate(&self.build, stage, self.attempt.shell()) else {
            return Ok(());
        };
        let name = stage.name();
        self.build.logs.section("start", &name).await;
        self.build.logs.line(&format!("\x1b[36;1m{}\x1b[0;m", stage.description())).await;
        let result = self.attempt.run(stage, &script, context).await;
        self.build.logs.section("end", &name).await;
        if context.ended() == Some(ContextEnd::DeadlineExceeded) {
            self.build.logs.warning(&format!("{name} could not run to completion because the timeout was exceeded. For more control over job and script timeouts see: https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts")).await;
        }
        result
    }
}

/// A time limit that a user set; nonsense and zero are no limit.
fn limit(variables: &[Variable], name: &str) -> Option<Duration> {
    get(variables, name).and_then(|text| go_duration::parse(text).ok()).filter(|limit| !limit.is_zero())
}

fn is_false(value: &str) -> bool {
    matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False")
}
