//! SIGTERM and its kin, as a message instead of an interruption.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SigSet, Signal};

use super::{process, threads};

/// What happens when somebody asks this process to end.
enum Reaction {
    /// Exit at once, with this code. There may be a worker already, but it has no order: it ends with this process, and nothing is lost.
    Exit(u8),
    /// Tell whoever supervises a job.
    Tell(Box<dyn Fn() + Send>),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// Somebody sends a signal: a cancelled job, a time-out, a runner that stops.
    Signal,
    /// Nobody: the runner is gone, and no one waits for this process any more.
    Abandonment,
}

struct Watched {
    reaction: Reaction,
    asked: Option<AskedBy>,
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
        let this = Self(Arc::new(Mutex::new(Watched { reaction: Reaction::Exit(code), asked: None })));
        let shared = this.clone();
        threads::spawn("signals", move || {
            while signals.wait().is_ok() {
                shared.ask(AskedBy::Signal);
            }
        })?;
        Ok(this)
    }

    /// Watches the runner, too: a stage whose runner was killed would go on for nobody. `runner` is the name of its process.
    pub fn watch_runner(&self, runner: &str) -> std::io::Result<()> {
        let shared = self.clone();
        process::when_abandoned(runner, move || shared.ask(AskedBy::Abandonment))
    }

    fn ask(&self, by: AskedBy) {
        let mut state = self.lock();
        state.asked.get_or_insert(by);
        match &state.reaction {
            Reaction::Exit(code) => {
                // A child on its way to becoming a worker has this program's memory: it must not stay.
                process::kill_children();
                std::process::exit(i32::from(*code));
            }
            Reaction::Tell(tell) => tell(),
        }
    }

    /// From now on this is called instead; at once, if somebody has asked before.
    pub fn subscribe(&self, tell: impl Fn() + Send + 'static) {
        let mut state = self.lock();
        if state.asked.is_some() {
            tell();
        }
        state.reaction = Reaction::Tell(Box::new(tell));
    }

    /// Who has asked first, if anybody has.
    pub fn asked(&self) -> Option<AskedBy> {
        self.lock().asked
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
