//! GitLab and GitLab Runner for one job, without either of them.
//!
//! The emulator calls the four programs of a driver exactly as a runner's custom executor would, so that an admin can try a
//! mapping, and a test suite a fault, with nothing installed but the driver. It knows the contract from GitLab Runner's
//! behaviour alone and shares no code with the driver it drives: a misunderstanding must not be able to cancel itself out.
//!
//! Reading order: [`Simulation`] is what shall be played, [`Simulation::run`] plays it. `life` tells the life of a job, its
//! `sub_stages` what runs in it, its `attempt` one preparation and the calls of it, `call` a single call. `contract::failure`
//! holds the meaning of exit codes, `scripts` writes what the driver is asked to run.
//!
//! Imports point down: `life` → `scripts` → `build` → `call` → `control`, `log` → `simulation` → `gitlab` → `contract` →
//! `context`, `go_duration`, `error`.
//!
//! Not played: masking of secrets in the log, the log's size limit, PowerShell, `run:` steps.
#![forbid(unsafe_code)]
#![warn(unreachable_pub)] // what is `pub` is the face, and the face is below

mod build;
mod call;
mod context;
mod contract;
mod control;
mod error;
mod gitlab;
pub mod go_duration;
mod life;
mod log;
mod scripts;
mod simulation;

use std::io::{self, Write};
use std::sync::Arc;

use gitlab::id_token::InstanceKey;

pub use contract::failure::FailureReason;
pub use contract::result::{DriverCall, Exec, Exit, JobResult, Status};
pub use contract::version::RunnerVersion;
pub use error::EmulatorError;
pub use gitlab::id_token::IdToken;
pub use gitlab::job::{Environment, GitLabJob, SourceProject};
pub use gitlab::payload::{JobPayload, Variable};
pub use gitlab::server::{GitLabServer, JobApi};
pub use simulation::Simulation;
pub use simulation::account::{ActAs, RunnerAccount};
pub use simulation::driver::Driver;
pub use simulation::faults::{Cancel, CancelMode, CancelWhen, Faults};
pub use simulation::runner::RunnerSettings;

impl Simulation {
    /// Runs the job to its end, cleanup included. Blocks; builds a runtime of its own.
    ///
    /// `log` receives the job log byte by byte as the runner would send it to GitLab, `runner_log` the
    /// lines of the runner's own log, among them the output of `cleanup_exec`.
    pub fn run(
        &self,
        gitlab: GitLabServer,
        driver: &Driver,
        log: &mut (dyn Write + Send),
        runner_log: &mut (dyn Write + Send),
    ) -> Result<JobResult, EmulatorError> {
        driver.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EmulatorError::system("start the emulator"))?;
        let style = log::Style { timestamps: self.runner.timestamps, sections: self.runner.sections };
        let (logs, entries) = log::Logs::new(style);
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || log::write_out(entries, log, runner_log));
            let result = runtime.block_on(self.play(gitlab, driver, logs));
            // Ends the tasks that still listen to abandoned processes, and with them the last
            // senders: only then does the writer return.
            drop(runtime);
            let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the log writer panicked")));
            let result = result?;
            written.map_err(EmulatorError::system("write the job log"))?;
            Ok(result)
        })
    }

    async fn play(&self, gitlab: GitLabServer, driver: &Driver, logs: log::Logs) -> Result<JobResult, EmulatorError> {
        let job = self.job.settled();
        let url = gitlab.url().to_owned();
        let key = if self.id_tokens.is_empty() { None } else { Some(InstanceKey::generate()?) };
        let token = gitlab.serve(&job, key.as_ref())?;
        let mut payload = self.compose(&job, &url);
        if let Some(key) = key {
            self.add_id_tokens(&mut payload, &job, &url, &key)?;
        }
        let unsupported = payload.rewrite_run_keyword().err();
        let build = build::Build::new(self, driver, payload, url, logs);
        if let Some(words) = unsupported {
            return Ok(life::not_taken(&build, words).await);
        }
        if let Some(token) = token.clone() {
            build.control.on_stop(move || token.revoke());
        }
        let control = Arc::clone(&build.control);
        tokio::spawn(async move { control.watch().await });
        let result = life::play(&build).await;
        if let Some(token) = token {
            token.revoke();
        }
        Ok(result)
    }
}
