//! The command line of `motmot explain`: what is said of the job.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::admin::audit::{Decided, decisions};
use crate::evidence::RefType;
use crate::evidence::memberships::Memberships;
use crate::evidence::payload::Payload;
use crate::evidence::supposed::Supposed;
use crate::evidence::variables;

/// Say as whom a job would run, by which rule, and why by no other
///
/// What is not given is unknown, and no condition on it holds. Exit code: 0 the job would run, 1 it would be refused, 2 wrong
/// usage, 3 it cannot be said.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Login of the user who starts the job; with --payload that of its variables
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
    /// Number of that user
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    user_id: Option<u64>,
    /// Project with its namespaces
    #[arg(long, value_name = "PATH")]
    project: Option<String>,
    /// Number of the project
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    project_id: Option<u64>,
    /// Branch or tag
    #[arg(long = "ref", value_name = "NAME")]
    git_ref: Option<String>,
    /// Which of the two it is
    #[arg(long, value_name = "TYPE")]
    ref_type: Option<Kind>,
    /// Whether it is protected
    #[arg(long, value_name = "WHETHER")]
    protected: Option<Whether>,
    /// What starts the pipeline [default: push]
    #[arg(long, value_name = "SOURCE")]
    pipeline_source: Option<String>,
    /// The job is started by an agent that acts for the user of this number
    #[arg(long, value_name = "N")]
    scoped_user_id: Option<u64>,
    /// The account that the job asks for (MOTMOT_RUN_AS)
    #[arg(long, value_name = "ACCOUNT")]
    run_as: Option<String>,
    /// Whether the code is known to come from a fork, as an id token says it
    #[arg(long, value_name = "WHETHER")]
    from_fork: Option<Whether>,
    /// Somebody who has approved the commit; may be given several times
    #[arg(long, value_name = "NAME")]
    approved_by: Vec<String>,
    /// Where the configuration has several [[gitlab]]: the name of the one that the job is of
    #[arg(long, value_name = "NAME")]
    gitlab: Option<String>,
    /// Stage of the job
    #[arg(long, value_name = "NAME")]
    ci_stage: Option<String>,
    /// What the job deploys to, as an id token says it
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Whether that environment is protected
    #[arg(long, value_name = "WHETHER", requires = "environment")]
    environment_protected: Option<Whether>,
    /// Number of the runner that has the job
    #[arg(long, value_name = "N")]
    runner_id: Option<u64>,
    /// Group that the user is a member of, and of no other that is not given as well; may be given several times
    #[arg(long, value_name = "PATH")]
    gitlab_group: Vec<String>,
    /// Take the job of this payload (a JOB_RESPONSE_FILE); other options change it
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Take the job of this number from the audit log, as it was decided about the last time; other options change it
    #[arg(long, value_name = "NUMBER", conflicts_with = "payload")]
    job: Option<u64>,
    /// Read this file, not the log of the configuration
    #[arg(long = "log", value_name = "FILE", requires = "job")]
    logs: Vec<PathBuf>,
    /// The account that gitlab-runner runs as, if it is not the one that asks; for root only
    #[arg(long, value_name = "ACCOUNT")]
    runner_account: Option<String>,
    /// Write one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

/// Decisions about one job: tries, and jobs of several GitLabs with one number.
const MOST_DECISIONS: usize = 1000;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Branch,
    Tag,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whether {
    True,
    False,
    Unknown,
}

impl Whether {
    fn known(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Unknown => None,
        }
    }
}

impl ExplainArgs {
    pub(super) fn runner_account(&self) -> Option<&str> {
        self.runner_account.as_deref()
    }

    pub(super) fn gitlab(&self) -> Option<&str> {
        self.gitlab.as_deref()
    }

    /// Who is supposed to have approved it.
    pub(super) fn approved_by(&self) -> &[String] {
        &self.approved_by
    }

    /// The account that it asks for.
    pub(super) fn run_as(&self) -> Option<&str> {
        self.run_as.as_deref()
    }

    /// The one of the log that is meant, if one is: of this GitLab, if one is named. Each numbers its own.
    pub(super) fn decided(&self, config: &Path, url: Option<&str>) -> Result<Option<Decided>, String> {
        let Some(number) = self.job else { return Ok(None) };
        let mut all =
            decisions(&self.logs, config, MOST_DECISIONS, Some(number)).map_err(|error| format!("{error:#}"))?;
        all.retain(|decided| url.is_none_or(|url| decided.gitlab == url));
        let last = all.pop().ok_or_else(|| {
            format!("the log has no decision about a job {number}, or none of which it has kept what it was decided by")
        })?;
        match all.iter().find(|other| other.gitlab != last.gitlab) {
            None => Ok(Some(last)),
            Some(other) => Err(format!(
                "there is a job {number} of {} and one of {}: say which GitLab is meant (--gitlab NAME)",
                other.gitlab, last.gitlab
            )),
        }
    }

