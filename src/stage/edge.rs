//! Where a stage meets the runner: arguments in, words and one of three exit codes out.

use std::cell::{Cell, OnceCell};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::{caller, recorded};
use crate::evidence::payload::Payload;
use crate::order::directories::host_name;
use crate::report::audit::{self, AuditLog, Context, RequestId};
use crate::report::events::AuditEvent;
use crate::report::{Failure, FailureKind, tell, unless_nobody_reads};
use crate::runner::{Contract, ExitCodes, PROCESS_NAME as RUNNER};
use crate::settings::{DEFAULT_PATH, Settings, config_file};
use crate::sys::privilege::hide_this_process;
use crate::sys::signals::Termination;
use crate::sys::threads::share_one_heap;

/// What a stage was given.
pub struct Arguments {
    /// The configuration file.
    pub config: PathBuf,
    /// Of what file that is a copy, if it is one.
    copy_of: Option<PathBuf>,
    /// Which of several GitLabs the runner belongs to.
    gitlab: Option<String>,
    /// What the runner adds: for the run stage the script and the sub-stage.
    pub rest: Vec<OsString>,
    /// Which stage this is.
    stage: &'static str,
    /// Who plays GitLab.
    pub origin: Origin,
    /// The runner's variables.
    pub contract: Contract,
    /// Asks this process to end.
    pub termination: Termination,
    /// The job's number, once it is known; for the log, should the stage fail.
    job_id: Cell<Option<u64>>,
    /// Open from the moment that the configuration is known, until the stage has ended.
    log: OnceCell<AuditLog>,
}

/// Where a job comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the GitLab of the configuration.
    GitLab,
    /// From `motmot simulate`, which plays one.
    Simulation,
}

impl Arguments {
    /// The file that people know the configuration by.
    pub fn named(&self) -> &Path {
        self.copy_of.as_deref().unwrap_or(&self.config)
    }

    /// As arguments, for this program once more.
    pub fn of_configuration(&self) -> Vec<OsString> {
        let mut args = vec!["--config".into(), self.config.clone().into()];
        if let Some(original) = &self.copy_of {
            args.extend(["--copy-of".into(), original.clone().into()]);
        }
        if let Some(name) = &self.gitlab {
            args.extend(["--gitlab".into(), name.into()]);
        }
        args
    }

    /// Which of several GitLabs the runner belongs to, by its own configuration.
    pub fn gitlab(&self) -> Option<&str> {
        self.gitlab.as_deref()
    }

    /// Reads the configuration, and opens the audit log that it names.
    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(self.settings_of_all()?.for_gitlab(&self.config, self.gitlab())?)
    }

    /// The same for whoever cleans up: that is the same for the jobs of each GitLab, and shall not fail for a word in one line of the
    /// runner's configuration that others have right.
    pub fn settings_of_all(&self) -> Result<Settings, Failure> {
        let settings = Settings::load(&self.config)?;
        let context = Context {
            request: RequestId::new(),
            stage: self.stage,
            host: host_name(),
            gitlab: settings.gitlab_of(self.gitlab()).unwrap_or(&settings.gitlab).url.as_str().to_owned(),
            simulated: self.origin == Origin::Simulation,
            job: None,
            session: None,
            facts: None,
            untested: false,
        };
        let _ = self.log.set(AuditLog::open(&settings.log, context));
        caller::is_the_runner(&settings)?;
        Ok(settings)
    }

    /// Reads the job that the runner has handed over. It is not kept: its token need not lie in memory while a script runs.
    pub fn payload(&self) -> Result<Payload, Failure> {
        let payload = Payload::read(self.contract.job_response_file()?)?;
        self.job_id.set(Some(payload.job_id));
        recorded::of_payload(&payload);
        Ok(payload)
    }

    /// The job's number, also for a stage that came to its end before it had a reason to look.
    fn job_id(&self) -> Option<u64> {
        self.job_id.get().or_else(|| self.payload().ok().map(|payload| payload.job_id))
    }
}

