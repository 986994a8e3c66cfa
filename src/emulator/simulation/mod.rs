//! What shall be played, as plain data.

pub(crate) mod account;
pub(crate) mod compose;
pub(crate) mod driver;
pub(crate) mod faults;
pub(crate) mod runner;

use crate::gitlab::id_token::IdToken;
use crate::gitlab::job::GitLabJob;
use crate::gitlab::payload::{JobPayload, Variable};
use faults::Faults;
use runner::RunnerSettings;

/// Everything about one simulated job, as plain data.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    /// Who the job belongs to and what it is called.
    pub job: GitLabJob,
    /// A recorded payload to start from. What [`Simulation::job`] says still holds.
    pub payload: Option<JobPayload>,
    /// Commands of the job. Empty means those of the payload, or a single `true` without one.
    pub script: Vec<String>,
    /// The `run:` of the job, as GitLab sends it: the JSON of a list of steps, in place of a script.
    pub run: Option<String>,
    /// Commands of `after_script`. Empty means those of the payload.
    pub after_script: Vec<String>,
    /// Further steps after the script, such as `release`, each with its commands.
    pub steps: Vec<(String, Vec<String>)>,
    /// Variables behind all others, so that they win wherever the last one wins.
    pub variables: Vec<Variable>,
    /// The job's `id_tokens:`. Only a GitLab that the emulator plays can sign some that anybody believes.
    pub id_tokens: Vec<IdToken>,
    /// Paths to cache; without any there are no cache stages.
    pub cache: Vec<String>,
    /// Paths to upload as artifacts; without any there is no upload stage.
    pub artifacts: Vec<String>,
    /// Repository to fetch in `get_sources`. `None` means `GIT_STRATEGY=none`, or the payload's own.
    pub git_url: Option<String>,
    /// The runner's configuration.
    pub runner: RunnerSettings,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether SIGINT and SIGTERM to this process cancel the job. For programs, not for libraries.
    pub handle_signals: bool,
    /// Keep the temporary directories (and the secrets in them) for a look.
    pub keep_temp: bool,
}

impl Simulation {
    /// Takes over who the job belongs to from a recorded payload, so that single facts can be changed
    /// afterwards.
    pub fn adopt(&mut self, payload: JobPayload) {
        self.job = GitLabJob::of(&payload);
        self.payload = Some(payload);
    }
}
