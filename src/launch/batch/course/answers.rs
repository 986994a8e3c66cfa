//! What the scheduler's answers on the state of the job change.

use std::time::{Duration, Instant};

use super::asking::{WHILE_COMPLETING, WHILE_PENDING, WHILE_RUNNING};
use super::job::Canceller;
use super::{Action, Course, Question, Until, Verdict};
use crate::launch::batch::result::Said;
use crate::order::completion::ScriptEnd;
use crate::scheduler::{Alive, End, EndReason, Phase, Requeue, State, Unknown};

/// A script that was killed: how long the scheduler may take to say why.
const WHY_KILLED: Duration = Duration::from_secs(4);
/// Between looks for that.
const WHY_KILLED_PAUSE: Duration = Duration::from_millis(300);

/// Whether the scheduler was asked after we were told that the script has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    BeforeTheEnd,
    AfterTheEnd,
}

impl Course {
    pub(super) fn on_state(&mut self, asked: Instant, state: State, now: Instant) {
        self.asking.answered();
        let asked = match &self.script.completed {
            Some(completed) if asked >= completed.at => Asked::AfterTheEnd,
            _ => Asked::BeforeTheEnd,
        };
        match state {
            State::Unknown(Unknown::NoAnswer(words)) => self.note_silence(&words, now),
            State::Unknown(Unknown::NotOurs(words)) => {
                if self.is_cancelled() {
                    self.is_gone();
                } else if self.plan.until == Until::Gone {
                    self.cancel_what_is_not_ours(now);
                } else {
                    self.note_silence(&words, now);
                }
            }
            State::Unknown(Unknown::NoSuchJob) => {
                if asked == Asked::AfterTheEnd {
                    self.is_said(Said::Forgotten);
                } else if self.is_cancelled() {
                    self.is_gone();
                } else if self.plan.until == Until::Gone {
                    // Perhaps it only does not show it to us: its owner says so, too.
                    self.cancel_now(now);
                } else {
                    self.note_silence("it knows no such job any more, or not yet", now);
                }
            }
            State::Ended(end) => self.on_end(end, asked, now),
            State::Alive(alive) => {
                self.note_known(now);
                self.on_alive(&alive, asked, now);
            }
        }
    }

    fn is_said(&mut self, said: Said) {
        if let Some(completed) = &mut self.script.completed {
            completed.said = Some(said);
        }
    }

    fn on_end(&mut self, end: End, asked: Asked, now: Instant) {
        self.note_known(now);
        self.withdraw_token();
        if end.reason == EndReason::Cancelled
            && self.seen.canceller == Canceller::NotAsked
            && let Some(id) = self.id().cloned()
        {
            self.seen.canceller = Canceller::Asked;
            self.act(Action::Ask(Question::Canceller(id)));
        }
        if asked == Asked::AfterTheEnd {
            self.is_said(Said::Ended(end.clone()));
        }
        self.look_for_the_last_time();
        self.seen.ended = Some(end);
    }

    fn on_alive(&mut self, alive: &Alive, asked: Asked, now: Instant) {
        let before = self.seen.saw_alive(alive);
        let (phase_before, restarts_before) = before.map(|before| (before.phase, before.restarts)).unzip();
        let same = |phase: &Phase| std::mem::discriminant(phase) == std::mem::discriminant(&alive.phase);
        if !phase_before.as_ref().is_some_and(same) {
            self.asking.anew();
        }
        if let Some(completed) = &self.script.completed {
            if completed.completion.terminated && alive.restarts > completed.completion.restarts {
                self.script.forget_end();
            } else if self.ending.is_none() {
                if asked == Asked::AfterTheEnd {
                    self.on_alive_after_the_end(alive, now);
                }
                return;
            }
        }
        if alive.restarts > restarts_before.unwrap_or(0) {
            self.on_restart(alive, now);
        }
        if self.plan.until != Until::Gone {
            self.tell_phase(phase_before.as_ref(), alive);
        }
        match &alive.phase {
            Phase::Running => {
                self.give_token(alive, now);
                self.asking.later(&WHILE_RUNNING, now);
            }
            Phase::Pending { .. } => {
                self.withdraw_token();
                self.script.mark = None;
                self.asking.later(&WHILE_PENDING, now);
            }
            Phase::Completing => self.asking.later(&WHILE_COMPLETING, now),
            Phase::Suspended => self.asking.later(&WHILE_RUNNING, now),
        }
        self.ask_about_ending(&alive.phase, now);
    }

    /// The script has ended, and the scheduler has not noticed. Ended by a signal? Then it may be about to say why. And
    /// certainly if it has sent one itself.
    fn on_alive_after_the_end(&mut self, alive: &Alive, now: Instant) {
        let Some(completed) = &mut self.script.completed else { return };
        let (end, terminated) = (completed.completion.end, completed.completion.terminated);
        let killed = matches!(end, ScriptEnd::Exited(128..) | ScriptEnd::NoToken);
        let patience = if terminated { self.plan.unknown_timeout } else { WHY_KILLED };
        let said_soon = terminated || (killed && alive.phase != Phase::Suspended);
        if !said_soon || now >= completed.at + patience {
            completed.said = Some(Said::Alive);
        } else if now >= completed.at + WHY_KILLED {
            self.asking.doubling(WHY_KILLED_PAUSE, 5, now);
        } else {
            self.asking.not_yet_doubling(WHY_KILLED_PAUSE, 5, now);
        }
    }

    fn on_restart(&mut self, alive: &Alive, now: Instant) {
        self.withdraw_token();
        self.asking.marks_anew();
        let name = self.plan.scheduler.name();
        if self.plan.requeue == Requeue::Allowed {
            self.act(Action::Tell(format!("{name} starts the job once more (restart {})", alive.restarts)));
            self.script.mark = self.script.mark.filter(|mark| *mark >= alive.restarts);
        } else if self.ending.is_none() {
            self.end_because(Verdict::put_back(self.plan.scheduler.as_ref()), now);
        }
    }
}
