//! How records are shown: as they are, in a table, or run by run with their times.

use std::collections::HashMap;
use std::io::{self, Write};

use anyhow::{Context, bail};

use super::files::LogFiles;
use super::lines::{Line, Lines};
use super::wanted::{Record, Wanted};
use crate::report::{one_line, printable};

/// So many characters of what is particular to a record are in a line.
const MOST_SHOWN: usize = 300;
/// More runs, or more records of them, are no timeline that anybody reads.
const MOST_RUNS: usize = 1000;
const MOST_RECORDS: usize = 20_000;

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
    Timeline,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// How many records were wanted.
    pub(super) found: u64,
    /// How many lines are no records, and where the first of them is.
    pub(super) unreadable: u64,
    pub(super) first_unreadable: Option<String>,
}

/// Shows all records that are wanted.
pub(super) fn show(files: &LogFiles, wanted: &Wanted, form: Form, mut out: impl Write) -> anyhow::Result<Shown> {
    match form {
        Form::Timeline => timeline(files, wanted, out),
        Form::Json => each(files, |line, record| {
            // Others may have written into the file: what a terminal obeys is not passed on to it.
            if wanted.holds(record) { writeln!(out, "{}", printable(line)).map(|()| true) } else { Ok(false) }
        }),
        Form::Table => {
            // With the first record: what cannot be read has no table.
            let mut header =
                Some(format!("{:<20} {:<11} {:>9} {:<12} {:<12} WHAT\n", "TIME", "EVENT", "JOB", "USER", "ACCOUNT"));
            each(files, |_, record| {
                if !wanted.holds(record) {
                    return Ok(false);
                }
                let cell = |field| shortened(&record.shown(field), 40);
                let time = record.time().map_or_else(|| cell("timestamp"), |at| format!("{at:.0}"));
                let (event, job, user, account) = (cell("event"), cell("job_id"), cell("user"), cell("account"));
                let what = shortened(&record.details(), MOST_SHOWN);
                let line = format!("{time:<20} {event:<11} {job:>9} {user:<12} {account:<12} {what}");
                writeln!(out, "{}{}", header.take().unwrap_or_default(), line.trim_end()).map(|()| true)
            })
        }
    }
}

/// Hands each record over, with its line; `act` says whether it was wanted.
pub(super) fn each(files: &LogFiles, mut act: impl FnMut(&str, &Record) -> io::Result<bool>) -> anyhow::Result<Shown> {
    let mut shown = Shown::default();
    for file in &files.files {
        let mut lines = Lines::of(file.open()?);
        let mut number = 0_u64;
        while let Some(line) = lines.next().with_context(|| file.failed())? {
            number += 1;
            let record = match line {
                Line::Whole(bytes) | Line::Unended(bytes) => {
                    std::str::from_utf8(bytes).ok().and_then(|text| Some((text, Record::of(bytes)?)))
                }
                Line::TooLong => None,
            };
            if let Some((text, record)) = record {
                shown.found += u64::from(act(text, &record)?);
            } else {
                shown.unreadable += 1;
                shown.first_unreadable.get_or_insert_with(|| one_line(&format!("{file}:{number}")));
            }
        }
    }
    Ok(shown)
}

/// All records of each run of which one is wanted.
fn timeline(files: &LogFiles, wanted: &Wanted, mut out: impl Write) -> anyhow::Result<Shown> {
    if files.files.iter().any(|file| !file.path.is_file()) {
        bail!("a timeline is made of files that can be read twice: name no pipe");
    }
    let mut runs: HashMap<String, Vec<Record>> = HashMap::new();
    let mut order = Vec::new();
    let shown = each(files, |_, record| {
        let holds = wanted.holds(record);
        let run = record.run();
        if holds && order.len() <= MOST_RUNS && !runs.contains_key(&run) {
            runs.insert(run.clone(), Vec::new());
            order.push(run);
        }
        Ok(holds)
    })?;
    if order.len() > MOST_RUNS {
        bail!("these are more than {MOST_RUNS} runs: narrow them down (--job, --since, --until)");
    }
    let mut records = 0;
    each(files, |_, record| {
        if let Some(run) = runs.get_mut(&record.run())
            && records < MOST_RECORDS
        {
            records += 1;
            run.push(record.clone());
        }
        Ok(true)
    })?;
    if records == MOST_RECORDS {
        bail!("these are more than {MOST_RECORDS} records: narrow them down (--job, --since, --until)");
    }
    for (number, run) in order.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        one_run(run, &runs[run], &mut out)?;
    }
    Ok(shown)
}

fn one_run(run: &str, records: &[Record], out: &mut impl Write) -> io::Result<()> {
    let first = |field: &str| records.iter().map(|record| record.shown(field)).find(|text| !text.is_empty());
    let mut head = format!("job {}", first("job_id").unwrap_or_else(|| "unknown".into()));
    for (field, words) in [
        ("project", "of"),
        ("pipeline_id", "in pipeline"),
        ("ref", "on"),
        ("sha", "at"),
        ("user", "for"),
        ("account", "as"),
        ("host", "on machine"),
    ] {
        if let Some(text) = first(field) {
            head.extend([" ", words, " ", &text]);
        }
    }
    writeln!(out, "{}, reference {}", shortened(&head, MOST_SHOWN), shortened(run, 40))?;
    let mut before = None;
    for record in records {
        let now = record.time();
        let since = match (before, now) {
            (Some(before), Some(now)) => format!("{:+.3}", now.duration_since(before).as_secs_f64()),
            _ => String::new(),
        };
        before = now.or(before);
        let at = now.map_or_else(|| shortened(&record.shown("timestamp"), 24), |at| format!("{at:.3}"));
        let (event, what) = (shortened(&record.shown("event"), 40), shortened(&record.details(), MOST_SHOWN));
        writeln!(out, "{}", format!("  {at:<24} {since:>10}  {event:<11} {what}").trim_end())?;
    }
    Ok(())
}

/// In one line, which is not longer than that.
fn shortened(text: &str, most: usize) -> String {
    let mut line: String = one_line(text).chars().take(most + 1).collect();
    if line.chars().count() > most {
        line.pop();
        line.push_str("...");
    }
    line
}
