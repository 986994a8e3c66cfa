//! Submitting the job: once, whatever becomes of the answer.

use std::time::{Duration, Instant};

use super::ending::Sure;
use super::{AskedBy, Calling, Follower, Outcome, Submitting, Until};
use crate::launch::batch::pace::Urgency;
use crate::launch::batch::verdict::Verdict;
use crate::launch::workplace::thread;
use crate::order::frames::Command;
use crate::report::{printable, tell};
use crate::scheduler::{JobId, Submitted};
use crate::sys::call::{Answer, Call};

/// After a submission without an answer: how long until a job that it made can be found for sure.
const SETTLED: Duration = Duration::from_secs(5);
/// How often a job is submitted that is not found afterwards.
const MOST_SUBMISSIONS: u32 = 3;

impl Follower<'_> {
    pub(super) fn on_ready(&mut self, now: Instant) -> Option<Outcome> {
        match &self.submitting {
            Submitting::Preparing => self.submit(),
            _ if self.until == Until::Gone => {
                self.end_left(now);
                None
            }
            _ => {
                self.ask_soon(now);
                None
            }
        }
    }

    pub(super) fn submit(&mut self) -> Option<Outcome> {
        let submission = self.submission.as_ref()?;
        // Before there is a job: whatever happens from here on, cleanup knows its name.
        if let Err(why) = self.ledger.submitting(&submission.name) {
            return Some(self.judged(Verdict::Site { words: format!("the job was not submitted: {why}") }));
        }
        self.submissions += 1;
        let call = self.scheduler.submit(submission);
        self.submitting = Submitting::Calling;
        self.call(call, Calling::Submit);
        None
    }

    /// Has the worker call a program, when the pace allows it.
    pub(super) fn call(&mut self, call: Call, what: Calling) {
        self.calling = Some(what);
        let (pace, commands) = (self.pace.clone(), self.commands.clone());
        let send = move || {
            // What is to be cancelled is something that somebody waits for.
            pace.wait(if what == Calling::Submit { Urgency::Low } else { Urgency::High });
            let _ = commands.send(Command::Call(Box::new(call)));
        };
        if thread("call", send).is_err() {
            // No thread to be had: that is worse than a question too many, but no reason to hang.
            self.calling = None;
        }
    }

    pub(super) fn on_answer(&mut self, answer: &Answer, now: Instant) -> Option<Outcome> {
        match self.calling.take() {
            Some(Calling::Submit) => match self.scheduler.submitted(answer) {
                Submitted::Id(id) => return self.on_number(id, now),
                Submitted::Refused(words) => {
                    self.forget_submission();
                    return Some(self.refused(&words));
                }
                Submitted::NotAsked(words) => {
                    self.forget_submission();
                    return Some(self.judged(Verdict::Site { words: format!("the job was not submitted: {words}") }));
                }
                Submitted::Unknown(words) => {
                    self.submitting = Submitting::Unsure { since: now, not_found: 0 };
                    self.note_silence(&words, now);
                }
            },
            Some(what @ (Calling::Cancel | Calling::Interrupt)) => self.on_cancel_answer(what, answer, now),
            None => {}
        }
        None
    }

    pub(super) fn forget_submission(&mut self) {
        self.ledger.not_submitted(&self.expected.name);
        self.submitting = Submitting::Preparing;
    }

    pub(super) fn on_number(&mut self, id: JobId, now: Instant) -> Option<Outcome> {
        if let Err(why) = self.ledger.submitted(&self.expected.name, &id) {
            tell(format_args!("warning: the number of the job cannot be remembered, its name is: {why}"));
        }
        if self.until != Until::Gone {
            tell(self.submitted_words(&id));
        }
        self.note_known();
        self.submitting = Submitting::Done(id.clone());
        self.ask_soon(now);
        if self.started.is_some() || self.until == Until::Gone {
            self.ask_now(now);
        }
        (self.until == Until::Submitted && self.ending.is_none()).then_some(Outcome::Submitted(id))
    }

    pub(super) fn on_found(&mut self, found: Result<Vec<JobId>, String>) -> Option<Outcome> {
        let now = Instant::now();
        let Submitting::Unsure { since, not_found } = &mut self.submitting else { return None };
        match found {
            Err(words) => {
                *not_found = 0;
                self.note_silence(&words, now);
                None
            }
            Ok(ids) => {
                if let Some(id) = ids.into_iter().next() {
                    return self.on_number(id, now);
                }
                // Whatever is said of the queue: something has run.
                if self.started.is_some() || self.record.is_some() {
                    self.note_silence("it does not find a job that has begun", now);
                    return None;
                }
                // A submission may still be on its way in the controller. So: none, asked for a while after, twice.
                *not_found += 1;
                if *not_found < 2 || now < *since + SETTLED {
                    let at = (*since + SETTLED).max(now + Duration::from_secs(1));
                    self.ask_at(at);
                    return None;
                }
                if let Some(ending) = &self.ending {
                    if ending.cancelled {
                        return Some(self.ending_outcome(Sure::Yes));
                    }
                    // Perhaps it only does not show it to us: its owner says so, too.
                    self.cancel_by_name();
                    return None;
                }
                let name = self.scheduler.name();
                if self.submissions >= MOST_SUBMISSIONS {
                    let words = format!("{name} has not confirmed any of {MOST_SUBMISSIONS} submissions of this job");
                    return Some(self.judged(Verdict::Site { words }));
                }
                tell(format_args!("{name} knows of no such job; submitting it once more"));
                self.submit()
            }
        }
    }

    pub(super) fn refused(&self, words: &str) -> Outcome {
        let name = self.scheduler.name();
        let words = printable(&self.secrets.masked(words));
        self.judged(match &self.asked_by {
            AskedBy::Job(options) => Verdict::Job {
                code: 1,
                words: format!(
                    "{name} does not accept this job: {words} (the job has set --{}; all else is the site's)",
                    options.join(", --")
                ),
            },
            AskedBy::Site => Verdict::Site {
                words: format!(
                    "{name} does not accept this job, which asks for nothing but what the site's own configuration says: {words}"
                ),
            },
        })
    }
}
