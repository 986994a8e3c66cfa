//! What the author of a job is told while it waits and runs.

use std::time::{Duration, Instant};

use super::{Alive, Follower, JobId, Phase, Silence, Submitting, Verdict};
use crate::report::tell;
use crate::token::back_off;

impl Follower<'_> {
    /// Words that are not ours: of the account's, or of the scheduler's, which may quote it.
    pub(super) fn say(&self, words: &str) {
        tell(self.secrets.masked(words));
    }

    pub(super) fn submitted_words(&self, id: &JobId) -> String {
        format!("submitted as {} job {id} (name {})", self.scheduler.name(), self.expected.name)
    }

    /// A line when something has changed, and only then: a queue can be long.
    pub(super) fn tell_phase(&mut self, before: Option<&Alive>, alive: &Alive) {
        match &alive.phase {
            Phase::Pending { reason, start } => {
                let news = (reason.clone(), start.clone());
                if self.told_pending.as_ref() == Some(&news) {
                    return;
                }
                let start = start.as_ref().map(|start| format!("; expected to start at {start}")).unwrap_or_default();
                let reason = if reason.is_empty() { "no reason given yet" } else { reason };
                self.say(&format!("waiting in the queue: {reason}{start}"));
                self.told_pending = Some(news);
            }
            Phase::Running if before.is_none_or(|before| before.phase != Phase::Running) => {
                let node = alive.node.as_deref().unwrap_or("its node");
                self.say(&format!("runs on {node}"));
            }
            Phase::Suspended if before.is_none_or(|before| before.phase != Phase::Suspended) => {
                tell(format_args!("{} has suspended the job", self.scheduler.name()));
            }
            _ => {}
        }
    }

    /// Nothing is known. Told once; asked again, later and later.
    pub(super) fn note_silence(&mut self, words: &str, now: Instant) {
        let silence = self.unknown.get_or_insert(Silence { since: now, failures: 0 });
        silence.failures += 1;
        let first = silence.failures == 1;
        self.asking.due = Some(now + back_off(silence.failures).min(self.unknown_timeout));
        if first {
            let what = match self.submitting {
                _ if self.ending.is_some() => "whether the job is gone is not known; trying again".to_owned(),
                Submitting::Done(_) => format!(
                    "the state of the job is not known; it goes on, and is asked for again (at most {}, slurm.unknown_timeout)",
                    in_words(self.unknown_timeout)
                ),
                _ => format!(
                    "it is not known whether the job was submitted; looking for it (at most {}, slurm.unknown_timeout)",
                    in_words(self.unknown_timeout)
                ),
            };
            self.say(&format!("{}: {words}; {what}", self.scheduler.name()));
        }
    }

    pub(super) fn note_known(&mut self) {
        if let Some(silence) = self.unknown.take() {
            tell(format_args!(
                "{} answers again, after {} s",
                self.scheduler.name(),
                silence.since.elapsed().as_secs()
            ));
        }
    }

    pub(super) fn silence_words(&self) -> String {
        let name = self.scheduler.name();
        let look_up = match &self.submitting {
            Submitting::Done(id) => format!("{name} job {id}; look it up with: {}", self.scheduler.look_up(id)),
            _ => format!("its name is {}", self.expected.name),
        };
        format!(
            "{name} has said nothing about this job for {} that could be understood (slurm.unknown_timeout), so nobody knows how it ended ({look_up})",
            in_words(self.unknown_timeout)
        )
    }

    /// Before the verdict: what is missing, and what the scheduler itself has written.
    pub(super) fn tell_last_words(&self, verdict: &Verdict) {
        let Some(drained) = &self.drained else { return };
        if drained.missing > 0 {
            tell(format_args!(
                "warning: the last {} bytes of the output have not come through the file system in time (slurm.output_timeout)",
                drained.missing
            ));
        }
        if *verdict != Verdict::Success && !drained.scheduler_words.is_empty() {
            self.say(&drained.scheduler_words);
        }
    }
}

fn in_words(time: Duration) -> String {
    let time = jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX);
    format!("{time:#}")
}
