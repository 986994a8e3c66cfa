//! `motmot simulate`: GitLab and GitLab Runner for one job, played by the emulator against the site's own configuration.
//!
//! The emulator knows nothing of motmot. Here is what it is told: the options of the command line, which programs to call,
//! and a configuration in which GitLab is the emulator's.

mod config_file;
mod options;
mod runner_account;
mod translate;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use motmot_emulator::{Driver, EmulatorError, GitLabServer, JobApi, JobResult, Simulation, Status};

use config_file::ConfigFile;

pub use options::SimulateArgs;

/// Runs `motmot simulate`. `config` is the driver's configuration file.
#[allow(clippy::needless_pass_by_value)] // the end of the options
pub fn main(args: SimulateArgs, config: &Path) -> ExitCode {
    match from_command_line(&args, config) {
        Ok(result) => {
            let shown =
                if args.json { serde_json::to_string(&result).unwrap_or_default() } else { format!("\n{result}") };
            // The exit code says it too; a closed terminal is no reason to change that.
            let _ = writeln!(io::stdout(), "{shown}");
            ExitCode::from(result.exit_code_of_program())
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "motmot simulate: {error}");
            ExitCode::from(2)
        }
    }
}

fn from_command_line(args: &SimulateArgs, config: &Path) -> Result<JobResult, SimulateError> {
    let simulation = args.simulation()?;
    let bin_dir = args.bin_dir()?;
    let open = |file: &PathBuf| File::create(file).map_err(SimulateError::system(format!("write {}", file.display())));
    let mut log: Box<dyn Write + Send> = match &args.log {
        Some(file) => Box::new(open(file)?),
        None => Box::new(io::stdout()),
    };
    let mut runner_log: Box<dyn Write + Send> = match &args.runner_log {
        Some(file) => Box::new(open(file)?),
        None => Box::new(io::stderr()),
    };
    play(&simulation, args.gitlab(), &bin_dir, config, &mut log, &mut runner_log)
}

/// Which GitLab the driver asks for the job.
pub enum AskedGitLab {
    /// One that the emulator plays.
    Played(JobApi),
    /// That of the configuration.
    Configured,
}

/// Plays a job against the stage binaries in `bin_dir`, with `config` as their configuration. Writes the job log and the
/// runner's own log.
pub fn play(
    simulation: &Simulation,
    gitlab: AskedGitLab,
    bin_dir: &Path,
    config: &Path,
    log: &mut (dyn Write + Send),
    runner_log: &mut (dyn Write + Send),
) -> Result<JobResult, SimulateError> {
    let mut driver = driver(bin_dir);
    driver.check()?;
    let runner = &simulation.runner;
    let (gitlab, config) = match gitlab {
        AskedGitLab::Played(api) => {
            let gitlab = GitLabServer::on_loopback(api)?;
            let copy = ConfigFile::private_copy(config, gitlab.url(), &runner.temp_dir(), runner.account.is_some())?;
            (gitlab, copy)
        }
        AskedGitLab::Configured => {
            (GitLabServer::elsewhere(config_file::gitlab_url(config)?), ConfigFile::unchanged(config)?)
        }
    };
    driver.args = vec!["--config".into(), config.path().into()];
    let result = simulation.run(gitlab, &driver, log, runner_log)?;
    if simulation.keep_temp || result.status == Status::RunnerGone {
        // The processes that are left may still read it.
        config.keep();
    }
    Ok(result)
}

/// The stage binaries, without their arguments.
fn driver(bin_dir: &Path) -> Driver {
    let program = |stage: &str| bin_dir.join(format!("motmot-{stage}"));
    Driver {
        config_exec: program("config"),
        prepare_exec: program("prepare"),
        run_exec: program("run"),
        cleanup_exec: program("cleanup"),
        args: Vec::new(),
    }
}

/// Why a job could not be played. A job that fails is no error but a result.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A stage binary is there, but not for us.
    #[error("{0}. Run this as root (with --runner-account if the runner is not root), or as the runner's account")]
    Forbidden(EmulatorError),
    /// A stage binary is not there.
    #[error("{0}. Build or install motmot, or say where its binaries are with --bin-dir")]
    NotExecutable(EmulatorError),
    /// Anything else that the emulator cannot work with.
    #[error(transparent)]
    Emulator(EmulatorError),
    /// The driver's configuration cannot be read.
    #[error("cannot read the configuration {}: {problem}. Name another file with --config", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A value on the command line.
    #[error("{0}")]
    Usage(String),
    /// The system refused something that this needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl From<EmulatorError> for SimulateError {
    fn from(error: EmulatorError) -> Self {
        match error {
            EmulatorError::Forbidden(_) => Self::Forbidden(error),
            EmulatorError::NotExecutable(_) => Self::NotExecutable(error),
            _ => Self::Emulator(error),
        }
    }
}

impl SimulateError {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use motmot_emulator::{JobApi, Simulation};

    use super::{AskedGitLab, play};

    fn problem(bin_dir: &Path, config: &Path) -> String {
        let gitlab = AskedGitLab::Played(JobApi::default());
        let (mut log, mut runner_log) = (std::io::sink(), std::io::sink());
        play(&Simulation::default(), gitlab, bin_dir, config, &mut log, &mut runner_log).unwrap_err().to_string()
    }

    #[test]
    fn problems_of_the_set_up_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        fs::write(&config, "[gitlab]\nurl = \"https://gitlab.invalid\"\n").unwrap();
        let words = problem(dir.path(), &config);
        assert!(
            words.ends_with(
                "motmot-config is not an executable file. Build or install motmot, or say where its binaries are with --bin-dir"
            ),
            "{words}"
        );
        let program = dir.path().join("motmot-config");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o600)).unwrap();
        let words = problem(dir.path(), &config);
        assert!(
            words
                .contains("motmot-config may not be executed by this account. Run this as root (with --runner-account"),
            "{words}"
        );
        fs::remove_file(program).unwrap();
        for stage in ["config", "prepare", "run", "cleanup"] {
            symlink("/bin/true", dir.path().join(format!("motmot-{stage}"))).unwrap();
        }
        for text in ["[gitlab\n", "[gitlab]\n"] {
            fs::write(&config, text).unwrap();
            let words = problem(dir.path(), &config);
            let start = format!("cannot read the configuration {}: ", config.display());
            assert!(words.starts_with(&start) && words.ends_with(". Name another file with --config"), "{words}");
        }
    }
}
