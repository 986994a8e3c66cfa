//! How long something may go on: a deadline, a cancel, or the end of whatever it belongs to.
//!
//! Every time limit of the runner is a chain of these, and what a driver's death is called
//! afterwards depends on which link of the chain ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextEnd {
    /// Somebody stopped it.
    Canceled,
    /// The time was up.
    DeadlineExceeded,
}

/// A time span during which work may run.
#[derive(Debug, Clone)]
pub(crate) struct Context(Arc<Link>);

#[derive(Debug)]
struct Link {
    parents: Vec<Context>,
    deadline: Option<Instant>,
    canceled: watch::Sender<bool>,
}

impl Context {
    /// One that belongs to nothing else.
    pub(crate) fn background(limit: Option<Duration>) -> Self {
        Self::new(Vec::new(), limit)
    }

    /// One that also ends when `self` does.
    pub(crate) fn child(&self, limit: Option<Duration>) -> Self {
        Self::new(vec![self.clone()], limit)
    }

    /// One that ends as soon as one of the two does.
    pub(crate) fn either(&self, other: &Self) -> Self {
        Self::new(vec![self.clone(), other.clone()], None)
    }

    fn new(parents: Vec<Self>, limit: Option<Duration>) -> Self {
        // A limit too far away for the clock is no limit.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        Self(Arc::new(Link { parents, deadline, canceled: watch::Sender::new(false) }))
    }

    /// Ends it, and everything that belongs to it.
    pub(crate) fn cancel(&self) {
        self.0.canceled.send_replace(true);
    }

    /// Whether it has ended, and why. The outermost reason counts.
    pub(crate) fn ended(&self) -> Option<ContextEnd> {
        if let Some(ended) = self.0.parents.iter().find_map(Self::ended) {
            return Some(ended);
        }
        if *self.0.canceled.borrow() {
            return Some(ContextEnd::Canceled);
        }
        let late = self.0.deadline.is_some_and(|deadline| deadline <= Instant::now());
        late.then_some(ContextEnd::DeadlineExceeded)
    }

    /// Waits until it has ended.
    pub(crate) fn done(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut canceled = self.0.canceled.subscribe();
            let parent = async {
                let mut waits: Vec<_> = self.0.parents.iter().map(Self::done).collect();
                std::future::poll_fn(|task| {
                    let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(task).is_ready());
                    if ready { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            };
            let late = async {
                match self.0.deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives in `self`, so this cannot fail.
                _ = canceled.wait_for(|canceled| *canceled) => {}
                () = parent => {}
                () = late => {}
            }
        })
    }
}
