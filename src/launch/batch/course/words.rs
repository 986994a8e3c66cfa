//! What the author of a job is told while it waits and runs.

use super::submission::SubmissionStage;
use super::{Action, Course, Hopeless, Verdict};
use crate::launch::batch::result::Judgement;
use crate::report::time_in_words;
use crate::scheduler::{Advice, Alive, JobId, Phase, Prospect, Setting};

/// What has been told of the queue: reason, and expected start.
#[derive(Debug, Default)]
pub(super) struct Told {
    waiting: Option<(String, Option<String>)>,
}

impl Course {
    pub(super) fn submitted_words(&self, id: &JobId) -> String {
        format!("submitted as {} job {id} (name {})", self.plan.scheduler.name(), self.plan.expected.name)
    }

    /// A line when something has changed, and only then: a queue can be long.
    pub(super) fn tell_phase(&mut self, before: Option<&Phase>, alive: &Alive) {
        match &alive.phase {
            Phase::Pending { reason, start, prospect } => {
                let news = (reason.clone(), start.clone());
                if self.told.waiting.as_ref() == Some(&news) {
                    return;
                }
                let start = start.as_ref().map(|start| format!("; expected to start at {start}")).unwrap_or_default();
                let advice = if *prospect == Prospect::Never && self.plan.hopeless == Hopeless::Wait {
                    let why = self.plan.scheduler.advice(Advice::TooMuch);
                    format!("; waiting does not start it: {why}; cancel it, and ask for less")
                } else {
                    String::new()
                };
                let reason = if reason.is_empty() { "no reason given yet" } else { reason };
                self.act(Action::Say(format!("waiting in the queue: {reason}{advice}{start}")));
                self.told.waiting = Some(news);
            }
            phase @ Phase::Running if before != Some(phase) => {
                let nodes = alive.nodes.as_deref().or(alive.node.as_deref()).unwrap_or("its node");
                self.act(Action::Say(format!("runs on {nodes}")));
            }
            phase @ Phase::Suspended if before != Some(phase) => {
                self.act(Action::Tell(format!("{} has suspended the job", self.plan.scheduler.name())));
            }
            _ => {}
        }
    }

    pub(super) fn silence_begins_words(&self, words: &str) -> String {
        let timeout = time_in_words(self.plan.unknown_timeout);
        let key = self.plan.scheduler.key(Setting::UnknownTimeout);
        let what = match self.submitting.stage() {
            _ if self.ending.is_some() => "whether the job is gone is not known; trying again".to_owned(),
            SubmissionStage::Done(_) => format!(
                "the state of the job is not known; it goes on, and is asked for again (at most {timeout}, {key})"
            ),
            _ => format!("it is not known whether the job was submitted; looking for it (at most {timeout}, {key})"),
        };
        format!("{}: {words}; {what}", self.plan.scheduler.name())
    }

    pub(super) fn verdict_of_silence(&self) -> Verdict {
        let timeout = time_in_words(self.plan.unknown_timeout);
        Verdict::silence(self.plan.scheduler.as_ref(), &timeout, &self.look_up_words())
    }

    pub(super) fn look_up_words(&self) -> String {
        let scheduler = &self.plan.scheduler;
        match self.id() {
            Some(id) => format!("{} job {id}; look it up with: {}", scheduler.name(), scheduler.look_up(id)),
            None => format!("its name is {}", self.plan.expected.name),
        }
    }

    /// Before the verdict: what is missing, and what the scheduler itself has written.
    pub(super) fn tell_last_words(&mut self, verdict: &Verdict) {
        let Some(drained) = self.script.has_drained().cloned() else { return };
        if drained.missing > 0 {
            self.act(Action::Tell(format!(
                "warning: the last {} bytes of the output have not come through the file system in time ({})",
                drained.missing,
                self.plan.scheduler.key(Setting::OutputTimeout)
            )));
        }
        if verdict.judgement() != Judgement::Success && !drained.scheduler_words.is_empty() {
            self.act(Action::Say(drained.scheduler_words));
        }
    }
}
