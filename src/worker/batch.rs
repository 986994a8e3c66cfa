//! A batch job, seen from the login node: lays out the files that the wrapper on the node needs, makes the calls that the
//! stage asks for, and passes on what the watch ([`super::tail`]) sees.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::directories::Held;
use super::tail::{Seen, Tail};
use super::token_file::TokenFile;
use super::walk::failure;
use super::{WorkerFailure, meeting, site};
use crate::order::BatchOrder;
use crate::order::frames::{Command, Report};
use crate::sys::call::{Answer, Call};
use crate::sys::directory::Directory;
use crate::sys::threads;

/// What the shell does between a login profile and the script.
const LAUNCHER: &str = include_str!("../../executor-scripts/launcher.bash");
/// How long one call of the scheduler's programs may take. They wait for a controller that does not answer themselves.
const CALL: Duration = Duration::from_mins(2);
/// How often a job is cancelled whose stage is gone; cleanup goes on after that.
const CANCEL_TRIES: u32 = 5;
/// How much of a program's words is passed on.
const WORDS: usize = 8 << 10;

/// What the worker waits for.
enum Arrival {
    Command(Option<Command>),
    Answered(Answer),
    Seen(Seen),
}

/// Serves one stage until it has nothing more to ask.
pub fn serve(order: &BatchOrder, stage: &mut UnixStream) -> Result<(), WorkerFailure> {
    let lost = |error: &dyn std::fmt::Display| site(format!("the stage binary cannot be told anything: {error}"));
    let mut held = Held::make_and_judge(&order.directories, &order.group_writable, &order.site_dir)?;
    let mut token = order.token.as_ref().map(|place| TokenFile::new(place, &held)).transpose()?;
    let place =
        order.place.as_ref().map(|place| prepare_job(place, order.settings.as_deref(), &mut held)).transpose()?;
    let run = match (order.place.as_ref().zip(place), order.run.as_ref()) {
        (Some((path, place)), Some(name)) => Some((path.join(name), place, name)),
        _ => None,
    };
    let run = if let Some((path, place, name)) = run {
        let script = match Command::read_from(stage) {
            Ok(Some(Command::Script(script))) => script,
            other => return Err(site(format!("the script did not come: {other:?}"))),
        };
        // Empty, and so of no use to anybody; a name that a network file system knows is noticed sooner when it changes.
        if let Some(token) = &mut token {
            token.replace(b"");
            if let Some(why) = token.trouble() {
                return Err(site(format!("cannot write the token file: {why}")));
            }
        }
        Some((prepare_run(&path, &script, &mut held)?, place, name))
    } else {
        None
    };
    drop(held);
    let (events, inbox) = channel();
    let tail = match &run {
        Some((run, place, name)) => {
            let seen = events.clone();
            let tell = move |what| seen.send(Arrival::Seen(what)).is_ok();
            let tail = Tail::start(run, place, &order.scheduler_output, order.output_timeout, tell);
            let tail = tail.map_err(|error| failure(run.path(), "cannot be watched", &error))?;
            // Now, with everything in its place, a wrapper that waits already may begin.
            meeting::replace(place, "next", format!("{name}\n").as_bytes())?;
            Some(tail)
        }
        None => None,
    };
    read_commands(stage.try_clone().map_err(|error| lost(&error))?, events.clone());
    Report::Ready.write_to(stage).map_err(|error| lost(&error))?;
    let mut calls = 0;
    while let Ok(event) = inbox.recv() {
        let report = match event {
            Arrival::Command(Some(Command::Call(call))) => {
                calls += 1;
                start_call(*call, events.clone());
                continue;
            }
            Arrival::Command(Some(Command::Token(bytes))) => {
                let Some(token) = &mut token else { continue };
                token.replace(&bytes);
                match token.trouble() {
                    Some(why) => Report::Notice(format!("warning: the token file cannot be written: {why}")),
                    None => continue,
                }
            }
            Arrival::Command(Some(Command::NoToken)) => {
                // Empty rather than gone, for the same reason as above.
                if let Some(token) = &mut token {
                    token.replace(b"");
                }
                continue;
            }
            Arrival::Command(Some(Command::LastLook)) => {
                tail.iter().for_each(Tail::last_look);
                continue;
            }
            Arrival::Command(Some(Command::Finish | Command::Kill)) => break,
            Arrival::Command(Some(Command::Terminate | Command::Order(_) | Command::Script(_))) => continue,
            Arrival::Command(None) => {
                token.iter_mut().for_each(TokenFile::remove);
                // A submission that is on its way comes first: it would be too late to be cancelled.
                while calls > 0 {
                    calls -= u32::from(matches!(inbox.recv(), Ok(Arrival::Answered(_)) | Err(_)));
                }
                abandon(order);
                return Ok(());
            }
            Arrival::Answered(answer) => {
                calls -= 1;
                Report::Answered(shortened(answer))
            }
            Arrival::Seen(Seen::Started(started)) => Report::Started(started),
            Arrival::Seen(Seen::Recorded(record)) => Report::Recorded(record),
            Arrival::Seen(Seen::Drained(drained)) => Report::Drained(drained),
            Arrival::Seen(Seen::Notice(words)) => Report::Notice(words),
        };
        // A stage that is gone: the end of its commands says so, too.
        let _ = report.write_to(stage);
    }
    token.iter_mut().for_each(TokenFile::remove);
    Ok(())
}