#[derive(Parser)]
#[command(
    version,
    about = "A stage of motmot, the GitLab Runner custom executor for HPC sites. Started by gitlab-runner; see `[runners.custom]` in its config.toml."
)]
struct CommandLine {
    /// Configuration file; what is in it: motmot-config.toml(5)
    #[arg(long, value_name = "FILE", env = "MOTMOT_CONFIG", default_value = DEFAULT_PATH, value_parser = OsStringValueParser::new().try_map(config_file))]
    config: PathBuf,
    /// From motmot simulate, which plays GitLab: the audit log and the job's tokens say so
    #[arg(long)]
    simulated: bool,
    /// From motmot simulate: the file of which that of --config is a copy, and whose jobs these are
    #[arg(long, value_name = "FILE")]
    copy_of: Option<PathBuf>,
    /// Where the file has several [[gitlab]]: the name of the one that this runner belongs to
    #[arg(long, value_name = "NAME")]
    gitlab: Option<String>,
    /// For motmot-run: the script and the name of its sub-stage, as GitLab Runner adds them
    #[arg(value_name = "ARG", trailing_var_arg = true)]
    rest: Vec<OsString>,
}

/// The command line of all stages, for their man page.
pub fn command() -> clap::Command {
    <CommandLine as clap::CommandFactory>::command()
}

/// The whole of a stage binary but for its story. Whatever happens, the runner sees 0, its code for a failure of the
/// build, or its code for a failure of the site.
pub fn main(stage: &'static str, story: impl FnOnce(&Arguments) -> Result<(), Failure>) -> ExitCode {
    let codes = ExitCodes::from_lookup(|name| std::env::var_os(name));
    // A panic anywhere, in any thread, is a failure of the site, and not an exit code of its own.
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        tell(format_args!("this is a bug in motmot{place}; please report it"));
        std::process::exit(i32::from(codes.system_failure));
    }));
    share_one_heap();
    let termination = match Termination::watch(codes.system_failure) {
        Ok(termination) => termination,
        Err(error) => return fail(&Failure::site(format!("cannot watch signals: {error}")), codes, None),
    };
    // A cleanup goes on for whoever comes next.
    if stage != "cleanup"
        && let Err(error) = termination.watch_runner(RUNNER)
    {
        return fail(&Failure::site(format!("cannot watch the runner: {error}")), codes, None);
    }
    if let Err(error) = hide_this_process() {
        return fail(
            &Failure::site(format!("cannot hide this process from its account's others: {error}")),
            codes,
            None,
        );
    }
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(answer) => {
            // Help is an answer like others: that a disk is full counts, that nobody reads does not.
            let told = answer.print().or_else(unless_nobody_reads);
            let good = !answer.use_stderr() && told.is_ok();
            return if good { ExitCode::SUCCESS } else { ExitCode::from(codes.system_failure) };
        }
    };
    jose::install_crypto();
    let contract = Contract::from_env();
    contract.clear_exit_code();
    let CommandLine { config, simulated, copy_of, gitlab, rest } = command_line;
    let origin = if simulated { Origin::Simulation } else { Origin::GitLab };
    let (job_id, log) = (Cell::default(), OnceCell::new());
    let arguments = Arguments { config, copy_of, gitlab, rest, stage, origin, contract, termination, job_id, log };
    match story(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_to_be_noted() {
                let (job_id, session) = (arguments.job_id(), arguments.contract.session().ok());
                AuditEvent::Failed { job_id, stage, session, failure: &failure }.log();
            }
            let exit = fail(&failure, codes, Some(&arguments.contract));
            // The same words whatever it was. It says nothing, and leads an admin to the record that says all.
            if let Some(reference) = audit::reference().filter(|_| failure.is_to_be_noted()) {
                tell(format_args!("the reference of this for the administrators: {}", reference.as_str()));
            }
            exit
        }
    }
}

fn fail(failure: &Failure, codes: ExitCodes, contract: Option<&Contract>) -> ExitCode {
    if !failure.for_author().is_empty() {
        tell(failure.for_author());
    }
    let mut kind = failure.kind();
    if let (Some(code), Some(contract)) = (failure.exit_code(), contract)
        && let Err(error) = contract.write_exit_code(code)
    {
        // Without the file the runner reports 1 for whatever the script said: wrong, and not the script's fault.
        tell(format_args!("cannot tell GitLab Runner the exit code {code}: {error}"));
        kind = FailureKind::System;
    }
    ExitCode::from(codes.of(kind))
}
