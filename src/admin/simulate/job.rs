//! The life of one job, as the runner leads it: attempts to prepare, sub-stages, cleanup, report.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::context::{Context, Ended};
use super::control::Control;
use super::executor::Executor;
use super::failure::{Failure, FailureReason};
use super::log::Logs;
use super::outcome::{Outcome, Status};
use super::payload::{Payload, Variable};
use super::process::Calls;
use super::profile::RunnerVersion;
use super::stage::Stage;
use super::variables::{Dirs, get};
use super::{Simulation, duration, script};

/// How often the runner tries to prepare a job.
const PREPARE_ATTEMPTS: u32 = 3;

/// `RUNNER_AFTER_SCRIPT_TIMEOUT` of a job that does not set it.
const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_mins(5);

/// A job that GitLab gives no limit has this one.
const DEFAULT_JOB_TIMEOUT: Duration = Duration::from_hours(2);

/// A job and everything that outlives one attempt to prepare it.
pub(super) struct Job {
    pub(super) simulation: Simulation,
    pub(super) payload: Payload,
    /// Configuration file given to the driver.
    pub(super) config: PathBuf,
    /// Base URL of GitLab.
    pub(super) url: String,
    pub(super) logs: Logs,
    pub(super) calls: Calls,
    pub(super) control: Arc<Control>,
    pub(super) begin: Instant,
    state: Mutex<State>,
    attempts: AtomicU32,
}

#[derive(Default)]
struct State {
    dirs: Dirs,
    hostname: Option<String>,
    status: Option<&'static str>,
}

