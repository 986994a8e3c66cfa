//! One simulated job against the stage binaries.

use std::io::Write;
use std::path::Path;

use motmot_emulator::{Driver, GitLabServer, JobApi, JobResult, Simulation, Status};

use super::config_file::{self, ConfigFile};
use super::error::SimulateError;

/// Which GitLab the driver asks for the job.
pub enum AskedGitLab {
    /// One that the emulator plays.
    Played(JobApi),
    /// That of the configuration.
    Configured,
}

/// Plays a job against the stage binaries in `bin_dir`, with `config` as their configuration, for the runner of the GitLab of this name. Writes the job log and the
/// runner's own log.
pub fn play(
    simulation: &Simulation,
    gitlab: AskedGitLab,
    name: Option<&str>,
    bin_dir: &Path,
    config: &Path,
    log: &mut (dyn Write + Send),
    runner_log: &mut (dyn Write + Send),
) -> Result<JobResult, SimulateError> {
    let mut driver = driver(bin_dir);
    driver.check()?;
    let runner = &simulation.runner;
    let played = matches!(gitlab, AskedGitLab::Played(_));
    let original = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let (gitlab, config) = match gitlab {
        AskedGitLab::Played(api) => {
            let gitlab = GitLabServer::on_loopback(api)?;
            let copy =
                ConfigFile::private_copy(config, name, gitlab.url(), &runner.temp_dir(), runner.account.is_some())?;
            (gitlab, copy)
        }
        AskedGitLab::Configured => {
            (GitLabServer::elsewhere(config_file::gitlab_url(config, name)?), ConfigFile::unchanged(config)?)
        }
    };
    driver.args = vec!["--config".into(), config.path().into()];
    if let Some(name) = name {
        driver.args.extend(["--gitlab".into(), name.into()]);
    }
    if played {
        // Whoever cleans up after a runner that was killed knows the site's own file only.
        driver.args.extend(["--copy-of".into(), original.into()]);
        // No service and no log shall take it for a pipeline's.
        driver.args.push("--simulated".into());
    }
    let asked = if played { config_file::id_token(config.path(), name)? } else { None };
    let simulation = &Simulation { id_tokens: asked.into_iter().collect(), ..simulation.clone() };
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
        play(&Simulation::default(), gitlab, None, bin_dir, config, &mut log, &mut runner_log).unwrap_err().to_string()
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
