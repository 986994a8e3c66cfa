//! Events from outside a job: GitLab cancels it, the runner is told to stop, or is killed.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::context::Context;
use crate::simulation::faults::{Cancel, CancelMode, CancelWhen};

/// The levers.
pub(crate) struct Control {
    /// The whole job.
    pub(crate) job: Context,
    /// What a graceful cancel ends: first the whole job, later only the script.
    graceful: Mutex<Context>,
    interrupted: watch::Sender<bool>,
    killed: watch::Sender<bool>,
    cancel: Mutex<Option<Cancel>>,
    signals: bool,
    stopped: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    pub(crate) fn new(job: Context, cancel: Option<Cancel>, signals: bool) -> Self {
        Self {
            graceful: Mutex::new(job.clone()),
            job,
            interrupted: watch::Sender::new(false),
            killed: watch::Sender::new(false),
            cancel: Mutex::new(cancel),
            signals,
            stopped: Mutex::default(),
        }
    }

    /// Calls `action` when the job is stopped from outside.
    pub(crate) fn on_stop(&self, action: impl Fn() + Send + 'static) {
        locked(&self.stopped).push(Box::new(action));
    }

    /// From now on a graceful cancel only ends this.
    pub(crate) fn narrow(&self, script: Context) {
        *locked(&self.graceful) = script;
    }

    pub(crate) fn stop(&self, mode: CancelMode) {
        match mode {
            CancelMode::Graceful => locked(&self.graceful).cancel(),
            CancelMode::Hard => self.job.cancel(),
            CancelMode::RunnerTerm => {
                self.interrupted.send_replace(true);
                return;
            }
        }
        for action in &*locked(&self.stopped) {
            action();
        }
    }

    /// The runner dies.
    pub(crate) fn kill(&self) {
        self.killed.send_replace(true);
    }

    pub(crate) async fn killed(&self) {
        let _ = self.killed.subscribe().wait_for(|killed| *killed).await;
    }

    pub(crate) async fn interrupted(&self) {
        let _ = self.interrupted.subscribe().wait_for(|interrupted| *interrupted).await;
    }

    /// A call has been started.
    pub(crate) fn started(&self, name: &str) {
        let due = locked(&self.cancel)
            .take_if(|cancel| matches!(&cancel.when, CancelWhen::InSubStage(stage) if stage == name));
        if let Some(cancel) = due {
            self.stop(cancel.mode);
        }
    }

    /// The cancel that waits for a text, if there is one.
    pub(crate) fn waits_for_text(&self) -> Option<(CancelMode, String)> {
        match &*locked(&self.cancel) {
            Some(Cancel { mode, when: CancelWhen::OnText(text) }) => Some((*mode, text.clone())),
            _ => None,
        }
    }

    /// Waits for the moment of a timed cancel, and for signals to this process: the first is a
    /// graceful cancel, the second a hard one.
    pub(crate) async fn watch(&self) {
        let moment = match &*locked(&self.cancel) {
            Some(Cancel { mode, when: CancelWhen::After(delay) }) => Some((*mode, *delay)),
            _ => None,
        };
        let timer = async {
            match moment {
                Some((mode, delay)) => {
                    tokio::time::sleep(delay).await;
                    self.stop(mode);
                }
                None => std::future::pending().await,
            }
        };
        tokio::join!(timer, async {
            if self.signals {
                self.obey_signals().await;
            }
        });
    }

    async fn obey_signals(&self) {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let mut mode = CancelMode::Graceful;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            self.stop(mode);
            mode = CancelMode::Hard;
        }
    }
}