/// Commands block, so a thread reads them. `None` is the end of the stage.
fn read_commands(mut stage: UnixStream, events: Sender<Arrival>) {
    let _ = threads::spawn("commands", move || {
        loop {
            let command = Command::read_from(&mut stage).unwrap_or(None);
            let last = command.is_none();
            if events.send(Arrival::Command(command)).is_err() || last {
                return;
            }
        }
    });
}

fn start_call(call: Call, events: Sender<Arrival>) {
    let failed = events.clone();
    let started = threads::spawn("call", move || {
        let _ = events.send(Arrival::Answered(call.run_in_worker(CALL)));
    });
    if let Err(error) = started {
        let _ = failed.send(Arrival::Answered(Answer::NotStarted(error.to_string())));
    }
}

/// Nobody waits for the job any more: it goes.
fn abandon(order: &BatchOrder) {
    for call in &order.on_loss {
        for attempt in 0..CANCEL_TRIES {
            if matches!(call.run_in_worker(CALL), Answer::Exited { status: 0, .. }) {
                break;
            }
            std::thread::sleep(Duration::from_secs(1 << attempt)); // a scheduler that does not answer; nothing tells when it will
        }
    }
}

/// What all runs of a job have in common.
fn prepare_job(place: &Path, settings: Option<&str>, held: &mut Held) -> Result<Directory, WorkerFailure> {
    let place = held.one_more(place)?;
    if let Some(settings) = settings {
        meeting::replace(&place, "settings", settings.as_bytes())?;
        meeting::replace(&place, "launcher", LAUNCHER.as_bytes())?;
        meeting::replace(&place, "next", b"")?;
    }
    Ok(place)
}

/// What one run needs. Room for what the wrapper will write is taken now: a quota that is used up later must not cost a
/// script its result.
fn prepare_run(run: &Path, script: &[u8], held: &mut Held) -> Result<Directory, WorkerFailure> {
    let run = held.one_more(run)?;
    meeting::replace(&run, "script", script)?;
    for empty in ["output", "started", "record"] {
        meeting::replace(&run, empty, b"")?;
    }
    for mark in ["claim", "arrived"] {
        meeting::replace(&run, mark, b" ")?;
    }
    for room in ["started.new", "record.new"] {
        meeting::replace(&run, room, &[b' '; 512])?;
    }
    Ok(run)
}

fn shortened(answer: Answer) -> Answer {
    let short = |text: String| match text.char_indices().nth(WORDS) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    };
    match answer {
        Answer::Exited { status, out, err } => Answer::Exited { status, out: short(out), err: short(err) },
        other => other,
    }
}

#[cfg(test)]
mod tests;
