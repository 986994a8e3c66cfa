//! What the stages do with a batch scheduler: submit and follow in the run stage, allocate in prepare, give back in cleanup.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::edge::Arguments;
use super::tokens::StageTokens;
use super::whose::{cluster, refuse_other_cluster, session_scheduler};
use super::{confine, ends, keeper, request};
use crate::launch::batch::Ledger;
use crate::launch::batch::course::{Hopeless, Job, Plan, StartBy, Until};
use crate::launch::batch::drive::{self, Follow};
use crate::launch::batch::pace::Pace;
use crate::launch::batch::remembered::Remembered;
use crate::launch::batch::result::{AskedBy, BatchOutcome};
use crate::launch::masking::Secrets;
use crate::launch::orders::{Scripts, submission_environment, wrapper_settings};
use crate::launch::supervise::TokenFeed;
use crate::launch::workplace::Start;
use crate::order::{BatchOrder, TokenPlace};
use crate::policy::Account;
use crate::report::Failure;
use crate::report::events::AuditEvent;
use crate::runner::{SubStage, job_variable};
use crate::scheduler::batch::{Batch, Resources};
use crate::scheduler::settings::Allocation;
use crate::scheduler::{Expected, JobId, JobName, Requeue, Scheduler, State, Submission, Unknown};
use crate::session::{KnownJob, MadeUnder, Script, Session};
use crate::settings::Settings;
use crate::sys::signals::Termination;
use crate::sys::spawn::WorkerProgram;

/// The batch script; see there.
const WRAPPER: &str = include_str!("../../executor-scripts/batch.bash");
/// After the time that a script has to end: how long a scheduler is asked that does not answer. What is left then is
/// cleanup's; the runner waits five minutes for a stage.
const PATIENCE: Duration = Duration::from_secs(90);

/// So long before its time in GitLab is over a job is given up that still waits; or a quarter of a short time.
const FAREWELL: Duration = Duration::from_mins(1);

/// One stage of a job at the scheduler.
pub struct BatchStage<'a> {
    pub arguments: &'a Arguments,
    pub settings: &'a Settings,
    pub batch: &'a dyn Batch,
    pub session: &'a Session,
    pub account: &'a Account,
}

/// The job that a stage follows, and how far.
struct What {
    job: Job,
    asked_by: AskedBy,
    name: JobName,
    until: Until,
}

/// The scheduler that a sub-stage goes to, if it goes to one.
pub fn scheduler_of<'a>(settings: &'a Settings, sub_stage: &SubStage) -> Option<&'a dyn Batch> {
    settings.batch().filter(|batch| batch.settings().runs(sub_stage.as_str()))
}

/// The resources of a job: the site's, the rule's, and what the job asks for within its limits.
pub fn resources(batch: &dyn Batch, session: &Session) -> Result<Resources, Failure> {
    let names = batch.settings().parameters.iter();
    let wanted: Vec<_> = names.filter_map(|name| Some((name.clone(), job_variable(name)?))).collect();
    let decision = session.decision();
    Ok(batch.resources(Some((decision.rule(), decision.options().of(batch.kind()))), &wanted)?)
}

