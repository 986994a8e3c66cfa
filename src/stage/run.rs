//! `run_exec <script> <sub-stage>`: one script of a job, as the job's account, with a token of its own.
//!
//! The whole program in one page: what was decided is looked up, the account admitted once more, a token minted for this
//! very sub-stage, a worker started that has become the account for good, the script handed to it, and the end told. Where
//! the script goes to a batch scheduler, that part of the story is in `stage::scheduled`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::edge::Arguments;
use super::resume;
use super::scheduled::{BatchStage, is_for_the_scheduler};
use super::tokens::StageTokens;
use crate::launch::masking::Secrets;
use crate::launch::supervise::{self, Outcome, Run, TokenFeed};
use crate::order::{Order, RunOrder};
use crate::report::{Failure, tell};
use crate::runner::SubStage;
use crate::session::Session;
use crate::sys::cgroup::JobGroup;
use crate::sys::process::Ending;
use crate::sys::spawn::{ProfileOutput, WorkerProgram};

/// Largest script.
const MAX_SCRIPT: u64 = 256 << 20;

/// The stage.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let (script_file, sub_stage) = script_and_sub_stage(&arguments.rest)?;
    let settings = arguments.settings()?;
    let (session, account) = resume(&settings, &arguments.contract)?;
    let script = read_script(&script_file)?;

    let secrets = Secrets::default();
    let mut tokens = match &settings.token {
        Some(token) => Some(StageTokens::new(token, &settings, &session, &account, &sub_stage, secrets.clone())?),
        None => None,
    };
    if is_for_the_scheduler(&settings, &sub_stage) {
        let (config, termination) = (&arguments.config, &arguments.termination);
        let stage = BatchStage { config, settings: &settings, session: &session, account: &account, termination };
        return stage.run(&sub_stage, script, tokens.as_mut(), secrets);
    }

    let directories = &session.record().directories;
    let mut order = RunOrder::new(&account, &settings.jobs, directories, session.name(), ProfileOutput::Hide);
    let mut first = None;
    if let (Some(tokens), Some(token)) = (&mut tokens, &settings.token) {
        first = Some(tokens.first()?);
        order = order.with_token(directories, &token.variable);
    }

    let program = WorkerProgram::beside_this_program()?;
    let run = Run {
        script: Some(script),
        token: first,
        feed: tokens.as_mut().map(|tokens| tokens as &mut dyn TokenFeed),
        secrets,
        group: JobGroup::make(session.record().group.as_deref()),
        ..Run::new(&program, account.to_become(), Order::Run(order), settings.jobs.kill_timeout)
    };
    let outcome = supervise::run(run, &arguments.termination)?;
    audit(&session, &sub_stage, &outcome);
    conclude(&outcome)
}

/// The end of a sub-stage, for the audit log.
fn audit(session: &Session, sub_stage: &SubStage, outcome: &Outcome) {
    let (outcome, exit_code, signal) = match outcome {
        Outcome::Ended(Ending::Exited(code)) => ("exited", Some(*code), None),
        Outcome::Ended(Ending::Signaled(signal)) => ("signaled", None, Some(*signal)),
        Outcome::Done => ("done", None, None),
        Outcome::Terminated => ("terminated", None, None),
        Outcome::TookTooLong => ("took too long", None, None),
    };
    let record = session.record();
    let (job_id, account, sub_stage) = (record.facts.job_id, &record.account, sub_stage.as_str());
    tracing::info!(event = "ended", job_id, account, session = session.name(), sub_stage, outcome, exit_code, signal);
}

/// What the runner passes behind our own arguments.
fn script_and_sub_stage(rest: &[OsString]) -> Result<(PathBuf, SubStage), Failure> {
    match rest {
        [.., script, name] => Ok((PathBuf::from(script), SubStage::new(&name.to_string_lossy()))),
        _ => Err(Failure::site(
            "motmot-run needs the script and the name of the sub-stage behind its own arguments, as GitLab Runner passes them",
        )),
    }
}

/// The script is readable for the runner's account only; it goes on through a pipe.
fn read_script(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    use std::io::Read;
    let failed =
        |error: std::io::Error| Failure::site(format!("cannot read the runner's script {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut script =
        Zeroizing::new(Vec::with_capacity(file.metadata().map_err(failed)?.len().min(MAX_SCRIPT) as usize + 1));
    file.take(MAX_SCRIPT + 1).read_to_end(&mut script).map_err(failed)?;
    if script.len() as u64 > MAX_SCRIPT {
        return Err(Failure::site(format!("the runner's script {} is larger than 256 MiB", path.display())));
    }
    Ok(script)
}

/// From the end of the script to the verdict on the stage.
fn conclude(outcome: &Outcome) -> Result<(), Failure> {
    match *outcome {
        Outcome::Ended(Ending::Exited(0)) | Outcome::Done => Ok(()),
        // The shell itself exited; what it said is the job's affair, and the runner shows the code.
        Outcome::Ended(Ending::Exited(code)) => {
            tell_meaning(code);
            Err(Failure::script(String::new(), code))
        }
        Outcome::Ended(Ending::Signaled(signal)) => {
            let code = 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0));
            Err(Failure::script(
                format!(
                    "the shell of this script was ended by signal {signal}{}; it did not exit by itself",
                    signal_hint(signal)
                ),
                code,
            ))
        }
        // Whatever the script made of it: a stage that was asked to end must not count as done.
        Outcome::Terminated | Outcome::TookTooLong => Err(ended_on_request()),
    }
}

/// Whatever the script made of it.
pub(super) fn ended_on_request() -> Failure {
    Failure::site("ended on request (cancelled, timed out, or the runner stops)")
}

/// What an exit code means that is more than a number.
pub(super) fn tell_meaning(code: u8) {
    if let Some(signal) = code.checked_sub(128).filter(|signal| (1..=64).contains(signal)) {
        tell(format_args!(
            "exit code {code}: as a rule that means that a command was ended by signal {signal}{}",
            signal_hint(i32::from(signal))
        ));
    }
}

fn signal_hint(signal: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(signal).map(|signal| format!(" ({signal})")).unwrap_or_default();
    if signal == libc::SIGKILL { format!("{name}, often for lack of memory") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FailureKind;

    #[test]
    fn a_stage_that_was_asked_to_end_never_counts_as_done() {
        assert_eq!(conclude(&Outcome::Terminated).unwrap_err().kind(), FailureKind::System);
    }

    #[test]
    fn an_exit_and_a_signal_with_the_same_number_are_told_apart() {
        let exited = conclude(&Outcome::Ended(Ending::Exited(137))).unwrap_err();
        let signaled = conclude(&Outcome::Ended(Ending::Signaled(9))).unwrap_err();
        assert_eq!((exited.exit_code(), signaled.exit_code()), (Some(137), Some(137)));
        assert_ne!(exited.for_author(), signaled.for_author());
    }

    #[test]
    fn the_runners_arguments_are_the_last_two_and_any_name_is_fine() {
        let args = ["/tmp/script", "step_of_the_future"].map(OsString::from);
        let (script, name) = script_and_sub_stage(&args).expect("both");
        assert_eq!((script.to_str(), name.as_str()), (Some("/tmp/script"), "step_of_the_future"));
        assert_eq!(script_and_sub_stage(&args[..1]).unwrap_err().kind(), FailureKind::System);
    }
}