impl Job {
    pub(super) fn new(simulation: &Simulation, payload: Payload, config: &Path, url: String, logs: Logs) -> Arc<Self> {
        let limit = job_timeout(simulation, &payload);
        let control =
            Control::new(Context::background(Some(limit)), simulation.faults.cancel.clone(), simulation.handle_signals);
        let control = Arc::new(control);
        if let Some((mode, text)) = control.waits_for_text() {
            let control = Arc::clone(&control);
            logs.when_seen(&text, move || control.stop(mode));
        }
        if let Some(text) = &simulation.faults.kill_runner_on {
            let control = Arc::clone(&control);
            logs.when_seen(text, move || control.kill());
        }
        Arc::new(Self {
            simulation: simulation.clone(),
            payload,
            config: config.to_owned(),
            url,
            logs,
            calls: Calls::default(),
            control,
            begin: Instant::now(),
            state: Mutex::default(),
            attempts: AtomicU32::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn timeout(&self) -> Duration {
        job_timeout(&self.simulation, &self.payload)
    }

    pub(super) fn dirs(&self) -> Dirs {
        self.state().dirs.clone()
    }

    pub(super) fn set_dirs(&self, dirs: Dirs) {
        self.state().dirs = dirs;
    }

    pub(super) fn hostname(&self) -> Option<String> {
        self.state().hostname.clone()
    }

    pub(super) fn set_hostname(&self, hostname: String) {
        self.state().hostname = Some(hostname);
    }

    /// `CI_JOB_STATUS`, once it is more than `running`.
    pub(super) fn status(&self) -> Option<&'static str> {
        self.state().status
    }

    /// Nine characters of the runner's token behind its kind.
    pub(super) fn short_token(&self) -> String {
        let token = &self.simulation.runner.token;
        token.strip_prefix("glrt-").unwrap_or(token).chars().take(9).collect()
    }

    /// Plays the job, unless the runner dies before its end.
    pub(super) async fn play(self: &Arc<Self>) -> Outcome {
        let shutdown = async {
            self.control.interrupted().await;
            tokio::time::sleep(self.simulation.runner.shutdown_timeout).await;
        };
        let result = tokio::select! {
            biased;
            () = self.control.killed() => None,
            () = shutdown => None,
            result = self.run() => Some(result),
        };
        let mut outcome = Outcome {
            job_id: self.payload.id,
            status: Status::RunnerGone,
            failure_reason: None,
            exit_code: None,
            message: None,
            attempts: self.attempts.load(Ordering::Relaxed),
            calls: Vec::new(),
        };
        if let Some(result) = result {
            self.report(result, &mut outcome).await;
        }
        outcome.calls.clone_from(&self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        outcome
    }

    async fn run(self: &Arc<Self>) -> Result<(), Failure> {
        let runner = &self.simulation.runner;
        let version = runner.version.number();
        self.logs.line(&format!("Running with gitlab-runner {version} ({})", RunnerVersion::REVISION)).await;
        self.logs.line(&format!("  on {} {}, system ID: s_simulated000", runner.name, self.short_token())).await;
        let prepare = self.control.job.child(runner.prepare_timeout.filter(|_| runner.version.has_pipeline_id()));
        self.logs.section("start", "prepare_executor").await;
        self.logs.line("\x1b[36;1mPreparing the \"custom\" executor\x1b[0;m").await;
        let prepared = self.prepare(&prepare).await;
        self.logs.section("end", "prepare_executor").await;
        let executor = Arc::new(prepared?);
        let result = self.run_scripts(&executor, &prepare).await;
        // Only now is GitLab told: a slow cleanup keeps the job running there.
        executor.cleanup().await;
        result
    }

    /// Up to three attempts, each with a cleanup when it failed.
    async fn prepare(self: &Arc<Self>, context: &Context) -> Result<Executor, Failure> {
        let mut last = Failure::System("the job was never prepared".to_owned());
        for attempt in 1..=PREPARE_ATTEMPTS {
            self.attempts.store(attempt, Ordering::Relaxed);
            let mut executor = Executor::new(Arc::clone(self), attempt);
            let Err(failure) = executor.prepare(context).await else {
                return Ok(executor);
            };
            executor.cleanup().await;
            if failure.is_final() {
                return Err(failure);
            }
            if let Some(ended) = context.ended() {
                return Err(self.handle_ended(ended));
            }
            let interval = self.simulation.runner.retry_interval;
            self.logs.error(&format!("Preparation failed: {}", failure.message())).await;
            self.logs.info(&format!("Will be retried in {} ...", duration::show(interval))).await;
            // Also after the last attempt, like the runner.
            tokio::time::sleep(interval).await;
            last = failure;
        }
        Err(last)
    }

    /// What the end of the job's time is called.
    fn handle_ended(&self, ended: Ended) -> Failure {
        match ended {
            Ended::Canceled => Failure::Canceled,
            Ended::DeadlineExceeded => Failure::Build {
                reason: FailureReason::JobExecutionTimeout,
                exit_code: 0,
                message: format!("execution took longer than {} seconds", duration::show(self.timeout())),
            },
        }
    }

    /// Runs the sub-stages, but leaves them alone when the job is stopped and they do not end.
    async fn run_scripts(self: &Arc<Self>, executor: &Arc<Executor>, prepare: &Context) -> Result<(), Failure> {
        let context = self.control.job.child(None);
        // prepare_script still belongs to the time for preparation.
        let prepare = context.either(prepare);
        let mut scripts = tokio::spawn({
            let (job, executor, context) = (Arc::clone(self), Arc::clone(executor), context.clone());
            async move { job.scripts(&executor, &context, &prepare).await }
        });
        let failure = tokio::select! {
            biased;
            () = self.control.job.done() => self.handle_ended(self.control.job.ended().unwrap_or(Ended::Canceled)),
            () = self.control.interrupted() => Failure::Build {
                reason: FailureReason::RunnerInterrupted,
                exit_code: 0,
                message: "aborted: terminated".to_owned(),
            },
            finished = &mut scripts => {
                let result = finished.unwrap_or_else(|error| Err(Failure::System(format!("panic: {error}"))));
                return match self.control.job.ended() {
                    Some(ended) => Err(self.handle_ended(ended)),
                    None => result,
                };
            }
        };
        context.cancel();
        if tokio::time::timeout(self.simulation.runner.wait_for_build_finish, scripts).await.is_err() {
            self.logs.warning("Timed out waiting for the build to finish").await;
        }
        Err(failure)
    }

    /// All sub-stages in their order.
    async fn scripts(
        self: &Arc<Self>,
        executor: &Executor,
        context: &Context,
        prepare: &Context,
    ) -> Result<(), Failure> {
        self.stage(executor, &Stage::PrepareScript, prepare).await.map_err(|failure| self.own_limit(failure, context, prepare)).map_err(|failure| {
            failure.wrap(|message| {
                format!("prepare environment: {message}. Check https://docs.gitlab.com/runner/shells/#shell-profile-loading for more information")
            })
        })?;
        let runner = &self.simulation.runner;
        let sources = context.child(runner.get_sources_timeout.filter(|_| runner.version.traps_term()));
        let mut result = self.attempts(executor, &Stage::GetSources, "GET_SOURCES_ATTEMPTS", &sources).await;
        if result.is_err() && context.ended().is_none() && sources.ended().is_some() {
            return Err(self.handle_ended(Ended::DeadlineExceeded));
        }
        if result.is_ok() {
            result = self.attempts(executor, &Stage::RestoreCache, "RESTORE_CACHE_ATTEMPTS", context).await;
        }
        if result.is_ok() {
            result = self.attempts(executor, &Stage::DownloadArtifacts, "ARTIFACT_DOWNLOAD_ATTEMPTS", context).await;
        }
        if result.is_ok() {
            result = self.user_scripts(executor, context).await;
        }
        let success = result.is_ok();
        let cache = self.stage(executor, &Stage::ArchiveCache { success }, context).await;
        let upload = self.stage(executor, &Stage::UploadArtifacts { success }, context).await;
        if let Err(failure) = self.stage(executor, &Stage::CleanupFileVariables, context).await {
            self.logs
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
    fn own_limit(&self, failure: Failure, context: &Context, own: &Context) -> Failure {
        if context.ended().is_none() && own.ended().is_some() {
            self.handle_ended(Ended::DeadlineExceeded)
        } else {
            failure
        }
    }

    /// The steps, then `after_script`.
    async fn user_scripts(self: &Arc<Self>, executor: &Executor, context: &Context) -> Result<(), Failure> {
        let variables = self.variables();
        let script = context.child(limit(&variables, "RUNNER_SCRIPT_TIMEOUT"));
        self.control.narrow(script.clone());
        let mut result = Ok(());
        for (position, step) in self.payload.steps.iter().flatten().enumerate() {
            if step.name == "after_script" {
                continue;
            }
            result = self.stage(executor, &Stage::Step(position, step.name.to_lowercase()), &script).await;
            if result.is_err() {
                break;
            }
        }
        match (context.ended(), script.ended()) {
            (None, Some(Ended::Canceled)) => {
                result = Err(Failure::Canceled);
                self.logs.warning("script canceled externally (UI, API)").await;
            }
            (None | Some(Ended::Canceled), Some(Ended::DeadlineExceeded)) => {
                result = Err(Failure::ScriptTimeout);
            }
            _ => {}
        }
        self.state().status = Some(match &result {
            Ok(()) => "success",
            Err(Failure::Canceled | Failure::Ended(Ended::Canceled)) => "canceled",
            Err(Failure::ScriptTimeout | Failure::Ended(Ended::DeadlineExceeded)) => "timedout",
            Err(_) => "failed",
        });
        let after =
            context.child(Some(limit(&variables, "RUNNER_AFTER_SCRIPT_TIMEOUT").unwrap_or(AFTER_SCRIPT_TIMEOUT)));
        if let Err(failure) = self.stage(executor, &Stage::AfterScript, &after).await {
            let ignored = get(&variables, "AFTER_SCRIPT_IGNORE_ERRORS").is_none_or(|value| !is_false(value));
            if context.ended() == Some(Ended::DeadlineExceeded) {
                // Reported by the job's own limit.
            } else if ignored {
                self.logs
                    .warning(&format!("after_script failed, but job will continue unaffected: {}", failure.message()))
                    .await;
            } else if result.is_ok() {
                result = Err(failure);
            }
        }
        result
    }

    /// A sub-stage that a user may have tried several times.
    async fn attempts(
        self: &Arc<Self>,
        executor: &Executor,
        stage: &Stage,
        variable: &str,
        context: &Context,
    ) -> Result<(), Failure> {
        let wanted =
            get(&self.variables(), variable).filter(|value| !value.is_empty()).map_or(Ok(1), str::parse::<u32>);
        let Some(attempts) = wanted.ok().filter(|attempts| (1..=10).contains(attempts)) else {
            return Err(Failure::System(format!(
                "number of attempts out of the range [1, 10] for stage: {}",
                stage.name()
            )));
        };
        let mut pause = self.simulation.runner.stage_retry_interval;
        let mut result = Ok(());
        for attempt in 1..=attempts {
            if *stage == Stage::GetSources && attempt == 2 {
                // Its failure uses up this attempt.
                result = self.stage(executor, &Stage::ClearWorktree, context).await;
                if result.is_err() {
                    continue;
                }
            }
            result = self.stage(executor, stage, context).await;
            if result.is_ok() || attempt == attempts {
                break;
            }
            if self.simulation.runner.version.backs_off() {
                self.logs.info(&format!("Retrying in {}", duration::show(pause))).await;
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
    async fn stage(self: &Arc<Self>, executor: &Executor, stage: &Stage, context: &Context) -> Result<(), Failure> {
        if let Some(ended) = context.ended() {
            return Err(Failure::Ended(ended));
        }
        let Some(script) = script::generate(self, stage, executor.shell()) else {
            return Ok(());
        };
        let name = stage.name();
        self.logs.section("start", &name).await;
        self.logs.line(&format!("\x1b[36;1m{}\x1b[0;m", stage.description())).await;
        let result = executor.run(stage, &script, context).await;
        self.logs.section("end", &name).await;
        if context.ended() == Some(Ended::DeadlineExceeded) {
            self.logs.warning(&format!("{name} could not run to completion because the timeout was exceeded. For more control over job and script timeouts see: https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts")).await;
        }
        result
    }

    /// Writes the last line of the log and fills in what GitLab is told.
    async fn report(&self, result: Result<(), Failure>, outcome: &mut Outcome) {
        // The runner opens the log anew for its last word.
        self.logs.reopen();
        let Err(failure) = result else {
            self.logs.info("Job succeeded").await;
            outcome.status = Status::Success;
            return;
        };
        outcome.status = Status::Failed;
        let (reason, exit_code) = match &failure {
            Failure::Build { reason, exit_code, .. } => (*reason, *exit_code),
            // `job_canceled` is a word of the runner that GitLab does not know.
            Failure::Canceled => (FailureReason::UnknownFailure, 0),
            Failure::ScriptTimeout => (FailureReason::JobExecutionTimeout, 0),
            Failure::System(_) | Failure::Ended(_) => (FailureReason::RunnerSystemFailure, 0),
        };
        let kind = if reason == FailureReason::RunnerSystemFailure { " (system failure)" } else { "" };
        self.logs.error(&format!("Job failed{kind}: {}", failure.message())).await;
        let known = |reason: FailureReason| {
            self.payload.features.failure_reasons.iter().flatten().any(|known| known == reason.name())
        };
        outcome.failure_reason = Some(match reason {
            FailureReason::RunnerConfigurationError if !known(reason) => FailureReason::ScriptFailure,
            other => other,
        });
        outcome.exit_code = Some(exit_code).filter(|&code| code != 0);
        outcome.message = Some(failure.message());
    }
}

fn job_timeout(simulation: &Simulation, payload: &Payload) -> Duration {
    simulation.runner.job_timeout.unwrap_or_else(|| match u64::try_from(payload.runner_info.timeout) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => DEFAULT_JOB_TIMEOUT,
    })
}

/// A time limit that a user set; nonsense and zero are no limit.
fn limit(variables: &[Variable], name: &str) -> Option<Duration> {
    get(variables, name).and_then(|text| duration::parse(text).ok()).filter(|limit| !limit.is_zero())
}

fn is_false(value: &str) -> bool {
    matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False")
}