impl BatchStage<'_> {
    /// Runs a script in a job of its own, or in the one that prepare has allocated.
    pub fn run<'f>(
        &'f self,
        sub_stage: &SubStage,
        script: Zeroizing<Vec<u8>>,
        tokens: Option<&'f mut StageTokens<'_>>,
        secrets: Secrets,
    ) -> Result<(), Failure> {
        self.same_cluster_as_before()?;
        let number = self.session.take_number()?;
        let resources = resources(self.batch, self.session)?;
        let (job, asked_by, name, settings) = match self.batch.settings().allocation {
            Allocation::Stage => {
                let name = JobName::new(self.session.name(), number);
                let (submission, asked_by) = self.submission(&name, sub_stage.as_str(), resources);
                (Job::New(submission), asked_by, name, Some(self.wrapper_settings(Scripts::One)))
            }
            Allocation::Job => match self.session.jobs().into_iter().next() {
                Some(KnownJob { name, id: Some(id), .. }) => {
                    (Job::Existing(id), AskedBy::of(resources.from_job), name, None)
                }
                _ => return Err(Failure::site("the prepare stage has not left an allocation for this job")),
            },
        };
        let run = format!("run-{number}");
        let feed = tokens.map(|tokens| tokens as &mut dyn TokenFeed);
        let what = What { job, asked_by, name: name.clone(), until: Until::ScriptEnd };
        let (job_id, account) = (self.session.facts().job_id(), self.session.decision().account());
        let sub_stage_name = sub_stage.as_str();
        AuditEvent::Started { job_id, account, session: self.session.name(), sub_stage: sub_stage_name }.log();
        let outcome = self.follow(what, settings, Some((run, script)), feed, secrets)?;
        if let (Allocation::Stage, BatchOutcome::Judged(Some(id), _)) = (self.batch.settings().allocation, &outcome) {
            // Only so that cleanup does not cancel what is just ending.
            let _ = self.session.ledger().ended(&name, id);
        }
        self.audit(sub_stage.as_str(), &outcome);
        ends::conclude_batch(outcome)
    }

    /// Submits the job that all user stages of this CI job run in.
    pub fn allocate(&self, resources: Resources) -> Result<(), Failure> {
        self.same_cluster_as_before()?;
        let name = JobName::new(self.session.name(), self.session.take_number()?);
        let (submission, asked_by) = self.submission(&name, "allocation", resources);
        let what = What { job: Job::New(submission), asked_by, name, until: Until::Submitted };
        let settings = Some(self.wrapper_settings(Scripts::Many));
        match self.follow(what, settings, None, None, Secrets::default())? {
            outcome @ BatchOutcome::Terminated(_) => {
                self.audit("prepare", &outcome);
                ends::conclude_batch(outcome)
            }
            outcome => ends::conclude_batch(outcome),
        }
    }

    /// Whoever cleans up looks for all batch jobs of a session in one cluster.
    fn same_cluster_as_before(&self) -> Result<(), Failure> {
        let now = cluster(self.batch);
        match self.session.made_under().and_then(MadeUnder::cluster) {
            Some(before) if !before.is(&now) => Err(Failure::site(format!(
                "this job has begun with {before}, and the configuration now leads to {now}; start the job again"
            ))),
            _ => Ok(()),
        }
    }

    /// One like those to come, for which there is no job yet, and by this name never will be.
    pub(super) fn submission_to_try(&self, resources: Resources) -> (Submission, AskedBy) {
        self.submission(&JobName::new(self.session.name(), 0), "trial", resources)
    }

    fn submission(&self, name: &JobName, what: &str, mut resources: Resources) -> (Submission, AskedBy) {
        let remembered = Remembered::in_directory(self.session.store());
        self.batch.fit(&mut resources, &mut |question| remembered.ask(&question));
        let Resources { options, from_job } = resources;
        let submission = Submission {
            name: name.clone(),
            comment: self.address(what),
            wrapper: WRAPPER,
            dir: self.place(name),
            environment: submission_environment(self.account, self.session.name()),
            options,
            requeue: self.batch.settings().requeue,
            new_privileges: self.settings.jobs.new_privileges,
        };
        (submission, AskedBy::of(from_job))
    }

    fn place(&self, name: &JobName) -> PathBuf {
        name.meeting_place(&self.session.directories().job)
    }

    /// Where the CI job is, for whoever looks at the queue. One word: the answers of schedulers are separated by blanks.
    fn address(&self, what: &str) -> String {
        let facts = self.session.facts();
        let gitlab = self.settings.gitlab.url.as_str();
        let job = facts.job_id();
        let address = match facts.project_path() {
            Some(path) => format!("{gitlab}/{path}/-/jobs/{job}#{what}"),
            None => format!("{gitlab}/#project={};job={job};{what}", facts.project_id()),
        };
        address.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
    }

    fn token_place(&self) -> Option<TokenPlace> {
        let token = self.settings.token.as_ref()?;
        Some(TokenPlace::new(self.session.directories(), &token.variable))
    }

    fn wrapper_settings(&self, scripts: Scripts) -> String {
        let place = self.token_place();
        let token = place.as_ref().map(|place| (place, self.batch.settings().token_timeout));
        let (jobs, directories) = (&self.settings.jobs, self.session.directories());
        let requeue = self.batch.settings().requeue;
        wrapper_settings(self.account, jobs, directories, self.session.name(), token, scripts, requeue)
    }

    fn follow<'f>(
        &'f self,
        What { job, asked_by, name, until }: What,
        settings: Option<String>,
        run: Option<(String, Zeroizing<Vec<u8>>)>,
        feed: Option<&'f mut (dyn TokenFeed + 'f)>,
        secrets: Secrets,
    ) -> Result<BatchOutcome, Failure> {
        let scheduler = self.batch.scheduler();
        let directories = self.session.directories();
        let place = self.place(&name);
        let mut all = directories.all();
        all.extend(place.parent().map(Path::to_owned));
        let (run, script) = run.unzip();
        let order = BatchOrder {
            directories: all,
            group_writable: self.settings.jobs.data_dir_group_writable.clone(),
            site_dir: self.settings.jobs.above_own(self.account.home()),
            place: Some(place),
            settings,
            run,
            scheduler_output: scheduler.own_output().to_owned(),
            token: self.token_place(),
            output_timeout: self.batch.settings().output_timeout,
            on_loss: vec![scheduler.cancel_by_name(&name, self.account.name())],
        };
        let plan = Plan {
            scheduler,
            job,
            asked_by,
            expected: Expected { name, uid: self.account.uid().as_raw() },
            owner: self.account.name().to_owned(),
            until,
            requeue: self.batch.settings().requeue,
            kill_timeout: self.settings.jobs.kill_timeout,
            patience: PATIENCE,
            unknown_timeout: self.batch.settings().unknown_timeout,
            start_by: self.start_by(),
            hopeless: if self.batch.tries_out() { Hopeless::Cancel } else { Hopeless::Wait },
        };
        let follow = Follow {
            plan,
            program: WorkerProgram::beside_this_program()?,
            start: keeper::way_in(self.arguments, self.settings, self.session, self.account)?,
            order,
            script,
            feed,
            secrets,
            ledger: self.session.ledger(),
            pace: Pace::in_directory(self.session.store()),
            group: confine::group(self.arguments, self.settings, self.session)?,
            roster: Some(self.session.roster()),
        };
        Ok(drive::follow(follow, &self.arguments.termination)?)
    }

    /// Early enough that the job is cancelled, and GitLab told of it, before the runner's own time-out.
    fn start_by(&self) -> Option<StartBy> {
        let (left, timeout) = request::time_left(self.arguments, self.session)?;
        let at = Instant::now() + left.saturating_sub(FAREWELL.min(timeout / 4));
        Some(StartBy { at, timeout })
    }

    /// The end of a sub-stage, for the audit log.
    fn audit(&self, sub_stage: &str, outcome: &BatchOutcome) {
        let end = ends::audited_batch(outcome, || request::reason(self.arguments, self.settings, self.session));
        let (job_id, account) = (self.session.facts().job_id(), self.session.decision().account());
        let session = self.session.name();
        AuditEvent::Ended { job_id, account, session, sub_stage, end }.log();
    }
}

