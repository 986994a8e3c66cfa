//! `prepare_exec`: makes the job's directories, says where and as whom it runs, and looks whether its tools are there.

use std::io::Write;
use std::time::Duration;

use zeroize::Zeroizing;

use super::account::resume;
use super::edge::Arguments;
use super::ignored;
use super::keeper;
use super::scheduled::{BatchStage, resources};
use super::trial::{try_out, warn_of_a_late_start};
use super::{confine, ends, lines, request};
use crate::evidence::payload::Payload;
use crate::evidence::{Code, CodeOf, JobFacts};
use crate::launch::supervise::{Launch, Outcome, Run};
use crate::order::directories::host_name;
use crate::order::{Order, RunOrder};
use crate::policy::Account;
use crate::report::events::AuditEvent;
use crate::report::{Failure, one_line, printable, tell};
use crate::runner::{job_defines_variable, job_variable};
use crate::scheduler::Setting;
use crate::scheduler::batch::Batch;
use crate::scheduler::settings::Allocation;
use crate::session::Session;
use crate::sys::call::quoted;
use crate::sys::process::Ending;
use crate::sys::spawn::{ProfileOutput, WorkerProgram};

/// Looks for git and gitlab-runner in the job's own environment.
const PROBE: &str = include_str!("../../executor-scripts/probe.bash");
/// In front of it for a job with `run:`.
const STEP_RUNNER_PROBE: &str = include_str!("../../executor-scripts/step_runner.bash");

/// Longest time for it: a login profile may load modules from a slow file system.
const LIMIT: Duration = Duration::from_mins(3);

/// The stage. Where it has failed it may run again: nothing here is done twice by that.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let (settings, session, account) = resume(settings, arguments)?;
    lines::refuse_arguments("prepare", &arguments.rest)?;
    lines::refuse_second_prepare(&session)?;
    if let Some(dir) = arguments.contract.temp_project_dir() {
        session.remember_temp_project_dir(dir)?;
    }
    if account.uid().is_root() {
        tell(
            "warning: this runner runs its jobs as root (it runs as root itself, with jobs.downscope = \"none\"): whoever may start one owns this machine",
        );
    }
    let payload = arguments.payload()?;
    ignored::containers(&payload, &settings)?;
    // Refused now rather than after the sources have been fetched.
    let batch = match settings.batch() {
        None => None,
        Some(batch) => Some((batch, resources(batch, &session)?)),
    };
    let place = match &batch {
        Some((batch, resources)) if batch.settings().runs_scripts() => {
            let options = resources.options.join(" ");
            format!("in {}, with {}", batch.kind().name(), if options.is_empty() { "no options" } else { &options })
        }
        Some((batch, _)) => {
            tell(format_args!(
                "warning: {} has neither build_script nor step_*: this job's own script runs on this machine",
                batch.kind().key(Setting::Stages)
            ));
            "in a shell".to_owned()
        }
        None => "in a shell".to_owned(),
    };
    introduce(&session, &account, &place, settings.jobs.message.as_deref());
    if let Some(whose) = whose_code(session.facts()) {
        let (login, name) = (one_line(&login_or_number(session.facts())), account.name());
        tell(format_args!("warning: {whose}; it runs as {name}, since GitLab user {login} has started it"));
    }
    for words in ignored::variables(&settings, job_defines_variable) {
        tell(words);
    }
    let parameters = settings.batch().map(|batch| batch.settings().parameters.as_slice());
    for words in ignored::comments(parameters.unwrap_or_default(), job_variable) {
        tell(words);
    }
    let order = RunOrder::new(&account, &settings.jobs, session.directories(), session.name(), ProfileOutput::Show);
    let program = WorkerProgram::beside_this_program()?;
    let start = keeper::way_in(arguments, &settings, &session, &account)?;
    let run = Run {
        script: Some(Zeroizing::new(probe(&payload, batch.as_ref().map(|(batch, _)| *batch)).into_bytes())),
        limit: Some(LIMIT),
        ..Run::new(Order::Run(order), settings.jobs.kill_timeout)
    };
    let launch = Launch {
        group: confine::first_group(arguments, &settings, &session)?,
        roster: Some(session.roster()),
        ..Launch::new(&program, start)
    };
    let (job_id, name) = (session.facts().job_id(), session.decision().account());
    let started = AuditEvent::Started { job_id, account: name, session: session.name(), sub_stage: "prepare" };
    started.log_or_refuse()?;
    let outcome = launch.run(run, &arguments.termination)?;
    match outcome {
        Outcome::Ended(Ending::Exited(0)) | Outcome::Done => {}
        Outcome::Terminated => {
            let end = ends::audited(&outcome, || request::reason(arguments, &settings, &session));
            AuditEvent::Ended { job_id, account: name, session: session.name(), sub_stage: "prepare", end }.log();
            return ends::conclude(&outcome);
        }
        Outcome::TookTooLong => {
            return Err(Failure::site(format!(
                "the shell of account {} has not come to its first command within {} s; look for what waits in its login profile",
                account.name(),
                LIMIT.as_secs()
            )));
        }
        // The probe itself never fails; a shell that can't run it can't run a job either.
        Outcome::Ended(ending) => {
            return Err(Failure::site(format!("the shell of account {} does not work: {ending:?}", account.name())));
        }
    }
    if let Some((batch, resources)) = batch {
        let stage = BatchStage { arguments, settings: &settings, batch, session: &session, account: &account };
        if batch.settings().runs_scripts()
            && let Some(start) = try_out(&stage, &resources)?
        {
            warn_of_a_late_start(&stage, start);
        }
        if batch.settings().allocation == Allocation::Job {
            stage.allocate(resources)?;
        }
    }
    Ok(session.remember_prepared()?)
}

