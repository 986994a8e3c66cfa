//! One command line of a scheduler: run with an environment made from nothing, with a limit, and never with a terminal.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{offspring, process, threads};

/// How much of an answer is read. What comes behind it is thrown away.
const MOST: u64 = 256 << 10;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The program, by its full path.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them.
    pub args: Vec<String>,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    /// Its standard input.
    pub input: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The program ended by itself.
    Exited {
        /// Its exit status.
        status: u8,
        /// Its standard output.
        out: String,
        /// Its standard error.
        err: String,
    },
    /// It was ended by a signal, or by us when its time was over. What it had asked for may have been done.
    Ended(String),
    /// It could not be started. What it would have asked for has not been done.
    NotStarted(String),
}

impl Answer {
    /// Its words, for people: the last lines of its errors, or what became of it.
    pub fn words(&self) -> String {
        match self {
            Self::Exited { status, out, err } => {
                let text = if err.trim().is_empty() { out } else { err };
                let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                let last = lines[lines.len().saturating_sub(4)..].join("; ");
                if last.is_empty() { format!("exit status {status}, without a word") } else { last }
            }
            Self::Ended(words) | Self::NotStarted(words) => words.clone(),
        }
    }
}

impl Call {
    /// Runs it and waits, at most as long as `limit`.
    pub fn run(&self, limit: Duration) -> Answer {
        self.run_as(Command::new(&self.program), limit)
    }

    /// The same in a worker: what outlives its stage ends at the next cleanup, like all of a job.
    pub fn run_in_worker(&self, limit: Duration) -> Answer {
        let mut command = Command::new(&self.program);
        offspring::marked(&mut command);
        self.run_as(command, limit)
    }

    fn run_as(&self, mut command: Command, limit: Duration) -> Answer {
        let deadline = Instant::now() + limit;
        command.args(&self.args).env_clear().envs(&self.environment).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Answer::NotStarted(format!("{} cannot be started: {error}", self.program.display())),
        };
        // A program that does not read fills the pipe; hence a thread.
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.input.clone();
            let _ = threads::spawn("input", move || drop(stdin.write_all(input.as_bytes())));
        }
        let (out, err) = (reader("output", child.stdout.take()), reader("errors", child.stderr.take()));
        let Some(status) = wait(&mut child, deadline) else {
            let _ = child.kill();
            let _ = child.wait();
            return Answer::Ended(format!("no answer within {} s", limit.as_secs()));
        };
        // Something that it left behind may still hold its pipes.
        let soon = (Instant::now() + Duration::from_secs(1)).max(deadline.min(Instant::now() + Duration::from_secs(5)));
        let text = |from: Receiver<Text>| {
            from.recv_timeout(soon.saturating_duration_since(Instant::now())).unwrap_or_default()
        };
        let (out, err) = (text(out), text(err));
        // Half an answer may say the opposite of the whole.
        let Text::Whole(out) = out else { return Answer::Ended("more words than any answer has".into()) };
        let (Text::Whole(err) | Text::Cut(err)) = err;
        match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(status) => Answer::Exited { status, out, err },
            None => Answer::Ended(format!("ended by a signal ({status})")),
        }
    }
}

/// Runs a small tool of the system that says nothing unless it fails, with no environment; in a worker, as
/// [`Call::run_in_worker`].
///
/// # Errors
/// Its own words, or what became of it.
pub fn tool_in_worker(program: &Path, args: &[OsString], limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let mut command = Command::new(program);
    offspring::marked(&mut command).args(args).env_clear().env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let err = reader("errors", child.stderr.take());
    match wait(&mut child, deadline) {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let (Text::Whole(err) | Text::Cut(err)) = err.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
            let first = err.lines().next().map(|line| line.chars().take(300).collect());
            Err(first.unwrap_or_else(|| format!("without a word ({status})")))
        }
        None => {
            let _ = child.kill();
            // It may hang in the kernel, and is then left to it.
            let _ = wait(&mut child, Instant::now() + Duration::from_secs(1));
            Err(format!("no answer within {} s", limit.as_secs()))
        }
    }
}

/// What a program has said.
enum Text {
    Whole(String),
    /// Its beginning.
    Cut(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Cut(String::new())
    }
}

fn reader(name: &str, from: Option<impl Read + Send + 'static>) -> Receiver<Text> {
    let (done, text) = channel();
    if let Some(mut from) = from {
        let _ = threads::spawn(name, move || {
            let mut bytes = Vec::new();
            let _ = from.by_ref().take(MOST).read_to_end(&mut bytes);
            let more = std::io::copy(&mut from, &mut std::io::sink()).unwrap_or(1);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let _ = done.send(if more == 0 { Text::Whole(text) } else { Text::Cut(text) });
        });
    }
    text
}

/// Waits for the end of a child until `deadline`.
pub(super) fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    let (ended, end) = channel();
    let pid = child.id();
    let awaiting = threads::spawn("end", move || {
        process::await_end(pid);
        let _ = ended.send(());
    });
    awaiting.ok()?;
    end.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
    // It has ended; somebody else may have collected its status, and then it is lost.
    child.wait().ok()
}

/// A word of a shell script, whatever is in it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(script: &str, input: &str) -> Call {
        Call {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("A".into(), "b".into())]),
            input: input.into(),
        }
    }

    #[test]
    fn an_answer_has_status_words_and_an_environment_from_nothing() {
        let answer = call("cat; env | grep -v PWD | grep -v _= >&2; exit 3", "hello").run(Duration::from_mins(1));
        assert_eq!(answer, Answer::Exited { status: 3, out: "hello".into(), err: "A=b\n".into() });
        assert_eq!(answer.words(), "A=b");
    }

    #[test]
    fn what_a_worker_calls_counts_as_its_jobs_and_what_the_driver_calls_does_not() {
        let limit = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("Max file locks"));
            line.and_then(|line| line.split_ascii_whitespace().nth(4)).map(str::to_owned)
        };
        let call = call("cat /proc/self/limits", "");
        let (driver, worker) = (call.run(Duration::from_mins(1)), call.run_in_worker(Duration::from_mins(1)));
        let (Answer::Exited { out: driver, .. }, Answer::Exited { out: worker, .. }) = (driver, worker) else {
            panic!("it ends by itself")
        };
        let own = std::fs::read_to_string("/proc/self/limits").expect("limits");
        assert_eq!((limit(&driver), limit(&worker).as_deref()), (limit(&own), Some("0")));
    }

    #[test]
    fn a_call_that_does_not_end_is_ended_and_no_answer_is_made_up() {
        let start = Instant::now();
        assert!(matches!(call("sleep 100", "").run(Duration::from_millis(200)), Answer::Ended(_)));
        assert!(start.elapsed() < Duration::from_secs(20));
        let missing = Call { program: "/nonexistent/sbatch".into(), ..call("", "") };
        assert!(matches!(missing.run(Duration::from_secs(1)), Answer::NotStarted(_)));
    }

    #[test]
    fn a_program_that_neither_reads_nor_stops_talking_has_given_no_answer() {
        let answer = call("yes | head -c 1000000; exit 0", &"x".repeat(1 << 20)).run(Duration::from_mins(1));
        assert!(matches!(answer, Answer::Ended(_)), "what is cut off may say the opposite");
        let answer = call("yes | head -c 1000000 >&2; echo 17", "").run(Duration::from_mins(1));
        assert!(matches!(answer, Answer::Exited { status: 0, out, .. } if out == "17\n"));
    }
}
