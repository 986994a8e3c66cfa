//! The races that need luck on a real cluster, as tables: see [`bench`](super::bench) for how they are read.

mod asking;
mod ending;
mod left;
mod queue;
mod submission;
mod token;

use super::bench::{For, play};

/// A sentence, what the course is for, and what happens.
type Row = (&'static str, For, &'static str);

const TABLES: [&[Row]; 6] = [submission::ROWS, asking::ROWS, token::ROWS, ending::ROWS, left::ROWS, queue::ROWS];

#[test]
fn every_race_takes_the_course_that_its_table_says() {
    let rows = TABLES.concat();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(name, what, table)| play(*what, table).err().map(|wrong| format!("{name}:\n{wrong}")))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n\n{}", wrong.len(), rows.len(), wrong.join("\n\n"));
}

#[test]
fn a_row_in_which_anything_else_happens_is_noticed() {
    for table in ["0 ready => submit", "0 ready => remember & submit & forget", "0 ready =>", "9 time => find"] {
        assert!(play(For::Stage, table).is_err(), "{table}");
    }
    let silent = "0 ready => remember & submit\n 0 called 17 => number 17 & tell submitted\n 9 mark => ask 17!";
    assert!(
        play(For::Stage, silent).is_err_and(|wrong| wrong.contains("at 5 already")),
        "a deadline between two lines"
    );
}

#[test]
fn a_worker_that_writes_record_after_record_for_a_start_that_is_over_has_the_scheduler_asked_a_hundred_times() {
    let begins = "0 ready             => remember & submit
                  0 called 17         => number 17 & tell submitted as
                  5 time              => ask 17
                  5 running restart 1 => tell starts the job once more & say runs on n1 & mint 17"
        .to_owned();
    let again = (6..106).map(|second| {
        format!(
            "{second} record 143 terminated => withdraw & ask 17!
             {second} running restart 1     => mint 17"
        )
    });
    let ends = "106 record 143 terminated =>
                135 time                  => ask 17"
        .to_owned();
    let table: Vec<String> = [begins].into_iter().chain(again).chain([ends]).collect();
    assert_eq!(play(For::Requeue, &table.join("\n")), Ok(()));
}
