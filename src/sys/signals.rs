//! SIGTERM and its kin, as a message instead of an interruption.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal};

/// What happens when somebody asks this process to end.
enum Reaction {
    /// Exit at once, with this code: nothing has been started that would have to be ended first.
    Exit(u8),
    /// Tell whoever supervises a job.
    Tell(Box<dyn Fn() + Send>),
}

/// Watches for SIGTERM, SIGINT, SIGHUP and SIGQUIT.
#[derive(Clone)]
pub struct Termination(Arc<Mutex<Reaction>>);

impl Termination {
    /// Begins to watch. Until somebody subscribes, the reaction is to exit with `code`: also in the middle of a question
    /// to a name service that does not answer.
    ///
    /// Call it first in `main`, before there is any other thread: threads inherit the blocked signals.
    pub fn watch(code: u8) -> std::io::Result<Self> {
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        signals.thread_block()?;
        let reaction = Arc::new(Mutex::new(Reaction::Exit(code)));
        let shared = Arc::clone(&reaction);
        std::thread::Builder::new().name("signals".into()).stack_size(64 << 10).spawn(move || {
            while signals.wait().is_ok() {
                match &*shared.lock().unwrap_or_else(PoisonError::into_inner) {
                    Reaction::Exit(code) => std::process::exit(i32::from(*code)),
                    Reaction::Tell(tell) => tell(),
                }
            }
        })?;
        Ok(Self(reaction))
    }

    /// From now on `event` is sent instead.
    pub fn subscribe<E: Clone + Send + 'static>(&self, sender: Sender<E>, event: E) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Reaction::Tell(Box::new(move || {
            let _ = sender.send(event.clone());
        }));
    }
}
