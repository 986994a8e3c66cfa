//! Asking the scheduler: when, and what its answers change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Canceller, Event, Follower, Submitting, TokenState, Until};
use crate::launch::batch::pace::Urgency;
use crate::launch::batch::verdict::{Said, Verdict};
use crate::launch::workplace::thread;
use crate::order::completion::ScriptEnd;
use crate::order::frames::Command;
use crate::report::tell;
use crate::scheduler::Requeue;
use crate::scheduler::{Alive, EndReason, Phase, State, Unknown};

/// How long the scheduler may take to answer a question.
const QUESTION: Duration = Duration::from_secs(20);
/// Between two questions, at least.
const BETWEEN: Duration = Duration::from_millis(200);
/// Pauses between questions while a job waits. Its start is told by the wrapper; these tell why it does not start.
const WHILE_PENDING: [u64; 4] = [5, 10, 20, 30];
/// Pauses while it runs: these notice that a node is lost.
const WHILE_RUNNING: [u64; 2] = [30, 60];
/// Pauses while its processes are going.
const WHILE_COMPLETING: [u64; 4] = [1, 1, 2, 5];
/// A script that was killed: how long the scheduler may take to say why.
const WHY_KILLED: Duration = Duration::from_secs(4);
/// Between looks for that.
const WHY_KILLED_PAUSE: Duration = Duration::from_millis(300);
/// How many marks of the wrapper are taken for a reason to ask. A job can write as many as it likes, and the scheduler is
/// everybody's.
const MARKS: u32 = 8;

/// When the scheduler is asked next.
pub(super) struct Asking {
    pub(super) in_flight: bool,
    pub(super) due: Option<Instant>,
    /// Questions since the job's phase changed, or failures in a row.
    pub(super) count: usize,
    urgency: Urgency,
    last: Option<Instant>,
    marks: u32,
}

impl Asking {
    pub(super) fn new() -> Self {
        Self { in_flight: false, due: None, count: 0, urgency: Urgency::Low, last: None, marks: 0 }
    }
}

