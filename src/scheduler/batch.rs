//! A batch scheduler at this site: what its section of the configuration makes of it.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::Scheduler;
use super::cluster::Cluster;
use super::kind::SchedulerKind;
use super::settings::{BatchSettings, WrongWord};
use super::submission::Submission;
use super::trial::Trial;
use crate::config::Section;
use crate::config::manual::Part;
use crate::report::{FailureKind, Fault};
use crate::sys::call::{Answer, Call};

/// Options in one spelling, or all that is wrong with them.
type Judged = Result<Vec<String>, Vec<WrongWord>>;

/// A kind of scheduler, and how its words in the configuration are read.
pub struct KnownScheduler {
    /// What it is called.
    pub(super) kind: SchedulerKind,
    /// Reads and judges its section; an absent one is all defaults.
    pub(super) read: fn(Section<'_>) -> Arc<dyn Batch>,
    /// Judges options that a rule fixes for its jobs, and brings them to one spelling, which it accepts again.
    pub(super) judge: fn(&[String]) -> Judged,
    /// Where a rule has bounds for its jobs.
    pub(super) limits_key: &'static str,
    /// Reads and judges these; nothing if there is none. What comes of it [`Batch::tightened`] understands, and nobody else.
    pub(super) read_limits: fn(Section<'_>) -> Option<String>,
    /// What the manual says of its section, and of its keys in a rule.
    pub(super) manual: &'static [Part],
}

/// A scheduler as this site has configured it.
pub trait Batch: Debug + Send + Sync {
    /// Which one it is.
    fn kind(&self) -> SchedulerKind;

    /// What every scheduler's section has.
    fn settings(&self) -> &BatchSettings;

    /// Whom to ask about jobs.
    fn scheduler(&self) -> Arc<dyn Scheduler>;

    /// What in a rule's bounds is beyond those of the site, in words.
    fn wider(&self, limits: &str) -> Vec<String>;

    /// Whether the site's defaults keep to a rule's bounds, as far as options that the rule fixes are not instead of them.
    ///
    /// # Errors
    /// Which one does not, in words.
    fn defaults_within(&self, limits: &str, fixed: &[String]) -> Result<(), String>;

    /// The same for jobs under a rule with such bounds: they hold beside those of the site.
    ///
    /// # Errors
    /// That they are none, in words.
    fn tightened(&self, limits: &str) -> Result<Arc<dyn Batch>, String>;

    /// The resources of one job: the site's defaults, what the job's variables set instead as far as it may, and on top what
    /// the rule fixes.
    ///
    /// `rule` is the rule for people, and the words that it fixes. `job` has variables of the job and their texts; those that
    /// [`BatchSettings::parameters`] does not name are not looked at.
    fn resources(&self, rule: Option<(&str, &[String])>, job: &[(String, String)]) -> Result<Resources, NotGranted>;

    /// Makes what the driver itself has set fit to what the scheduler says when it is asked; without an answer it stays.
    fn fit(&self, _resources: &mut Resources, _ask: &mut dyn FnMut(Call) -> Answer) {}

    /// Whether the site wants a job to be judged before it is submitted.
    fn tries_out(&self) -> bool;

    /// Has the scheduler judge a job that is not submitted, as its owner.
    fn try_out(&self, submission: &Submission) -> Call;

    /// What the answer to [`Batch::try_out`] means. What it leaves open is asked, as the owner, too; `None` is no answer.
    fn tried(&self, submission: &Submission, answer: &Answer, ask: &mut dyn FnMut(Call) -> Option<Answer>) -> Trial;

    /// The programs that the driver and jobs' accounts execute for it.
    fn programs(&self) -> Programs<'_>;

    /// The scheduler's own configuration file: the one that the site's configuration names, or where its programs look for it.
    fn own_configuration(&self) -> Option<OwnConfiguration<'_>>;

    /// Which cluster its programs ask, as its own configuration says. `read` reads a file, if it is there.
    fn cluster(&self, read: &dyn Fn(&Path) -> Option<String>) -> Cluster;

    /// Has the scheduler itself asked whether it can be used from here. Only when its programs and its file are known to be
    /// safe.
    fn examine(&self, examiner: &mut dyn Examiner, site: &ExaminedSite<'_>);
}

/// What a job gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// All its options, as words that the scheduler understands.
    pub options: Vec<String>,
    /// Those that the job itself set, without their values. Without any, a refusal by the scheduler is not the author's doing.
    pub from_job: Vec<String>,
}

/// The job asks for what it may not have, in the scheduler's words. For the author of the pipeline.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct NotGranted(pub(super) Box<dyn std::error::Error + Send + Sync>);

impl Fault for NotGranted {
    fn kind(&self) -> FailureKind {
        FailureKind::Build
    }
}

/// A scheduler's programs.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    /// The directory that they are in.
    pub dir: &'a Path,
    /// The setting that names it.
    pub key: &'static str,
    /// Those without which nothing works.
    pub needed: &'static [&'static str],
    /// Those that are executed where they are there.
    pub optional: &'static [&'static str],
}

/// A scheduler's own configuration file.
#[derive(Clone, Copy, Debug)]
pub struct OwnConfiguration<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The setting that names it.
    pub key: &'static str,
    /// The program whose calls by the driver load what the file names.
    pub loaded_by: &'static str,
}

/// Who examines a scheduler for an admin: it makes the calls, as the runner's account, and passes on what is found.
pub trait Examiner {
    /// Runs one.
    fn call(&mut self, call: Call) -> Answer;

    /// Nothing to do.
    fn ok(&mut self, what: &str, words: &str);

    /// Jobs run, but perhaps not as somebody meant it.
    fn warning(&mut self, what: &str, words: &str);

    /// Jobs fail.
    fn problem(&mut self, what: &str, words: &str);
}

/// What a scheduler does not know of the site that it is examined for.
#[derive(Clone, Copy, Debug)]
pub struct ExaminedSite<'a> {
    /// The rules, for people, and the words that each fixes for this scheduler.
    pub rules: &'a [(String, &'a [String])],
    /// The account, with its number, that has to be told about jobs of other accounts; none where it is root, or where
    /// there are no others.
    pub onlooker: Option<(&'a str, u32)>,
}