/// What the account's shell looks for, and says in the job's log where it is missing.
fn probe(payload: &Payload, batch: Option<&dyn Batch>) -> String {
    let elsewhere = batch.filter(|batch| batch.settings().runs_scripts()).map(|batch| batch.kind().name());
    match (payload.runs_steps, elsewhere) {
        (false, _) => PROBE.to_owned(),
        (true, None) => format!("{STEP_RUNNER_PROBE}{PROBE}"),
        // What is on the PATH of its nodes is not known here.
        (true, Some(scheduler)) => format!("motmot_elsewhere={}\n{STEP_RUNNER_PROBE}{PROBE}", quoted(scheduler)),
    }
}

/// Words about code that is not the project's own, or may not be.
fn whose_code(facts: &JobFacts) -> Option<String> {
    match facts.code() {
        Code::Of(_) if facts.is_own_code() => None,
        Code::Of(CodeOf { project_id, project_path, .. }) => Some(format!(
            "this is code of a fork, {}",
            one_line(&project_path.map_or_else(|| format!("project number {project_id}"), str::to_owned))
        )),
        Code::Unknown(_) => Some(
            "whose code this is GitLab does not say: in the pipeline of a merge request it may be a stranger's, from a fork"
                .to_owned(),
        ),
    }
}

/// What to call whoever started the job.
fn login_or_number(facts: &JobFacts) -> String {
    facts.user_login().map_or_else(|| format!("number {}", facts.user_id()), str::to_owned)
}

/// A few lines for whoever wonders where this job runs.
fn introduce(session: &Session, account: &Account, place: &str, message: Option<&str>) {
    let facts = session.facts();
    let login = login_or_number(facts);
    let user = match facts.scoped_user_id() {
        None => format!("GitLab user {login}"),
        Some(id) => format!("agent {login} for GitLab user number {id}"),
    };
    // Lines of their own: no name may begin another one.
    let mut lines = [
        format!(
            "motmot {}: job {} of {} ({user}) runs on {} as {} (uid {}) {place}",
            env!("CARGO_PKG_VERSION"),
            facts.job_id(),
            facts.project_path().unwrap_or("its project"),
            host_name(),
            account.name(),
            account.uid(),
        ),
        format!("motmot: working directory below {}", session.directories().builds.display()),
    ]
    .map(|line| one_line(&line) + "\n")
    .concat();
    if let Some(message) = message {
        lines.push_str(message.trim_end());
        lines.push('\n');
    }
    // A runner that does not listen will not read the next line either.
    let _ = std::io::stdout().write_all(printable(&lines).as_bytes());
}
