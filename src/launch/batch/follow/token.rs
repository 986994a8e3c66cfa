//! The token of a job: there while the scheduler says that this job runs, and at no other time.

use std::time::{Duration, Instant};

use super::{Follower, TokenState};
use crate::order::frames::Command;
use crate::scheduler::Alive;
use crate::scheduler::Placement;

/// For how long the scheduler's word that a job runs holds.
const PROOF: Duration = Duration::from_mins(15);

impl Follower<'_> {
    /// The scheduler's word is enough: the mark of the wrapper may hang in a slow file system. But a mark of the time before
    /// a restart says that the wrapper has yet to begin.
    pub(super) fn token_is_due(&self, alive: &Alive) -> bool {
        self.started.is_none_or(|started| started >= alive.restarts)
    }

    pub(super) fn place(&mut self, alive: &Alive) {
        let placement = match (&alive.placement, self.id()) {
            (Placement::Slurm { account, partition, qos, .. }, Some(id)) => Placement::Slurm {
                account: account.clone(),
                partition: partition.clone(),
                qos: qos.clone(),
                job_id: Some(id.as_str().to_owned()),
            },
            (other, _) => other.clone(),
        };
        if let Some(feed) = self.feed.as_deref_mut() {
            feed.place(placement);
        }
    }

    pub(super) fn give_token(&mut self, restarts: u32, now: Instant) {
        let Some(feed) = self.feed.as_deref_mut() else { return };
        let (command, delay) = feed.next().into_command();
        if let Some(command) = command {
            let _ = self.commands.send(command);
        }
        self.token = TokenState::Given { restarts, next: now + delay };
    }

    /// A token is renewed while the scheduler says now and then that the job runs. Silence is no end, but no proof either.
    pub(super) fn renew_token(&mut self, restarts: u32, now: Instant) {
        if now < self.confirmed + PROOF {
            return self.give_token(restarts, now);
        }
        let Some(feed) = self.feed.as_deref_mut() else { return };
        let (command, delay) = feed.hold().into_command();
        if let Some(command) = command {
            let _ = self.commands.send(command);
        }
        self.token = TokenState::Given { restarts, next: now + delay };
    }

    /// The job does not run (any more).
    pub(super) fn take_token(&mut self) {
        if self.token != TokenState::None {
            let _ = self.commands.send(Command::NoToken);
            self.token = TokenState::None;
        }
    }
}
