//! A login session of PAM's around a worker, and the small process that keeps it: it opens the session, starts the worker in
//! it, waits, and closes it, as su(1) and sshd(8) do.
//!
//! Why a process of its own. Modules change the process that they run in: its limits, its control group, its number in the
//! kernel's audit. The stage must stay what it is. They may allocate, lock and start programs, which the child of a process
//! with threads must not before it executes something; so this is the stage's program executed once more, with one thread
//! and without the stage's memory or environment. And a session is closed by somebody who is root, also when the stage has
//! been killed: the keeper is in a session of its own, out of reach of what is sent to the stage's group, and the job's
//! account cannot signal it.
//!
//! The worker is the keeper's child and becomes the account as any other does ([`super::spawn`]), with the same proof.
//! Nothing secret passes through here. Whom the worker becomes is not told from outside: the keeper has the account admitted
//! itself.

mod environment;
mod inside;
mod outside;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use inside::Post;
pub use outside::{Keeper, KeeperError, KeptWorker};

use super::process::Ending;

/// The descriptor through which stage and keeper speak. Its end means: close the session.
const CONTROL: i32 = super::spawn::FIRST_INHERITED;

/// How long the modules may take to open a session, and to close it: mounts, directories on a network, logind.
const OPENING: Duration = Duration::from_secs(20);
const CLOSING: Duration = Duration::from_secs(10);

/// What a keeper says, a line each.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// The session is open, and this worker runs in it.
    Started {
        /// Its process number. It stays its own until the stage has let go of the keeper.
        worker: i32,
        /// What modules have set, as far as it is passed on.
        environment: BTreeMap<String, String>,
    },
    /// No session. The words are for the admin.
    NoSession(String),
    /// A session, but no worker. It is closed again.
    NoWorker(String),
    /// The worker has ended: how, unless somebody traces it, who then alone is told.
    WorkerEnded(Option<Ending>),
    /// The session is closed, or could not be: why.
    Closed(Result<(), String>),
}
