//! The token of a job: there while the scheduler says that this job runs, and at no other time.

use std::time::{Duration, Instant};

use super::{Action, Course};
use crate::scheduler::{Alive, Placement};

/// For how long the scheduler's word that a job runs holds.
const PROOF: Duration = Duration::from_mins(15);

/// Whether the job gets tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// While it runs.
    WhileRunning,
    /// Never.
    Never,
}

/// What became of the token.
#[derive(Debug)]
pub(super) struct HeldToken {
    tokens: Tokens,
    held: Held,
    /// When the scheduler said last that the job runs.
    confirmed: Instant,
}

/// What the job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Nothing: it does not run, as far as we know.
    Nothing,
    /// One is being made, for its n-th start.
    Awaited { restarts: u32 },
    /// One, for its n-th start; the next one is due then.
    Given { restarts: u32, next: Instant },
    /// One that its wrapper says it has thrown away when it began anew.
    ThrownAway,
}

impl HeldToken {
    pub(super) fn new(tokens: Tokens, now: Instant) -> Self {
        Self { tokens, held: Held::Nothing, confirmed: now }
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.held {
            Held::Given { next, .. } => Some(next),
            Held::Nothing | Held::Awaited { .. } | Held::ThrownAway => None,
        }
    }

    pub(super) fn came(&mut self, next: Instant) {
        if let Held::Awaited { restarts } | Held::Given { restarts, .. } = self.held {
            self.held = Held::Given { restarts, next };
        }
    }

    pub(super) fn was_thrown_away(&mut self) {
        if self.held != Held::Nothing {
            self.held = Held::ThrownAway;
        }
    }

    fn is_for(&self, start: u32) -> bool {
        matches!(self.held, Held::Awaited { restarts } | Held::Given { restarts, .. } if restarts == start)
    }
}

impl Course {
    /// The scheduler says that the job runs. Its word is enough: the mark of the wrapper may hang in a slow file system. But
    /// a mark of the time before a restart says that the wrapper has yet to begin.
    pub(super) fn give_token(&mut self, alive: &Alive, now: Instant) {
        let mark = self.script.mark;
        // Nor is there a script any more that could use one when it has ended, though its job may run on.
        if mark.is_some_and(|mark| mark < alive.restarts) || self.script.completed.is_some() {
            return;
        }
        self.token.confirmed = now;
        let restarts = alive.restarts.max(mark.unwrap_or(0));
        if self.token.tokens == Tokens::Never || self.token.is_for(restarts) {
            return;
        }
        self.token.held = Held::Awaited { restarts };
        let placement = self.placement(alive);
        self.act(Action::MintToken(placement));
    }

    /// A token is renewed while the scheduler says now and then that the job runs. Silence is no end, but no proof either.
    pub(super) fn keep_token_fresh(&mut self, now: Instant) {
        let Held::Given { restarts, next } = self.token.held else { return };
        if next <= now {
            self.token.held = Held::Awaited { restarts };
            self.act(if now < self.token.confirmed + PROOF { Action::RenewToken } else { Action::HoldToken });
        }
    }

    /// The job does not run (any more).
    pub(super) fn withdraw_token(&mut self) {
        if self.token.held != Held::Nothing {
            self.token.held = Held::Nothing;
            self.act(Action::WithdrawToken);
        }
    }

    fn placement(&self, alive: &Alive) -> Placement {
        let placement = alive.placement.clone();
        match self.id() {
            Some(id) => placement.of_job(id),
            None => placement,
        }
    }
}
