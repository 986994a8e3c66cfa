//! `motmot simulate`: GitLab and GitLab Runner for one job, played by the emulator against the site's own configuration.
//!
//! The emulator knows nothing of motmot. Here is what it is told: the options of the command line, which programs to call,
//! and a configuration in which GitLab is the emulator's.

mod audit_tail;
mod config_file;
mod error;
mod options;
mod play;
mod runner_account;
mod translate;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use motmot_emulator::JobResult;

use audit_tail::AuditTail;
use error::SimulateError;

use super::terminal::{Patient, answer};

pub use options::SimulateArgs;
pub use play::{AskedGitLab, play};

/// Runs `motmot simulate`. `config` is the driver's configuration file.
#[allow(clippy::needless_pass_by_value)] // the end of the options
pub fn main(args: SimulateArgs, config: &Path) -> ExitCode {
    let audit = AuditTail::begin(config);
    match from_command_line(&args, config) {
        Ok(result) => {
            for reason in audit.reasons(result.job_id) {
                // The author of a job is not told; whoever can read the log is.
                let _ = writeln!(io::stderr(), "motmot simulate: the audit log says why: {reason}");
            }
            let shown =
                if args.json { serde_json::to_string(&result).unwrap_or_default() } else { format!("\n{result}") };
            answer(&format!("{shown}\n"), ExitCode::from(result.exit_code_of_program()))
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
        None => Box::new(Patient(io::stdout())),
    };
    let mut runner_log: Box<dyn Write + Send> = match &args.runner_log {
        Some(file) => Box::new(open(file)?),
        None => Box::new(io::stderr()),
    };
    play(&simulation, args.gitlab(), args.gitlab.as_deref(), &bin_dir, config, &mut log, &mut runner_log)
}