impl Follower<'_> {
    /// The wrapper says that the script begins. That is worth a question, and nothing else.
    pub(super) fn on_mark(&mut self, restarts: u32, now: Instant) {
        self.asking.marks += 1;
        if self.asking.marks > MARKS {
            return;
        }
        self.started = Some(restarts);
        // A word to a script that had not begun was heard by nobody.
        self.repeat_word(now);
        if restarts > 0 && self.alive.as_ref().is_some_and(|alive| alive.restarts == restarts) {
            // The wrapper has thrown away what was there when it began anew.
            self.token = TokenState::None;
        }
        if self.record.as_ref().is_some_and(|(record, _)| restarts > record.restarts) {
            self.forget_ending();
        }
        self.ask_now(now);
    }

    pub(super) fn ask_now(&mut self, now: Instant) {
        let soonest = self.asking.last.map_or(now, |last| last + BETWEEN);
        self.asking.due = Some(now.max(soonest));
        self.asking.urgency = Urgency::High;
    }

    /// When it is worth a first look at a job that has just been submitted.
    pub(super) fn ask_soon(&mut self, now: Instant) {
        self.ask_at(now + Duration::from_secs(WHILE_PENDING[0]));
    }

    pub(super) fn ask_at(&mut self, at: Instant) {
        self.asking.due = Some(at);
    }

    /// Asks the scheduler what there is to ask, as ourselves: what the account says about its job is no evidence.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asking.due = None;
        self.asking.last = Some(now);
        let (scheduler, expected, events) = (Arc::clone(&self.scheduler), self.expected.clone(), self.events.clone());
        let (pace, urgency) = (self.pace.clone(), std::mem::replace(&mut self.asking.urgency, Urgency::Low));
        let question: Box<dyn FnOnce() + Send> = match &self.submitting {
            Submitting::Done(id) => {
                let id = id.clone();
                Box::new(move || {
                    pace.wait(urgency);
                    let asked = Instant::now();
                    let answer = scheduler.ask(&id).run(QUESTION);
                    let _ = events.send(Event::State(asked, scheduler.state(&id, &expected, &answer)));
                })
            }
            Submitting::Unsure { .. } => Box::new(move || {
                pace.wait(urgency);
                let answer = scheduler.find(&expected.name).run(QUESTION);
                let _ = events.send(Event::Found(scheduler.found(&expected, &answer)));
            }),
            Submitting::Preparing | Submitting::Calling => return,
        };
        if thread("question", question).is_ok() {
            self.asking.in_flight = true;
        } else {
            self.ask_at(now + Duration::from_secs(1));
        }
    }

    pub(super) fn on_state(&mut self, asked: Instant, state: State) {
        let now = Instant::now();
        let after_record = self.record.as_ref().is_some_and(|(_, at)| asked >= *at);
        match state {
            State::Unknown(Unknown::NoAnswer(words)) => self.note_silence(&words, now),
            State::Unknown(Unknown::NotOurs(words)) => match &mut self.ending {
                Some(ending) if ending.cancelled => ending.gone = true,
                _ if self.until == Until::Gone => self.cancel_what_is_not_ours(now),
                _ => self.note_silence(&words, now),
            },
            State::Unknown(Unknown::NoSuchJob) => {
                if after_record {
                    self.checked = Some(Said::Forgotten);
                } else if let Some(ending) = &mut self.ending
                    && ending.cancelled
                {
                    ending.gone = true;
                } else if self.until == Until::Gone {
                    // Perhaps it only does not show it to us: its owner says so, too.
                    self.cancel_now(now);
                } else {
                    let words = "it knows no such job any more, or not yet";
                    self.note_silence(words, now);
                }
            }
            State::Ended(end) => {
                self.note_known();
                self.take_token();
                if end.reason == EndReason::Cancelled && self.ended.is_none() {
                    self.ask_canceller();
                }
                if after_record {
                    self.checked = Some(Said::Ended(end.clone()));
                }
                if self.ended.is_none() && self.record.is_none() {
                    let _ = self.commands.send(Command::LastLook);
                }
                self.ended = Some(end);
            }
            State::Alive(alive) => {
                self.note_known();
                self.on_alive(&alive, after_record, now);
            }
        }
    }

    fn on_alive(&mut self, alive: &Alive, after_record: bool, now: Instant) {
        let before = self.alive.replace(alive.clone());
        if before
            .as_ref()
            .is_none_or(|before| std::mem::discriminant(&before.phase) != std::mem::discriminant(&alive.phase))
        {
            self.asking.count = 0;
        }
        if self.record.as_ref().is_some_and(|(record, _)| record.terminated && alive.restarts > record.restarts) {
            self.forget_ending();
        } else if let (Some((record, at)), None) = (&self.record, &self.ending) {
            if after_record {
                // Ended by a signal? Then the scheduler may be about to say why. And certainly if it has sent one itself.
                let killed = matches!(record.end, ScriptEnd::Exited(128..) | ScriptEnd::NoToken);
                let patience = if record.terminated { self.unknown_timeout } else { WHY_KILLED };
                let said_soon = record.terminated || (killed && alive.phase != Phase::Suspended);
                if said_soon && now < *at + patience {
                    let pause = WHY_KILLED_PAUSE * (1 << self.asking.count.min(5));
                    self.asking.count += usize::from(now >= *at + WHY_KILLED);
                    self.ask_at(now + pause);
                } else {
                    self.checked = Some(Said::Alive);
                }
            }
            return;
        }
        if alive.restarts > before.as_ref().map_or(0, |before| before.restarts) {
            self.on_restart(alive);
        }
        if self.until != Until::Gone {
            self.tell_phase(before.as_ref(), alive);
        }
        match &alive.phase {
            Phase::Running if self.token_is_due(alive) => {
                self.confirmed = now;
                let restarts = alive.restarts.max(self.started.unwrap_or(0));
                let given = matches!(self.token, TokenState::Given { restarts: given, .. } if given == restarts);
                if !given {
                    self.place(alive);
                    self.give_token(restarts, now);
                }
                self.ask_later(&WHILE_RUNNING, now);
            }
            Phase::Pending { .. } => {
                self.take_token();
                self.started = None;
                self.ask_later(&WHILE_PENDING, now);
            }
            Phase::Completing => self.ask_later(&WHILE_COMPLETING, now),
            _ => self.ask_later(&WHILE_RUNNING, now),
        }
        self.ask_about_ending(&alive.phase, now);
    }

    /// What the record tells is the end of a start of which the scheduler has made nothing.
    fn forget_ending(&mut self) {
        self.record = None;
        self.checked = None;
        self.drained = None;
    }

    pub(super) fn on_restart(&mut self, alive: &Alive) {
        self.take_token();
        self.asking.marks = 0;
        let name = self.scheduler.name();
        if self.requeue == Requeue::Allowed {
            tell(format_args!("{name} starts the job once more (restart {})", alive.restarts));
            self.started = self.started.filter(|started| *started >= alive.restarts);
            return;
        }
        if self.ending.is_none() {
            let words = format!(
                "{name} has put the job back into its queue, and a script is not run twice unless slurm.requeue = true; the job is cancelled"
            );
            self.end_because(Verdict::Site { words });
        }
    }

    /// The next question, after a pause that grows.
    pub(super) fn ask_later(&mut self, pauses: &[u64], now: Instant) {
        let pause = pauses[self.asking.count.min(pauses.len() - 1)];
        self.asking.count += 1;
        let at = now + Duration::from_secs(pause);
        self.asking.due = Some(self.asking.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn ask_canceller(&mut self) {
        let Some(id) = self.id().cloned() else { return };
        let (scheduler, events) = (Arc::clone(&self.scheduler), self.events.clone());
        let asked = thread("canceller", move || {
            let answer = scheduler.ask_who_cancelled(&id).run(Duration::from_secs(5));
            let _ = events.send(Event::Canceller(scheduler.who_cancelled(&answer)));
        });
        if asked.is_err() {
            self.canceller = Canceller::Unknown;
        }
    }
}
