//! What the scheduler and the worker say while nobody wants the job to end.

use super::{For, Row};

pub const ROWS: &[Row] = &[
    (
        "record before state: the scheduler is asked once more, and what it said before does not count",
        For::Stage,
        "0   ready     => remember & submit
         0   called 17 => number 17 & tell submitted as
         5   time      => ask 17
         6   record 0  =>
         6.1 running   => ask 17!
         6.2 drained   =>
         6.3 running   => finish success",
    ),
    (
        "state before record: a last look, and the scheduler is asked again",
        For::Stage,
        "0   ready     => remember & submit
         0   called 17 => number 17 & tell submitted as
         5   time      => ask 17
         5   exited 3  => last-look
         5.5 record 3  => ask 17!
         5.6 drained   =>
         5.7 exited 3  => finish job 3",
    ),
    (
        "an end without a record is no success",
        For::Stage,
        "0 ready     => remember & submit
         0 called 17 => number 17 & tell submitted as
         5 time      => ask 17
         5 completed => last-look
         7 drained   => finish site but its completion record has not come",
    ),
    (
        "a batch script that was killed before it could write its record has failed",
        For::Stage,
        "0 ready                 => remember & submit
         0 called 17             => number 17 & tell submitted as
         5 time                  => ask 17
         5 killed                => last-look
         7 drained says oom-kill => say oom-kill & finish job 137 by signal 9",
    ),
    (
        "bytes that are missing are told",
        For::Stage,
        "0 ready             => remember & submit
         0 called 17         => number 17 & tell submitted as
         4 record 0          => ask 17!
         4 completed         =>
         9 drained missing 7 => tell warning: the last 7 bytes of the output & finish success",
    ),
    (
        "a job that is forgotten is judged by its record",
        For::Stage,
        "0 ready       => remember & submit
         0 called 17   => number 17 & tell submitted as
         4 record 3    => ask 17!
         4 no-such-job =>
         4 drained     => finish job 3",
    ),
    (
        "a job that is forgotten without a record is unknown, and no failure",
        For::Stage,
        "0   ready              => remember & submit
         0   called 17          => number 17 & tell submitted as
         5   time               => ask 17
         5   no-such-job        => say it knows no such job any more, or not yet; the state of the job is not known; it goes on
         999 always no-such-job => finish site Slurm has said nothing about this job for 10m & 23 questions",
    ),
    (
        "a job that its owner has made to look like another one is unknown",
        For::Stage,
        "0   ready           => remember & submit
         0   called 17       => number 17 & tell submitted as
         5   time            => ask 17
         5   not-ours        => say job 17 is not the one
         6   time            => ask 17
         6   running         => tell Slurm answers again, after 1 s & say runs on n1 & mint 17
         999 always not-ours => say job 17 is not the one & renew & finish site so nobody knows how it ended (Slurm job 17; look it up & 24 questions",
    ),
    (
        "a controller that is silent for a while is told of twice",
        For::Stage,
        "0  ready     => remember & submit
         0  called 17 => number 17 & tell submitted as
         1  mark      => ask 17!!
         1  running   => say runs on n1 & mint 17
         31 time      => ask 17
         51 silent    => say Socket timed out; the state of the job is not known; it goes on
         52 time      => ask 17
         72 silent    =>
         74 time      => ask 17
         74 running   => tell Slurm answers again, after 23 s",
    ),
    (
        "a controller that stays silent while the script ends makes the end unknown",
        For::Stage,
        "0   ready         => remember & submit
         0   called 17     => number 17 & tell submitted as
         4   record 0      => ask 17!
         4   drained       =>
         9   silent        => say the state of the job is not known
         999 always silent => finish site so nobody knows how it ended & 23 questions",
    ),
    (
        "a controller that comes back after the end of the script is believed",
        For::Stage,
        "0  ready     => remember & submit
         0  called 17 => number 17 & tell submitted as
         4  record 0  => ask 17!
         4  drained   =>
         9  silent    => say the state of the job is not known
         10 time      => ask 17
         10 completed => tell Slurm answers again & finish success",
    ),
    (
        "cancelled by its own account",
        For::Stage,
        "0 ready               => remember & submit
         0 called 17           => number 17 & tell submitted as
         5 time                => ask 17
         5 cancelled never-ran => canceller 17 & last-look
         6 canceller 1001      => finish job 1 the job was cancelled by its own account",
    ),
    (
        "cancelled by somebody else",
        For::Stage,
        "0 ready               => remember & submit
         0 called 17           => number 17 & tell submitted as
         5 time                => ask 17
         5 cancelled never-ran => canceller 17 & last-look
         6 canceller 0         => finish site the job was cancelled by uid 0",
    ),
    (
        "cancelled by nobody who is known, and its output comes first",
        For::Stage,
        "0 ready             => remember & submit
         0 called 17         => number 17 & tell submitted as
         1 mark              => ask 17!!
         1 running           => say runs on n1 & mint 17
         5 record 143        => withdraw & ask 17!
         5 cancelled         => canceller 17
         6 canceller unknown =>
         7 drained           => finish job 143 somebody cancelled the job",
    ),
    (
        "another end at first, and cancelled later: who did it is asked all the same",
        For::Stage,
        "0   ready             => remember & submit
         0   called 17         => number 17 & tell submitted as
         5   time              => ask 17
         5   preempted         => last-look
         6   record 143        => ask 17!
         6   cancelled         => canceller 17
         6   drained           =>
         6.1 canceller 1001    => finish job 143 by its own account",
    ),
    (
        "the time limit decides, whatever the script makes of it",
        For::Stage,
        "0 ready     => remember & submit
         0 called 17 => number 17 & tell submitted as
         4 record 0  => ask 17!
         4 timeout   =>
         4 drained   => finish job 1 the time limit of this job (00:01:00) was reached",
    ),
    (
        "a script that was killed: the scheduler gets a moment to say why",
        For::Stage,
        "0   ready         => remember & submit
         0   called 17     => number 17 & tell submitted as
         4   record 137    => ask 17!
         4   drained       =>
         4   running       =>
         4.3 time          => ask 17
         4.3 out-of-memory => finish job 137 the job used more memory than it had asked for",
    ),
    (
        "a script that was killed, and nobody says why",
        For::Stage,
        "0  ready          => remember & submit
         0  called 17      => number 17 & tell submitted as
         4  record 137     => ask 17!
         4  drained        =>
         4  running        =>
         20 always running => finish job 137 & 14 questions",
    ),
    (
        "a script that the scheduler has told to end: it says why, soon or late",
        For::Stage,
        "0   ready              => remember & submit
         0   called 17          => number 17 & tell submitted as
         4   record 0 terminated => ask 17!
         4   drained            =>
         4   completing         =>
         300 always completing  => 48 questions
         301 time               => 
         310 always timeout     => finish job 1 the time limit & 1 questions",
    ),
    (
        "a script that the scheduler has told to end, and never says why, has not succeeded",
        For::Stage,
        "0   ready              => remember & submit
         0   called 17          => number 17 & tell submitted as
         4   record 0 terminated => ask 17!
         4   drained            =>
         4   completing         =>
         999 always completing  => finish site Slurm has told the job to end, and does not say why & 81 questions",
    ),
    (
        "a job that waits is told of when its reason changes, and asked for less and less",
        For::Stage,
        "0   ready            => remember & submit
         0   called 17        => number 17 & tell submitted as
         5   time             => ask 17
         5   pending Priority => say waiting in the queue: Priority
         10  time             => ask 17
         10  pending Priority =>
         20  time             => ask 17
         20  pending Licenses => say waiting in the queue: Licenses
         40  time             => ask 17
         40  pending Licenses =>
         370 always pending Licenses => 11 questions",
    ),
    (
        "a job that runs for a day costs a question a minute",
        For::NoTokens,
        "0     ready          => remember & submit
         0     called 17      => number 17 & tell submitted as
         1     mark           => ask 17!!
         1     running        => say runs on n1
         86400 always running => 1440 questions",
    ),
    (
        "however many marks a job writes, eight are taken for a reason to ask",
        For::NoTokens,
        "0   ready         => remember & submit
         0   called 17     => number 17 & tell submitted as
         1   times 3 mark  => ask 17!!
         1   running       => say runs on n1
         1.2 time          => ask 17!
         1.3 running       =>
         2   times 999 mark => ask 17
         2   running       =>
         2.2 time          => ask 17
         2.2 running       =>
         3   times 999 mark =>
         62.2 time         => ask 17",
    ),
    (
        "however many records come, the first one counts",
        For::NoTokens,
        "0   ready              => remember & submit
         0   called 17          => number 17 & tell submitted as
         1   times 999 record 3 => ask 17!
         1   times 9 record 0   =>
         2   running            =>
         2   drained            => finish job 3",
    ),
    (
        "however much a worker has to say, fifty of its words reach the log",
        For::Stage,
        "0 ready                => remember & submit
         0 times 999 notice hey => 50 times say hey
         1 called 17            => number 17 & tell submitted as",
    ),
    (
        "a question that could not be asked for lack of threads is asked a second later",
        For::Stage,
        "0 ready     => remember & submit
         0 called 17 => number 17 & tell submitted as
         5 time      => ask 17
         5 not-asked =>
         6 time      => ask 17",
    ),
    (
        "a worker that says twice that it is ready is not ours",
        For::Stage,
        "0 ready => remember & submit
         1 ready => finish error the process that supervises this job as its account was killed",
    ),
    (
        "a worker that ends an order of another kind is not ours",
        For::Stage,
        "0 ready => remember & submit
         1 done  => finish error the process that supervises",
    ),
    (
        "words that are no report are an error of their own",
        For::Stage,
        "0 garbled => finish error cannot set up the run of a stage: the worker's report",
    ),
    (
        "a worker that is lost while its job runs leaves it to cleanup",
        For::Stage,
        "0 ready          => remember & submit
         0 called 17      => number 17 & tell submitted as
         1 end-of-reports => finish error the process that supervises",
    ),
    (
        "a worker that has ended may still have said why",
        For::Stage,
        "0 ready            => remember & submit
         1 worker-ended     =>
         2 failed disk full => finish error disk full",
    ),
    (
        "a worker that has ended without a word is given up",
        For::Stage,
        "0 ready        => remember & submit
         1 worker-ended =>
         3 time         => finish error the process that supervises",
    ),
    (
        "the output that comes before everything else is waited for only once",
        For::Stage,
        "0 ready     => remember & submit
         0 called 17 => number 17 & tell submitted as
         4 drained   =>
         5 time      => ask 17
         5 exited 3  => finish job 3 its record of how the job's script ended has not come",
    ),
    (
        "an end that a mark of a later start makes doubtful: there is a last look all the same",
        For::NoTokens,
        "0   ready          => remember & submit
         0   called 17      => number 17 & tell submitted as
         4   record 3       => ask 17!
         4   exited 3       =>
         5   mark restart 1 => ask 17!!
         5   exited 3       => last-look
         7   drained        => finish job 3",
    ),
];
