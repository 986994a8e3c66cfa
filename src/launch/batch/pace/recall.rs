//! Takes back what waits for its turn.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Held by whoever may take it back, and by the thread that waits.
#[derive(Clone, Debug, Default)]
pub struct Recall(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Stands,
    TakenBack,
}

impl Recall {
    /// From now on nothing is done that has not been done yet.
    pub fn take_back(&self) {
        *self.lock() = Standing::TakenBack;
        self.0.changed.notify_all();
    }

    /// Waits so long. `false`, at once, if it is taken back.
    pub(super) fn wait(&self, pause: Duration) -> bool {
        let stands = |state: &mut Standing| *state == Standing::Stands;
        let waited = self.0.changed.wait_timeout_while(self.lock(), pause, stands);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == Standing::Stands
    }

    /// Does it, unless it was taken back; then `false`. Whoever takes it back later is too late, and never in between.
    pub fn do_unless_taken_back(&self, what: impl FnOnce()) -> bool {
        let state = self.lock();
        let stands = *state == Standing::Stands;
        if stands {
            what();
        }
        stands
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
