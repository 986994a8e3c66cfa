//! A queue that is longer than GitLab's patience, or that nobody ever leaves.

use super::{For, Row};

pub const ROWS: &[Row] = &[
    (
        "a job that still waits shortly before its time in GitLab is over is cancelled, and that is a failure of its own",
        For::Impatient,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         5    pending Priority => say waiting in the queue: Priority
         59   always pending Priority => 3 questions
         60   time             => cancel 17
         60.1 called ok        =>
         60.25 time            => ask 17
         60.3 cancelled never-ran => canceller 17 & last-look & finish never-started the job never started",
    ),
    (
        "a job that has begun has all of its time",
        For::Impatient,
        "0   ready          => remember & submit
         0   called 17      => number 17 & tell submitted as
         5   time           => ask 17
         5   running        => say runs on n1
         120 always running => 2 questions",
    ),
    (
        "a job that begins in the last moment is not taken for one that waits, whatever the scheduler has said before",
        For::Impatient,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         5    pending Priority => say waiting in the queue: Priority
         58   always pending Priority => 3 questions
         59   mark             => ask 17!!
         61   running          => say runs on n1",
    ),
    (
        "a job that asks for more than any may have is cancelled, and has failed",
        For::ChosenResources,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         5    pending AssocMaxNodePerJobLimit => say waiting in the queue: AssocMaxNodePerJobLimit
         10   time             => ask 17
         10   pending AssocMaxNodePerJobLimit => cancel 17
         10.1 called ok        =>
         10.25 time            => ask 17
         10.3 cancelled never-ran => canceller 17 & last-look & finish job 1 the job can never start, and is cancelled: AssocMaxNodePerJobLimit: it asks for more than one job may have here (the job has set --mem",
    ),
    (
        "that comes before the end of GitLab's patience",
        For::Impatient,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         6    pending AssocMaxNodePerJobLimit => say waiting in the queue: AssocMaxNodePerJobLimit
         11   time             => ask 17
         11   pending AssocMaxNodePerJobLimit => cancel 17
         11.1 called ok        =>
         11.25 time            => ask 17
         11.3 cancelled never-ran => canceller 17 & last-look & finish site the job can never start, and is cancelled",
    ),
    (
        "what is said of it once may be over",
        For::Stage,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         5    pending AssocMaxNodePerJobLimit => say waiting in the queue: AssocMaxNodePerJobLimit
         10   time             => ask 17
         10   pending Priority => say waiting in the queue: Priority
         20   time             => ask 17
         20   pending AssocMaxNodePerJobLimit => say waiting in the queue: AssocMaxNodePerJobLimit
         40   time             => ask 17
         40   running          => say runs on n1 & mint 17",
    ),
    (
        "where the site itself has asked for so much, the site has failed",
        For::Stage,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         5    pending PartitionTimeLimit => say waiting in the queue: PartitionTimeLimit
         10   time             => ask 17
         10   pending PartitionTimeLimit => cancel 17
         10.1 called ok        =>
         10.25 time            => ask 17
         10.3 cancelled never-ran => canceller 17 & last-look & finish site what the site's own configuration says",
    ),
    (
        "where the site wants it, it waits all the same, and its author is told",
        For::Hopeful,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         5    time             => ask 17
         5    pending AssocMaxNodePerJobLimit => say waiting does not start it: it asks for more than one job may have here; cancel it
         59   always pending AssocMaxNodePerJobLimit => 3 questions",
    ),
    (
        "a job of which nothing is known may run",
        For::Impatient,
        "0   ready            => remember & submit
         0   called 17        => number 17 & tell submitted as
         5   time             => ask 17
         5   silent           => say the state of the job is not known",
    ),
];
