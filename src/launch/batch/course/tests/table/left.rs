//! Cleanup, of what an earlier stage has left.

use super::{For, Row};

pub const ROWS: &[Row] = &[
    (
        "a job that has ended by itself",
        For::Left,
        "0 ready     => ask 17
         0 completed => last-look & finish gone",
    ),
    (
        "a job that lives is cancelled, and its end awaited",
        For::Left,
        "0    ready      => ask 17
         0    running    => cancel 17
         0.05 called ok  =>
         0.2  time       => ask 17
         0.3  completing =>
         0.6  time       => ask 17
         0.7  cancelled  => canceller 17 & last-look & finish gone",
    ),
    (
        "a job that ends by itself is left alone for a while",
        For::LeftEnded,
        "0    ready          => ask 17
         0    running        =>
         9    always running => 5 questions
         12   always completed => last-look & finish gone & 1 questions",
    ),
    (
        "a job that was to end by itself and does not is cancelled",
        For::LeftEnded,
        "0  ready          => ask 17
         0  running        =>
         13 always running => cancel 17 & 6 questions",
    ),
    (
        "a number that is not known any more: perhaps it is only not shown, so its owner cancels it",
        For::Left,
        "0    ready       => ask 17
         0    no-such-job => cancel 17
         0.1  called Invalid job id specified =>
         0.25 time        => ask 17
         0.25 no-such-job => finish gone",
    ),
    (
        "a job that its owner has given another name is cancelled, and then looked for by ours",
        For::Left,
        "0    ready     => ask 17
         0    not-ours  => cancel 17
         0.1  called ok =>
         0.25 time      => find
         0.25 found     =>
         5    time      => find
         5    found     => finish gone",
    ),
    (
        "a job that looks like another one while it is cancelled is gone",
        For::Left,
        "0    ready     => ask 17
         0    running   => cancel 17
         0.05 called ok =>
         0.2  time      => ask 17
         0.2  not-ours  => finish gone",
    ),
    (
        "a name that nobody has: its owner cancels by it, and then it is believed",
        For::LeftWithoutNumber,
        "0    ready     => find
         0    found     =>
         5    time      => find
         5    found     => cancel-by-name
         5.1  called ok =>
         5.25 time      => find
         5.25 found     => finish gone",
    ),
    (
        "a name that a job has: the number is remembered, and it is cancelled",
        For::LeftWithoutNumber,
        "0    ready     => find
         0    found 17  => number 17
         0.2  time      => ask 17!
         0.2  running   => cancel 17
         0.3  called ok =>
         0.45 time      => ask 17
         0.5  cancelled => canceller 17 & last-look & finish gone",
    ),
    (
        "a cancellation by name that fails is tried again",
        For::LeftWithoutNumber,
        "0   ready                                    => find
         0   found                                    =>
         5   time                                     => find
         5   found                                    => cancel-by-name
         6   called Unable to contact slurm controller => say Slurm cannot cancel the job now
         7   time                                     => find
         7   found                                    => cancel-by-name",
    ),
    (
        "a controller that does not answer leaves the job to the next cleanup",
        For::Left,
        "0  ready         => ask 17
         20 silent        => say whether the job is gone is not known; trying again
         99 always silent => finish not-gone Slurm has not confirmed that job motmot-1-a-1 is gone & 6 questions",
    ),
    ("a worker that says nothing makes it no longer", For::Left, "90 time => finish not-gone Slurm has not confirmed"),
    ("a worker that cannot begin is an error", For::Left, "0 failed no home => finish error no home"),
    (
        "asked to end",
        For::Left,
        "0 ready   => ask 17
         1 SIGTERM => finish terminated",
    ),
];
