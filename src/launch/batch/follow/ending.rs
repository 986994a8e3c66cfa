//! Ending a job before its time: because the stage was asked to end, or because the job must not go on.

use std::time::{Duration, Instant};

use super::{Calling, Follower, Outcome, Phase, Submitting, Until};
use crate::launch::batch::verdict::Verdict;
use crate::report::tell;
use crate::scheduler::Word;
use crate::sys::call::Answer;
use crate::token::back_off;

/// After the second word to a script in a job that goes on: how long until the whole job is cancelled.
const LAST_RESORT: Duration = Duration::from_secs(15);
/// How long the output of a cancelled job is awaited.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
/// A job that was cancelled, and is not: how long until that is tried again.
const AGAIN: Duration = Duration::from_secs(15);

/// An end that has begun.
pub(super) struct Ending {
    since: Instant,
    /// What the stage says in the end, if it is not that somebody asked.
    pub(super) verdict: Option<Verdict>,
    way: Way,
    /// When the next call is due.
    next: Instant,
    tries: u32,
    /// The scheduler has taken the order.
    pub(super) cancelled: bool,
    /// And now knows no such job.
    pub(super) gone: bool,
    ended_at: Option<Instant>,
}

/// Whether the end of a job is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    Yes,
    No,
}

/// How it is ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Only the script: the job goes on for other stages. So many words to it so far.
    Script(u32),
    /// The whole job.
    Job,
}

impl Ending {
    fn new(now: Instant, way: Way, verdict: Option<Verdict>) -> Self {
        Self { since: now, verdict, way, next: now, tries: 0, cancelled: false, gone: false, ended_at: None }
    }

    pub(super) fn next_deadline(&self, calling: Option<Calling>) -> Option<Instant> {
        let last_output = self.ended_at.map(|at| at + LAST_OUTPUT);
        let next = (self.cancelled || calling.is_none()).then_some(self.next);
        [last_output, next].into_iter().flatten().min()
    }
}

