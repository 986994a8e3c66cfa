//! What the course has done for it.

use crate::launch::batch::pace::Urgency;
use crate::launch::batch::result::BatchOutcome;
use crate::launch::error::LaunchError;
use crate::scheduler::{JobId, Placement, Signal};

/// Something to do. Those of one answer are done in their order; what one of them brings at once (a ledger's error, a
/// token) is told to the course before the next one is done.
#[derive(Debug)]
pub enum Action {
    /// Remember that a job of this name may exist from now on; answered by
    /// [`Event::Remembered`](super::Event::Remembered).
    RememberName,
    /// Remember its number. Only a failure is answered, by [`Event::NumberLost`](super::Event::NumberLost).
    RememberNumber(JobId),
    /// There is no such job.
    Forget,
    /// Have the worker call a program of the scheduler, as the job's account.
    Call(Calling),
    /// Do not make the submission that still waits for its turn; answered by
    /// [`BatchEvent::NotCalled`](super::BatchEvent::NotCalled), unless it was made already.
    TakeBack,
    /// Ask the scheduler, as ourselves.
    Ask(Question),
    /// Have the worker look once more, but not for ever, for what the script has left.
    LastLook,
    /// Mint the first token of a start of the job, which runs there; answered by [`Event::Token`](super::Event::Token).
    MintToken(Placement),
    /// Mint the next one; answered in the same way.
    RenewToken,
    /// No new token; the one before may stay until it expires. Answered in the same way.
    HoldToken,
    /// Take the token away.
    WithdrawToken,
    /// Words of ours for the job log.
    Tell(String),
    /// Words that somebody else had a part in: of the account's, or of the scheduler's, which may quote it. To be masked.
    Say(String),
    /// It is over. Nothing follows.
    Finish(Result<BatchOutcome, LaunchError>),
}

/// What the worker calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calling {
    /// The submission.
    Submit,
    /// Cancels the job.
    Cancel(JobId),
    /// Cancels whatever has its name.
    CancelByName,
    /// Has the wrapper send this to the script, and go on.
    Signal(JobId, Signal),
}

/// What the scheduler is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The state of the job; answered by [`Event::State`](super::Event::State).
    State(JobId, Urgency),
    /// Which jobs have its name; answered by [`Event::Found`](super::Event::Found).
    Find(Urgency),
    /// Who cancelled it; answered by [`Event::Canceller`](super::Event::Canceller).
    Canceller(JobId),
}
