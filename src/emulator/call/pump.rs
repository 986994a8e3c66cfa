//! The output of a call on its way to where it belongs.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::log::{Logs, Stream};

/// Where one of the two output pipes leads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sink {
    /// Into the job log.
    Job(Stream),
    /// Nowhere: kept, to be read as JSON.
    Keep,
    /// Line by line into the runner's log, at this level, with this `cleanup_std`.
    Runner(&'static str, &'static str),
}

const CHUNK: usize = 64 * 1024;

/// How long an unfinished line may wait for its end. Keeps lines of the two pipes whole without
/// hiding a prompt or a progress bar.
const LINE_WAIT: Duration = Duration::from_millis(50);

/// Reads a pipe to its end. Returns what was kept, and how much came.
pub(crate) async fn pump(mut pipe: impl AsyncRead + Unpin, sink: Sink, logs: Logs) -> (Vec<u8>, u64) {
    let mut total = 0;
    let mut pending: Vec<u8> = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let waits = matches!(sink, Sink::Job(_)) && !pending.is_empty();
        let read = if waits {
            let Ok(read) = tokio::time::timeout(LINE_WAIT, pipe.read(&mut chunk)).await else {
                deliver(sink, std::mem::take(&mut pending), &logs).await;
                continue;
            };
            read
        } else {
            pipe.read(&mut chunk).await
        };
        let count = read.unwrap_or_default();
        if count == 0 {
            break;
        }
        total += count as u64;
        pending.extend_from_slice(&chunk[..count]);
        if matches!(sink, Sink::Keep) {
            continue;
        }
        let whole = match memchr::memrchr(b'\n', &pending) {
            Some(newline) => newline + 1,
            None if pending.len() >= CHUNK => pending.len(),
            None => continue,
        };
        let rest = pending.split_off(whole);
        deliver(sink, std::mem::replace(&mut pending, rest), &logs).await;
    }
    if matches!(sink, Sink::Keep) {
        return (pending, total);
    }
    deliver(sink, pending, &logs).await;
    (Vec::new(), total)
}

async fn deliver(sink: Sink, bytes: Vec<u8>, logs: &Logs) {
    match sink {
        Sink::Job(stream) => logs.job(stream, bytes).await,
        Sink::Keep => {}
        Sink::Runner(level, pipe) => {
            for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                logs.runner(level, &String::from_utf8_lossy(line), &format!("cleanup_std={pipe}")).await;
            }
        }
    }
}