    /// The job that is asked about.
    pub(super) fn job(&self, decided: Option<&Decided>) -> Result<Supposed, String> {
        let mut job = match (&self.payload, decided) {
            (Some(file), _) => recorded(file)?,
            (None, Some(decided)) => decided.job.clone(),
            // Its number is no fact that decides, and no job is without one.
            (None, None) => Supposed { job_id: 1, ..Supposed::default() },
        };
        if decided.is_some() && (self.user.is_some() || self.user_id.is_some()) {
            // Somebody else: what was known of the one of before is not known of him.
            job = Supposed {
                user: None,
                user_id: 0,
                scoped_user_id: None,
                groups: Memberships::default(),
                groups_direct: None,
                ..job
            };
        }
        job.user = self.user.clone().or(job.user).filter(|user| !user.is_empty());
        job.user_id = self.user_id.unwrap_or(job.user_id);
        if job.user.is_none() && job.user_id == 0 {
            let missing = match &self.payload {
                Some(_) => "the payload does not say who started the job; name the user: --user LOGIN, or --user-id N",
                None => {
                    "say of which job: who starts it (--user LOGIN, --user-id N), its --payload FILE, or one of the audit log (--job NUMBER)"
                }
            };
            return Err(missing.to_owned());
        }
        if let Some(id) = self.project_id.filter(|id| *id != job.project_id) {
            // Whose code it was in that one says nothing of this one.
            job = Supposed { project_id: id, source_project_id: None, source_ref: None, ..job };
        }
        job.scoped_user_id = self.scoped_user_id.or(job.scoped_user_id);
        let text =
            |given: &Option<String>, before: Option<String>| given.clone().or(before).filter(|text| !text.is_empty());
        job.project = text(&self.project, job.project);
        job.git_ref = text(&self.git_ref, job.git_ref);
        job.ci_stage = text(&self.ci_stage, job.ci_stage);
        let usual = decided.is_none().then(|| "push".to_owned());
        job.pipeline_source = text(&self.pipeline_source, job.pipeline_source).or(usual);
        job.ref_type = match self.ref_type {
            None => job.ref_type,
            Some(Kind::Branch) => Some(RefType::Branch),
            Some(Kind::Tag) => Some(RefType::Tag),
        };
        job.ref_protected = self.protected.map_or(job.ref_protected, Whether::known);
        job.runner_id = self.runner_id.or(job.runner_id);
        if !self.gitlab_group.is_empty() {
            job.groups = Memberships::supposed(self.gitlab_group.iter().cloned().collect());
        }
        job.environment = text(&self.environment, job.environment);
        job.environment_protected = self.environment_protected.map_or(job.environment_protected, Whether::known);
        Ok(match self.from_fork {
            None => job,
            Some(Whether::Unknown) => Supposed { source_project_id: None, source_ref: None, ..job },
            Some(Whether::False) => job.with_code(false),
            Some(Whether::True) => job.with_code(true),
        })
    }
}

/// The job of a payload, read as the stages read it. Who started it, and what the pipeline, GitLab's API says and no payload: so
/// these are taken from the variables, where whoever wrote the pipeline may have set them. Nobody becomes anybody by it.
fn recorded(file: &Path) -> Result<Supposed, String> {
    let payload = Payload::read(file).map_err(|error| crate::report::with_causes(&error))?;
    // Of several of one name the last is what a job sees.
    let variable = |name: &str| variables::values_of(file, name).ok()?.pop().map(|value| value.to_string());
    Ok(Supposed {
        user: variable("GITLAB_USER_LOGIN"),
        user_id: payload.user_id.unwrap_or_default(),
        scoped_user_id: payload.scoped_user_id,
        project: payload.project_path,
        project_id: payload.project_id,
        namespace_id: payload.namespace_id,
        git_ref: payload.git_ref,
        ref_type: payload.ref_type,
        ref_protected: payload.ref_protected,
        pipeline_source: variable("CI_PIPELINE_SOURCE"),
        pipeline_id: payload.pipeline_id,
        job_id: payload.job_id,
        job_name: payload.job_name,
        ci_stage: payload.ci_stage,
        sha: payload.sha,
        ..Supposed::default()
    })
}
