//! What the worker says, and whether it is there.

use std::io;
use std::time::Instant;

use super::{Action, Course, LaunchError, Until};
use crate::launch::workplace::LAST_REPORT;
use crate::order::frames::{Report, WorkerFailure};

/// How many words of the worker reach the job log.
const MOST_NOTICES: u32 = 50;

/// What is known of the worker.
#[derive(Debug, Default)]
pub(super) struct WorkerSeen {
    files: Files,
    /// It has ended; at this time it is given up.
    given_up_at: Option<Instant>,
    notices: u32,
}

/// Whether the worker has laid out its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Files {
    #[default]
    Awaited,
    Ready,
}

impl WorkerSeen {
    /// Its last report may be on its way, and say why.
    pub(super) fn ended(&mut self, now: Instant) {
        self.given_up_at = Some(now + LAST_REPORT);
    }

    pub(super) fn given_up_at(&self) -> Option<Instant> {
        self.given_up_at
    }
}

impl Course {
    pub(super) fn on_report(&mut self, report: Report, now: Instant) {
        match report {
            // It says so once. Again and again it would put off every question.
            Report::Ready if self.worker.files == Files::Ready => self.fail(LaunchError::WorkerLost),
            Report::Ready => {
                self.worker.files = Files::Ready;
                self.on_ready(now);
            }
            Report::Answered(answer) => self.on_answer(&answer, now),
            Report::Started(started) => self.on_mark(started.restarts, now),
            Report::Recorded(completion) => self.on_completion(completion, now),
            Report::Drained(drained) => self.script.drained(drained),
            Report::Notice(words) => {
                self.worker.notices += 1;
                if self.worker.notices <= MOST_NOTICES {
                    self.act(Action::Say(words));
                }
            }
            Report::Failed(WorkerFailure { blame, words }) => match &self.ending {
                Some(_) if self.plan.until != Until::Gone => self.finish_ended(),
                _ => self.fail(WorkerFailure { blame, words }.into()),
            },
            // A worker that somebody has taken over.
            Report::Ended { .. } | Report::Done => self.fail(LaunchError::WorkerLost),
        }
    }

    pub(super) fn on_no_report(&mut self, error: &io::Error) {
        let words = format!("the worker's report: {error}");
        self.fail(LaunchError::SetUp(io::Error::new(error.kind(), words)));
    }
}
