//! SIGTERM and its kin, as a message instead of an interruption.

use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal};

use super::{process, threads};

/// What happens when somebody asks this process to end.
enum Reaction {
    /// Exit at once, with this code: nothing runs that would have to be ended with care.
    Exit(u8),
    /// Tell whoever supervises a job.
    Tell(Box<dyn Fn() + Send>),
}

struct Watched {
    reaction: Reaction,
    asked: bool,
}

/// Watches for SIGTERM, SIGINT, SIGHUP and SIGQUIT.
#[derive(Clone)]
pub struct Termination(Arc<Mutex<Watched>>);

impl Termination {
    /// Begins to watch. Until somebody subscribes, the reaction is to exit with `code`: also in the middle of a question
    /// to a name service that does not answer.
    ///
    /// Call it first in `main`, before there is any other thread: threads inherit the blocked signals.
    pub fn watch(code: u8) -> std::io::Result<Self> {
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        signals.thread_block()?;
        let state = Arc::new(Mutex::new(Watched { reaction: Reaction::Exit(code), asked: false }));
        let shared = Arc::clone(&state);
        threads::spawn("signals", move || {
            while signals.wait().is_ok() {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                state.asked = true;
                match &state.reaction {
                    Reaction::Exit(code) => {
                        // A child on its way to becoming a worker has this program's memory: it must not stay.
                        process::kill_children();
                        std::process::exit(i32::from(*code));
                    }
                    Reaction::Tell(tell) => tell(),
                }
            }
        })?;
        Ok(Self(state))
    }

    /// From now on this is called instead; at once, if somebody has asked before.
    pub fn subscribe(&self, tell: impl Fn() + Send + 'static) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.asked {
            tell();
        }
        state.reaction = Reaction::Tell(Box::new(tell));
    }
}
