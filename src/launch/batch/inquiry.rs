//! Questions to a scheduler that only the account of a job can ask, before there is a job.

use std::sync::mpsc::{Receiver, Sender, sync_channel};
use std::time::{Duration, Instant};

use super::pace::{Pace, Recall, Turn, Urgency, Wish};
use crate::launch::error::LaunchError;
use crate::launch::masking::Secrets;
use crate::launch::workplace::{Opened, Roster, Start, Workplace, write_commands};
use crate::order::frames::{Command, Report};
use crate::order::{BatchOrder, Order};
use crate::sys::call::{Answer, Call};
use crate::sys::cgroup::JobGroup;
use crate::sys::signals::Termination;
use crate::sys::spawn::WorkerProgram;
use crate::sys::threads;

/// How many events wait for their turn; who sends more waits.
const MOST_EVENTS: usize = 4;

/// A worker that asks.
pub struct Line {
    inbox: Receiver<Event>,
    commands: Sender<Command>,
    pace: Pace,
    /// Nothing is waited for after that.
    until: Instant,
}

enum Event {
    Report(Report),
    /// The worker is gone, or nobody waits for the stage any more.
    Over,
}

/// Who asks, and for how long. Whatever is still asked at its end is ended.
pub struct Inquiry<'a> {
    /// The worker's program.
    pub program: &'a WorkerProgram,
    /// How it starts.
    pub start: &'a Start,
    /// What its processes are put in.
    pub group: Option<JobGroup>,
    /// Where it is written down.
    pub roster: Option<&'a dyn Roster>,
    /// When to ask.
    pub pace: Pace,
    /// How long all questions together may take.
    pub limit: Duration,
}

/// Opens a line, and asks these questions.
pub fn ask<T>(
    inquiry: Inquiry<'_>,
    termination: &Termination,
    questions: impl FnOnce(&mut Line) -> T,
) -> Result<T, LaunchError> {
    let Inquiry { program, start, group, roster, pace, limit } = inquiry;
    let Opened { workplace, mut worker, socket, environment: _ } =
        Workplace::open(program, start, Secrets::default(), group, roster)?;
    let (events, inbox) = sync_channel(MOST_EVENTS);
    let (on_terminate, on_end) = (events.clone(), events.clone());
    termination.subscribe(move || drop(on_terminate.try_send(Event::Over)));
    worker.when_ended(move || drop(on_end.send(Event::Over)))?;
    let mut reports = socket.try_clone()?;
    threads::spawn("reports", move || {
        while let Ok(Some(report)) = Report::read_from(&mut reports) {
            if events.send(Event::Report(report)).is_err() {
                return;
            }
        }
    })?;
    let commands = write_commands(socket)?;
    let _ = commands.send(Command::Order(Box::new(Order::Batch(BatchOrder::default()))));
    let mut line = Line { inbox, commands, pace, until: Instant::now() + limit };
    let said = questions(&mut line);
    let _ = line.commands.send(Command::Finish);
    drop(line);
    if termination.asked().is_some() {
        worker.kill();
    }
    drop(worker);
    workplace.close();
    Ok(said)
}

impl Line {
    /// A job that is judged as if it were submitted: once for each CI job, as its submissions.
    pub fn try_out(&mut self, call: Call) -> Option<Answer> {
        self.call(Wish::Submission, call)
    }

    /// One question.
    pub fn ask(&mut self, call: Call) -> Option<Answer> {
        self.call(Wish::Question(Urgency::High), call)
    }

    /// When the pace allows it. `None` without an answer in time, and to all that follow.
    fn call(&mut self, wish: Wish, call: Call) -> Option<Answer> {
        let (pace, commands) = (self.pace.clone(), self.commands.clone());
        let recall = Recall::default();
        let waits = recall.clone();
        let called = threads::spawn("call", move || {
            if pace.wait_unless(wish, &waits) == Turn::Taken {
                waits.do_unless_taken_back(|| drop(commands.send(Command::Call(Box::new(call)))));
            }
        });
        if let Err(error) = called {
            return Some(Answer::NotStarted(error.to_string()));
        }
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Event::Report(Report::Answered(answer))) => return Some(answer),
                // That it is ready, above all. However many there are, they end with the time.
                Ok(Event::Report(_)) if !left.is_zero() => {}
                _ => {
                    // Nor is anything asked for which nobody waits any more.
                    recall.take_back();
                    self.until = Instant::now();
                    return None;
                }
            }
        }
    }
}
