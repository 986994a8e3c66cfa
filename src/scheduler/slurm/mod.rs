//! Slurm: all that is its own, from its section of the configuration to its words of advice.
//!
//! * What a job may have: `settings`, `options` (spelled in one way, by `table`), `limits` (in `amounts`), and `wishes`, where
//!   they meet; `partitions` may admit less.
//! * What Slurm is asked and what it answers: `calls`, `answers`, `shown`, `advice`; whether a job can ever start: `trial`; which Slurm it is: `cluster`; for an
//!   admin `examination`.

mod advice;
mod amounts;
mod answers;
mod calls;
mod cluster;
mod examination;
mod limits;
mod options;
mod partitions;
mod rule_limits;
mod settings;
mod shown;
mod table;
mod trial;
mod wishes;

use std::path::Path;
use std::sync::Arc;

pub use advice::KIND;
pub use calls::Slurm;
use options::SlurmOptions;
use settings::{SlurmSettings, read_slurm};

use super::batch::{Batch, ExaminedSite, Examiner, KnownScheduler, NotGranted, OwnConfiguration, Programs, Resources};
use super::settings::BatchSettings;
use super::{
    Advice, CancelledBy, Cluster, Expected, JobId, JobName, Scheduler, SchedulerKind, Signal, State, Submission,
    SubmitAnswer, Trial,
};
use crate::sys::call::{Answer, Call};

/// How its words in the configuration are read.
pub(super) const KNOWN: KnownScheduler = KnownScheduler {
    kind: KIND,
    read: |section| Arc::new(read_slurm(section)),
    judge: |words| Ok(SlurmOptions::parse_all_words(words)?.args()),
    limits_key: "slurm_limits",
    read_limits: |section| rule_limits::read(section),
    manual: settings::manual::SLURM,
};

impl Scheduler for Slurm {
    fn kind(&self) -> SchedulerKind {
        KIND
    }

    fn own_output(&self) -> &'static str {
        calls::OWN_OUTPUT
    }

    fn submit(&self, submission: &Submission) -> Call {
        self.sbatch(submission)
    }

    fn submitted(&self, answer: &Answer) -> SubmitAnswer {
        answers::submitted(answer)
    }

    fn ask(&self, id: &JobId) -> Call {
        self.show_job(id)
    }

    fn state(&self, id: &JobId, expected: &Expected, answer: &Answer) -> State {
        shown::state(id, expected, answer)
    }

    fn find(&self, name: &JobName) -> Call {
        self.jobs_of_name(name)
    }

    fn found(&self, expected: &Expected, answer: &Answer) -> Result<Vec<JobId>, String> {
        answers::found(expected, answer)
    }

    fn cancel(&self, id: &JobId) -> Call {
        self.scancel(id)
    }

    fn cancel_by_name(&self, name: &JobName, owner: &str) -> Call {
        self.scancel_name(name, owner)
    }

    fn interrupt(&self, id: &JobId, signal: Signal) -> Call {
        self.signal_wrapper(id, signal)
    }

    fn done(&self, answer: &Answer) -> Result<(), String> {
        answers::done(answer)
    }

    fn ask_who_cancelled(&self, id: &JobId) -> Call {
        self.accounted_state(id)
    }

    fn who_cancelled(&self, answer: &Answer) -> CancelledBy {
        answers::who_cancelled(answer)
    }

    fn advice(&self, topic: Advice) -> &'static str {
        advice::advice(topic)
    }

    fn look_up(&self, id: &JobId) -> String {
        advice::look_up(id)
    }
}

impl SlurmSettings {
    fn slurm(&self) -> Slurm {
        Slurm::new(&self.bin_dir, self.conf.as_deref())
    }
}

impl Batch for SlurmSettings {
    fn kind(&self) -> SchedulerKind {
        KIND
    }

    fn settings(&self) -> &BatchSettings {
        &self.batch
    }

    fn scheduler(&self) -> Arc<dyn Scheduler> {
        Arc::new(self.slurm())
    }

    fn wider(&self, limits: &str) -> Vec<String> {
        match rule_limits::parse(limits) {
            Ok(rule) => rule_limits::wider(&rule, &self.limits),
            Err(why) => vec![why],
        }
    }

    fn defaults_within(&self, limits: &str, fixed: &[String]) -> Result<(), String> {
        let fixed = SlurmOptions::parse_words(fixed).map_err(|error| error.to_string())?;
        self.keeps_to(&rule_limits::parse(limits)?, &fixed)
    }

    fn tightened(&self, limits: &str) -> Result<Arc<dyn Batch>, String> {
        Ok(Arc::new(Self { rule_limits: Some(rule_limits::parse(limits)?), ..self.clone() }))
    }

    fn resources(&self, rule: Option<(&str, &[String])>, job: &[(String, String)]) -> Result<Resources, NotGranted> {
        // They were judged when the rule was read. Should that not hold, no job is submitted without them.
        let fixed = rule.map(|(name, words)| Ok((name, SlurmOptions::parse_words(words)?))).transpose();
        let fixed = fixed.map_err(|error: options::OptionError| NotGranted(error.into()))?;
        let rule = fixed.as_ref().map(|(name, fixed)| (*name, fixed));
        let combined = self.combine(rule, job).map_err(|refused| NotGranted(refused.into()))?;
        Ok(Resources { options: combined.options.args(), from_job: combined.from_job })
    }

    fn fit(&self, resources: &mut Resources, ask: &mut dyn FnMut(Call) -> Answer) {
        // Judged already. With them the driver has said how many nodes there may be, see `limits`.
        let Ok(mut options) = SlurmOptions::parse_words(&resources.options) else { return };
        if options.get("use-min-nodes").is_none() || resources.from_job.iter().any(|name| name == "--nodes") {
            return;
        }
        let question = Slurm::new(&self.bin_dir, self.conf.as_deref()).call("scontrol", partitions::QUESTION);
        if let Answer::Exited { status: 0, out, .. } = ask(question) {
            partitions::fit_nodes(&mut options, &out);
            resources.options = options.args();
        }
    }

    fn tries_out(&self) -> bool {
        self.test_only
    }

    fn try_out(&self, submission: &Submission) -> Call {
        self.slurm().test_only(submission)
    }

    fn tried(&self, submission: &Submission, answer: &Answer, ask: &mut dyn FnMut(Call) -> Option<Answer>) -> Trial {
        trial::tried(&self.slurm(), submission, answer, ask)
    }

    fn programs(&self) -> Programs<'_> {
        Programs {
            dir: &self.bin_dir,
            key: "slurm.bin_dir",
            needed: &["sbatch", "scancel", "scontrol", "squeue"],
            // Say who cancelled a job and which QOS there are, where there is accounting; and what nodes there are.
            optional: &["sacct", "sacctmgr", "sinfo"],
        }
    }

    fn own_configuration(&self) -> Option<OwnConfiguration<'_>> {
        // Or none is there, and Slurm's programs fetch it from the controller.
        let usual = || cluster::PLACES.iter().map(Path::new).find(|path| path.exists());
        let path = self.conf.as_deref().or_else(usual)?;
        Some(OwnConfiguration { path, key: "slurm.conf", loaded_by: "scontrol" })
    }

    fn cluster(&self, read: &dyn Fn(&Path) -> Option<String>) -> Cluster {
        cluster::cluster(self.conf.as_deref(), read)
    }

    fn examine(&self, examiner: &mut dyn Examiner, site: &ExaminedSite<'_>) {
        examination::examine(self, examiner, site);
    }
}
