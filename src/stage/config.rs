//! `config_exec`: who is this job, as whom does it run, and where? Decided here, once, for all later stages.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::account::{mode, sessions};
use super::edge::{Arguments, Origin};
use super::{groups, hook, lines, recorded, still_runs, whose};
use crate::approval::{Approvals, Evidence, NoApprovals};
use crate::evidence::sources::Question;
use crate::evidence::variables;
use crate::identity::{Assurance, Identity};
use crate::order::directories::{Directories, host_name};
use crate::policy::{self, Machine};
use crate::report::Failure;
use crate::report::audit::{self, RequestId};
use crate::report::events::{AuditEvent, JobOf};
use crate::runner::{SESSION_VARIABLE, job_variable};
use crate::session::Session;
use crate::sys::installed::who_decides;

/// What the runner reads from standard output (runner 15.10 and later know all of these keys).
#[derive(Serialize)]
struct ConfigAnswer<'a> {
    driver: DriverName,
    builds_dir: &'a str,
    cache_dir: &'a str,
    /// False: `builds_dir` is this job's alone already, so the runner need not add to it.
    builds_dir_is_shared: bool,
    job_env: BTreeMap<&'a str, &'a str>,
    shell: &'static str,
}

#[derive(Serialize)]
struct DriverName {
    name: &'static str,
    version: &'static str,
}

/// The stage. Standard output is protocol: one JSON object, also when there is nothing to say.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(limit) = still_runs::requested(&arguments.rest) {
        return still_runs::answer(arguments, limit);
    }
    let answer = decide(arguments).and_then(|session| {
        let answer = render(&session);
        if answer.is_err() {
            session.remove();
        }
        answer
    });
    let words = answer.as_deref().unwrap_or("{}");
    writeln!(std::io::stdout(), "{words}")
        .map_err(|error| Failure::site(format!("cannot answer the runner: {error}")))?;
    answer.map(drop)
}

fn decide(arguments: &Arguments) -> Result<Session, Failure> {
    let settings = arguments.settings()?;
    let mode = mode(&settings)?;
    // What is played is another text.
    if arguments.origin == Origin::GitLab && !settings.is_tested(arguments.named()) {
        recorded::of_untested();
    }
    let payload = arguments.payload()?;
    lines::refuse_arguments("config", &arguments.rest)?;
    lines::refuse_second_config(arguments, &settings, payload.job_id)?;
    let not_accepted = |user: Option<(u64, Option<&str>)>, failure: &Failure| {
        let job = JobOf {
            job_id: payload.job_id,
            project_id: payload.project_id,
            project: payload.project_path.as_deref(),
            gitlab: settings.gitlab.url.as_str(),
        };
        let assurance = (arguments.origin == Origin::Simulation).then(|| Assurance::Simulated.as_str());
        AuditEvent::NotAccepted { job, user, assurance, failure }.log();
    };
    let payload_file = arguments.contract.job_response_file()?;
    // What is played has keys of its own each time: none of them is to be kept, and none kept is to be believed.
    let keys = match (settings.gitlab.identity.id_token(), arguments.origin) {
        (Some(_), Origin::GitLab) => Some(sessions(&settings, arguments)?.keys_directory()?),
        _ => None,
    };
    let question = Question {
        gitlab: &settings.gitlab,
        payload: &payload,
        payload_file,
        keys: keys.as_deref(),
        audience: mode.audience(),
        now: Timestamp::now(),
    };
    let identity = Identity::establish(&question).map_err(Failure::from);
    let identity = identity.inspect_err(|failure| not_accepted(None, failure))?;
    let identity = match arguments.origin {
        Origin::GitLab => identity,
        Origin::Simulation => identity.simulated(),
    };
    let requested = job_variable(&settings.policy.request_variable);
    recorded::of_facts(identity.facts());
    let known = (identity.facts().user_id(), identity.facts().user_login().map(str::to_owned));
    let identity = groups::with_groups(identity, &settings, requested.as_deref(), arguments);
    let identity = identity.inspect_err(|failure| not_accepted(Some((known.0, known.1.as_deref())), failure))?;
    let user = (identity.facts().user_id(), identity.facts().user_login());
    recorded::of_question(identity.facts(), requested.as_deref());
    let approvals: Box<dyn Approvals> = match &settings.approvals {
        Some(approvals) => {
            // The payload was read before: what cannot be read of it any more approves nothing.
            let of_job = |name: &str| -> Vec<String> {
                let values = variables::values_of(payload_file, name).unwrap_or_default();
                values.iter().map(|value| value.to_string()).collect()
            };
            Box::new(Evidence::new(approvals, &settings.gitlab.url, who_decides(), of_job))
        }
        None => Box::new(NoApprovals),
    };
    let hook = hook::of(&settings, mode);
    let machine = Machine { approvals: approvals.as_ref(), hook: hook.as_ref(), ..Machine::THIS };
    let admission =
        policy::decide(&settings.rules(), mode, &identity, requested.as_deref(), machine).map_err(Failure::from);
    let admission = admission.inspect_err(|failure| not_accepted(Some(user), failure))?;
    let account = admission.account();
    let data = settings.jobs.data_dir.expand(account.home(), account.name(), account.uid().as_raw());
    let attempt = payload_file.parent().unwrap_or(payload_file);
    let project_id = identity.facts().project_id();
    let of_rule = settings.clone().under(admission.decision().terms()).map_err(Failure::site)?;
    let cluster = of_rule.batch().map(whose::cluster);
    let request = audit::reference().unwrap_or_else(RequestId::new);
    let gitlab = settings.gitlab.name.as_deref();
    let lay_out = |slot, name: &str| Directories::lay_out(data, &host_name(), gitlab, project_id, slot, name);
    let session = sessions(&settings, arguments)?.create(&identity, &admission, cluster, attempt, &request, lay_out)?;
    recorded::of_session(&session);
    let facts = identity.facts();
    let job = JobOf {
        job_id: facts.job_id(),
        project_id: facts.project_id(),
        project: facts.project_path(),
        gitlab: settings.gitlab.url.as_str(),
    };
    let accepted = AuditEvent::Accepted {
        job,
        user_id: facts.user_id(),
        user: facts.user_login(),
        acting_for: facts.scoped_user_id(),
        assurance: identity.assurance().as_str(),
        account: account.name(),
        uid: account.uid().as_raw(),
        rule: admission.decision().rule(),
        approver: admission.decision().approver().map(|approver| (approver.principal(), approver.key())),
        session: session.name(),
    };
    // Nobody begins unseen.
    if let Err(unwritten) = accepted.log_or_refuse() {
        session.remove();
        return Err(unwritten.into());
    }
    Ok(session)
}

fn render(session: &Session) -> Result<String, Failure> {
    let directories = session.directories();
    let path = |path: &'_ std::path::Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Failure::site(format!("{} is not UTF-8, so it cannot be told to the runner", path.display()))
        })
    };
    let (builds_dir, cache_dir) = (path(&directories.builds)?, path(&directories.cache)?);
    let answer = ConfigAnswer {
        driver: DriverName { name: "motmot", version: env!("CARGO_PKG_VERSION") },
        builds_dir: &builds_dir,
        cache_dir: &cache_dir,
        builds_dir_is_shared: false,
        job_env: BTreeMap::from([(SESSION_VARIABLE, session.name())]),
        shell: "bash",
    };
    serde_json::to_string(&answer).map_err(|error| Failure::site(error.to_string()))
}