impl Follower<'_> {
    /// Somebody asks the stage to end. Once; a runner may ask several times.
    pub(super) fn begin_ending(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.verdict = None;
            return;
        }
        // A job that serves several stages is given back by cleanup. But one that waits has no script to be told, and would
        // begin with this one when its time comes.
        let waits = self.alive.as_ref().is_some_and(|alive| matches!(alive.phase, Phase::Pending { .. }));
        let way = if self.submission.is_none() && !waits { Way::Script(0) } else { Way::Job };
        self.ending = Some(Ending::new(Instant::now(), way, None));
    }

    /// The job was left by an earlier stage. First it is looked at: as a rule it has ended by itself.
    pub(super) fn end_left(&mut self, now: Instant) {
        let mut ending = Ending::new(now, Way::Job, None);
        // Not before somebody has looked; there is no later moment than this.
        ending.next = now + self.patience;
        self.ending = Some(ending);
        self.ask_at(now);
    }

    /// The job must not go on.
    pub(super) fn end_because(&mut self, verdict: Verdict) {
        self.ending = Some(Ending::new(Instant::now(), Way::Job, Some(verdict)));
    }

    pub(super) fn ending_deadline(&self) -> Option<Instant> {
        self.ending.as_ref().map(|ending| ending.since + self.kill_timeout + self.patience)
    }

    /// Does what is due. `Some` when nothing of the job is left, or when there is no more time for it.
    pub(super) fn pursue_ending(&mut self, now: Instant) -> Option<Outcome> {
        let ending = self.ending.as_ref()?;
        if self.ending_deadline().is_some_and(|at| now >= at) {
            return Some(self.ending_outcome(Sure::No));
        }
        match &self.submitting {
            Submitting::Preparing => return Some(self.ending_outcome(Sure::Yes)),
            // The answer, or the search by name, comes first.
            Submitting::Calling | Submitting::Unsure { .. } => {
                self.defer(now + Duration::from_millis(500));
                return None;
            }
            Submitting::Done(_) => {}
        }
        if ending.gone || self.is_over() {
            let ended_at = self.ending.as_mut().map(|ending| *ending.ended_at.get_or_insert(now))?;
            let waited = now >= ended_at + LAST_OUTPUT;
            if self.drained.is_some() || waited || (self.started.is_none() && self.record.is_none()) {
                return Some(self.ending_outcome(Sure::Yes));
            }
            self.defer(ended_at + LAST_OUTPUT);
            return None;
        }
        if self.calling.is_none() && now >= self.ending.as_ref()?.next {
            self.next_word(now);
        }
        None
    }

    /// Whether what had to end has ended.
    fn is_over(&self) -> bool {
        let script_ended = matches!(&self.ending, Some(Ending { way: Way::Script(_), .. })) && self.record.is_some();
        self.ended.is_some() || script_ended
    }

    pub(super) fn ending_outcome(&mut self, sure: Sure) -> Outcome {
        match (self.until, sure) {
            (Until::Gone, Sure::Yes) => return Outcome::Gone,
            (Until::Gone, Sure::No) => return self.not_gone(),
            (_, Sure::No) => {
                tell(format_args!("warning: {}; the cleanup stage goes on with that", self.not_gone_words()));
            }
            (_, Sure::Yes) => {}
        }
        match self.ending.take().and_then(|ending| ending.verdict) {
            Some(verdict) => self.judged(verdict),
            None => Outcome::Terminated(self.id().cloned()),
        }
    }

    fn not_gone_words(&self) -> String {
        format!("{} has not confirmed that job {} is gone", self.scheduler.name(), self.expected.name)
    }

    pub(super) fn not_gone(&self) -> Outcome {
        Outcome::NotGone(self.not_gone_words())
    }

    /// Somebody has made our job look like another one: its owner, as a rule, by a new name. He may cancel both.
    pub(super) fn cancel_what_is_not_ours(&mut self, now: Instant) {
        let Some(id) = self.id().cloned() else { return };
        if self.calling.is_none() {
            let call = self.scheduler.cancel(&id);
            self.call(call, Calling::Cancel);
            self.submitting = Submitting::Unsure { since: now, not_found: 0 };
        } else {
            self.ask_at(now + AGAIN);
        }
    }

    fn defer(&mut self, until: Instant) {
        if let Some(ending) = &mut self.ending {
            ending.next = until;
        }
    }

    fn next_word(&mut self, now: Instant) {
        let Some(id) = self.id().cloned() else { return };
        let kill_timeout = self.kill_timeout;
        let Some(ending) = &mut self.ending else { return };
        let (call, what) = match &mut ending.way {
            Way::Script(words @ 0..2) => {
                *words += 1;
                let (word, patience) =
                    if *words == 1 { (Word::First, kill_timeout) } else { (Word::Last, LAST_RESORT) };
                ending.next = now + patience;
                (self.scheduler.interrupt(&id, word), Calling::Interrupt)
            }
            way => {
                *way = Way::Job;
                // Should it not have come to anything: once more, later.
                ending.cancelled = false;
                ending.next = now + AGAIN;
                (self.scheduler.cancel(&id), Calling::Cancel)
            }
        };
        self.call(call, what);
    }

    /// The first word to the script, once more.
    pub(super) fn repeat_word(&mut self, now: Instant) {
        if let Some(Ending { way: way @ Way::Script(_), next, .. }) = &mut self.ending {
            (*way, *next) = (Way::Script(0), now);
        }
    }

    /// At once, should nothing be on its way.
    pub(super) fn cancel_now(&mut self, now: Instant) {
        if let Some(ending) = &mut self.ending
            && self.calling.is_none()
        {
            ending.next = now;
        }
    }

    /// A job whose number nobody knows.
    pub(super) fn cancel_by_name(&mut self) {
        if self.calling.is_none() {
            let call = self.scheduler.cancel_by_name(&self.expected.name, &self.owner);
            self.call(call, Calling::Cancel);
        }
    }

    pub(super) fn on_cancel_answer(&mut self, what: Calling, answer: &Answer, now: Instant) {
        let done = self.scheduler.done(answer);
        let Some(ending) = &mut self.ending else { return };
        match done {
            Ok(()) => {
                ending.tries = 0;
                if what == Calling::Cancel {
                    ending.cancelled = true;
                    ending.next = now + AGAIN;
                    self.asking.count = 0;
                    self.ask_at(now + Duration::from_millis(150));
                }
            }
            Err(words) => {
                ending.tries += 1;
                if ending.tries == 1 {
                    let name = self.scheduler.name();
                    let words = self.secrets.masked(&words);
                    tell(format_args!("{name} cannot cancel the job now, trying again: {words}"));
                }
                if let Way::Script(words) = &mut ending.way {
                    // None, if the script has begun meanwhile: then it is to be said anew in any case.
                    *words = words.saturating_sub(1);
                }
                ending.next = now + back_off(ending.tries);
                let again = ending.next;
                if self.id().is_none() {
                    self.ask_at(again);
                }
            }
        }
    }

    /// The job lives. While its end is awaited it is asked for more often.
    pub(super) fn ask_about_ending(&mut self, phase: &Phase, now: Instant) {
        let Some(ending) = &self.ending else { return };
        let own_end = now < ending.since + self.patience_with_job || *phase == Phase::Completing;
        let cancelled = ending.cancelled;
        if self.until == Until::Gone && !cancelled && !own_end {
            self.cancel_now(now);
        }
        if self.until == Until::Gone || cancelled {
            let pause = Duration::from_millis(150) * (1 << self.asking.count.min(4));
            self.asking.count += 1;
            self.ask_at(now + pause);
        }
    }
}
