//! What stage binary and worker say to each other, over the socket that is the worker's standard input.
//!
//! A frame is one byte of kind, four bytes of length (little endian), and the payload. Both ends come from one build.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Order;
use super::completion::{Completion, Started};
use crate::sys::call::{Answer, Call};
use crate::sys::process::Ending;

/// Longest script and longest order.
const MAX_TO_WORKER: u32 = 512 << 20;
/// Longest report. The worker runs as the job's account, so its words are not trusted to be few.
const MAX_TO_STAGE: u32 = 64 << 10;

/// To the worker.
#[derive(Debug)]
pub enum Command {
    /// What to do; always the first frame.
    Order(Box<Order>),
    /// The runner's script; follows an order that runs one.
    Script(Zeroizing<Vec<u8>>),
    /// A token for `CI_JOB_JWT_FILE`, in place of the one before.
    Token(Zeroizing<Vec<u8>>),
    /// No usable token any more: remove the file.
    NoToken,
    /// Call a program of the scheduler, as the job's account.
    Call(Box<Call>),
    /// The scheduler says that the job is over: look for what it has left once more, but not for ever.
    LastLook,
    /// Nothing more to do.
    Finish,
    /// SIGTERM to the job's process group.
    Terminate,
    /// SIGKILL to everything.
    Kill,
}

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The job's shell ended, and everything below it is gone.
    Ended {
        /// How the shell ended.
        ending: Ending,
        /// Whether a token file could not be written at some time, and why.
        token_trouble: Option<String>,
    },
    /// An order without a script is done.
    Done,
    /// All files of a batch job are there.
    Ready,
    /// What came of a call.
    Answered(Answer),
    /// The batch script has begun.
    Started(Started),
    /// The batch script has ended.
    Recorded(Completion),
    /// All of its output has been passed on; or no more of it will come.
    Drained(Drained),
    /// Something that the author of the job should know.
    Notice(String),
    /// It could not be done.
    Failed(WorkerFailure),
}

/// What is left to say when the output of a batch job has been passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Bytes that the completion record promises, and that never came.
    pub missing: u64,
    /// What the scheduler itself has written into the job's file: that it was cancelled, for example.
    pub scheduler_words: String,
}

/// Why a worker could not do what it was asked.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{words}")]
pub struct WorkerFailure {
    /// Whose failure it is.
    pub blame: Blame,
    /// What is wrong, where, and what to do.
    pub words: String,
}

/// Whose failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The account's own: its directories are unsafe, its quota is used up.
    Account,
    /// The site's.
    Site,
}

const ORDER: u8 = 1;
const SCRIPT: u8 = 2;
const TOKEN: u8 = 3;
const NO_TOKEN: u8 = 4;
const TERMINATE: u8 = 5;
const KILL: u8 = 6;
const REPORT: u8 = 7;
const CALL: u8 = 8;
const LAST_LOOK: u8 = 9;
const FINISH: u8 = 10;

impl Command {
    /// Writes one frame.
    pub fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Order(order) => write_frame(to, ORDER, &Zeroizing::new(serde_json::to_vec(order)?)),
            Self::Script(script) => write_frame(to, SCRIPT, script),
            Self::Token(token) => write_frame(to, TOKEN, token),
            Self::NoToken => write_frame(to, NO_TOKEN, &[]),
            Self::Call(call) => write_frame(to, CALL, &serde_json::to_vec(call)?),
            Self::LastLook => write_frame(to, LAST_LOOK, &[]),
            Self::Finish => write_frame(to, FINISH, &[]),
            Self::Terminate => write_frame(to, TERMINATE, &[]),
            Self::Kill => write_frame(to, KILL, &[]),
        }
    }

    /// Reads one frame; `None` when the stage binary is gone.
    pub fn read_from(from: &mut impl Read) -> io::Result<Option<Self>> {
        let Some((kind, payload)) = read_frame(from, MAX_TO_WORKER)? else { return Ok(None) };
        Ok(Some(match kind {
            ORDER => Self::Order(serde_json::from_slice(&payload)?),
            SCRIPT => Self::Script(payload),
            TOKEN => Self::Token(payload),
            NO_TOKEN => Self::NoToken,
            CALL => Self::Call(serde_json::from_slice(&payload)?),
            LAST_LOOK => Self::LastLook,
            FINISH => Self::Finish,
            TERMINATE => Self::Terminate,
            KILL => Self::Kill,
            _ => return Err(unknown(kind)),
        }))
    }
}

impl Report {
    /// Writes one frame.
    pub fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        write_frame(to, REPORT, &serde_json::to_vec(self)?)
    }

    /// Reads one frame; `None` when the worker is gone.
    pub fn read_from(from: &mut impl Read) -> io::Result<Option<Self>> {
        match read_frame(from, MAX_TO_STAGE)? {
            Some((REPORT, payload)) => Ok(Some(serde_json::from_slice(&payload)?)),
            Some((kind, _)) => Err(unknown(kind)),
            None => Ok(None),
        }
    }
}

fn unknown(kind: u8) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unknown frame {kind}: stage binary and worker are not from one build"),
    )
}

fn write_frame(to: &mut impl Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= MAX_TO_WORKER)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too long"))?;
    let mut head = [kind; 5];
    head[1..].copy_from_slice(&length.to_le_bytes());
    to.write_all(&head)?;
    to.write_all(payload)?;
    to.flush()
}

fn read_frame(from: &mut impl Read, max: u32) -> io::Result<Option<(u8, Zeroizing<Vec<u8>>)>> {
    let mut head = [0; 5];
    match from.read(&mut head[..1]) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        // The other end died with something unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    }
    from.read_exact(&mut head[1..])?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    if length > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is too long")));
    }
    let mut payload = Zeroizing::new(vec![0; length as usize]);
    from.read_exact(&mut payload)?;
    Ok(Some((head[0], payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire() {
        let mut wire = Vec::new();
        Command::Script(Zeroizing::new(b"echo hi".to_vec())).write_to(&mut wire).expect("written");
        Command::Terminate.write_to(&mut wire).expect("written");
        let mut from = wire.as_slice();
        assert!(matches!(Command::read_from(&mut from), Ok(Some(Command::Script(script))) if *script == b"echo hi"));
        assert!(matches!(Command::read_from(&mut from), Ok(Some(Command::Terminate))));
        assert!(matches!(Command::read_from(&mut from), Ok(None)));
    }

    #[test]
    fn a_report_that_is_too_long_or_torn_is_an_error_and_not_read() {
        let long = [&[REPORT][..], &u32::MAX.to_le_bytes()].concat();
        assert!(Report::read_from(&mut long.as_slice()).is_err());
        assert!(Report::read_from(&mut [REPORT, 9, 0].as_slice()).is_err());
        assert!(Report::read_from(&mut [&[REPORT][..], &3_u32.to_le_bytes(), b"{}}"].concat().as_slice()).is_err());
    }
}
