//! The driver under test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::contract::result::Exec;
use crate::error::EmulatorError;

/// The driver under test, as `[runners.custom]` of a runner's `config.toml` names it.
#[derive(Debug, Clone)]
pub struct Driver {
    /// Program of `config_exec`.
    pub config_exec: PathBuf,
    /// Program of `prepare_exec`.
    pub prepare_exec: PathBuf,
    /// Program of `run_exec`.
    pub run_exec: PathBuf,
    /// Program of `cleanup_exec`.
    pub cleanup_exec: PathBuf,
    /// First arguments of all four: `config_args`, `prepare_args`, `run_args` and `cleanup_args`.
    pub args: Vec<OsString>,
}

impl Driver {
    pub(crate) fn program(&self, exec: Exec) -> &Path {
        match exec {
            Exec::Config => &self.config_exec,
            Exec::Prepare => &self.prepare_exec,
            Exec::Run => &self.run_exec,
            Exec::Cleanup => &self.cleanup_exec,
        }
    }

    /// All four must be there, and for us. [`Simulation::run`](crate::Simulation::run) looks by itself; whoever must prepare
    /// something for it may look first.
    pub fn check(&self) -> Result<(), EmulatorError> {
        for exec in Exec::ALL {
            let program = self.program(exec);
            if access(program, AccessFlags::X_OK).is_err() || program.is_dir() {
                let program = program.to_owned();
                let exists = program.is_file();
                return Err(if exists {
                    EmulatorError::Forbidden(program)
                } else {
                    EmulatorError::NotExecutable(program)
                });
            }
        }
        Ok(())
    }
}
