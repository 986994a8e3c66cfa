//! `run_exec <script> <sub-stage>`: one script of a job, as the job's account, with a token of its own.
//!
//! The whole program in one page: what was decided is looked up, the account admitted once more, a worker started that has
//! become the account for good, a token minted for this very sub-stage, the script handed to the worker, and the end told.
//! What is looked up was decided in `stage::config`. Where the script goes to a batch scheduler, that part of the story is
//! in `stage::scheduled`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::account::resume;
use super::edge::Arguments;
use super::keeper;
use super::scheduled::{BatchStage, scheduler_of};
use super::tokens::StageTokens;
use super::{confine, ends, lines, request};
use crate::launch::masking::Secrets;
use crate::launch::supervise::{Launch, Run, TokenFeed};
use crate::order::{Order, RunOrder};
use crate::report::Failure;
use crate::report::events::AuditEvent;
use crate::runner::SubStage;
use crate::sys::spawn::{ProfileOutput, WorkerProgram};

/// Largest script.
const MAX_SCRIPT: u64 = 256 << 20;

/// One sub-stage, from its name to its end.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let (script_file, sub_stage) = script_and_sub_stage(&arguments.rest)?;
    let (settings, session, account) = resume(settings, arguments)?;
    let script = read_script(&script_file)?;

    let secrets = Secrets::default();
    let load_tokens = || {
        let of = |token| StageTokens::new(token, &settings, &session, &account, &sub_stage, secrets.clone());
        settings.token.as_ref().map(of).transpose()
    };
    if let Some(batch) = scheduler_of(&settings, &sub_stage) {
        // Here the key comes first: no job waits in a queue for a key that is not there.
        let stage = BatchStage { arguments, settings: &settings, batch, session: &session, account: &account };
        return stage.run(&sub_stage, script, load_tokens()?.as_mut(), secrets.clone());
    }

    // The worker's program starts while the token is minted; it does nothing without an order. And there was no key yet in the
    // memory that its process began with a copy of.
    let program = WorkerProgram::beside_this_program()?;
    let start = keeper::way_in(arguments, &settings, &session, &account)?;
    let launch = Launch {
        secrets: secrets.clone(),
        group: confine::group(arguments, &settings, &session)?,
        roster: Some(session.roster()),
        ..Launch::new(&program, start)
    };
    let worker = launch.begin()?;

    let mut tokens = load_tokens()?;
    let directories = session.directories();
    let mut order = RunOrder::new(&account, &settings.jobs, directories, session.name(), ProfileOutput::Hide);
    let mut first = None;
    if let (Some(tokens), Some(token)) = (&mut tokens, &settings.token) {
        first = Some(tokens.first()?);
        order = order.with_token(directories, &token.variable);
    }
    let run = Run {
        script: Some(script),
        token: first,
        feed: tokens.as_mut().map(|tokens| tokens as &mut dyn TokenFeed),
        ..Run::new(Order::Run(order), settings.jobs.kill_timeout)
    };
    let (job_id, name) = (session.facts().job_id(), session.decision().account());
    // A job that has begun goes on, whatever has become of the log.
    AuditEvent::Started { job_id, account: name, session: session.name(), sub_stage: sub_stage.as_str() }.log();
    let outcome = worker.run(run, &arguments.termination)?;
    let end = ends::audited(&outcome, || request::reason(arguments, &settings, &session));
    AuditEvent::Ended { job_id, account: name, session: session.name(), sub_stage: sub_stage.as_str(), end }.log();
    ends::conclude(&outcome)
}

/// What the runner passes behind our own arguments.
fn script_and_sub_stage(rest: &[OsString]) -> Result<(PathBuf, SubStage), Failure> {
    match rest {
        [.., script, name] => Ok((PathBuf::from(script), SubStage::new(&name.to_string_lossy()))),
        _ => Err(lines::no_script()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FailureKind;

    #[test]
    fn the_runners_arguments_are_the_last_two_and_any_name_is_fine() {
        let args = ["/tmp/script", "step_of_the_future"].map(OsString::from);
        let (script, name) = script_and_sub_stage(&args).expect("both");
        assert_eq!((script.to_str(), name.as_str()), (Some("/tmp/script"), "step_of_the_future"));
        assert_eq!(script_and_sub_stage(&args[..1]).unwrap_err().kind(), FailureKind::System);
    }
}