/// Sees to it that no batch job of a session is left. `None` for an account that is gone: then the driver itself cancels.
pub fn give_back(
    settings: &Settings,
    session: &Session,
    account: Option<&Account>,
    termination: &Termination,
    limit: Duration,
) -> Result<(), Failure> {
    refuse_other_cluster(session)?;
    let scheduler = settings.batch_of_left_jobs(session_scheduler(session)).scheduler();
    for known in session.jobs() {
        let expected = Expected { name: known.name.clone(), uid: session.decision().uid().as_raw() };
        let Some(account) = account else {
            cancel_ourselves(scheduler.as_ref(), &expected, known.id)?;
            continue;
        };
        let job = match (known.id, known.script) {
            (Some(id), Script::Ended) => Job::Ended(id),
            (id, _) => Job::Left(id),
        };
        let plan = Plan {
            scheduler: Arc::clone(&scheduler),
            job,
            asked_by: AskedBy::Site,
            expected,
            owner: account.name().to_owned(),
            until: Until::Gone,
            requeue: Requeue::Never,
            kill_timeout: settings.jobs.kill_timeout,
            patience: limit,
            unknown_timeout: limit,
            start_by: None,
            hopeless: Hopeless::Wait,
        };
        let follow = Follow {
            plan,
            program: WorkerProgram::beside_this_program()?,
            // As for all that cleans up: in no login session.
            start: Start::Directly(account.to_become()),
            order: BatchOrder::default(),
            script: None,
            feed: None,
            secrets: Secrets::default(),
            ledger: session.ledger(),
            pace: Pace::in_directory(session.store()),
            group: None,
            roster: Some(session.roster()),
        };
        match drive::follow(follow, termination)? {
            BatchOutcome::Gone => {}
            BatchOutcome::Terminated(_) => {
                return Err(Failure::site(format!("asked to end while cancelling a {} job", scheduler.name())));
            }
            BatchOutcome::NotGone(words) => return Err(Failure::site(words)),
            outcome => {
                let name = scheduler.name();
                return Err(Failure::site(format!("cancelling a {name} job came to an odd end: {outcome:?}")));
            }
        }
    }
    Ok(())
}

/// Once: there is no account any more that could do it, and its processes are no business of the scheduler's either.
fn cancel_ourselves(scheduler: &dyn Scheduler, expected: &Expected, id: Option<JobId>) -> Result<(), Failure> {
    const LIMIT: Duration = Duration::from_secs(30);
    let ids = match id {
        Some(id) => vec![id],
        None => scheduler
            .found(expected, &scheduler.find(&expected.name).run(LIMIT))
            .map_err(|words| Failure::site(format!("{} does not answer: {words}", scheduler.name())))?,
    };
    for id in ids {
        // As root: only what is the account's job beyond doubt. A number alone may be somebody else's by now.
        match scheduler.state(&id, expected, &scheduler.ask(&id).run(LIMIT)) {
            State::Alive(_) => {}
            State::Ended(_) | State::Unknown(Unknown::NoSuchJob | Unknown::NotOurs(_)) => continue,
            State::Unknown(Unknown::NoAnswer(words)) => {
                return Err(Failure::site(format!("{} does not answer: {words}", scheduler.name())));
            }
        }
        let answer = scheduler.cancel(&id).run(LIMIT);
        scheduler
            .done(&answer)
            .map_err(|words| Failure::site(format!("{} job {id} cannot be cancelled: {words}", scheduler.name())))?;
    }
    Ok(())
}
