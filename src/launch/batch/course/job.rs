//! The job as the scheduler has shown it.

use crate::scheduler::{Alive, End, Phase, Prospect};

/// What the scheduler has said of it, ever.
#[derive(Debug, Default)]
pub(super) struct SeenJob {
    /// When it was seen alive last.
    pub(super) alive: Option<Alive>,
    /// How it has ended.
    pub(super) ended: Option<End>,
    pub(super) canceller: Canceller,
    /// How often in succession it was seen waiting for something that will not come.
    pub(super) hopeless_looks: u32,
}

impl SeenJob {
    /// Takes in that it is alive; says how it was seen before.
    pub(super) fn saw_alive(&mut self, alive: &Alive) -> Option<Alive> {
        let hopeless = matches!(alive.phase, Phase::Pending { prospect: Prospect::Never, .. });
        self.hopeless_looks = if hopeless { self.hopeless_looks.saturating_add(1) } else { 0 };
        self.alive.replace(alive.clone())
    }

    pub(super) fn waits(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| matches!(alive.phase, Phase::Pending { .. }))
    }

    /// Whether the scheduler has started it so often before, when it was seen last.
    pub(super) fn has_restarted(&self, restarts: u32) -> bool {
        self.alive.as_ref().is_some_and(|alive| alive.restarts == restarts)
    }
}

/// Who cancelled the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Canceller {
    #[default]
    NotAsked,
    Asked,
    Unknown,
    Is(u32),
}

impl Canceller {
    pub(super) fn answered(&mut self, uid: Option<u32>) {
        *self = uid.map_or(Self::Unknown, Self::Is);
    }
}
